"""Sets of time intervals, built and cut without the surprises of touching ends.

pynapple's intervals are closed on both sides, so two that touch share a moment (pynapple cuts a microsecond
off the earlier one, with a warning). Here the earlier one ends one float before the later one starts: no
spike is in both, none is lost.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pynapple as nap

from neuroloom.errors import DataError
from neuroloom.findings import Finding
from neuroloom.sessions.columns import label_values, trial_columns

# Two moments closer than this are the same: pynapple itself cuts intervals by a microsecond.
TOLERANCE_S = 2e-6


def make_intervals(
    starts_s: Any, ends_s: Any, *, labels: Mapping[str, Any] | None = None, where: str = "intervals"
) -> tuple[nap.IntervalSet, list[Finding]]:
    """Return an `IntervalSet` sorted by start, with its labels, and what had to be mended.

    Intervals with NaN or infinite ends, or of no duration, are dropped; one that runs into the next is cut
    where the next one starts.

    Parameters
    ----------
    starts_s, ends_s
        Shape (intervals,), seconds.
    labels
        Name -> one value per interval.
    where
        What to call them in findings.
    """
    starts, ends = np.asarray(starts_s, dtype=np.float64), np.asarray(ends_s, dtype=np.float64)
    if starts.ndim != 1 or starts.shape != ends.shape:
        raise DataError(
            f"{where} have starts of shape {starts.shape} and ends of shape {ends.shape}",
            expected="one start and one end for each",
            remedy="pass two columns of the same length",
        )
    columns = trial_columns(labels or {}, n_rows=len(starts), where=where)
    findings = []
    good = np.isfinite(starts) & np.isfinite(ends) & (ends > starts)
    if not good.all():
        findings.append(
            Finding(
                "warning",
                f"{np.count_nonzero(~good)} of {len(good)} dropped for a NaN border or no duration",
                where,
                "mend their starts and ends to keep them",
            )
        )
    order = np.flatnonzero(good)[np.argsort(starts[good], kind="stable")]
    starts, ends = starts[order], ends[order]
    unique = np.ones(len(starts), dtype=bool)
    unique[1:] = np.diff(starts) > 0
    overlaps = int(np.count_nonzero(~unique) + np.count_nonzero(ends[:-1] > starts[1:] + TOLERANCE_S))
    if overlaps:
        findings.append(
            Finding(
                "warning",
                f"{overlaps} overlap the next one and were cut where it starts",
                where,
                "pass intervals that do not overlap to keep them whole",
            )
        )
    order, starts, ends = order[unique], starts[unique], ends[unique]
    if len(starts):
        ends[:-1] = np.minimum(ends[:-1], np.nextafter(starts[1:], -np.inf))
    metadata = {name: column[order] for name, column in columns.items()}
    return nap.IntervalSet(starts, ends, metadata=metadata), findings


def as_support(intervals: Any) -> nap.IntervalSet:
    """Return intervals as a time support: no labels, overlaps and touching ends joined.

    Parameters
    ----------
    intervals
        An `IntervalSet`, one (start, end) pair, or an array of shape (intervals, 2), in seconds.

    Raises
    ------
    DataError
        If there is no time inside.
    """
    pairs = np.asarray(
        intervals.values if isinstance(intervals, nap.IntervalSet) else intervals, dtype=np.float64
    )
    if pairs.size % 2 or pairs.ndim > 2 or (pairs.ndim == 2 and pairs.shape[1] != 2):
        raise DataError(
            f"intervals of shape {pairs.shape}",
            expected="(start, end) pairs in seconds",
            remedy="pass a pynapple IntervalSet or an array of shape (intervals, 2)",
        )
    pairs = pairs.reshape(-1, 2)
    if not np.isfinite(pairs).all() or not (pairs[:, 1] > pairs[:, 0]).all() or not len(pairs):
        raise DataError(
            f"intervals {pairs[:3].tolist()}",
            expected="at least one, each with a finite start before its end",
            remedy="give start and end in seconds",
        )
    if isinstance(intervals, nap.IntervalSet):
        return nap.IntervalSet(pairs[:, 0], pairs[:, 1]) if len(intervals.metadata_columns) else intervals
    pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
    reach = np.maximum.accumulate(pairs[:, 1])
    opens = np.r_[True, pairs[1:, 0] > reach[:-1]]
    return nap.IntervalSet(pairs[opens, 0], reach[np.r_[np.flatnonzero(opens)[1:] - 1, len(pairs) - 1]])


def intersect(a: nap.IntervalSet, b: nap.IntervalSet) -> np.ndarray:
    """Return the moments in both sets as (start, end) pairs, shape (pieces, 2)."""
    first = np.searchsorted(a.end, b.start, side="right")
    counts = np.maximum(np.searchsorted(a.start, b.end, side="left") - first, 0)
    in_b = np.repeat(np.arange(len(b)), counts)
    in_a = np.arange(counts.sum()) + np.repeat(first - np.cumsum(counts) + counts, counts)
    pieces = np.column_stack([np.maximum(a.start[in_a], b.start[in_b]), np.minimum(a.end[in_a], b.end[in_b])])
    return pieces[pieces[:, 1] > pieces[:, 0]]


def trials_inside(trials: nap.IntervalSet, support: nap.IntervalSet) -> nap.IntervalSet:
    """Return the trials, with their labels, that lie wholly inside one interval of `support`.

    A trial that is cut by a border would carry its label to both sides of it, so it is left out. Borders are
    compared to within two microseconds.
    """
    if not len(trials):
        return trials
    at = np.searchsorted(support.start, trials.start + TOLERANCE_S, side="right") - 1
    whole = (at >= 0) & (trials.end <= support.end[np.maximum(at, 0)] + TOLERANCE_S)
    return select(trials, np.flatnonzero(whole))


def select(trials: nap.IntervalSet, index: np.ndarray) -> nap.IntervalSet:
    """Return the trials at ascending positions `index`, with their labels."""
    labels = {name: label_values(trials, name)[index] for name in trials.metadata_columns}
    return nap.IntervalSet(trials.start[index], trials.end[index], metadata=labels)


def inside(times_s: np.ndarray, support: nap.IntervalSet) -> np.ndarray:
    """Say for each moment whether it is in `support`, whose intervals are closed."""
    at = np.searchsorted(support.start, times_s, side="right") - 1
    return (at >= 0) & (times_s <= support.end[np.maximum(at, 0)])


def closed_before(moments_s: np.ndarray | float) -> np.ndarray:
    """Return the last float before each moment: the end of a closed interval that leaves the moment out."""
    return np.nextafter(moments_s, -np.inf)
