"""Spikes of many recordings as POYO's tokens: windows in, flat ragged tensors out. NumPy alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from neuroloom.decoding.poyo import END, SPIKE, START, PoyoInputs


@dataclass(frozen=True)
class Train:
    """The spikes of one recording, as a model sees them.

    Attributes
    ----------
    times_s
        Shape (spikes,), ascending.
    unit
        Shape (spikes,), int64: row of the model's unit embedding.
    units
        Shape (units,), int64: rows of all units of the recording, with or without spikes.
    session
        Row of the model's session embedding.
    """

    times_s: np.ndarray
    unit: np.ndarray
    units: np.ndarray
    session: int


@dataclass(frozen=True)
class Windows:
    """Windows over recordings; spikes outside ``[low_s, high_s)`` are not seen.

    Attributes
    ----------
    train
        Shape (windows,), int64: number of the recording.
    start_s, low_s, high_s
        Shape (windows,): where the window starts, and the borders of the stretch it may read.
    """

    train: np.ndarray
    start_s: np.ndarray
    low_s: np.ndarray
    high_s: np.ndarray

    def __len__(self) -> int:
        return len(self.train)

    def take(self, index: np.ndarray | slice) -> "Windows":
        """Return some of the windows."""
        return Windows(self.train[index], self.start_s[index], self.low_s[index], self.high_s[index])

    def shifted(self, shift_s: np.ndarray) -> "Windows":
        """Return windows that start `shift_s` (windows,) later."""
        return Windows(self.train, self.start_s + shift_s, self.low_s, self.high_s)


def draw_units(
    units: np.ndarray, keep: tuple[int, int, int] | None, random: np.random.Generator | None
) -> np.ndarray:
    """Keep a random number of units, drawn from the triangle (least, most likely, most); all if fewer.

    Examples
    --------
    >>> len(draw_units(np.arange(9), (3, 4, 5), np.random.default_rng(0)))
    4
    """
    if keep is None or random is None or len(units) <= keep[0]:
        return units
    n = round(random.triangular(keep[0], keep[1], keep[2]))
    return units if n >= len(units) else np.sort(random.permutation(units)[:n])


def tokenize(
    trains: Sequence[Train],
    windows: Windows,
    query_times_s: np.ndarray,
    *,
    context_s: float,
    keep_units: tuple[int, int, int] | None = None,
    jitter_s: float = 0.0,
    random: np.random.Generator | None = None,
) -> PoyoInputs:
    """Return the tokens of some windows: START and END of every unit, then the spikes.

    Parameters
    ----------
    trains, windows
        The spikes and where to look.
    query_times_s
        Shape (windows, queries): output times within the windows.
    context_s
        Length of a window.
    keep_units
        Unit dropout, see `draw_units`; needs `random`.
    jitter_s
        Spikes are moved by up to half of this, uniformly; needs `random`.
    random
        Source of both; None for neither.
    """
    unit, kind, times, counts = [], [], [], []
    for number, start, low, high in zip(
        windows.train, windows.start_s, windows.low_s, windows.high_s, strict=True
    ):
        train = trains[number]
        units = draw_units(train.units, keep_units, random)
        first, last = np.searchsorted(train.times_s, (max(start, low), min(start + context_s, high)))
        spikes, when = train.unit[first:last], train.times_s[first:last] - start
        if len(units) < len(train.units):
            kept = units[np.minimum(np.searchsorted(units, spikes), len(units) - 1)] == spikes
            spikes, when = spikes[kept], when[kept]
        if jitter_s and random is not None:
            when = np.clip(when + random.uniform(-jitter_s / 2, jitter_s / 2, len(when)), 0, context_s)
        unit += [units, units, spikes]
        kind += [np.full(len(units), START), np.full(len(units), END), np.full(len(spikes), SPIKE)]
        times += [np.zeros(len(units)), np.full(len(units), context_s), when]
        counts.append(2 * len(units) + len(spikes))
    sessions = np.array([trains[number].session for number in windows.train], dtype=np.int64)
    return PoyoInputs(
        unit=torch.from_numpy(np.concatenate([np.zeros(0, dtype=np.int64), *unit])),
        kind=torch.from_numpy(np.concatenate([np.zeros(0, dtype=np.int64), *kind])),
        times_s=torch.from_numpy(np.concatenate([np.zeros(0), *times])),
        offsets=[0, *np.cumsum(counts).tolist()],
        session=torch.from_numpy(sessions),
        query_times_s=torch.from_numpy(np.ascontiguousarray(query_times_s, dtype=np.float64)),
    )
