"""How much of a response is repeatable: the part that any decoder could use."""

import numpy as np

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


def stack_repeats(responses: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return responses (presentations, units) as (stimuli, units, repeats), NaN where one is absent."""
    ids, member = np.unique(groups, return_inverse=True)
    counts = np.bincount(member)
    order = np.argsort(member, kind="stable")
    place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    stacked = np.full((len(ids), responses.shape[1], counts.max()), np.nan)
    stacked[member[order], :, place] = responses[order]
    return stacked
