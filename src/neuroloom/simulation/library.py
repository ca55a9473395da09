"""A library of cells: the membrane currents of a few spikes of each, small enough to ship.

One simulation of a cell serves any number of placements at any probe: `neuroloom.simulation.electrodes`
turns its currents into voltages.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from neuroloom.artifacts import load_artifact, refuse_foreign_content, save_artifact
from neuroloom.errors import DataError
from neuroloom.seeds import derive, stream
from neuroloom.simulation.electrodes import contact_potentials

RATE_HZ = 40_000.0
BEFORE_MS, AFTER_MS = 1.5, 4.0
KIND = "cell-library"
DEFAULT_CELLS = Path(__file__).parent / "default_cells"
_IN_DOCUMENT = ("name", "archetype", "duration_ms")


@dataclass(frozen=True)
class Cell:
    """One neuron's spikes as membrane currents.

    Attributes
    ----------
    name, archetype
        Its name and kind.
    segment_start_um, segment_end_um
        Shape ``(segments, 3)``; the soma at the origin, apical dendrites along +y.
    footprints
        How each component of the current spreads over segments, in nA, shape ``(segments, rank)``.
    courses
        Its course in time for each spike, shape ``(spikes, rank, samples)``. The currents of spike k are
        ``footprints @ courses[k]``.
    interval_ms
        Time since the spike before, per spike; inf for the first, shape ``(spikes,)``.
    spike_times_ms
        All spikes of the run that the snippets were taken from.
    duration_ms
        Length of that run.
    """

    name: str
    archetype: str
    segment_start_um: np.ndarray
    segment_end_um: np.ndarray
    footprints: np.ndarray
    courses: np.ndarray
    interval_ms: np.ndarray
    spike_times_ms: np.ndarray
    duration_ms: float

    def __repr__(self) -> str:
        return (
            f"Cell({self.name!r}, {len(self.segment_start_um)} segments, {len(self.courses)} spikes, "
            f"{self.rate_hz:.1f} Hz)"
        )

    @property
    def rate_hz(self) -> float:
        """Mean rate of the simulated run."""
        return 1000.0 * len(self.spike_times_ms) / self.duration_ms

    def currents_na(self) -> np.ndarray:
        """Return the membrane currents, shape ``(spikes, segments, samples)``, at 40 kHz."""
        return self.footprints @ self.courses

    def potentials_uv(
        self, contacts_um: np.ndarray, *, position_um: np.ndarray, rotation: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the spikes at contacts when the soma sits at `position_um`.

        Parameters
        ----------
        contacts_um
            Shape ``(contacts, 3)``.
        position_um
            Where the soma is, shape ``(3,)``; or placements, shape ``(placements, 3)``.
        rotation
            Rotation matrix applied to the cell, shape ``(3, 3)`` or ``(placements, 3, 3)``.

        Returns
        -------
        ndarray
            Shape ``([placements,] spikes, contacts, samples)`` in uV at 40 kHz; the trough of the largest
            contact lies near `BEFORE_MS`.
        """
        rotation = np.eye(3) if rotation is None else np.asarray(rotation)
        offset = np.asarray(position_um, dtype=float)[..., None, :]
        turned = np.swapaxes(rotation, -1, -2)
        start, end = self.segment_start_um @ turned + offset, self.segment_end_um @ turned + offset
        per_component = contact_potentials(self.footprints, start, end, contacts_um)  # ([P,] contacts, rank)
        return per_component[..., None, :, :] @ self.courses


@dataclass(frozen=True)
class CellLibrary:
    """Cells and where they came from.

    Attributes
    ----------
    cells
        The cells.
    licence
        What the morphologies and mechanisms are licensed under.
    source
        Simulator, data and command.
    """

    cells: tuple[Cell, ...]
    licence: str
    source: str

    def __len__(self) -> int:
        return len(self.cells)

    def __repr__(self) -> str:
        kinds: dict[str, int] = {}
        for cell in self.cells:
            kinds[cell.archetype] = kinds.get(cell.archetype, 0) + 1
        return f"CellLibrary({len(self)} cells: {kinds}; {self.licence})"

    def save(self, folder: str | os.PathLike) -> Path:
        """Write the library as an artifact folder."""
        arrays, entries = {}, []
        for index, cell in enumerate(self.cells):
            values = asdict(cell)
            entries.append({key: values.pop(key) for key in _IN_DOCUMENT})
            for key, value in values.items():
                # Half precision of currents scaled to their largest keeps 1e-3 of the peak.
                kind = np.float16 if key in ("courses", "footprints") else np.float32
                arrays[f"{index}.{key}"] = np.asarray(value, dtype=kind)
        document = {"cells": entries, "licence": self.licence, "source": self.source, "rate_hz": RATE_HZ}
        return save_artifact(folder, kind=KIND, document=document, arrays=arrays)

    @classmethod
    def load(cls, folder: str | os.PathLike) -> "CellLibrary":
        """Read a library.

        Raises
        ------
        MissingFile, CorruptArtifact
            If it is absent or damaged.
        """
        artifact = load_artifact(folder, kind=KIND)
        with refuse_foreign_content(folder, expected="a cell library"):
            entries = artifact.document["cells"]
            cells = tuple(_read_cell(entry, artifact.arrays, index) for index, entry in enumerate(entries))
            return cls(cells, artifact.document["licence"], artifact.document["source"])


def _read_cell(entry: Mapping[str, Any], arrays: Mapping[str, np.ndarray], index: int) -> Cell:
    values: dict[str, Any] = {key: entry[key] for key in _IN_DOCUMENT}
    for field in fields(Cell):
        if field.name not in values:
            values[field.name] = arrays[f"{index}.{field.name}"].astype(np.float32)
    return Cell(**values)


def take_spikes(
    run: Callable[[np.ndarray | None], Any],
    *,
    n_spikes: int,
    duration_ms: float,
    seed: int,
    max_rank: int = 12,
) -> dict[str, np.ndarray]:
    """Run a cell twice: once to find its spikes, once to record currents around some of them.

    Parameters
    ----------
    run
        Called with the times at which to record membrane currents (or None); returns a `MembraneRun`.
    n_spikes
        How many spikes to keep: the shortest intervals (bursts) and others at random.
    duration_ms
        Length of the run.
    seed
        Which spikes are kept.
    max_rank
        Largest number of components kept.

    Returns
    -------
    dict
        The array fields of `Cell`.

    Raises
    ------
    DataError
        If the cell fires fewer than two spikes.
    """
    spikes = run(None).spike_times_ms
    usable = np.flatnonzero((spikes > 50 + BEFORE_MS) & (spikes < duration_ms - AFTER_MS - 1))
    if len(usable) < 2:
        raise DataError(f"{len(usable)} spikes", expected="at least two", remedy="drive the cell harder")
    intervals = np.diff(spikes, prepend=-np.inf)
    # Half the kept spikes are the closest to their predecessor: bursts are rare and must not be missed.
    by_interval = usable[np.argsort(intervals[usable])]
    random = stream(seed, "spikes")
    rest = by_interval[n_spikes // 2 :]
    chosen = np.concatenate(
        [
            by_interval[: n_spikes // 2],
            random.choice(rest, min(len(rest), n_spikes - n_spikes // 2), replace=False),
        ]
    ).astype(int)
    chosen.sort()
    step = 1000.0 / RATE_HZ
    offsets = np.arange(-round(BEFORE_MS / step), round(AFTER_MS / step)) * step
    wanted = np.round((spikes[chosen][:, None] + offsets) / step).astype(int)
    grid, position = np.unique(wanted, return_inverse=True)
    membrane = run(grid * step)
    columns = np.searchsorted(membrane.current_times_ms, grid * step - step / 2)
    snippets = membrane.currents_na[:, columns][:, position.reshape(wanted.shape)].transpose(1, 0, 2)
    snippets = snippets - snippets[:, :, :8].mean(axis=2, keepdims=True)
    following = np.diff(spikes, append=np.inf)
    snippets *= _windows(offsets, intervals[chosen], following[chosen])[:, None]
    n, n_segments, n_samples = snippets.shape
    flat = snippets.transpose(1, 0, 2).reshape(n_segments, n * n_samples)
    left, values, right = np.linalg.svd(flat, full_matrices=False)
    energy = np.cumsum(values**2) / np.sum(values**2)
    rank = min(int(np.searchsorted(energy, 1 - 1e-5)) + 1, max_rank)
    scale = np.sqrt(values[:rank])
    return {
        "segment_start_um": membrane.segment_start_um,
        "segment_end_um": membrane.segment_end_um,
        "footprints": left[:, :rank] * scale,
        "courses": (scale[:, None] * right[:rank]).reshape(rank, n, n_samples).transpose(1, 0, 2),
        "interval_ms": intervals[chosen],
        "spike_times_ms": spikes,
    }


def _windows(offsets_ms: np.ndarray, before_ms: np.ndarray, after_ms: np.ndarray) -> np.ndarray:
    """Cosine-edged windows, shape (spikes, samples), that keep a burst's neighbouring spikes out."""
    start = np.maximum(offsets_ms[0], 1.0 - before_ms)[:, None]
    stop = np.minimum(offsets_ms[-1], after_ms - 0.6)[:, None]
    rise = np.clip((offsets_ms - start) / 0.5, 0, 1)
    fall = np.clip((stop - offsets_ms) / 0.5, 0, 1)
    return (0.5 - 0.5 * np.cos(np.pi * rise)) * (0.5 - 0.5 * np.cos(np.pi * fall))


def describe(
    cell: Cell, *, distances_um: tuple[float, ...] = (20.0, 50.0), seed: int = 0
) -> dict[str, float]:
    """Measure what can be compared with published ranges.

    Returns
    -------
    dict
        ``rate_hz``, ``width_ms`` (trough to peak at the loudest of 64 places at the first distance, after
        a 300-6000 Hz band-pass as in recordings),
        ``amplitude_uv@D`` (median peak to peak at each distance) and ``smallest_spike`` (peak to peak of
        the smallest spike over the largest: the burst's decay).
    """
    from scipy.signal import butter, sosfiltfilt

    random = stream(seed, "directions")
    directions = random.normal(size=(64, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    found: dict[str, float] = {"rate_hz": cell.rate_hz}
    band = butter(2, (300, 6000), btype="band", fs=RATE_HZ, output="sos")
    for place, distance in enumerate(distances_um):
        voltage = cell.potentials_uv(directions * distance, position_um=np.zeros(3))
        voltage = sosfiltfilt(band, voltage, axis=-1)
        sizes = np.ptp(voltage, axis=-1)  # (spikes, directions)
        largest = int(np.argmax(sizes.max(axis=1)))
        found[f"amplitude_uv@{distance:g}"] = float(np.median(sizes[largest]))
        if place == 0:
            found["smallest_spike"] = float(sizes.max(axis=1).min() / sizes.max())
            loudest = voltage[largest][np.argmin(voltage[largest].min(axis=1))]
            trough = int(np.argmin(loudest))
            found["width_ms"] = float(np.argmax(loudest[trough : trough + 60])) / RATE_HZ * 1000
    return found


def plausible(measured: Mapping[str, float]) -> bool:
    """Tell whether a simulated cell looks like a recorded one.

    Ranges: trough-to-peak .1-1.2 ms; 5-700 uV at 20 um, less further away; .5-80 Hz under noise.
    """
    return (
        0.5 <= measured["rate_hz"] <= 80
        and 0.1 <= measured["width_ms"] <= 1.25
        and 5 <= measured["amplitude_uv@20"] <= 700
        and measured["amplitude_uv@50"] < measured["amplitude_uv@20"]
        and measured["smallest_spike"] > 0.15
    )


def cell_seed(seed: int, name: str) -> int:
    """Return the seed of one cell's run."""
    return derive(seed, "run", name) % 2**31
