import numpy as np
import pytest

from neuroloom.errors import DataError
from neuroloom.simulation.recordings import demo_recording, inject

TRAINS = [np.arange(0.05, 1.95, 0.1), np.arange(0.08, 1.95, 0.23)]


def test_spikes_are_where_they_were_put():
    recording, truth = inject(TRAINS, duration_s=2.0, noise_uv=0.001, amplitude_jitter=0.0)
    for unit, times_s in enumerate(TRAINS):
        samples = np.round(times_s * 30_000).astype(int)
        np.testing.assert_array_equal(truth.get_unit_spike_train(unit_id=unit), samples)
    traces = recording.get_traces()
    alone = np.round(TRAINS[0] * 30_000).astype(int)
    far = [s for s in alone if np.abs(np.round(TRAINS[1] * 30_000) - s).min() > 200]
    for sample in far:
        around = traces[sample - 60 : sample + 60].min(axis=1)
        assert abs(int(around.argmin()) - 60) <= 1


def test_troughs_have_the_heights_asked_for():
    recording, _ = inject(
        TRAINS[:1], duration_s=2.0, noise_uv=0.001, amplitudes_uv=[120.0], amplitude_jitter=0.0
    )
    assert recording.get_traces().min() == pytest.approx(-120.0, rel=1e-3)


def test_noise_has_the_level_asked_for():
    recording, truth = inject([], probe="linear-8", duration_s=4.0, noise_uv=7.0)
    np.testing.assert_allclose(recording.get_traces().std(axis=0), 7.0, rtol=0.02)
    assert len(truth.unit_ids) == 0


def test_the_seed_decides_everything_and_chunks_nothing():
    first, _ = inject(TRAINS, duration_s=2.0, seed=4)
    second, _ = inject(TRAINS, duration_s=2.0, seed=4)
    other, _ = inject(TRAINS, duration_s=2.0, seed=5)
    whole = first.get_traces()
    np.testing.assert_array_equal(whole, second.get_traces())
    assert not np.array_equal(whole, other.get_traces())
    parts = [first.get_traces(start_frame=a, end_frame=b) for a, b in ((0, 31_234), (31_234, 60_000))]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-4)


def test_unit_ids_probe_and_rate_are_the_callers():
    recording, truth = inject({"cell a": TRAINS[0]}, probe="linear-3", rate_hz=20_000.0)
    assert list(truth.unit_ids) == ["cell a"]
    assert recording.get_num_channels() == 3
    assert recording.get_sampling_frequency() == truth.get_sampling_frequency() == 20_000
    assert recording.get_total_duration() == pytest.approx(TRAINS[0].max() + 0.1, abs=1e-3)


def test_spikes_can_be_put_into_a_given_recording():
    background, _ = inject([], probe="tetrode", duration_s=2.0, noise_uv=5.0, seed=9)
    recording, _ = inject(TRAINS[:1], background=background, amplitudes_uv=[150.0])
    difference = recording.get_traces() - background.get_traces()
    assert difference.min() < -120
    quiet = np.abs(difference).max(axis=1) == 0
    assert quiet.mean() > 0.9


@pytest.mark.parametrize("times", [[-0.1], [2.5], [np.nan]])
def test_spikes_outside_the_recording_are_refused(times):
    with pytest.raises(DataError, match="unit 0 has 1 spikes outside it"):
        inject([np.array(times)], duration_s=2.0)


def test_a_drifting_unit_moves_along_the_probe_and_back_to_where_it_was():
    times_s = np.arange(0.05, 19.9, 0.1)
    made = [
        inject([times_s], probe="linear-16", duration_s=20.0, noise_uv=1e-3, drift_um=drift_um)[0]
        for drift_um in (0.0, 60.0)
    ]
    still, moved = (recording.get_traces() for recording in made)
    depth_um = made[0].get_channel_locations()[:, 1]

    def centre_um(traces):
        """Where along the probe each spike is, weighted by its troughs."""
        samples = np.round(times_s * 30_000).astype(int)
        troughs = np.array([-traces[sample - 15 : sample + 30].min(axis=0) for sample in samples])
        return (troughs**2 @ depth_um) / (troughs**2).sum(axis=1)

    assert np.ptp(centre_um(still)) < 1
    assert np.ptp(centre_um(moved)) > 25
    assert centre_um(moved)[0] == pytest.approx(centre_um(still)[0], abs=3)


def test_drift_leaves_spike_times_and_chunks_as_they_are():
    recording, truth = inject(TRAINS, duration_s=2.0, drift_um=20.0, seed=4)
    _, still = inject(TRAINS, duration_s=2.0, seed=4)
    assert np.array_equal(truth.to_spike_vector(), still.to_spike_vector())
    whole = recording.get_traces()
    parts = [recording.get_traces(start_frame=a, end_frame=b) for a, b in ((0, 31_234), (31_234, 60_000))]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-4)
    with pytest.raises(DataError, match="drift_um"):
        inject(TRAINS, duration_s=2.0, drift_um=-1.0)


def test_a_height_is_needed_for_every_unit():
    with pytest.raises(DataError, match="1 amplitudes for 2 units"):
        inject(TRAINS, duration_s=2.0, amplitudes_uv=[100.0])


@pytest.mark.parametrize("duration_s", [0.0, -1.0, float("nan")])
def test_impossible_lengths_are_refused(duration_s):
    with pytest.raises(DataError, match="duration is"):
        inject([], duration_s=duration_s)


def test_the_demo_population_moves_the_hand_it_is_tuned_to():
    demo = demo_recording(probe="tetrode", n_units=20, duration_s=60.0, seed=1)
    times_s, velocity = demo.behavior["velocity"]
    _, position = demo.behavior["position"]
    # Velocity is the derivative of position; reaches end 8 cm away, in eight directions, and come back.
    np.testing.assert_allclose(np.gradient(position, times_s, axis=0), velocity, atol=1.5)
    assert np.linalg.norm(position, axis=1).max() == pytest.approx(8.0, abs=0.01)
    assert set(demo.trials["direction"]) == {"E", "NE", "N", "NW", "W", "SW", "S", "SE"}
    assert (demo.trials["end"] > demo.trials["start"]).all()
    # A linear readout of counts 100 ms earlier gives the velocity back.
    edges = np.arange(0.5, 59.0, 0.1)
    counts = np.stack(
        [
            np.histogram(demo.sorting.get_unit_spike_train(unit_id=unit) / 30_000, edges - 0.1)[0]
            for unit in demo.sorting.unit_ids
        ],
        axis=1,
    )
    wanted = np.stack([np.interp(edges[:-1] + 0.05, times_s, column) for column in velocity.T], axis=1)
    inputs = np.column_stack([counts, np.ones(len(counts))])
    weights, *_ = np.linalg.lstsq(inputs[:400], wanted[:400], rcond=None)
    residual = wanted[400:] - inputs[400:] @ weights
    r2 = 1 - (residual**2).sum(axis=0) / ((wanted[400:] - wanted[400:].mean(axis=0)) ** 2).sum(axis=0)
    assert r2.mean() > 0.5


def test_demo_units_have_a_refractory_period_and_plausible_rates():
    demo = demo_recording(n_units=8, duration_s=30.0)
    for unit in demo.sorting.unit_ids:
        samples = demo.sorting.get_unit_spike_train(unit_id=unit)
        assert np.diff(samples).min() >= 0.0029 * 30_000
        assert 1 < len(samples) / 30.0 < 60
