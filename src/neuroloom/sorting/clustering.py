"""From embedded spikes to units and templates, without being told how many there are."""

import numpy as np

from neuroloom.seeds import derive
from neuroloom.sorting.noise import NoiseModel
from neuroloom.sorting.spikeinterface_runs import keep_compiled, quiet
from neuroloom.sorting.templates import FOR_TEMPLATE, Units, core, moved_by, shift_waveforms

_DIMS = 6  # principal axes of the embeddings that clusters are looked for in
_DIP = 2.0  # of isosplit: how far from unimodal two neighbouring clusters must be
_MOST_EVENTS = 30_000  # per neighbourhood; the others are found again by their templates
_SAME = 0.03  # share of a template's energy by which two of one unit may differ
_SAME_DISTANCE = 2.0  # or this many standard deviations of noise
_SAME_SCALE = 1.18
_NEAR_UM = 100.0
_OVERLAP_LAGS = range(-28, 29)
_TIMES_CHANCE = 3.0


def cluster_embeddings(embeddings: np.ndarray, *, seed: int, n_dims: int = _DIMS) -> np.ndarray:
    """Return labels 0, 1, .. of embedded spikes; -1 for those left out.

    Isosplit (Magland & Barnett 2015, arXiv:1508.04841) on the leading principal axes: clusters are what is
    unimodal along every line between two of them.

    Parameters
    ----------
    embeddings
        Shape ``(spikes, dimensions)``.
    seed
        Of the first division.
    n_dims
        Principal axes.
    """
    from spikeinterface.sortingcomponents.clustering.isosplit_isocut import isosplit

    n = len(embeddings)
    if n < 40:
        return np.zeros(n, np.int64)
    random = np.random.default_rng(derive(seed, "cluster"))
    chosen = np.sort(random.permutation(n)[:_MOST_EVENTS])
    centred = embeddings[chosen] - np.median(embeddings[chosen], axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    points = np.ascontiguousarray(centred @ axes[:, ::-1][:, :n_dims], dtype=np.float64)
    labels = np.full(n, -1, np.int64)
    keep_compiled()
    with quiet():
        labels[chosen] = isosplit(
            points,
            n_init=int(np.clip(len(points) // 20, 1, 200)),
            isocut_threshold=_DIP,
            seed=derive(seed, "isosplit") % 2**31,
        )
    return labels


def merge_alike(
    units: Units, locations_um: np.ndarray, noise: NoiseModel, *, nearest: float = _SAME_DISTANCE
) -> tuple[Units, np.ndarray]:
    """Merge units whose templates are the same but for a shift in time and a little in size.

    Parameters
    ----------
    units, locations_um, noise
        Whose templates, on which contacts, in what noise.
    nearest
        Standard deviations of noise by which two of one unit may differ.

    Returns
    -------
    Units, ndarray
        The merged units, and the new number of every old one.
    """
    group = np.arange(len(units))
    place = units.peak
    for one in np.argsort(-units.count, kind="stable"):
        for other in np.argsort(-units.count, kind="stable"):
            if group[one] != one or group[other] != other or one == other:
                continue
            if units.count[other] > units.count[one]:
                continue
            if np.linalg.norm(locations_um[place[one]] - locations_um[place[other]]) > _NEAR_UM:
                continue
            if _alike(units, int(one), int(other), locations_um, noise, nearest):
                group[group == other] = one
    kept = np.unique(group)
    templates = units.templates[kept]
    count = np.array([units.count[group == unit].sum() for unit in kept], dtype=np.int64)
    return Units(templates, count), np.searchsorted(kept, group)


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
    first, second = core(units.templates[[one, other]])
    channels = _around(locations_um, int(first.min(axis=0).argmin()))
    white = _whitener(noise, channels)
    lags = range(-10, 11)
    shifted = [_moved(shift_waveforms(first[None], s)[0][:, channels], lags) for s in (0.0, 0.25, 0.5, 0.75)]
    candidates, target = white(np.concatenate(shifted)), white(second[None][:, :, channels])[0]
    size = np.maximum(np.einsum("ij,ij->i", candidates, candidates), 1e-9)
    scale = np.clip(candidates @ target / size, 1 / _SAME_SCALE, _SAME_SCALE)
    left = ((target - scale[:, None] * candidates) ** 2).sum(axis=1).min()
    # Medians of few spikes differ by their noise alone.
    used = np.minimum(units.count[[one, other]], FOR_TEMPLATE)
    left -= 1.57 * target.size * float((1 / used).sum())
    energy = min(float(target @ target), float(size.max()))
    return bool(left < max(_SAME * energy, nearest**2))


def _around(locations_um: np.ndarray, channel: int, *, most: int = 10) -> np.ndarray:
    distance = np.linalg.norm(locations_um - locations_um[channel], axis=1)
    nearest = np.argsort(distance, kind="stable")[:most]
    return np.sort(nearest[distance[nearest] <= _NEAR_UM])


def _whitener(noise: NoiseModel, channels: np.ndarray):
    time = _root(noise.inverse_in_time())
    across = _root(noise.inverse_across(channels))
    return lambda waveforms: (np.matmul(time, waveforms) @ across).reshape(len(waveforms), -1)


def _root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def _moved(template: np.ndarray, lags: range) -> np.ndarray:
    return np.stack([moved_by(template, lag) for lag in lags])
