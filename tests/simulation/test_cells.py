import numpy as np
import pytest

from neuroloom.errors import DataError, MissingFile
from neuroloom.simulation.archetypes import ARCHETYPES, draw_cell
from neuroloom.simulation.cells import pink_noise, shape, simulate
from neuroloom.simulation.morphology import AXON, SOMA, bundled_morphologies, read_swc

pytest.importorskip("arbor", reason="the extra [biophysics] is not installed")


@pytest.fixture(scope="module")
def run():
    spec = draw_cell("fast_spiking", index=1)
    first = simulate(spec, duration_ms=150, mean_na=0.1, noise_na=0.1)
    times = first.spike_times_ms[0] + np.arange(-1, 3, 0.025)
    return first, simulate(spec, duration_ms=150, mean_na=0.1, noise_na=0.1, current_times_ms=times)


def test_a_driven_cell_spikes_and_comes_back_to_rest(run):
    first, _ = run
    assert len(first.spike_times_ms) >= 2
    assert first.soma_mv.max() > 0
    assert np.median(first.soma_mv) < -45


def test_a_second_run_is_the_same_run(run):
    np.testing.assert_array_equal(run[0].soma_mv, run[1].soma_mv)


def test_membrane_currents_sum_to_zero(run):
    currents = run[1].currents_na
    assert np.abs(currents.sum(axis=0)).max() < 1e-9 * len(currents) + 1e-6 * np.abs(currents).max()


def test_the_largest_current_of_a_spike_enters_near_the_soma(run):
    membrane = run[1]
    middle = (membrane.segment_start_um + membrane.segment_end_um) / 2
    assert np.linalg.norm(middle[np.argmin(membrane.currents_na.min(axis=1))]) < 60


def test_drawn_cells_are_distinct_and_repeatable():
    for archetype in ARCHETYPES:
        cells = [draw_cell(archetype, index=i) for i in range(10)]
        assert cells[3] == draw_cell(archetype, index=3)
        assert len({str(cell.densities) for cell in cells}) == 10


def test_pruning_keeps_a_tree_rooted_in_the_soma():
    tree = read_swc(next(iter(bundled_morphologies().values())))
    pruned = tree.pruned(0.5, random=np.random.default_rng(0)).with_axon()
    assert len(pruned) < len(tree)
    assert (pruned.parent < np.arange(len(pruned))).all()
    assert (pruned.parent == -1).sum() == 1
    assert pruned.region[pruned.parent == -1] == SOMA
    assert (pruned.region == AXON).any()


def test_scaling_scales_every_length():
    spec = draw_cell("pyramidal", index=0)
    tree = shape(spec)
    np.testing.assert_allclose(tree.scaled(2.0).end_um, 2 * tree.end_um)


def test_pink_noise_has_more_power_at_low_frequencies():
    power = np.abs(np.fft.rfft(pink_noise(4096, seed=0))) ** 2
    assert power[1:50].mean() > 10 * power[-500:].mean()


def test_wrong_morphology_files_are_refused(tmp_path):
    with pytest.raises(MissingFile):
        read_swc(tmp_path / "absent.swc")
    (tmp_path / "text.swc").write_text("not an swc file\n")
    with pytest.raises(DataError, match="seven numbers"):
        read_swc(tmp_path / "text.swc")
    (tmp_path / "dendrite.swc").write_text("1 3 0 0 0 1 -1\n")
    with pytest.raises(DataError, match="soma"):
        read_swc(tmp_path / "dendrite.swc")
