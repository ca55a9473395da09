"""How much of a response is repeatable: the part that any decoder could use."""

import numpy as np

from neuroloom.auditing.inputs import row_digests
from neuroloom.errors import DataError


def explainable_variance(repeats: np.ndarray) -> np.ndarray:
    """Return, per unit, the share of single-trial variance that the stimulus explains.

    From a one-way analysis of variance over stimuli: (MSB - MSW) / (MSB + (n₀ - 1) MSW), the intraclass
    correlation, where n₀ is the effective number of repeats.

    Parameters
    ----------
    repeats
        (stimuli, units, repeats), NaN where a repeat is absent. Stimuli shown once add nothing to the noise
        estimate but do count for the spread of means.

    Returns
    -------
    numpy.ndarray
        (units,), at most 1; near or below 0 for units without a repeatable response, NaN for constant ones.

    Raises
    ------
    DataError
        If no stimulus was repeated, or there are fewer than two.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> signal, noise = rng.normal(size=(2000, 1, 1)), rng.normal(size=(2000, 1, 4))
    >>> round(float(explainable_variance(signal + noise)[0]), 1)
    0.5
    """
    values = np.asarray(repeats, dtype=float)
    if values.ndim != 3:
        raise DataError(
            f"repeats have shape {values.shape}",
            expected="(stimuli, units, repeats)",
            remedy="stack the presentations of each stimulus along a third axis",
        )
    present = np.isfinite(values)
    n = present.sum(2).astype(float)  # (stimuli, units)
    shown = n > 0
    groups, total = shown.sum(0), n.sum(0)
    if (groups < 2).any() or (total <= groups).any():
        raise DataError(
            f"{int(groups.min())} stimuli with {int((n > 1).sum(0).min())} of them repeated",
            expected="at least two stimuli, and repeats of some",
            remedy="leave the noise ceiling out",
        )
    filled = np.where(present, values, 0.0)
    means = filled.sum(2) / np.maximum(n, 1)
    within = (np.square(filled - means[..., None]) * present).sum((0, 2)) / (total - groups)
    grand = (n * means).sum(0) / total
    between = (n * np.square(means - grand)).sum(0) / (groups - 1)
    effective = (total - np.square(n).sum(0) / total) / (groups - 1)
    spread = between + (effective - 1) * within
    return np.divide(between - within, spread, out=np.full_like(spread, np.nan), where=spread > 0)


def reliability(share: np.ndarray, *, n_averaged: float | np.ndarray) -> np.ndarray:
    """Return the share of variance that the stimulus explains after averaging repeats (Spearman-Brown).

    Its root bounds the correlation of any model with the averaged responses.

    Parameters
    ----------
    share
        From `explainable_variance`, for one presentation; below 0 counts as 0.
    n_averaged
        Presentations behind each response.

    Examples
    --------
    >>> float(reliability(np.array(0.5), n_averaged=4))
    0.8
    """
    positive = np.maximum(share, 0.0)
    return n_averaged * positive / (1 + (n_averaged - 1) * positive)


def stack_repeats(responses: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return responses (presentations, units) as (stimuli, units, repeats), NaN where one is absent."""
    ids, member = np.unique(groups, return_inverse=True)
    counts = np.bincount(member)
    order = np.argsort(member, kind="stable")
    place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    stacked = np.full((len(ids), responses.shape[1], counts.max()), np.nan)
    stacked[member[order], :, place] = responses[order]
    return stacked


def repeatability(responses: np.ndarray, stimuli: np.ndarray, groups: np.ndarray) -> dict[str, float | None]:
    """Return what an audit says about repeats, averaged over the units that have any.

    Parameters
    ----------
    responses
        (stimuli, units, repeats), or (presentations, units) where repeats are rows of one group.
    stimuli
        One per row of the responses; groups of different stimuli, such as time blocks, are no repeats.
    groups
        (stimuli,) ids.

    Returns
    -------
    dict
        ``explainable_variance``: the stimulus's share of one presentation's variance. ``noise_ceiling``: the
        largest correlation that a perfect model of a unit could reach with the responses as they are audited.
        None where nothing is repeated.
    """
    if responses.ndim == 3:
        n_averaged, repeats = np.isfinite(responses).sum(2).mean(0), responses
    else:
        n_averaged, repeats = np.ones(responses.shape[1]), stack_repeats(responses, groups)
        if len(np.unique(row_digests(stimuli))) > len(repeats):
            repeats = repeats[:, :0]
    n_present = np.isfinite(repeats).sum(2)
    repeated = np.flatnonzero((n_present > 1).any(0) & ((n_present > 0).sum(0) > 1))
    share = explainable_variance(repeats[:, repeated]) if len(repeated) else np.array([])
    defined = np.isfinite(share)
    if not defined.any():
        return {"explainable_variance": None, "noise_ceiling": None}
    ceiling = np.sqrt(reliability(share[defined], n_averaged=n_averaged[repeated][defined]))
    return {"explainable_variance": float(share[defined].mean()), "noise_ceiling": float(ceiling.mean())}
