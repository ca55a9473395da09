import numpy as np
import pytest

from neuroloom.errors import DataError
from neuroloom.simulation.electrodes import contact_positions
from neuroloom.simulation.firing import kept_spikes
from neuroloom.simulation.library import DEFAULT_CELLS, CellLibrary
from neuroloom.simulation.placement import PlacedCell, n_before, place_cells, place_distant
from neuroloom.simulation.probes import make_probe

CONTACTS = contact_positions(make_probe("tetrode"))


@pytest.fixture(scope="module")
def library() -> CellLibrary:
    return CellLibrary.load(DEFAULT_CELLS)


def test_shapes_at_the_librarys_rate_are_its_potentials(library):
    placed = PlacedCell(library.cells[5], np.array([10.0, -5, 20]), stretch=1.0)
    shapes = placed.shapes(CONTACTS, rate_hz=40_000.0, n_shapes=1)[0, 0]
    shortest = int(np.argmin(placed.cell.interval_ms))
    exact = placed.cell.potentials_uv(CONTACTS, position_um=placed.position_um)[shortest].T
    deepest = np.unravel_index(exact.argmin(), exact.shape)[0]
    aligned = shapes[n_before(40_000.0) - 40 : n_before(40_000.0) + 80]
    # Half a sample of alignment is all that differs.
    np.testing.assert_allclose(aligned, exact[deepest - 40 : deepest + 80], atol=0.08 * np.abs(exact).max())
    assert shapes.min() == pytest.approx(exact.min(), rel=0.02)


@pytest.mark.parametrize("rate_hz", [15_000.0, 24_000.0, 30_000.0])
def test_shapes_keep_their_duration_at_any_rate(library, rate_hz):
    placed = PlacedCell(library.cells[5], np.array([10.0, -5, 20]))
    fine = placed.shapes(CONTACTS, rate_hz=120_000.0, n_shapes=1)[0, 0]
    coarse = placed.shapes(CONTACTS, rate_hz=rate_hz, n_shapes=1)[0, 0]
    times = (np.arange(len(coarse)) - n_before(rate_hz)) / rate_hz
    fine_times = (np.arange(len(fine)) - n_before(120_000.0)) / 120_000
    for contact in range(4):
        expected = np.interp(times, fine_times, fine[:, contact])
        # All but the sharpest corner, which the recorder's filter takes.
        assert np.corrcoef(coarse[:, contact], expected)[0, 1] > 0.98


def test_a_turned_cell_at_a_turned_probe_gives_the_same_spikes(library):
    angle = 0.7
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    place = np.array([12.0, 3.0, 18.0])
    straight = PlacedCell(library.cells[8], place).shapes(CONTACTS, rate_hz=30_000.0, n_shapes=2)
    turned = PlacedCell(library.cells[8], turn @ place, turn).shapes(
        CONTACTS @ turn.T, rate_hz=30_000.0, n_shapes=2
    )
    np.testing.assert_allclose(turned, straight, atol=1e-3 * np.abs(straight).max())


def test_placed_cells_are_loud_enough_and_apart(library):
    placed = place_cells(
        library, CONTACTS, n_cells=8, reach_um=40, smallest_uv=25, random=np.random.default_rng(0)
    )
    assert len(placed) == 8
    places = np.stack([p.position_um for p in placed])
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)[~np.eye(8, dtype=bool)]
    assert apart.min() >= 15
    for p in placed:
        voltage = p.cell.potentials_uv(CONTACTS, position_um=p.position_um, rotation=p.rotation)
        assert voltage.min() <= -25
        assert 5 < p.position_um[2] <= 40


def test_distant_cells_are_far_from_every_contact_and_small(library):
    contacts = contact_positions(make_probe("linear-16"))
    distant = place_distant(library, contacts, n_cells=20, random=np.random.default_rng(0))
    for p in distant:
        assert np.linalg.norm(contacts - p.position_um, axis=1).min() >= 59.9
        assert p.position_um[2] > 0
        assert p.cell.potentials_uv(contacts, position_um=p.position_um, rotation=p.rotation).min() > -25


def test_an_empty_library_is_refused():
    with pytest.raises(DataError, match="without cells"):
        place_cells(
            CellLibrary((), "", ""), CONTACTS, n_cells=1, reach_um=40, smallest_uv=20,
            random=np.random.default_rng(0),
        )  # fmt: skip


def test_shapes_of_one_cell_fall_between_samples_differently(library):
    placed = PlacedCell(library.cells[5], np.array([10.0, -5, 20]))
    exact = placed.shapes(CONTACTS, rate_hz=30_000.0, n_shapes=1)[0, 0]
    assert len(kept_spikes(placed.cell, 4)) == 4
    several = placed.shapes(CONTACTS, rate_hz=30_000.0, n_shapes=4)[0]
    np.testing.assert_allclose(several[0], exact, rtol=0.05, atol=0.15 * np.abs(exact).max())
    loud = np.abs(several).max(axis=(0, 1)).argmax()
    # Centroids of the troughs, in samples.
    depth = np.clip(-several[:, :, loud], 0, None) ** 4
    centre = (depth * np.arange(depth.shape[1])).sum(axis=1) / depth.sum(axis=1)
    assert np.abs(np.diff(np.sort(centre))).min() > 0.02
    assert np.ptp(centre) < 3
