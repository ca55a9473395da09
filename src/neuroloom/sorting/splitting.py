"""Whether the spikes of one unit are those of two: a closer look than an embedding of all shapes can take.

An embedding must tell every neuron from every other in a few dimensions; two neighbours of almost the same
shape are best told apart in the few directions in which their own spikes scatter, with all other spikes
taken away, aligned on their template, and scaled so that noise alone has unit variance everywhere.
"""

import numpy as np

from neuroloom.seeds import derive
from neuroloom.sorting.coincidences import fire_as_one
from neuroloom.sorting.medians import median
from neuroloom.sorting.spikeinterface_runs import keep_compiled, quiet

MOST_SPIKES = 2000  # of a unit that are looked at
_COURSES, _AXES = 10, 4  # components in time, and then of everything
_ABOVE_NOISE = 1.15  # times the largest eigenvalue that noise alone gives
_DIP = 2.0  # of isosplit
_LEAST_DISTANCE = 2.2  # standard deviations between the means of two halves
_LEAST_GAIN, _LEAST_GAIN_EACH = 10.0, 0.01  # log-likelihood that two Gaussians must gain over one


def split_spikes(
    white: np.ndarray, sample: np.ndarray, *, fewest: int, refractory: int, seed: int
) -> np.ndarray:
    """Return labels 0, 1, .. of the neurons that spikes of one unit come from; -1 of a few left out.

    Spikes are parted where they are bimodal (isosplit), and then where two Gaussians of the noise's own size
    describe them much better than one of any shape: halves too close to leave a dip between them. Two halves
    that keep each other's silences (`fire_as_one`) are one neuron whose spikes vary.

    Parameters
    ----------
    white
        Aligned waveforms whose noise is white with unit variance, shape ``(spikes, samples, channels)``.
    sample
        When they fired, in order.
    fewest
        Smaller groups are no neurons.
    refractory
        Samples within which one neuron does not fire twice.
    seed
        Of isosplit.
    """
    n = len(white)
    whole = np.zeros(n, np.int64)
    if n < 2 * fewest:
        return whole
    points = features(white)
    if not points.shape[1]:
        return whole
    label = _bimodal(points, fewest=fewest, seed=seed)
    pending, done = list(range(int(label.max()) + 1)), int(label.max()) + 1
    while pending:
        one = pending.pop()
        mine = np.flatnonzero(label == one)
        if len(mine) < 2 * fewest:
            continue
        half = _two_gaussians(points[mine])
        if half is None or min(half.sum(), (~half).sum()) < fewest:
            continue
        label[mine[half]] = done
        pending += [one, done]
        done += 1
    return _joined(label, points, sample, refractory=refractory)


def _bimodal(points: np.ndarray, *, fewest: int, seed: int) -> np.ndarray:
    from spikeinterface.sortingcomponents.clustering.isosplit_isocut import isosplit

    keep_compiled()
    with quiet():
        label = isosplit(
            points,
            n_init=int(np.clip(len(points) // 20, 2, 50)),
            isocut_threshold=_DIP,
            seed=derive(seed, "split") % 2**31,
        )
    label = np.asarray(label, np.int64)
    counts = np.bincount(label)
    large = np.flatnonzero(counts >= fewest)
    renamed = np.full(len(counts), -1)
    renamed[large] = np.arange(len(large))
    return renamed[label] if len(large) > 1 else np.zeros(len(points), np.int64)


def _two_gaussians(points: np.ndarray, *, n_steps: int = 60) -> np.ndarray | None:
    """Return which points belong to the second of two round Gaussians, or None if one of any shape will do.

    Both models have a broad, rare third component for what is neither.
    """
    n, n_axes = points.shape
    centre = np.median(points, axis=0)
    away = points - centre
    values, axes = np.linalg.eigh(away.T @ away / n)
    along = away @ axes[:, -1]
    broad = _log_normal(away, np.eye(n_axes) * max(25.0, 4 * values[-1]))
    one = _log_one_gaussian(points, broad)
    member = np.clip(along > np.median(along), 0.02, 0.98).astype(float)
    background, best = np.full(n, 0.01), -np.inf
    halves = np.zeros((n, 2))
    for _ in range(n_steps):
        shares = np.stack([(1 - member) * (1 - background), member * (1 - background)], axis=1)
        weight = np.maximum(shares.sum(axis=0), 1e-9)
        means = shares.T @ points / weight[:, None]
        squared = ((points[:, None] - means) ** 2).sum(axis=2)
        variance = max(float((shares * squared).sum() / (n_axes * weight.sum())), 1.0)
        halves = np.log(weight / n) - squared / (2 * variance) - n_axes / 2 * np.log(2 * np.pi * variance)
        both = np.logaddexp(halves[:, 0], halves[:, 1])
        rare = np.log(max(background.mean(), 1e-3)) + broad
        total = np.logaddexp(both, rare)
        background = np.exp(rare - total)
        member = np.exp(halves[:, 1] - both)
        if total.sum() - best < 1e-3:
            break
        best = float(total.sum())
    distance = np.linalg.norm(means[1] - means[0]) / np.sqrt(variance)
    if best - one < max(_LEAST_GAIN, _LEAST_GAIN_EACH * n) or distance < _LEAST_DISTANCE:
        return None
    return halves[:, 1] > halves[:, 0]


def _log_one_gaussian(points: np.ndarray, broad: np.ndarray, *, n_steps: int = 20) -> float:
    share = np.full(len(points), 0.99)
    total = np.zeros(1)
    for _ in range(n_steps):
        mean = share @ points / share.sum()
        away = points - mean
        covariance = (share[:, None] * away).T @ away / share.sum()
        usual = np.log(share.mean()) + _log_normal(away, covariance)
        rare = np.log(max(1 - share.mean(), 1e-3)) + broad
        total = np.logaddexp(usual, rare)
        share = np.exp(usual - total)
    return float(total.sum())


def _log_normal(away: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    covariance = covariance + 1e-6 * np.eye(len(covariance))
    squared = np.einsum("ij,ij->i", away @ np.linalg.inv(covariance), away)
    return -0.5 * (squared + np.linalg.slogdet(covariance)[1] + len(covariance) * np.log(2 * np.pi))


def _joined(label: np.ndarray, points: np.ndarray, sample: np.ndarray, *, refractory: int) -> np.ndarray:
    """Join groups that noise could not tell apart, and those that keep each other's silences."""
    n_groups = int(label.max()) + 1
    for one in range(n_groups):
        for other in range(one):
            first, second = label == one, label == other
            if not first.any() or not second.any():
                continue
            distance = np.linalg.norm(points[first].mean(axis=0) - points[second].mean(axis=0))
            if distance < _LEAST_DISTANCE or fire_as_one(
                sample[first], sample[second], refractory=refractory
            ):
                label[first] = other
    _, dense = np.unique(label[label >= 0], return_inverse=True)
    label[label >= 0] = dense
    return label


def features(white: np.ndarray) -> np.ndarray:
    """Return the axes in which whitened waveforms scatter more than noise does, shape ``(spikes, axes)``."""
    n, _, n_channels = white.shape
    centred = white - median(white, axis=0)
    moment = np.einsum("ntc,nuc->tu", centred, centred, optimize=True) / (n * n_channels)
    courses = np.linalg.eigh(moment)[1][:, ::-1][:, :_COURSES]
    flat = np.einsum("ntc,tk->nkc", centred, courses, optimize=True).reshape(n, -1).astype(np.float64)
    # Overlaps that were not resolved would draw the axes to themselves.
    size = np.einsum("ij,ij->i", flat, flat)
    usual = size <= np.quantile(size, 0.95)
    values, axes = np.linalg.eigh(flat[usual].T @ flat[usual] / usual.sum())
    edge = _ABOVE_NOISE * (1 + np.sqrt(flat.shape[1] / n)) ** 2
    n_axes = int(np.clip((values > edge).sum(), 0, _AXES))
    return np.ascontiguousarray(flat @ axes[:, ::-1][:, :n_axes])
