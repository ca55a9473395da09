"""Splits that do not leak: no moment, trial or stimulus on both sides."""

import itertools
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pynapple as nap

from neuroloom.errors import DataError
from neuroloom.seeds import stream
from neuroloom.sessions.intervals import as_support, closed_before, intersect, select
from neuroloom.sessions.leaks import refuse_straddling, trial_labels
from neuroloom.sessions.session import Session

Fractions = Sequence[float]


def split_time(
    session: Session | nap.IntervalSet | tuple[float, float],
    fractions: Fractions = (0.7, 0.15, 0.15),
    *,
    gap_s: float = 0.0,
    bin_s: float | None = None,
) -> tuple[nap.IntervalSet, ...]:
    """Cut observed time into consecutive parts.

    Parameters
    ----------
    session
        A session, or the intervals to cut; holes in the time support do not count.
    fractions
        Share of the observed time for each part, in order; they sum to 1.
    gap_s
        At least this much time lies between two parts. It is taken from the start of the later one, so that
        its first windows and lags do not reach into the earlier one.
    bin_s
        If given, parts start on the borders of the bins that `windows.bin_session` makes of the whole
        session. Binned recordings want their own bin width here: cut anywhere else, the bins of a part would
        lie across those of the recording.

    Returns
    -------
    tuple of IntervalSet
        One for each fraction; no two share a moment.

    Raises
    ------
    DataError
        If the fractions are not shares, or nothing is left of a part.

    Examples
    --------
    >>> train, test = split_time((0, 10), (0.8, 0.2), gap_s=1)
    >>> float(test.start[0])
    9.0
    """
    shares = _shares(fractions)
    gap_s = _gap(gap_s)
    if bin_s is not None and not (np.isfinite(bin_s) and bin_s > 0):
        raise DataError(f"bin_s={bin_s}", expected="a positive number", remedy="give it in seconds, or None")
    support = session.time_support if isinstance(session, Session) else as_support(session)
    lengths = support.end - support.start
    observed = np.r_[0.0, np.cumsum(lengths)]
    cuts = np.r_[0.0, np.cumsum(shares)[:-1], 1.0] * observed[-1]
    at = np.clip(np.searchsorted(observed, cuts, side="right") - 1, 0, len(lengths) - 1)
    moments = support.start[at] + (cuts - observed[at])
    moments[-1] = support.end[-1]
    parts: list[nap.IntervalSet] = []
    for number, (start, end) in enumerate(itertools.pairwise(moments)):
        if number:
            earliest = parts[-1].end[-1] + gap_s if gap_s else start
            start = _on_bin(max(start, earliest), support, bin_s)
        if number < len(shares) - 1:
            end = closed_before(_on_bin(end, support, bin_s))
        pieces = intersect(support, nap.IntervalSet(start, end)) if end > start else np.zeros((0, 2))
        if not len(pieces):
            raise DataError(
                f"part {number + 1} of fractions {tuple(fractions)} is empty with a gap of {gap_s:g} s",
                expected=f"time in every part of {observed[-1]:g} s",
                remedy="use larger fractions or a smaller gap",
            )
        parts.append(nap.IntervalSet(pieces[:, 0], pieces[:, 1]))
    return tuple(parts)


def split_trials(
    session: Session,
    fractions: Fractions = (0.7, 0.15, 0.15),
    *,
    order: Literal["chronological", "shuffled"] = "chronological",
    seed: int = 0,
    groups: str | Sequence[Any] | np.ndarray | None = None,
    gap_s: float = 0.0,
) -> tuple[nap.IntervalSet, ...]:
    """Deal a session's trials out to parts, keeping their labels.

    Parameters
    ----------
    session
        A session with trials.
    fractions
        Share of the trials for each part; they sum to 1. With groups the shares are met as nearly as whole
        groups allow.
    order
        ``"chronological"``: earlier parts are earlier in time. ``"shuffled"``: at random by `seed`.
    seed
        For ``"shuffled"``.
    groups
        Name of a trial label, or one value per trial: trials with equal values (repeats of one stimulus)
        stay on one side.
    gap_s
        Trials of an earlier part that are nearer than this to a trial of a later part are left out.

    Raises
    ------
    LeakySplit
        If a chronological cut would separate trials of one group.
    DataError
        If there are no trials, or nothing is left of a part.
    UnknownTarget
        If `groups` names a label that the trials do not have.
    """
    shares = _shares(fractions)
    gap_s = _gap(gap_s)
    if session.trials is None or not len(session.trials):
        raise DataError(
            f"session {session.id!r} has no trials",
            expected="trials to split",
            remedy="pass trials when building the session, or use split_time",
        )
    trials = session.trials
    n = len(trials)
    group = np.arange(n) if groups is None else _group_numbers(trials, groups)
    if order == "chronological":
        part = np.searchsorted(np.cumsum(shares)[:-1] * n, np.arange(n) + 0.5)
        refuse_straddling(part, group, name=groups if isinstance(groups, str) else "groups")
    elif order == "shuffled":
        part = _deal(group, shares, seed)
    else:
        raise DataError(
            f"order {order!r}", expected="'chronological' or 'shuffled'", remedy="pass one of these"
        )
    keep = _clear_of_later(trials, part, gap_s) if gap_s else np.ones(n, dtype=bool)
    chosen = [np.flatnonzero((part == number) & keep) for number in range(len(shares))]
    if not all(len(each) for each in chosen):
        raise DataError(
            f"parts of {[len(each) for each in chosen]} trials out of {n} in {group.max() + 1} groups",
            expected="at least one trial in every part",
            remedy="use fewer parts, larger fractions or a smaller gap",
        )
    return tuple(select(trials, each) for each in chosen)


def grouped_folds(
    groups: Sequence[Any] | np.ndarray, n_folds: int, *, seed: int = 0
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (train, test) indices of cross-validation folds that keep each group together.

    Groups are dealt out at random, large ones first, each to the fold with the fewest items.

    Parameters
    ----------
    groups
        One value per item; pass ``range(n)`` where every item is its own group.
    n_folds
        At least 2, at most the number of groups.
    seed
        For the order of groups of equal size.

    Raises
    ------
    DataError
        If there are fewer groups than folds.
    """
    numbers = np.unique(np.asarray(groups), return_inverse=True)[1]
    n_groups = int(numbers.max()) + 1 if len(numbers) else 0
    if not 2 <= n_folds <= n_groups:
        raise DataError(
            f"{n_folds} folds for {n_groups} groups",
            expected="at least 2 folds, and a group for each",
            remedy="use fewer folds, or more groups",
        )
    fold = _deal(numbers, np.full(n_folds, 1 / n_folds), seed)
    return [(np.flatnonzero(fold != number), np.flatnonzero(fold == number)) for number in range(n_folds)]


def _on_bin(moment: float, support: nap.IntervalSet, bin_s: float | None) -> float:
    """Return the first bin's start that is not before `moment`, within its support interval."""
    at = int(np.searchsorted(support.start, moment, side="right")) - 1
    if bin_s is None or moment >= support.end[at]:
        return moment
    start = support.start[at]
    on_bin = start + np.ceil((moment - start) / bin_s - 1e-6) * bin_s
    return float(min(on_bin, support.end[at]))


def _deal(group: np.ndarray, shares: np.ndarray, seed: int) -> np.ndarray:
    """Return the part of each item: whole groups, in random order, go where most is wanting."""
    sizes = np.bincount(group)
    shuffled = stream(seed, "split").permutation(len(sizes))
    shuffled = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    wanted = shares * len(group)
    part_of_group = np.empty(len(sizes), dtype=np.int64)
    filled = np.zeros(len(shares))
    for left, number in zip(range(len(sizes), 0, -1), shuffled, strict=True):
        wanting = wanted - filled
        # When only as many groups are left as there are empty parts, these come first.
        empty = filled == 0
        target = int(np.argmax(np.where(empty, wanting, -np.inf) if empty.sum() >= left else wanting))
        part_of_group[number] = target
        filled[target] += sizes[number]
    return part_of_group[group]


def _clear_of_later(trials: nap.IntervalSet, part: np.ndarray, gap_s: float) -> np.ndarray:
    keep = np.ones(len(trials), dtype=bool)
    for number in range(part.max(), 0, -1):
        later, earlier = part >= number, part == number - 1
        starts, ends = trials.start[later & keep], trials.end[later & keep]
        if not len(starts):
            continue
        following = np.searchsorted(starts, trials.start[earlier])
        after = np.r_[starts, np.inf][following] - trials.end[earlier]
        before = trials.start[earlier] - np.r_[-np.inf, ends][following]
        keep[np.flatnonzero(earlier)[np.minimum(after, before) < gap_s]] = False
    return keep


def _group_numbers(trials: nap.IntervalSet, groups: Any) -> np.ndarray:
    values = trial_labels(trials, groups) if isinstance(groups, str) else np.asarray(groups)
    if values.shape != (len(trials),):
        raise DataError(
            f"groups of shape {values.shape} for {len(trials)} trials",
            expected="one value per trial",
            remedy="pass the name of a trial label or one value per trial",
        )
    return np.unique(values, return_inverse=True)[1]


def _shares(fractions: Fractions) -> np.ndarray:
    shares = np.asarray(fractions, dtype=np.float64)
    if shares.ndim != 1 or not len(shares) or not (shares > 0).all() or abs(shares.sum() - 1) > 1e-6:
        raise DataError(
            f"fractions {tuple(np.ravel(shares).tolist())}",
            expected="positive shares that sum to 1",
            remedy="pass for example (0.7, 0.15, 0.15)",
        )
    return shares / shares.sum()


def _gap(gap_s: float) -> float:
    if not (np.isfinite(gap_s) and gap_s >= 0):
        raise DataError(f"gap_s={gap_s}", expected="a gap in seconds, not negative", remedy="pass 0 for none")
    return float(gap_s)
