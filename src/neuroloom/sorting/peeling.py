"""Template matching that takes overlapping spikes apart: greedy, local, with known noise.

Each trough asks which template, at which lag and with which amplitude, makes the voltage around it most
likely; the best of its surroundings is subtracted, and what remains is looked at again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from neuroloom.sorting.events import find_troughs, near_channels
from neuroloom.sorting.noise import NoiseModel

LENGTH, TROUGH = 64, 24  # samples that are compared, and of those before the trough
# Subtraction takes more: what large spikes leave long before and after would be taken for small ones.
BEFORE, AFTER = 16, 48
LONG, LONG_TROUGH = BEFORE + LENGTH + AFTER, BEFORE + TROUGH
_LAGS = np.arange(-6, 7)
_SHIFTS = (0.0, -0.2, 0.2, -0.4, 0.4)  # of a sample: spikes do not come on the clock
_LOCAL_CHANNELS, _LOCAL_UM = 10, 90.0
_AMPLITUDE_SD, _LEAST_AMPLITUDE = 0.1, 0.5
_ROUNDS = 8
# What is left of a large spike is never quite noise; small ones next to it must gain this share of its gain.
_LEFT_BEHIND = 0.008
_NEVER = -1e9


@dataclass(frozen=True)
class Spikes:
    """Spikes of known templates, in order of time.

    Attributes
    ----------
    sample, unit
        When and which template, shape ``(spikes,)``.
    amplitude
        Relative to the template.
    gain
        Log-likelihood gained by the spike over there being none.
    confidence
        Probability that it is of this unit rather than of the next best or of none.
    row
        Which of the template's shifted copies.
    """

    sample: np.ndarray
    unit: np.ndarray
    amplitude: np.ndarray
    gain: np.ndarray
    confidence: np.ndarray
    row: np.ndarray

    def __len__(self) -> int:
        return len(self.sample)

    def take(self, index: np.ndarray) -> "Spikes":
        """Return some of the spikes."""
        return Spikes(*(column[index] for column in self._columns()))

    def _columns(self) -> tuple[np.ndarray, ...]:
        return self.sample, self.unit, self.amplitude, self.gain, self.confidence, self.row

    @staticmethod
    def join(parts: "list[Spikes]") -> "Spikes":
        """Return the spikes of all parts in order of time."""
        if not parts:
            whole, real = np.zeros(0, np.int64), np.zeros(0)
            return Spikes(whole, whole, real, real, real, whole)
        joined = Spikes(*(np.concatenate(c) for c in zip(*(p._columns() for p in parts), strict=True)))
        return joined.take(np.lexsort((joined.unit, joined.sample)))


@dataclass(frozen=True)
class _Local:
    """What is needed to look at troughs of one channel."""

    channels: np.ndarray
    rows: np.ndarray  # shifted templates seen there
    filters: np.ndarray  # (samples * channels, rows)
    energy: np.ndarray  # (rows,)


@dataclass
class Peeler:
    """Find the spikes of templates.

    Parameters
    ----------
    templates
        In units of noise, shape ``(units, 128, channels)``, troughs at sample 40.
    locations_um
        Shape ``(channels, 2)``.
    noise
        From `measure_noise`, of 64 samples.
    threshold
        Depth of troughs that are looked at.
    least_gain
        Log-likelihood that a spike must gain.
    """

    templates: np.ndarray
    locations_um: np.ndarray
    noise: NoiseModel
    threshold: float = 4.0
    least_gain: float = 15.0
    _local: dict[int, _Local] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self):
        self.near = near_channels(self.locations_um, radius_um=_LOCAL_UM)
        self.long = np.concatenate([shift_waveforms(self.templates, s) for s in _SHIFTS])
        self.long = (self.long * _taper()[:, None]).astype(np.float32)
        self.shifted = core(self.long)
        self.unit = np.tile(np.arange(len(self.templates)), len(_SHIFTS))
        self.footprint = np.abs(self.templates).max(axis=1) > 0.5  # (units, channels)
        self.inverse_in_time = self.noise.inverse_in_time()
        self.margin = LONG

    def around(self, unit: int) -> np.ndarray:
        """Return the channels around a unit's deepest trough, where its spikes are compared."""
        return self._channels(int(self.templates[unit].min(axis=0).argmin()))

    def peel(
        self,
        scaled: np.ndarray,
        *,
        chunk: int,
        starts: np.ndarray | None = None,
        on_residual: Callable[[int, np.ndarray, Spikes, tuple[int, int]], None] | None = None,
    ) -> Spikes:
        """Return all spikes of a recording in units of noise.

        Parameters
        ----------
        scaled
            Shape ``(samples, channels)``; may be a memory map.
        chunk
            Samples at a time.
        starts
            First samples of the chunks to look at; all by default.
        on_residual
            Called for each chunk with its first sample, what remains of its voltage, its spikes, and
            the first and last of these samples that belong to it.
        """
        parts, edge = [], 4 * LENGTH
        for start in range(0, len(scaled), chunk) if starts is None else starts.tolist():
            stop = min(start + chunk, len(scaled))
            first = max(start - edge, 0)
            residual = np.array(scaled[first : min(stop + edge, len(scaled))], dtype=np.float32)
            spikes = self._peel_chunk(residual)
            inside = (spikes.sample + first >= start) & (spikes.sample + first < stop)
            if on_residual is not None:
                on_residual(first, residual, spikes.take(inside), (start - first, stop - first))
            spikes = spikes.take(inside)
            parts.append(Spikes(spikes.sample + first, *spikes._columns()[1:]))
        return Spikes.join(parts)

    def _peel_chunk(self, residual: np.ndarray) -> Spikes:
        parts, refused = [], np.zeros((0, 2), np.int64)
        found = np.zeros((0, 3))  # sample, channel, gain
        for _ in range(_ROUNDS if len(self.templates) else 0):
            sample, channel = find_troughs(residual, self.near, threshold=self.threshold, exclude_samples=6)
            inside = (sample >= self.margin) & (sample < len(residual) - self.margin)
            sample, channel = sample[inside], channel[inside]
            fresh = ~_among(np.stack([sample, channel], axis=1), refused)
            sample, channel = sample[fresh], channel[fresh]
            if not len(sample):
                break
            row, lag, amplitude, gain, confidence = self._best(residual, sample, channel)
            accepted = gain > self.least_gain + _LEFT_BEHIND * self._largest_near(sample, channel, found)
            refused = np.concatenate([refused, np.stack([sample, channel], axis=1)[~accepted]])
            winners = np.flatnonzero(accepted)
            winners = winners[self._strongest((sample + lag)[winners], channel[winners], gain[winners])]
            if not len(winners):
                break
            at, rows = (sample + lag)[winners], row[winners]
            self._subtract(residual, at, rows, amplitude[winners])
            found = np.concatenate([found, np.stack([at, channel[winners], gain[winners]], axis=1)])
            found = found[np.argsort(found[:, 0], kind="stable")]
            parts.append(
                Spikes(at, self.unit[rows], amplitude[winners], gain[winners], confidence[winners], rows)
            )
            # What was refused next to a subtraction may look better now.
            distance = _distance(refused[:, 0], np.sort(at))
            refused = refused[distance > LENGTH]
        return Spikes.join(parts)

    def _best(self, residual: np.ndarray, sample: np.ndarray, channel: np.ndarray) -> tuple[np.ndarray, ...]:
        n = len(sample)
        best, second = np.full(n, _NEVER), np.full(n, _NEVER)
        row, lag, amplitude = np.zeros(n, np.int64), np.zeros(n, np.int64), np.ones(n)
        window = np.arange(-TROUGH, LENGTH - TROUGH)
        for one in np.unique(channel):
            here, local = np.flatnonzero(channel == one), self._at(int(one))
            if not len(local.rows):
                continue
            view = np.ascontiguousarray(residual[:, local.channels])
            n_units = len(local.rows) // len(_SHIFTS)
            for part in np.array_split(here, len(here) // 2048 + 1):
                per_unit = np.full((len(part), n_units), _NEVER)
                for step in _LAGS:
                    snippet = view[(sample[part] + step)[:, None] + window].reshape(len(part), -1)
                    gains = _gains(snippet @ local.filters[:, :n_units], local.energy[:n_units])[0]
                    pick = gains.argmax(axis=1)
                    found = gains[np.arange(len(part)), pick]
                    better = found > best[part]
                    rows = part[better]
                    best[rows], row[rows], lag[rows] = found[better], pick[better], step
                    np.maximum(per_unit, gains, out=per_unit)
                unit = row[part].copy()
                snippet = view[(sample[part] + lag[part])[:, None] + window].reshape(len(part), -1)
                best[part] = _NEVER
                for shift in range(len(_SHIFTS)):
                    column = unit + shift * n_units
                    matched = np.einsum("ij,ij->i", snippet, local.filters.T[column])
                    found, scale = _gains(matched, local.energy[column])
                    better = found > best[part]
                    rows = part[better]
                    best[rows], row[rows] = found[better], local.rows[column[better]]
                    amplitude[rows] = scale[better]
                if n_units > 1:
                    second[part] = np.partition(per_unit, -2, axis=1)[:, -2]
        rival = np.clip(np.maximum(second, self.least_gain / 2) - best, -50, 50)
        return row, lag, amplitude, best, 1 / (1 + np.exp(rival))

    def _largest_near(self, sample: np.ndarray, channel: np.ndarray, found: np.ndarray) -> np.ndarray:
        """Return the largest gain of the spikes that were subtracted around each trough."""
        largest = np.zeros(len(sample))
        first = np.searchsorted(found[:, 0], sample - LENGTH // 2)
        last = np.searchsorted(found[:, 0], sample + LENGTH // 2)
        place = found[:, 1].astype(np.int64)
        for step in range(int((last - first).max(initial=0))):
            row = np.minimum(first + step, len(found) - 1)
            counts = (first + step < last) & self.near[channel, place[row]]
            largest = np.maximum(largest, np.where(counts, found[row, 2], 0.0))
        return largest

    def _at(self, channel: int) -> _Local:
        """Filters for troughs of a channel: templates seen there, on the channels around it."""
        if channel not in self._local:
            channels = self._channels(channel)
            deepest = core(self.templates).min(axis=1)  # (units, channels)
            seen = deepest[:, channel] < np.minimum(0.3 * deepest.min(axis=1), -0.7 * self.threshold)
            rows = np.flatnonzero(seen[self.unit])
            waveforms = self.shifted[rows][:, :, channels]
            white = np.matmul(self.inverse_in_time, waveforms) @ self.noise.inverse_across(channels)
            energy = np.einsum("ktc,ktc->k", white, waveforms)
            filters = white.reshape(len(rows), LENGTH * len(channels)).T.astype(np.float32)
            self._local[channel] = _Local(channels, rows, filters, energy)
        return self._local[channel]

    def _channels(self, channel: int) -> np.ndarray:
        distance = np.linalg.norm(self.locations_um - self.locations_um[channel], axis=1)
        nearest = np.argsort(distance, kind="stable")[:_LOCAL_CHANNELS]
        return np.sort(nearest[distance[nearest] <= _LOCAL_UM])

    def _strongest(self, sample: np.ndarray, channel: np.ndarray, gain: np.ndarray) -> np.ndarray:
        """Return, in order of time, which spikes gain more than all that would disturb them."""
        order = np.argsort(sample, kind="stable")
        at, place, value = sample[order], channel[order], gain[order]
        wins = np.ones(len(order), bool)
        for step in range(1, len(order)):
            close = at[step:] - at[:-step] < 0.6 * LENGTH
            if not close.any():
                break
            close &= self.near[place[step:], place[:-step]]
            later = value[step:] > value[:-step]
            wins[:-step] &= ~(close & later)
            wins[step:] &= ~(close & ~later)
        return order[wins]

    def _subtract(self, residual: np.ndarray, at: np.ndarray, rows: np.ndarray, scale: np.ndarray) -> None:
        window = np.arange(-LONG_TROUGH, LONG - LONG_TROUGH)
        for unit in np.unique(self.unit[rows]):
            mine = np.flatnonzero(self.unit[rows] == unit)
            channels = np.flatnonzero(self.footprint[unit])
            waveforms = scale[mine, None, None] * self.long[rows[mine]][:, :, channels]
            index = (at[mine, None] + window)[:, :, None], channels[None, None, :]
            np.subtract.at(residual, index, waveforms.astype(np.float32))


def core(templates: np.ndarray) -> np.ndarray:
    """Return the samples of ``(units, 128, channels)`` that are compared, ``(units, 64, channels)``."""
    return templates[:, BEFORE : BEFORE + LENGTH]


def _taper() -> np.ndarray:
    ramp = np.sin(np.linspace(0, np.pi / 2, 12)) ** 2
    return np.concatenate([ramp, np.ones(LONG - 24), ramp[::-1]])


def shift_waveforms(waveforms: np.ndarray, samples: float) -> np.ndarray:
    """Return ``(units, samples, channels)`` delayed by a fraction of a sample."""
    if samples == 0:
        return waveforms
    length = waveforms.shape[1]
    padded = np.pad(waveforms, ((0, 0), (8, 8), (0, 0)), mode="edge")
    turn = np.exp(-2j * np.pi * np.fft.rfftfreq(length + 16) * samples)
    return np.fft.irfft(np.fft.rfft(padded, axis=1) * turn[None, :, None], length + 16, axis=1)[:, 8:-8]


def _gains(matched: np.ndarray, energy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return log-likelihoods gained and amplitudes, of amplitudes that scatter around one."""
    precision = 1 / _AMPLITUDE_SD**2
    scale = (matched + precision) / (energy + precision)
    gain = (matched + precision) * scale / 2 - precision / 2
    return np.where(scale < _LEAST_AMPLITUDE, _NEVER, gain), scale


def _among(pairs: np.ndarray, known: np.ndarray) -> np.ndarray:
    if not len(known):
        return np.zeros(len(pairs), bool)
    return np.isin(pairs[:, 0] * 100_003 + pairs[:, 1], known[:, 0] * 100_003 + known[:, 1])


def _distance(sample: np.ndarray, to: np.ndarray) -> np.ndarray:
    after = np.clip(np.searchsorted(to, sample), 0, len(to) - 1)
    return np.minimum(np.abs(to[after] - sample), np.abs(to[np.maximum(after - 1, 0)] - sample))
