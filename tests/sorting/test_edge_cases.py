"""Recordings at the edge of what there is, through simsort: sorted, or refused with the reason."""

import numpy as np
import pytest

from neuroloom import sort
from neuroloom.errors import DataError
from neuroloom.simulation.probes import make_probe
from neuroloom.simulation.recordings import inject

RATE_HZ = 30_000.0


def firing(n_units: int, duration_s: float) -> list[np.ndarray]:
    """Trains of about 11 Hz, at random with a refractory period of 4 ms."""
    random = np.random.default_rng(0)
    trains = []
    for _ in range(n_units):
        times = np.sort(random.uniform(0.01, duration_s - 0.01, round(12 * duration_s)))
        trains.append(times[np.insert(np.diff(times) > 0.004, 0, True)])
    return trains


def simulated(
    probe,
    *,
    n_units: int = 1,
    duration_s: float = 20.0,
    rate_hz: float = RATE_HZ,
    jitter: float = 0.0,
    **options,
):
    """Units whose spikes are all of one height, so that what is tested is the edge alone."""
    return inject(
        firing(n_units, duration_s),
        probe=probe,
        duration_s=duration_s,
        rate_hz=rate_hz,
        noise_uv=8.0,
        amplitude_jitter=jitter,
        **options,
    )


def agreement(sorting, truth) -> np.ndarray:
    """Return the accuracy (n_both / n_either, spikes within .4 ms) of the best unit for each true one."""
    from neuroloom.sorting.agreement import compare_with_truth

    return compare_with_truth(sorting, truth)["accuracy"].to_numpy(float)


def voltage(recording) -> np.ndarray:
    return np.array(recording.get_traces(return_in_uV=True), dtype=np.float32)


@pytest.fixture(scope="module")
def two_cells():
    """Twenty seconds of a tetrode with two large units."""
    return simulated("tetrode", n_units=2, amplitudes_uv=[220.0, 160.0], seed=3)


# Few channels


@pytest.mark.parametrize("probe", ["single", "stereotrode", "linear-3"])
def test_one_to_three_channels_are_enough(probe):
    recording, truth = simulated(probe, amplitudes_uv=[200.0])
    sorting = sort(recording, sorter="simsort")
    assert len(sorting.unit_ids) == 1
    assert agreement(sorting, truth).min() > 0.9


def test_two_units_on_one_channel_are_told_apart():
    recording, truth = simulated("single", n_units=2, amplitudes_uv=[250.0, 90.0], seed=1)
    assert agreement(sort(recording, sorter="simsort"), truth).min() > 0.8


def test_large_spikes_that_vary_in_height_stay_one_unit():
    recording, truth = simulated("tetrode", n_units=2, amplitudes_uv=[220.0, 160.0], jitter=0.05, seed=3)
    assert agreement(sort(recording, sorter="simsort"), truth).min() > 0.9


# Channels that are no use


@pytest.mark.parametrize("dead", [2, 3])
def test_a_dead_channel_is_left_out(two_cells, array_recording, dead):
    traces = voltage(two_cells[0])
    traces[:, dead] = 12.0
    sorting = sort(array_recording(traces), sorter="simsort")
    assert agreement(sorting, two_cells[1]).min() > 0.8
    assert len(sorting.unit_ids) == 2


def test_a_saturated_channel_is_left_out(two_cells, array_recording):
    traces = voltage(two_cells[0])
    traces[:, 2] = np.clip(traces[:, 2], -10, 10)
    sorting = sort(array_recording(traces), sorter="simsort")
    assert agreement(sorting, two_cells[1]).min() > 0.8


def test_a_channel_stuck_at_the_end_of_its_range_is_left_out(two_cells, array_recording):
    traces = np.round(voltage(two_cells[0]) / 0.195).astype(np.int16)
    traces[:, 1] = np.iinfo(np.int16).max
    recording = array_recording(traces)
    recording.set_channel_gains(0.195)
    sorting = sort(recording, sorter="simsort")
    assert len(sorting.unit_ids) == 2
    assert agreement(sorting, two_cells[1]).min() > 0.8


def test_artefacts_that_saturate_every_channel_cost_no_unit(two_cells, array_recording):
    traces = voltage(two_cells[0])
    for start in range(30_000, 600_000, 60_000):
        traces[start : start + 60] = 3000.0 * (-1) ** (start // 60_000)
    sorting = sort(array_recording(traces), sorter="simsort")
    assert agreement(sorting, two_cells[1]).min() > 0.8


def test_a_channel_that_is_repeated_counts_once(two_cells, array_recording):
    traces = voltage(two_cells[0])
    traces[:, 3] = traces[:, 0]
    assert agreement(sort(array_recording(traces), sorter="simsort"), two_cells[1]).min() > 0.8


def test_one_good_channel_of_four_is_enough(two_cells, array_recording):
    traces = voltage(two_cells[0])
    traces[:, 1:] = 0
    assert len(sort(array_recording(traces), sorter="simsort").unit_ids) >= 1


def test_four_dead_channels_of_which_one_clicks_are_refused(array_recording):
    traces = np.zeros((60_000, 4), np.float32)
    traces[30_000:30_010] = 50.0
    with pytest.raises(DataError, match="no channel is usable"):
        sort(array_recording(traces), sorter="simsort")


# Nothing, or little


@pytest.mark.parametrize("value", [0.0, -7.5])
def test_silence_has_no_units(array_recording, value):
    silence = array_recording(np.full((60_000, 4), value, np.float32))
    assert len(sort(silence, sorter="simsort").unit_ids) == 0


def test_silence_in_integers_has_no_units(array_recording):
    assert len(sort(array_recording(np.zeros((60_000, 4), np.int16)), sorter="simsort").unit_ids) == 0


@pytest.mark.parametrize("n_channels", [1, 4, 32])
def test_noise_has_no_units(array_recording, n_channels):
    traces = np.random.default_rng(1).normal(0, 8, (150_000, n_channels)).astype(np.float32)
    noise = array_recording(traces, probe=f"linear-{n_channels}")
    assert len(sort(noise, sorter="simsort").unit_ids) == 0


def test_a_second_of_data_is_enough_for_large_spikes():
    recording, truth = inject([np.arange(0.02, 0.98, 0.03)], duration_s=1.0, amplitudes_uv=[200.0])
    sorting = sort(recording, sorter="simsort")
    assert len(sorting.unit_ids) == 1
    assert agreement(sorting, truth).min() > 0.9


def test_a_second_with_few_spikes_has_no_units():
    recording, _ = inject([np.arange(0.1, 0.9, 0.2)], duration_s=1.0, amplitudes_uv=[200.0])
    assert len(sort(recording, sorter="simsort").unit_ids) == 0


@pytest.mark.parametrize("duration_s", [0.1, 0.2])
def test_less_than_a_second_has_no_units(duration_s):
    recording, _ = inject([], duration_s=duration_s)
    assert len(sort(recording, sorter="simsort").unit_ids) == 0


def test_too_little_to_filter_and_nothing_at_all_are_refused(array_recording):
    with pytest.raises(DataError, match=r"it lasts 0\.0500 s, too short to filter"):
        sort(array_recording(np.zeros((1500, 4), np.float32)), sorter="simsort")
    with pytest.raises(DataError, match="it is empty"):
        sort(array_recording(np.zeros((0, 4), np.float32)), sorter="simsort")


def test_a_pause_in_the_recording_is_survived(two_cells, array_recording):
    traces = voltage(two_cells[0])
    traces[60_000:120_000] = 0
    sorting = sort(array_recording(traces), sorter="simsort")
    assert len(sorting.unit_ids) == 2
    spikes = sorting.to_spike_vector()["sample_index"]
    assert not np.any((spikes > 60_100) & (spikes < 119_900))


# Samples that are missing


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_few_missing_samples_cost_no_unit(two_cells, array_recording, value):
    traces = voltage(two_cells[0])
    traces[60_000:60_300] = value
    traces[150_000, 2] = value
    sorting = sort(array_recording(traces), sorter="simsort")
    assert len(sorting.unit_ids) == 2
    assert agreement(sorting, two_cells[1]).min() > 0.9


def test_few_missing_samples_on_the_only_channel_cost_no_unit(array_recording):
    recording, truth = simulated("single", amplitudes_uv=[200.0])
    traces = voltage(recording)
    traces[60_000:60_300] = np.nan
    sorting = sort(array_recording(traces, probe="single"), sorter="simsort")
    assert len(sorting.unit_ids) == 1
    assert agreement(sorting, truth).min() > 0.9


def test_many_missing_samples_are_refused(two_cells, array_recording):
    traces = voltage(two_cells[0])
    traces[60_000:70_000] = np.nan
    with pytest.raises(DataError, match=r"of the samples are NaN or infinite.*Remedy: cut them out"):
        sort(array_recording(traces), sorter="simsort")


def test_a_channel_of_missing_samples_is_left_out(two_cells, array_recording):
    traces = voltage(two_cells[0])
    traces[:, 1] = np.nan
    assert agreement(sort(array_recording(traces), sorter="simsort"), two_cells[1]).min() > 0.8


# Probes


@pytest.mark.parametrize("separate", [True, False], ids=["two probes", "two shanks of one"])
def test_each_unit_lies_on_one_of_two_shanks_and_all_are_found(separate):
    from probeinterface import Probe, ProbeGroup
    from spikeinterface.core import NumpyRecording, NumpySorting

    trains_s = firing(4, 20.0)
    parts = [
        inject(
            half,
            probe="linear-8",
            duration_s=20.0,
            noise_uv=8.0,
            amplitudes_uv=[230.0, 160.0],
            amplitude_jitter=0.0,
            seed=seed,
        )
        for half, seed in ((trains_s[:2], 5), (trains_s[2:], 6))
    ]
    shank_um = make_probe("linear-8").contact_positions
    places = np.concatenate([shank_um, shank_um + np.array([250.0, 0.0])])
    group = ProbeGroup()
    for shank in range(2) if separate else [None]:
        mine = slice(None) if shank is None else slice(8 * shank, 8 * shank + 8)
        probe = Probe(ndim=2, si_units="um")
        shank_ids = np.repeat(["a", "b"], 8)[mine]
        probe.set_contacts(places[mine], shapes="circle", shape_params={"radius": 6}, shank_ids=shank_ids)
        probe.set_device_channel_indices(np.arange(16)[mine])
        group.add_probe(probe)
    recording = NumpyRecording([np.concatenate([voltage(part) for part, _ in parts], axis=1)], RATE_HZ)
    recording.set_channel_gains(1.0)
    recording.set_channel_offsets(0.0)
    recording.set_probegroup(group)
    trains = {
        (shank, unit): truth.get_unit_spike_train(unit_id=unit)
        for shank, (_, truth) in enumerate(parts)
        for unit in truth.unit_ids
    }
    truth = NumpySorting.from_unit_dict([dict(enumerate(trains.values()))], sampling_frequency=RATE_HZ)
    sorting = sort(recording, sorter="simsort")
    assert len(sorting.unit_ids) == 4
    assert agreement(sorting, truth).min() > 0.8
    # On the shank where a unit is not, its mean waveform is what is left of the noise.
    for unit in sorting.unit_ids:
        spikes = sorting.get_unit_spike_train(unit_id=unit)
        spikes = spikes[(spikes > 30) & (spikes < recording.get_num_samples(0) - 60)][:300]
        mean = np.mean([recording.get_traces(start_frame=s - 20, end_frame=s + 40) for s in spikes], axis=0)
        heights = sorted(np.ptp(mean[:, shank], axis=0).max() for shank in (slice(0, 8), slice(8, 16)))
        assert heights[0] < 0.2 * heights[1]


def test_few_channels_without_a_probe_are_taken_for_neighbours(two_cells, array_recording):
    sorting = sort(array_recording(voltage(two_cells[0]), probe=None), sorter="simsort")
    assert agreement(sorting, two_cells[1]).min() > 0.8


def test_many_channels_without_a_probe_are_refused(array_recording):
    traces = np.random.default_rng(0).normal(0, 8, (60_000, 8)).astype(np.float32)
    with pytest.raises(DataError, match="no probe for 8 channels.*Remedy: pass a probeinterface file"):
        sort(array_recording(traces, probe=None), sorter="simsort")


def test_channels_may_come_in_any_order(two_cells):
    from spikeinterface.core import NumpyRecording

    order = [2, 0, 3, 1]
    probe = make_probe("tetrode")
    probe.set_device_channel_indices(np.argsort(order))
    recording = NumpyRecording([voltage(two_cells[0])[:, order]], RATE_HZ)
    recording.set_channel_gains(1.0)
    recording.set_channel_offsets(0.0)
    recording.set_probe(probe)
    assert agreement(sort(recording, sorter="simsort"), two_cells[1]).min() > 0.9


def test_contacts_in_space_are_sorted(two_cells, array_recording):
    recording = array_recording(voltage(two_cells[0]), probe=make_probe("tetrode").to_3d(axes="xz"))
    assert len(sort(recording, sorter="simsort").unit_ids) == 2


# Sampling rates and types


@pytest.mark.parametrize("rate_hz", [15_000.0, 24_000.0, 30_000.0])
def test_sampling_rates_from_15_to_30_khz_are_sorted_by_the_same_weights(rate_hz):
    recording, truth = simulated(
        "tetrode", n_units=3, rate_hz=rate_hz, amplitudes_uv=[240.0, 180.0, 130.0], seed=4
    )
    sorting = sort(recording, sorter="simsort")
    assert len(sorting.unit_ids) == 3
    assert agreement(sorting, truth).min() > 0.8


def test_integers_with_a_gain_are_sorted_alike(two_cells, array_recording):
    recording = array_recording(np.round(voltage(two_cells[0]) / 0.195).astype(np.int16))
    recording.set_channel_gains(0.195)
    sorting = sort(recording, sorter="simsort")
    assert len(sorting.unit_ids) == 2
    assert agreement(sorting, two_cells[1]).min() > 0.9


def test_several_segments_are_refused(two_cells):
    from spikeinterface.core import append_recordings

    with pytest.raises(DataError, match="it has 2 segments.*Remedy: join them"):
        sort(append_recordings([two_cells[0], two_cells[0]]), sorter="simsort")
