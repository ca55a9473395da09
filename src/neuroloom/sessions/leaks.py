"""What makes a split leak, and its refusal."""

import numpy as np
import pynapple as nap

from neuroloom.errors import LeakySplit, UnknownTarget
from neuroloom.sessions.columns import label_values
from neuroloom.sessions.intervals import intersect


def refuse_leak(
    train: nap.IntervalSet,
    test: nap.IntervalSet,
    *,
    gap_s: float = 0.0,
    groups: str | None = None,
) -> None:
    """Raise if two sets of intervals share a moment, come nearer than `gap_s`, or share a group.

    Parameters
    ----------
    train, test
        Intervals, or trials.
    gap_s
        The time that must lie between them.
    groups
        Name of a trial label of which no value may be on both sides.

    Raises
    ------
    LeakySplit
        Naming the first moment or the values on both sides.
    """
    if len(train) and len(test):
        near = intersect(nap.IntervalSet(*_widen(train, gap_s)), test) if gap_s else intersect(train, test)
        touching = np.intersect1d(np.r_[train.start, train.end], np.r_[test.start, test.end])
        if len(near) or len(touching):
            moment = near[0, 0] if len(near) else touching[0]
            raise LeakySplit(
                f"both sides of the split hold, or come within {gap_s:g} s of, {moment:.6f} s",
                expected="no moment on both sides",
                remedy="split with split_time or split_trials",
            )
    if groups is not None:
        both = np.intersect1d(trial_labels(train, groups), trial_labels(test, groups))
        if len(both):
            raise LeakySplit(
                f"{len(both)} values of {groups!r} are on both sides, such as {both[:3].tolist()}",
                expected="each value on one side",
                remedy=f"split_trials(session, order='shuffled', groups={groups!r})",
            )


def refuse_straddling(part: np.ndarray, group: np.ndarray, *, name: str) -> None:
    """Raise if items of one group are in different parts; both are shape (items,)."""
    first = np.full(group.max() + 1, len(part))
    last = np.full(group.max() + 1, -1)
    np.minimum.at(first, group, part)
    np.maximum.at(last, group, part)
    straddling = np.flatnonzero(first < last)
    if len(straddling):
        raise LeakySplit(
            f"{len(straddling)} of {len(first)} values of {name} would be on both sides of a cut in time",
            expected="each value on one side",
            remedy="pass order='shuffled', which deals out whole groups",
        )


def trial_labels(trials: nap.IntervalSet, name: str) -> np.ndarray:
    """Return a label column, shape (trials,), or raise `UnknownTarget` naming those there are."""
    if name not in trials.metadata_columns:
        raise UnknownTarget(
            f"trials have no label {name!r}",
            expected=f"one of {sorted(trials.metadata_columns)}",
            remedy="name one of these, or add the label when building the session",
        )
    return label_values(trials, name)


def _widen(intervals: nap.IntervalSet, gap_s: float) -> tuple[np.ndarray, np.ndarray]:
    starts, ends = intervals.start - gap_s, intervals.end + gap_s
    opens = np.r_[True, starts[1:] > ends[:-1]]
    return starts[opens], ends[np.r_[opens[1:], True]]
