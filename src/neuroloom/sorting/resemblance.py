"""How far two units' templates are apart, at their best shift and scale, in the noise they were seen in."""

import numpy as np

from neuroloom.sorting.noise import NoiseModel, symmetric_root
from neuroloom.sorting.templates import FOR_TEMPLATE, Units, core, moved_by, shifted

_SAME = 0.03  # share of a template's energy by which two of one unit may differ
_SAME_SCALE = 1.18
NEAR_UM, _MOST_CHANNELS = 100.0, 10
_LAGS = range(-24, 25)  # a spike may have been noticed at another trough
_PARTS_OF_SAMPLE = (0.0, 0.25, 0.5, 0.75)


class Resemblance:
    """Compare units' templates. What is made of a pair's first is kept for the next pair.

    Parameters
    ----------
    units, locations_um, noise
        Whose templates, on which contacts, in what noise.
    """

    def __init__(self, units: Units, locations_um: np.ndarray, noise: NoiseModel):
        self.units, self.locations_um, self.noise = units, locations_um, noise
        self._one: int | None = None

    def near_pairs(self) -> list[tuple[int, int]]:
        """Return pairs of units that may see each other, the more frequent one first."""
        often, place = np.argsort(-self.units.count, kind="stable").tolist(), self.units.peak
        distance = np.linalg.norm(self.locations_um[place][:, None] - self.locations_um[place], axis=2)
        pairs = ((one, other) for rank, one in enumerate(often) for other in often[rank + 1 :])
        return [pair for pair in pairs if distance[pair] <= NEAR_UM]

    def alike(self, one: int, other: int, nearest: float) -> bool:
        """Return whether two differ by no more than a shift, a little in size, and this many sd of noise."""
        left, energy = self._left(one, other, _SAME_SCALE)
        # Medians of few spikes differ by their noise alone.
        used = np.minimum(self.units.count[[one, other]], FOR_TEMPLATE)
        left -= 1.57 * self._candidates.shape[1] * float((1 / used).sum())
        return left < max(_SAME * energy, nearest**2)

    def difference(self, one: int, other: int, most_scale: float) -> float:
        """Return by what share of the smaller's energy two differ, one being scaled by so much at most."""
        left, energy = self._left(one, other, most_scale)
        return left / energy

    def _left(self, one: int, other: int, most_scale: float) -> tuple[float, float]:
        """Return how far two are apart and the energy of the smaller, in units of noise."""
        if one != self._one:
            self._take(one)
        target = self._white(core(self.units.templates[[other]])[:, :, self._channels])[0]
        scale = np.clip(self._candidates @ target / self._size, 1 / most_scale, most_scale)
        left = ((target - scale[:, None] * self._candidates) ** 2).sum(axis=1).min()
        return float(left), min(float(target @ target), float(self._size.max()))

    def _take(self, one: int) -> None:
        self._one, self._channels = one, around(self.locations_um, int(self.units.peak[one]))
        self._white = whitener(self.noise, self._channels)
        template = self.units.templates[one][:, self._channels]
        parts = shifted(template, np.array(_PARTS_OF_SAMPLE))
        self._candidates = self._white(core(np.concatenate([moved(each, _LAGS) for each in parts])))
        self._size = np.maximum(np.einsum("ij,ij->i", self._candidates, self._candidates), 1e-9)


def around(locations_um: np.ndarray, channel: int) -> np.ndarray:
    """Return the up to 10 channels within 100 um."""
    distance = np.linalg.norm(locations_um - locations_um[channel], axis=1)
    nearest = np.argsort(distance, kind="stable")[:_MOST_CHANNELS]
    return np.sort(nearest[distance[nearest] <= NEAR_UM])


def whitener(noise: NoiseModel, channels: np.ndarray):
    """Return a function that whitens and flattens waveforms, ``(n, samples, channels) -> (n, values)``."""
    time = symmetric_root(noise.inverse_in_time())
    across = symmetric_root(noise.inverse_across(channels))
    return lambda waveforms: (np.matmul(time, waveforms) @ across).reshape(len(waveforms), -1)


def moved(template: np.ndarray, lags: range) -> np.ndarray:
    """Return a template delayed by each lag, shape ``(lags, samples, channels)``."""
    return np.stack([moved_by(template, lag) for lag in lags])
