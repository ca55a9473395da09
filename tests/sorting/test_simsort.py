import numpy as np
import pytest

from neuroloom.simulation.recordings import inject
from neuroloom.sorting.preprocessing import prepare
from neuroloom.sorting.simsort import simsort
from neuroloom.sorting.sorter import sort
from neuroloom.sorting.spikeinterface_runs import quiet

pytest.importorskip("torch")


def trains(n_units: int, duration_s: float) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    made = []
    for _ in range(n_units):
        times = np.sort(random.uniform(0.01, duration_s - 0.01, int(12 * duration_s)))
        made.append(times[np.insert(np.diff(times) > 0.004, 0, True)])
    return made


@pytest.fixture(scope="module")
def sorted_by_simsort(tetrode):
    return sort(tetrode[0], sorter="simsort")


def test_simulated_units_are_found(tetrode, sorted_by_simsort):
    from spikeinterface.comparison import compare_sorter_to_ground_truth

    with quiet():
        compared = compare_sorter_to_ground_truth(tetrode[1], sorted_by_simsort, exhaustive_gt=True)
    assert compared.get_performance()["accuracy"].min() > 0.9
    assert len(sorted_by_simsort.unit_ids) == 4


def test_the_same_seed_gives_the_same_spikes(tetrode, sorted_by_simsort):
    again = sort(tetrode[0], sorter="simsort")
    for unit in sorted_by_simsort.unit_ids:
        first = sorted_by_simsort.get_unit_spike_train(unit_id=unit)
        assert np.array_equal(first, again.get_unit_spike_train(unit_id=unit))


def test_every_spike_and_unit_has_a_confidence(tetrode, tmp_path):
    found = simsort(prepare(tetrode[0]).recording, tmp_path)
    assert len(found.confidence) == len(found.templates) == 4
    assert found.spikes.confidence.shape == found.spikes.sample.shape
    assert np.all((found.confidence > 0.8) & (found.confidence <= 1))


def test_one_channel_is_enough(array_recording):
    random = np.random.default_rng(0)
    traces = random.normal(0, 8, (10 * 30_000, 1)).astype(np.float32)
    spike = -150 * np.exp(-(np.arange(-20, 40) ** 2) / 30.0)
    for start in range(1000, 299_000, 3000):
        traces[start : start + 60, 0] += spike
    found = sort(array_recording(traces, probe=None), sorter="simsort")
    assert len(found.unit_ids) == 1
    assert abs(len(found.get_unit_spike_train(unit_id=0)) - 100) <= 2


@pytest.mark.parametrize("level_uv", [0.0, 8.0])
def test_silence_and_noise_have_no_units(array_recording, level_uv):
    traces = np.random.default_rng(1).normal(0, level_uv, (5 * 30_000, 4)).astype(np.float32)
    assert len(sort(array_recording(traces), sorter="simsort").unit_ids) == 0


def test_a_second_of_data_is_sorted(array_recording):
    traces = np.random.default_rng(2).normal(0, 8, (30_000, 4)).astype(np.float32)
    assert len(sort(array_recording(traces), sorter="simsort").unit_ids) == 0


def test_a_dead_channel_is_left_out(tetrode, array_recording):
    traces = np.array(tetrode[0].get_traces(return_in_uV=True), dtype=np.float32)
    traces[:, 1] = 0
    assert len(sort(array_recording(traces), sorter="simsort").unit_ids) >= 3


@pytest.mark.parametrize("rate_hz", [15_000.0, 24_000.0])
def test_other_sampling_rates_work_with_the_same_weights(array_recording, rate_hz):
    from spikeinterface.preprocessing import resample

    recording, truth = inject(
        trains(3, 12.0), duration_s=12.0, amplitudes_uv=(120.0, 240.0), noise_uv=8.0, seed=4
    )
    with quiet():
        slower = resample(recording, int(rate_hz)).get_traces(return_in_uV=True)
    found = sort(array_recording(np.array(slower, dtype=np.float32), rate_hz=rate_hz), sorter="simsort")
    assert len(found.unit_ids) == len(truth.unit_ids)


@pytest.mark.slow
def test_384_channels_are_sorted_in_bounded_memory():
    import tracemalloc

    recording, truth = inject(
        trains(20, 10.0), probe="linear-384", duration_s=10.0, amplitudes_uv=(120.0, 300.0), seed=5
    )
    tracemalloc.start()
    found = sort(recording, sorter="simsort")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert abs(len(found.unit_ids) - len(truth.unit_ids)) <= 4
    assert peak < 1.5e9
