import itertools
import pickle

import numpy as np
import pytest
from probeinterface import Probe

from neuroloom.errors import DataError
from neuroloom.simulation.biophysical import biophysical_recording
from neuroloom.simulation.electrodes import contact_positions
from neuroloom.simulation.library import DEFAULT_CELLS, CellLibrary
from neuroloom.simulation.placement import PlacedCell
from neuroloom.simulation.probes import make_probe
from neuroloom.simulation.recordings import inject
from neuroloom.simulation.scenario import Scenario

QUIET = {"noise_uv": 0.0, "distant_units": 0}
EVERYTHING = Scenario(
    duration_s=3.0, units=4, drift_um=15.0, jumps=1, hum_uv=4.0, shared_noise=0.3, distant_units=5
)


@pytest.fixture(scope="module")
def library() -> CellLibrary:
    return CellLibrary.load(DEFAULT_CELLS)


@pytest.fixture(scope="module")
def made(library):
    return biophysical_recording(library, scenario=EVERYTHING, seed=1)


def cell(library, name):
    return next(cell for cell in library.cells if cell.name == name)


@pytest.mark.parametrize("cuts", [(0, 31_234, 90_000), (0, 1, 8191, 8192, 8193, 50_000, 90_000)])
def test_traces_do_not_depend_on_how_they_are_cut(made, cuts):
    whole = made.recording.get_traces()
    parts = [made.recording.get_traces(start_frame=a, end_frame=b) for a, b in itertools.pairwise(cuts)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_some_channels_are_columns_of_all(made):
    chosen = made.recording.channel_ids[[3, 1]]
    some = made.recording.get_traces(start_frame=700, end_frame=20_000, channel_ids=chosen)
    np.testing.assert_array_equal(some, made.recording.get_traces()[700:20_000, [3, 1]])


def test_the_seed_decides_everything(library, made):
    again = biophysical_recording(library, scenario=EVERYTHING, seed=1)
    other = biophysical_recording(library, scenario=EVERYTHING, seed=2)
    np.testing.assert_array_equal(again.recording.get_traces(), made.recording.get_traces())
    assert not np.array_equal(other.recording.get_traces(), made.recording.get_traces())


def test_other_processes_compute_the_same(made):
    copy = pickle.loads(pickle.dumps(made.recording))  # noqa: S301
    part = {"start_frame": 5000, "end_frame": 9000}
    np.testing.assert_array_equal(copy.get_traces(**part), made.recording.get_traces(**part))


def test_memory_does_not_grow_with_duration(library):
    long = biophysical_recording(library, scenario=Scenario(duration_s=3600.0, units=3))
    assert long.recording.get_total_duration() == 3600.0
    assert long.recording.get_traces(start_frame=10**8, end_frame=10**8 + 100).shape == (100, 4)


def test_troughs_are_where_the_truth_says_and_as_deep_as_the_currents_make_them(library):
    placed = PlacedCell(cell(library, "pyramidal-009"), np.array([10.0, 5.0, 15.0]), stretch=1.0)
    times = np.arange(0.1, 1.9, 0.2)
    made = biophysical_recording(
        library, scenario=Scenario(duration_s=2.0, shapes=1, **QUIET), placed=[placed], spike_times_s=[times]
    )
    traces = made.recording.get_traces()
    samples = made.sorting.get_unit_spike_train(unit_id=0)
    np.testing.assert_array_equal(samples, np.round(times * 30_000))
    for sample in samples:
        around = traces[sample - 40 : sample + 60].min(axis=1)
        assert abs(int(around.argmin()) - 40) <= 1
    contacts = contact_positions(make_probe("tetrode"))
    shortest = int(np.argmin(placed.cell.interval_ms))
    exact = placed.cell.potentials_uv(contacts, position_um=placed.position_um)[shortest]
    # 30 kHz keeps all but the sharpest corner of a 40 kHz trough.
    np.testing.assert_allclose(traces.min(axis=0), exact.min(axis=1), rtol=0.03, atol=0.3)
    assert made.sorting.get_property("trough_uv")[0] == pytest.approx(-traces.min(), rel=1e-5)


def test_spikes_after_short_intervals_are_smaller_in_a_cell_that_bursts(library):
    placed = PlacedCell(cell(library, "bursting-009"), np.array([10.0, 5.0, 15.0]))
    pairs = np.sort(np.concatenate([np.arange(0.5, 9.5, 0.5), np.arange(0.5, 9.5, 0.5) + 0.004]))
    made = biophysical_recording(
        library, scenario=Scenario(duration_s=10.0, **QUIET), placed=[placed], spike_times_s=[pairs]
    )
    samples = made.sorting.get_unit_spike_train(unit_id=0)
    depth = -made.recording.get_traces().min(axis=1)
    depth = np.array([depth[s - 5 : s + 6].max() for s in samples])
    assert np.median(depth[1::2]) < 0.6 * np.median(depth[::2])


def test_bursts_can_be_made_to_shrink_in_any_cell(library):
    placed = PlacedCell(cell(library, "pyramidal-009"), np.array([10.0, 5.0, 15.0]))
    pairs = np.sort(np.concatenate([np.arange(0.5, 9.5, 0.5), np.arange(0.5, 9.5, 0.5) + 0.01]))
    scenario = Scenario(duration_s=10.0, shapes=1, burst_decay=0.5, **QUIET)
    made = biophysical_recording(library, scenario=scenario, placed=[placed], spike_times_s=[pairs])
    depth = -made.recording.get_traces().min(axis=1)
    depth = np.array([depth[s - 5 : s + 6].max() for s in made.sorting.get_unit_spike_train(unit_id=0)])
    np.testing.assert_allclose(depth[1::2] / depth[::2], 1 - 0.5 / np.e, rtol=0.05)


def test_drift_moves_spikes_as_moved_cells_would_spike(library):
    """Halfway between two positions, the interpolated spike is close to the one simulated there."""
    place = np.array([5.0, 20.0, 15.0])
    one = cell(library, "pyramidal-009")
    times = np.arange(0.1, 19.9, 0.1)
    scenario = Scenario(duration_s=20.0, shapes=1, drift_um=20.0, **QUIET)
    made = biophysical_recording(
        library, probe="linear-8", scenario=scenario, placed=[PlacedCell(one, place)], spike_times_s=[times]
    )
    assert np.ptp(made.moved_um) == pytest.approx(20.0)
    traces = made.recording.get_traces()
    contacts = contact_positions(make_probe("linear-8"))
    for time_s in (3.0, 9.0, 15.5):
        moved = made.moved_um[round(10 * time_s)]
        there = PlacedCell(one, place + np.array([0, moved, 0])).shapes(
            contacts, rate_hz=30_000.0, n_shapes=1
        )[0, 0]
        sample = round(time_s * 30_000)
        np.testing.assert_allclose(
            traces[sample - 5 : sample + 40].min(axis=0), there.min(axis=0), atol=0.04 * np.abs(there).max()
        )


def test_a_jump_moves_everything_at_once(library):
    scenario = Scenario(duration_s=20.0, jumps=1, jump_um=12.0, units=1, **QUIET)
    made = biophysical_recording(library, scenario=scenario)
    steps = np.diff(made.moved_um)
    assert np.count_nonzero(steps) == 1
    assert abs(steps.sum()) == 12.0


def test_unit_ids_are_the_callers_and_cells_are_named(library):
    trains = {"a": np.array([0.1, 0.5]), "b": np.array([0.2])}
    made = biophysical_recording(library, scenario=Scenario(duration_s=1.0), spike_times_s=trains)
    assert list(made.sorting.unit_ids) == ["a", "b"]
    assert set(made.sorting.get_property("cell")) <= {cell.name for cell in library.cells}


def test_cells_can_be_put_into_a_given_recording(library):
    background, _ = inject([], probe="tetrode", duration_s=2.0, noise_uv=5.0, rate_hz=24_000.0)
    trains = [np.arange(0.1, 1.9, 0.1)]
    made = biophysical_recording(library, background=background, spike_times_s=trains)
    difference = made.recording.get_traces() - background.get_traces()
    assert difference.min() < -20
    assert (np.abs(difference).max(axis=1) == 0).mean() > 0.5
    assert made.sorting.get_sampling_frequency() == 24_000


def test_any_probe_will_do_also_in_three_dimensions_and_with_two_shanks(library):
    positions = np.array([[0.0, 0], [0, 25], [300, 0], [300, 25]])
    probe = Probe(ndim=2)
    probe.set_contacts(positions, shank_ids=["a", "a", "b", "b"])
    probe.set_device_channel_indices(np.arange(4))
    for some in (probe, probe.to_3d(axes="xy")):
        made = biophysical_recording(library, probe=some, scenario=Scenario(duration_s=1.0, units=4))
        assert made.recording.get_traces().shape == (30_000, 4)


def test_no_units_leave_noise_alone(library):
    made = biophysical_recording(library, scenario=Scenario(duration_s=1.0, units=0))
    assert len(made.sorting.unit_ids) == 0
    assert made.recording.get_traces().std() > 4


@pytest.mark.parametrize("train", [[-0.1], [1.5], [np.nan]])
def test_spikes_outside_the_recording_are_refused(library, train):
    with pytest.raises(DataError, match="unit 0 has 1 spikes outside it"):
        biophysical_recording(library, scenario=Scenario(duration_s=1.0), spike_times_s=[np.array(train)])


def test_trains_and_places_must_match(library):
    placed = [PlacedCell(library.cells[0], np.array([0.0, 0, 10]))]
    with pytest.raises(DataError, match="2 spike trains for 1 placed cells"):
        biophysical_recording(library, placed=placed, spike_times_s=[np.zeros(0), np.zeros(0)])


def test_more_shapes_than_memory_are_refused(library):
    scenario = Scenario(duration_s=10.0, units=100, drift_um=100.0, drift_step_um=1.0)
    placed = [PlacedCell(library.cells[0], np.array([0.0, 0, 10]))] * 100
    with pytest.raises(DataError, match="drift_step_um"):
        biophysical_recording(library, probe="linear-384", scenario=scenario, placed=placed)


@pytest.mark.parametrize(
    "wrong", [{"duration_s": 0.0}, {"noise_uv": -1.0}, {"shared_noise": 2.0}, {"rate_hz": float("nan")},
              {"fastest_hz": 0.5}, {"shapes": 0}]
)  # fmt: skip
def test_impossible_scenarios_are_refused(wrong):
    with pytest.raises(DataError, match=f"{next(iter(wrong))} is"):
        Scenario(**wrong)
