"""What known spikes leave of the voltage: each fitted with its own height and its own part of a sample."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neuroloom.sorting.templates import LONG, LONG_TROUGH, core, cut, shift_waveforms

_EDGE = 2 * LONG
_STEPS = np.arange(-15, 16)  # tenths of a sample: a peeler may be one off
_HEIGHTS = (0.4, 1.8)
_SWEEPS = 2


@dataclass(frozen=True)
class Left:
    """A chunk of voltage without its spikes.

    Attributes
    ----------
    first
        Its first sample.
    residual
        Shape ``(samples, channels)``.
    inside
        First and last of its samples that belong to it; the others are margin.
    rows
        Which of all spikes belong to it.
    sample, unit, height
        Where those are within the chunk, of which unit, and how large relative to the template.
    """

    first: int
    residual: np.ndarray
    inside: tuple[int, int]
    rows: np.ndarray
    sample: np.ndarray
    unit: np.ndarray
    height: np.ndarray


@dataclass
class Subtraction:
    """Subtract templates where their spikes are known to be.

    Parameters
    ----------
    templates
        In units of noise, shape ``(units, 128, channels)``, troughs at sample 40.
    """

    templates: np.ndarray
    _shifted: dict[int, np.ndarray] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self):
        largest = np.abs(self.templates).max(axis=1, initial=0)  # (units, channels)
        self.order = np.argsort(-largest.max(axis=1, initial=0), kind="stable")  # the largest first
        self.channels = [np.flatnonzero(line > min(0.5, line.max(initial=0) / 2)) for line in largest]

    def chunks(self, traces: Any, sample: np.ndarray, unit: np.ndarray, *, chunk: int) -> Iterator[Left]:
        """Yield what is left of a recording, chunk by chunk; spikes whose template hangs over an end stay.

        Parameters
        ----------
        traces
            Shape ``(samples, channels)``: an array, a memory map, or whatever else can be sliced.
        sample, unit
            Spikes, in order of time.
        chunk
            Samples at a time.
        """
        for start in range(0, len(traces), chunk):
            stop = min(start + chunk, len(traces))
            first, last = max(start - _EDGE, 0), min(stop + _EDGE, len(traces))
            residual = np.array(traces[first:last], dtype=np.float32)
            rows = np.arange(*np.searchsorted(sample, [first + LONG_TROUGH, last - LONG + LONG_TROUGH + 1]))
            height = self.subtract(residual, sample[rows] - first, unit[rows])
            here = (sample[rows] >= start) & (sample[rows] < stop)
            yield Left(
                first,
                residual,
                (start - first, stop - first),
                rows[here],
                sample[rows[here]] - first,
                unit[rows[here]],
                height[here],
            )

    def subtract(self, residual: np.ndarray, sample: np.ndarray, unit: np.ndarray) -> np.ndarray:
        """Subtract spikes from a chunk in place and return how high each is.

        All are first taken as their templates; then each is fitted to what the others leave.
        """
        height, step = np.ones(len(sample)), np.full(len(sample), len(_STEPS) // 2)
        members = [(int(one), np.flatnonzero(unit == one)) for one in self.order]
        members = [(one, mine) for one, mine in members if len(mine)]
        for one, mine in members:
            self._add(residual, sample[mine], one, height[mine], step[mine], sign=-1.0)
        for _ in range(_SWEEPS):
            for one, mine in members:
                self._add(residual, sample[mine], one, height[mine], step[mine], sign=1.0)
                snippets = cut(residual, sample[mine], self.channels[one])
                step[mine], height[mine] = self._fit(snippets.reshape(len(mine), -1), one)
                self._add(residual, sample[mine], one, height[mine], step[mine], sign=-1.0)
        return height

    def _fit(self, snippets: np.ndarray, unit: int) -> tuple[np.ndarray, np.ndarray]:
        bank = self._bank(unit)
        bank = bank.reshape(len(bank), -1)
        energy = np.maximum(np.einsum("ij,ij->i", bank, bank), 1e-9)
        matched = snippets @ bank.T  # (spikes, shifts)
        step = (matched / np.sqrt(energy)).argmax(axis=1)
        height = matched[np.arange(len(step)), step] / energy[step]
        return step, np.clip(height, *_HEIGHTS)

    def _bank(self, unit: int) -> np.ndarray:
        if unit not in self._shifted:
            template = self.templates[unit][None][:, :, self.channels[unit]]
            bank = np.concatenate([shift_waveforms(template, step / 10) for step in _STEPS])
            self._shifted[unit] = (bank * _taper()[:, None]).astype(np.float32)
        return self._shifted[unit]

    def _add(
        self,
        residual: np.ndarray,
        sample: np.ndarray,
        unit: int,
        height: np.ndarray,
        step: np.ndarray,
        *,
        sign: float,
    ) -> None:
        waveforms = (sign * height[:, None, None]).astype(np.float32) * self._bank(unit)[step]
        window = np.arange(-LONG_TROUGH, LONG - LONG_TROUGH)
        channels = self.channels[unit]
        apart = np.diff(sample, prepend=-LONG) >= LONG
        if apart.all():  # no two overlap, so that plain indexing adds each once
            residual[(sample[:, None] + window)[:, :, None], channels] += waveforms
        else:
            np.add.at(residual, ((sample[:, None] + window)[:, :, None], channels), waveforms)


def own_waveforms(left: Left, templates: np.ndarray, unit: int, channels: np.ndarray) -> np.ndarray:
    """Return the core of one unit's spikes, freed of all others and aligned, ``(spikes, 64, channels)``."""
    mine = left.unit == unit
    snippets = core(cut(left.residual, left.sample[mine], channels))
    own = core(templates[unit][None])[0][:, channels]
    return snippets + left.height[mine, None, None].astype(np.float32) * own


def _taper() -> np.ndarray:
    ramp = np.sin(np.linspace(0, np.pi / 2, 12)) ** 2
    return np.concatenate([ramp, np.ones(LONG - 24), ramp[::-1]])
