"""Which units are one neuron's, and which are none: by their templates, and by when they fire."""

import numpy as np

from neuroloom.sorting.coincidences import fire_as_one, fire_in_turn, replace_each_other
from neuroloom.sorting.noise import NoiseModel
from neuroloom.sorting.resemblance import NEAR_UM, Resemblance, around, moved, whitener
from neuroloom.sorting.templates import Units, core

_SAME_DISTANCE = 2.0  # standard deviations of noise by which two templates of one unit may differ
_SIMILAR, _SIMILAR_SCALE = 0.25, 2.0  # and by how much if they fire as one
_NEXT_STEP = 0.08  # two steps of a drifting neuron, of almost the same size
# Where the voltage was shifted back, what is left of the motion makes larger steps.
_NEXT_STEP_MOVED = 0.4
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
    resemblance = Resemblance(units, locations_um, noise)
    group = np.arange(len(units))
    for one, other in resemblance.near_pairs():
        if group[one] == one and group[other] == other and resemblance.alike(one, other, nearest):
            group[other] = one
    kept = np.unique(group)
    count = np.array([units.count[group == unit].sum() for unit in kept], dtype=np.int64)
    return Units(units.templates[kept], count)


def resembling_none(
    units: Units, others: Units, locations_um: np.ndarray, noise: NoiseModel, *, nearest: float
) -> np.ndarray:
    """Return which units `merge_alike` would merge with none of the others, shape ``(units,)``."""
    resemblance = Resemblance(units.and_also(others), locations_um, noise)
    found = np.ones(len(units), bool)
    for other in range(len(others)):
        distance = np.linalg.norm(locations_um[units.peak] - locations_um[others.peak[other]], axis=1)
        for one in np.flatnonzero(found & (distance <= NEAR_UM)).tolist():
            found[one] = not resemblance.alike(len(units) + other, one, nearest)
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
    moved: bool = False,
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
    moved
        Whether the tissue moved and the voltage was shifted back (`neuroloom.sorting.motion`): then units
        that replace each other may differ more.

    Returns
    -------
    ndarray
        0, 1, .., shape ``(units,)``.
    """
    trains = [sample[unit == one] for one in range(len(units))]
    neuron = np.arange(len(units))
    resemblance = Resemblance(units, locations_um, noise)
    pairs = []
    for one, other in resemblance.near_pairs():
        share, step = (resemblance.difference(one, other, most) for most in (_SIMILAR_SCALE, 1.0))
        pairs.append((share, step, one, other))
    # The most alike first: the steps of a drifting neuron resemble their neighbours, not all each other.
    for _, step, one, other in sorted(pair for pair in pairs if pair[0] < _SIMILAR):
        kept, joined = neuron[[one, other]]
        both = trains[kept], trains[joined]
        if kept != joined and (
            fire_as_one(*both, refractory=refractory)
            or (step < _NEXT_STEP and fire_in_turn(*both, n_samples=n_samples))
            or (moved and step < _NEXT_STEP_MOVED and replace_each_other(*both, n_samples=n_samples))
        ):
            trains[kept] = np.sort(np.concatenate(both), kind="stable")
            neuron[neuron == joined] = kept
    return np.unique(neuron, return_inverse=True)[1]


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
        others = np.flatnonzero(keep & (distance <= NEAR_UM) & (units.count > units.count[unit]))
        others = others[others != unit]
        if len(others) < 2:
            continue
        channels = around(locations_um, int(place[unit]))
        white = whitener(noise, channels)
        target = white(compared[unit][None][:, :, channels])[0]
        energy = float(target @ target)
        parts = np.concatenate([white(moved(compared[o][:, channels], _OVERLAP_LAGS)) for o in others])
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
