"""Cells of a library around a probe: where each soma sits, how it is turned, its spikes at the contacts."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from neuroloom.errors import DataError
from neuroloom.simulation.electrodes import random_rotations
from neuroloom.simulation.firing import kept_spikes
from neuroloom.simulation.library import BEFORE_MS, Cell, CellLibrary
from neuroloom.simulation.library import RATE_HZ as LIBRARY_RATE_HZ

# The library runs at 34 C, a living brain at 37 C, where channels of Q10 2.3 are 1.28 times faster.
STRETCH = 0.78
_LEAST_UM = 15.0  # between somata
_ATTEMPTS = 60
_PADDED = 360  # samples at 40 kHz


@dataclass(frozen=True)
class PlacedCell:
    """One neuron near a probe.

    Attributes
    ----------
    cell
        The simulated cell.
    position_um
        Its soma in the probe's coordinates (z away from the face), shape ``(3,)``.
    rotation
        Shape ``(3, 3)``; points of the cell turn as ``points @ rotation.T``.
    stretch
        Factor on the durations of its spikes.
    """

    cell: Cell
    position_um: np.ndarray
    rotation: np.ndarray = field(default_factory=lambda: np.eye(3))
    stretch: float = STRETCH

    def shapes(
        self,
        contacts_um: np.ndarray,
        *,
        rate_hz: float,
        n_shapes: int,
        moved_um: Sequence[float] | np.ndarray = (0.0,),
    ) -> np.ndarray:
        """Return the cell's spikes at the contacts, unfiltered.

        Parameters
        ----------
        contacts_um
            Shape ``(contacts, 3)``.
        rate_hz
            Sampling rate of the result.
        n_shapes
            How many of the cell's spikes, as `kept_spikes` chooses them.
        moved_um
            Displacements along the shank (+y), shape ``(positions,)``.

        Returns
        -------
        ndarray
            Shape ``(positions, spikes, samples, contacts)`` in uV. At the displacement nearest to zero, the
            trough of the contact with the deepest one lies at sample `n_before`, up to the fraction of a
            sample that every spike but the first has of its own.
        """
        moved_um = np.asarray(moved_um, dtype=float)
        places = self.position_um + moved_um[:, None] * np.array([0.0, 1.0, 0.0])
        rotations = np.broadcast_to(self.rotation, (len(places), 3, 3))
        cell = replace(self.cell, courses=self.cell.courses[kept_spikes(self.cell, n_shapes)])
        voltage = cell.potentials_uv(contacts_um, position_um=places, rotation=rotations)
        still = voltage[int(np.argmin(np.abs(moved_um)))]
        _, contact, trough = np.unravel_index(int(np.argmin(still)), still.shape)
        step = LIBRARY_RATE_HZ / rate_hz / self.stretch
        centre = _trough_between_samples(still.min(axis=0)[contact], int(trough))
        n_samples = int(np.ceil(voltage.shape[-1] / step)) + 1
        # Spikes come between samples: each of the cell's shapes has its own fraction, the first has none.
        fraction = (0.618034 * np.arange(voltage.shape[1]) + 0.5) % 1 - 0.5
        at = centre + (np.arange(n_samples) - n_before(rate_hz) + fraction[:, None]) * step
        waves = _resampling(at, band=min(1.0, 0.9 * rate_hz * self.stretch / LIBRARY_RATE_HZ))
        # (positions, spikes, contacts, frequencies) @ (spikes, frequencies, samples)
        sampled = (np.fft.rfft(voltage, _PADDED)[..., : waves.shape[1]] @ waves).real
        inside = (at > -1) & (at < voltage.shape[-1])
        return np.swapaxes(sampled * inside[:, None], -1, -2).astype(np.float32)


def n_before(rate_hz: float) -> int:
    """Return the sample at which troughs of shapes lie."""
    return int(np.ceil(BEFORE_MS * rate_hz / 1000))


def place_cells(
    library: CellLibrary,
    contacts_um: np.ndarray,
    *,
    n_cells: int,
    reach_um: float,
    smallest_uv: float,
    random: np.random.Generator,
) -> list[PlacedCell]:
    """Put cells around a probe, each loud enough to be seen and no two at the same place.

    Parameters
    ----------
    library
        Cells to draw from, with replacement where there are fewer than wanted.
    contacts_um
        Shape ``(contacts, 3)``.
    n_cells
        How many.
    reach_um
        Farthest distance of a soma from the probe's face; half of it past the outermost contacts.
    smallest_uv
        Least depth of the trough on the best contact. A place is drawn up to 60 times; where no cell
        reaches it, the loudest of the draws is taken.
    random
        Source of randomness.

    Raises
    ------
    DataError
        If the library has no cells.
    """
    if not len(library):
        raise DataError("a library without cells", expected="at least one", remedy="build it again")
    low, high = contacts_um.min(axis=0) - reach_um / 2, contacts_um.max(axis=0) + reach_um / 2
    faces = contacts_um[:, 2].min(), contacts_um[:, 2].max()
    order = np.concatenate([random.permutation(len(library)) for _ in range(n_cells // len(library) + 1)])
    placed: list[PlacedCell] = []
    for number in range(n_cells):
        best: tuple[float, PlacedCell] | None = None
        for attempt in range(_ATTEMPTS):
            # A cell too small for its depth makes room for another one after a few tries.
            cell = library.cells[order[number] if attempt < 10 else random.integers(len(library))]
            position = random.uniform(low, high)
            position[2] = random.choice(faces) + np.exp(random.uniform(np.log(6.0), np.log(reach_um)))
            candidate = PlacedCell(cell, position, random_rotations(1, random=random)[0])
            loudest = -float(
                cell.potentials_uv(contacts_um, position_um=position, rotation=candidate.rotation).min()
            )
            apart = min((float(np.linalg.norm(position - p.position_um)) for p in placed), default=np.inf)
            merit = min(loudest, smallest_uv) if apart >= _LEAST_UM else min(loudest, smallest_uv) - 1e6
            if best is None or merit > best[0]:
                best = merit, candidate
            if merit >= smallest_uv:
                break
        if best is not None:
            placed.append(best[1])
    return placed


def place_distant(
    library: CellLibrary,
    contacts_um: np.ndarray,
    *,
    n_cells: int,
    random: np.random.Generator,
    nearest_um: float = 60.0,
    farthest_um: float = 150.0,
) -> list[PlacedCell]:
    """Put cells at 60 to 150 um from a random contact each, on the tissue's side of the probe."""
    placed = []
    for _ in range(n_cells):
        direction = random.normal(size=3)
        direction[2] = abs(direction[2])
        direction /= np.linalg.norm(direction)
        # Uniform in the volume of the half shell.
        distance = np.cbrt(random.uniform(nearest_um**3, farthest_um**3))
        position = contacts_um[random.integers(len(contacts_um))] + distance * direction
        # Away from the face until every contact is far.
        beside = np.linalg.norm((contacts_um - position)[:, :2], axis=1)
        needed = contacts_um[:, 2] + np.sqrt(np.maximum(nearest_um**2 - beside**2, 0))
        position[2] = max(position[2], needed[beside < nearest_um].max(initial=-np.inf))
        cell = library.cells[random.integers(len(library))]
        placed.append(PlacedCell(cell, position, random_rotations(1, random=random)[0]))
    return placed


def _trough_between_samples(course: np.ndarray, trough: int) -> float:
    """Return the minimum of the parabola through three samples."""
    if not 0 < trough < len(course) - 1:
        return float(trough)
    before, here, after = course[trough - 1 : trough + 2]
    curvature = before - 2 * here + after
    return trough + (0.5 * (before - after) / curvature if curvature > 0 else 0.0)


def _resampling(at: np.ndarray, *, band: float) -> np.ndarray:
    """Trigonometric interpolation at fractional samples, to be multiplied by a spectrum.

    Returns shape (spikes, 180, samples) for `at` of shape (spikes, samples).

    Above the share `band` of 20 kHz nothing is kept, as the recorder's filter keeps nothing past its own
    Nyquist frequency.
    """
    k = np.arange(_PADDED // 2)
    gain = np.where(k == 0, 1.0, 2.0) / _PADDED / (1 + (k / (band * _PADDED / 2)) ** 32)
    return gain[:, None] * np.exp(2j * np.pi / _PADDED * k[:, None] * at[:, None, :])
