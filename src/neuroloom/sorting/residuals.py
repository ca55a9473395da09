"""What known spikes leave of the voltage: each fitted with its own height and its own part of a sample."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numba
import numpy as np

from neuroloom.sorting.mapped import give_back
from neuroloom.sorting.medians import median
from neuroloom.sorting.templates import FOR_TEMPLATE, LONG, LONG_TROUGH, core, shifted

_EDGE = 2 * LONG
_STEPS = np.arange(-15, 16)  # tenths of a sample: a peeler may be one off
_HEIGHTS = (0.4, 1.8)
_VISIBLE = 0.7  # in units of noise: less on a channel need not be subtracted
_SWEEPS = 2
_EVERY = 7  # value of a misfit tells how large they are
_LOUDEST = 4  # channels of a unit on which a misfit counts


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
    sample, unit, height, delay, misfit
        Where those are within the chunk, of which unit, how large relative to the template, by what part of a
        sample they come later than it, and the mean square of what is left around them.
    """

    first: int
    residual: np.ndarray
    inside: tuple[int, int]
    rows: np.ndarray
    sample: np.ndarray
    unit: np.ndarray
    height: np.ndarray
    delay: np.ndarray
    misfit: np.ndarray

    def take(self, kept: np.ndarray) -> "Left":
        """Return the same chunk with some of its spikes."""
        columns = (self.rows, self.sample, self.unit, self.height, self.delay, self.misfit)
        return Left(self.first, self.residual, self.inside, *(column[kept] for column in columns))


@dataclass
class Subtraction:
    """Subtract templates where their spikes are known to be.

    Parameters
    ----------
    templates
        In units of noise, shape ``(units, 128, channels)``, troughs at sample 40.
    """

    templates: np.ndarray
    _banks: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self):
        largest = np.abs(self.templates).max(axis=1, initial=0)  # (units, channels)
        self.loudest = np.argsort(-largest, axis=1, kind="stable")[:, :_LOUDEST]
        self.order = np.argsort(-largest.max(axis=1, initial=0), kind="stable")  # the largest first
        self.channels = [np.flatnonzero(line > min(_VISIBLE, line.max(initial=0) / 2)) for line in largest]

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
            give_back(traces)
            rows = np.arange(*np.searchsorted(sample, [first + LONG_TROUGH, last - LONG + LONG_TROUGH + 1]))
            height, delay = self.subtract(residual, sample[rows] - first, unit[rows])
            here = (sample[rows] >= start) & (sample[rows] < stop)
            yield Left(
                first,
                residual,
                (start - first, stop - first),
                rows[here],
                sample[rows[here]] - first,
                unit[rows[here]],
                height[here],
                delay[here],
                self._misfit(residual, sample[rows[here]] - first, unit[rows[here]]),
            )

    def subtract(
        self, residual: np.ndarray, sample: np.ndarray, unit: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Subtract spikes from a chunk in place and return how high each is and how late, in samples.

        All are first taken as their templates; then each is fitted to what the others leave.
        """
        middle = len(_STEPS) // 2
        height, step = np.ones(len(sample), np.float32), np.full(len(sample), middle)
        members = [(int(one), np.flatnonzero(unit == one)) for one in self.order]
        members = [(one, mine) for one, mine in members if len(mine)]
        for one, mine in members:
            none = step[mine], np.zeros(len(mine), np.float32)
            self._replace(residual, sample[mine], one, none, (step[mine], height[mine]))
        for _ in range(_SWEEPS):
            for one, mine in members:
                found = self._fit(residual, sample[mine], one, step[mine], height[mine])
                self._replace(residual, sample[mine], one, (step[mine], height[mine]), found)
                step[mine], height[mine] = found
        return height.astype(float), _STEPS[step] / 10

    def _fit(
        self, residual: np.ndarray, sample: np.ndarray, unit: int, step: np.ndarray, height: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the best shift and height of spikes that were subtracted with these."""
        bank, products = self._bank(unit)
        bank = bank.reshape(len(bank), -1)
        energy = np.maximum(np.diagonal(products), 1e-9)
        matched = (
            _snippets(residual, sample - LONG_TROUGH, self.channels[unit]).reshape(len(sample), -1) @ bank.T
        )
        matched += height[:, None] * products[step]  # as if they were still there
        best = (matched / np.sqrt(energy)).argmax(axis=1)
        fitted = matched[np.arange(len(best)), best] / energy[best]
        return best, np.clip(fitted, *_HEIGHTS)

    def _misfit(self, residual: np.ndarray, sample: np.ndarray, unit: np.ndarray) -> np.ndarray:
        misfit = np.zeros(len(sample))
        for one in np.unique(unit):
            mine = np.flatnonzero(unit == one)
            around = core(_snippets(residual, sample[mine] - LONG_TROUGH, self.loudest[one]))
            misfit[mine] = np.einsum("stc,stc->s", around, around) / around[0].size
        return misfit

    def _bank(self, unit: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a template at every shift, ``(shifts, 128, channels)``, and their inner products."""
        if unit not in self._banks:
            bank = shifted(self.templates[unit][:, self.channels[unit]], _STEPS / 10)
            bank = (bank * _taper()[:, None]).astype(np.float32)
            flat = bank.reshape(len(bank), -1)
            self._banks[unit] = bank, flat @ flat.T
        return self._banks[unit]

    def _replace(
        self,
        residual: np.ndarray,
        sample: np.ndarray,
        unit: int,
        old: tuple[np.ndarray, np.ndarray],
        new: tuple[np.ndarray, np.ndarray],
    ) -> None:
        """Put back spikes that were subtracted at old steps and heights, and subtract them at new ones."""
        bank, _ = self._bank(unit)
        _replace_waveforms(residual, sample - LONG_TROUGH, self.channels[unit], bank, *old, *new)


@numba.njit(cache=True, nogil=True)
def _snippets(traces: np.ndarray, first: np.ndarray, channels: np.ndarray) -> np.ndarray:
    found = np.empty((len(first), LONG, len(channels)), traces.dtype)
    for spike in range(len(first)):
        for time in range(LONG):
            for k in range(len(channels)):
                found[spike, time, k] = traces[first[spike] + time, channels[k]]
    return found


@numba.njit(cache=True, nogil=True)
def _replace_waveforms(
    traces: np.ndarray,
    first: np.ndarray,
    channels: np.ndarray,
    bank: np.ndarray,
    old_step: np.ndarray,
    old_height: np.ndarray,
    new_step: np.ndarray,
    new_height: np.ndarray,
) -> None:
    for spike in range(len(first)):
        old, new = bank[old_step[spike]], bank[new_step[spike]]
        for time in range(bank.shape[1]):
            for k in range(len(channels)):
                traces[first[spike] + time, channels[k]] += (
                    old_height[spike] * old[time, k] - new_height[spike] * new[time, k]
                )


def own_waveforms(
    left: Left,
    templates: np.ndarray,
    unit: int,
    channels: np.ndarray,
    *,
    height_sd: float = 0.0,
    contact_sd: float = 0.0,
) -> np.ndarray:
    """Return the core of one unit's spikes, freed of all others and aligned, ``(spikes, 64, channels)``.

    One neuron's spikes vary in height, all over and on each contact by itself, which makes no two of it:
    with `height_sd` and `contact_sd`, the relative standard deviations that are usual, heights are brought
    together until such a variation is no larger than noise.
    """
    mine = left.unit == unit
    own = core(templates[unit][None])[0][:, channels]
    nearer = 1 / np.sqrt(1 + (height_sd * np.linalg.norm(own)) ** 2)
    height = 1 + (left.height[mine, None, None].astype(np.float32) - 1) * np.float32(nearer)
    rest = core(_aligned(left, mine, channels))
    if contact_sd:
        energy = np.einsum("tc,tc->c", own, own)
        along = np.einsum("stc,tc->sc", rest, own) / np.maximum(energy, 1e-9)
        along *= 1 - 1 / np.sqrt(1 + contact_sd**2 * energy)
        rest -= along[:, None, :] * own
    return rest + height * own


def sharper(templates: np.ndarray, chunks: Iterable[Left], *, most: int = FOR_TEMPLATE) -> np.ndarray:
    """Return the mean of each unit's spikes, aligned to parts of a sample and freed of all others.

    A mean of spikes that are aligned to whole samples is blurred, and what it leaves of large spikes is as
    large as small ones.

    Parameters
    ----------
    templates
        Shape ``(units, 128, channels)``.
    chunks
        Of the recording without its spikes, from `Subtraction.chunks`.
    most
        Spikes per unit.
    """
    added, height, count = np.zeros_like(templates), np.zeros(len(templates)), np.zeros(len(templates))
    channels = np.arange(templates.shape[2])
    for left in chunks:
        for unit in np.unique(left.unit[count[left.unit] < most]):
            mine = np.flatnonzero(left.unit == unit)[:most]
            remains = _aligned(left, mine, channels)
            # Unresolved overlaps are rare and large.
            bound = 4 * median(np.abs(remains.reshape(-1)[::_EVERY]), axis=0) + 1e-6
            added[unit] += np.clip(remains, -bound, bound).sum(axis=0)
            height[unit] += left.height[mine].sum()
            count[unit] += len(mine)
    seen = np.maximum(count, 1)[:, None, None]
    return (
        np.where(count[:, None, None] > 0, templates * height[:, None, None] / seen, templates) + added / seen
    )


def _aligned(left: Left, chosen: np.ndarray, channels: np.ndarray) -> np.ndarray:
    from scipy.fft import irfft, rfft

    snippets = _snippets(left.residual, left.sample[chosen] - LONG_TROUGH, channels)
    turn = np.exp(2j * np.pi * np.fft.rfftfreq(LONG) * left.delay[chosen, None]).astype(np.complex64)
    return np.asarray(irfft(np.asarray(rfft(snippets, axis=1)) * turn[:, :, None], LONG, axis=1))


def _taper() -> np.ndarray:
    ramp = np.sin(np.linspace(0, np.pi / 2, 12)) ** 2
    return np.concatenate([ramp, np.ones(LONG - 24), ramp[::-1]])
