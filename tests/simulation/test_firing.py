import numpy as np
import pytest

from neuroloom.simulation.firing import kept_spikes, own_train, poisson_train, spike_for_interval
from neuroloom.simulation.library import DEFAULT_CELLS, CellLibrary


@pytest.fixture(scope="module")
def library() -> CellLibrary:
    return CellLibrary.load(DEFAULT_CELLS)


def test_an_own_train_has_the_rate_asked_for_and_the_cells_intervals(library):
    cell = next(cell for cell in library.cells if cell.rate_hz > 20)
    train = own_train(cell, duration_s=600.0, rate_hz=8.0, random=np.random.default_rng(0))
    assert len(train) / 600 == pytest.approx(8.0, rel=0.1)
    assert train.min() >= 0
    assert train.max() < 600
    intervals = np.diff(train) * 1000
    own = np.diff(cell.spike_times_ms)
    assert intervals.min() > 0.8 * own.min()
    # Most intervals are the cell's own; pauses make the rest.
    assert np.median(intervals) == pytest.approx(np.median(own), rel=0.2)


def test_a_cell_never_fires_faster_than_in_its_own_run(library):
    cell = min(library.cells, key=lambda cell: cell.rate_hz)
    train = own_train(cell, duration_s=600.0, rate_hz=50.0, random=np.random.default_rng(0))
    assert len(train) / 600 < 1.6 * cell.rate_hz


def test_the_kept_spikes_span_the_intervals(library):
    for cell in library.cells:
        kept = cell.interval_ms[kept_spikes(cell, 4)]
        assert kept[0] == cell.interval_ms.min()
        assert kept[-1] == cell.interval_ms.max()
        assert (np.diff(kept) >= 0).all()
        assert len(kept) == min(4, len(cell.courses))


def test_every_spike_gets_the_shape_of_the_nearest_interval():
    kept_ms = np.array([4.0, 40.0, 400.0])
    times = np.cumsum([1.0, 0.004, 0.040, 0.400] * 200)
    which = spike_for_interval(times, kept_ms, random=np.random.default_rng(0))
    assert which[0] == 2  # the first spike of all comes after a long silence
    for offset, expected in ((1, 0), (2, 1), (3, 2)):
        assert (which[offset::4] == expected).mean() > 0.95


def test_a_poisson_train_has_its_rate():
    train = poisson_train(duration_s=1000.0, rate_hz=5.0, random=np.random.default_rng(0))
    assert len(train) == pytest.approx(5000, rel=0.05)
    assert np.diff(train).std() == pytest.approx(0.2, rel=0.1)
