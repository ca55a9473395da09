"""Which units are one neuron's, and which are none: by their templates, and by when they fire."""

from collections.abc import Callable

import numpy as np

from neuroloom.sorting.coincidences import fire_as_one, fire_in_turn
from neuroloom.sorting.noise import NoiseModel, symmetric_root
from neuroloom.sorting.templates import FOR_TEMPLATE, Units, core, moved_by, shift_waveforms

_SAME = 0.03  # share of a template's energy by which two of one unit may differ
_SAME_DISTANCE = 2.0  # or this many standard deviations of noise
_SAME_SCALE = 1.18
_SIMILAR, _SIMILAR_SCALE = 0.25, 2.0  # and by how much if they fire as one
_NEXT_STEP = 0.08  # two steps of a drifting neuron, of almost the same size
_NEAR_UM = 100.0
_LAGS = range(-24, 25)  # a spike may have been noticed at another trough
_OVERLAP_LAGS = range(-28, 29)
_TIMES_CHANCE = 3.0


def merge_alike(
    units: Units, locations_um: np.ndarray, noise: NoiseModel, *, nearest: float = _SAME_DISTANCE
) -> Units:
    """Merge units whose templates are the same but for a shift in time and a little in size.

    Parameters
    ----------
    units, locations_um, noise
        Whose templates, on which contacts, in what noise.
    nearest
        Standard deviations of noise by which two of one unit may differ.
    """

    def same(one: int, other: int) -> bool:
        return _alike(units, one, other, locations_um, noise, nearest)

    group = _groups(units, locations_um, same)
    kept = np.unique(group)
    count = np.array([units.count[group == unit].sum() for unit in kept], dtype=np.int64)
    return Units(units.templates[kept], count)


def resembling_none(
    units: Units, others: Units, locations_um: np.ndarray, noise: NoiseModel, *, nearest: float
) -> np.ndarray:
    """Return which units `merge_alike` would merge with none of the others, shape ``(units,)``."""
    both = units.and_also(others)
    found = np.ones(len(units), bool)
    for one in range(len(units)):
        distance = np.linalg.norm(locations_um[others.peak] - locations_um[units.peak[one]], axis=1)
        found[one] = not any(
            _alike(both, len(units) + int(other), one, locations_um, noise, nearest)
            for other in np.flatnonzero(distance <= _NEAR_UM)
        )
    return found


def shapes_of_one(
    units: Units,
    sample: np.ndarray,
    unit: np.ndarray,
    locations_um: np.ndarray,
    noise: NoiseModel,
    *,
    refractory: int,
    n_samples: int,
) -> np.ndarray:
    """Return the neuron of each unit: similar ones that keep each other's silences or fire in turn are one.

    A neuron whose spikes vary in steps, or change as the probe drifts, has several templates; each finds its
    own spikes best.

    Parameters
    ----------
    units, locations_um, noise
        As in `merge_alike`.
    sample, unit
        All spikes, in order of time.
    refractory
        Samples within which no neuron fires twice.
    n_samples
        Length of the recording.

    Returns
    -------
    ndarray
        0, 1, .., shape ``(units,)``.
    """
    trains = [sample[unit == one] for one in range(len(units))]
    neuron = np.arange(len(units))
    pairs = []
    for one, other in _near_pairs(units, locations_um):
        scaled, step = (
            left / energy
            for left, energy, _ in (
                _difference(units, one, other, locations_um, noise, most) for most in (_SIMILAR_SCALE, 1.0)
            )
        )
        pairs.append((scaled, step, one, other))
    # The most alike first: the steps of a drifting neuron resemble their neighbours, not all each other.
    for _, step, one, other in sorted(pair for pair in pairs if pair[0] < _SIMILAR):
        kept, joined = neuron[[one, other]]
        both = trains[kept], trains[joined]
        if kept != joined and (
            fire_as_one(*both, refractory=refractory)
            or (step < _NEXT_STEP and fire_in_turn(*both, n_samples=n_samples))
        ):
            trains[kept] = np.sort(np.concatenate(both), kind="stable")
            neuron[neuron == joined] = kept
    return np.unique(neuron, return_inverse=True)[1]


def _groups(units: Units, locations_um: np.ndarray, same: Callable[[int, int], bool]) -> np.ndarray:
    """Return of every unit the most frequent one that it is the same as, often itself."""
    group = np.arange(len(units))
    for one, other in _near_pairs(units, locations_um):
        if group[one] == one and group[other] == other:
            group[other] = one if same(one, other) else other
    return group


def _near_pairs(units: Units, locations_um: np.ndarray) -> list[tuple[int, int]]:
    """Return pairs of units that may see each other, the more frequent one first."""
    often, place = np.argsort(-units.count, kind="stable").tolist(), locations_um[units.peak]
    near = np.linalg.norm(place[:, None] - place, axis=2) <= _NEAR_UM
    return [(one, other) for rank, one in enumerate(often) for other in often[rank + 1 :] if near[one, other]]


def without_composites(
    units: Units, locations_um: np.ndarray, noise: NoiseModel, *, n_samples: int
) -> np.ndarray:
    """Return which units are not sums of two others that coincide by chance.

    Such a unit looks like the two together, and is no more frequent than chance would have it.

    Parameters
    ----------
    units, locations_um, noise
        As in `merge_alike`.
    n_samples
        Length of the recording that the units' spikes were counted in.
    """
    keep = np.ones(len(units), bool)
    compared = core(units.templates)
    place = units.peak
    for unit in np.argsort(units.count, kind="stable"):
        distance = np.linalg.norm(locations_um[place] - locations_um[place[unit]], axis=1)
        others = np.flatnonzero(keep & (distance <= _NEAR_UM) & (units.count > units.count[unit]))
        others = others[others != unit]
        if len(others) < 2:
            continue
        channels = _around(locations_um, int(place[unit]))
        white = _whitener(noise, channels)
        target = white(compared[unit][None][:, :, channels])[0]
        energy = float(target @ target)
        parts = np.concatenate([white(_moved(compared[o][:, channels], _OVERLAP_LAGS)) for o in others])
        remaining, used = target, []
        for _ in range(2):
            matched, size = parts @ remaining, np.maximum(np.einsum("ij,ij->i", parts, parts), 1e-9)
            scale = np.clip(matched / size, 0.8, 1.2)
            gain = 2 * scale * matched - scale**2 * size
            gain[size < 0.1 * energy] = -np.inf
            best = int(gain.argmax())
            if gain[best] <= 0:
                break
            used.append(int(others[best // len(_OVERLAP_LAGS)]))
            remaining = remaining - scale[best] * parts[best]
        if len(used) == 2 and remaining @ remaining < 0.12 * energy:
            by_chance = np.prod(units.count[used].astype(float)) * len(_OVERLAP_LAGS) / n_samples
            keep[unit] = units.count[unit] > _TIMES_CHANCE * by_chance
    return keep


def _alike(
    units: Units, one: int, other: int, locations_um: np.ndarray, noise: NoiseModel, nearest: float
) -> bool:
    left, energy, n_values = _difference(units, one, other, locations_um, noise, _SAME_SCALE)
    # Medians of few spikes differ by their noise alone.
    used = np.minimum(units.count[[one, other]], FOR_TEMPLATE)
    left -= 1.57 * n_values * float((1 / used).sum())
    return left < max(_SAME * energy, nearest**2)


def _difference(
    units: Units, one: int, other: int, locations_um: np.ndarray, noise: NoiseModel, most_scale: float
) -> tuple[float, float, int]:
    """Return how far two templates are apart at their best shift and scale, the energy of the smaller, and
    how many values were compared; in units of noise."""
    first, second = units.templates[[one, other]]
    channels = _around(locations_um, int(units.peak[one]))
    white = _whitener(noise, channels)
    shifted = [_moved(shift_waveforms(first[None], s)[0][:, channels], _LAGS) for s in (0.0, 0.25, 0.5, 0.75)]
    candidates, target = white(core(np.concatenate(shifted))), white(core(second[None])[:, :, channels])[0]
    size = np.maximum(np.einsum("ij,ij->i", candidates, candidates), 1e-9)
    scale = np.clip(candidates @ target / size, 1 / most_scale, most_scale)
    left = ((target - scale[:, None] * candidates) ** 2).sum(axis=1).min()
    return float(left), min(float(target @ target), float(size.max())), target.size


def _around(locations_um: np.ndarray, channel: int, *, most: int = 10) -> np.ndarray:
    distance = np.linalg.norm(locations_um - locations_um[channel], axis=1)
    nearest = np.argsort(distance, kind="stable")[:most]
    return np.sort(nearest[distance[nearest] <= _NEAR_UM])


def _whitener(noise: NoiseModel, channels: np.ndarray):
    time = symmetric_root(noise.inverse_in_time())
    across = symmetric_root(noise.inverse_across(channels))
    return lambda waveforms: (np.matmul(time, waveforms) @ across).reshape(len(waveforms), -1)


def _moved(template: np.ndarray, lags: range) -> np.ndarray:
    return np.stack([moved_by(template, lag) for lag in lags])
