"""What a session says about a target: a behaviour to regress on, or a trial label to classify."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pynapple as nap

from neuroloom.errors import DataError, UnknownTarget
from neuroloom.sessions.columns import behaviors_in, label_values
from neuroloom.sessions.intervals import TOLERANCE_S
from neuroloom.sessions.session import Session

Task = Literal["regression", "classification"]


@dataclass(frozen=True)
class Target:
    """What is decoded.

    Attributes
    ----------
    name
        A behaviour (regression) or a trial label (classification); a behaviour where both have the name.
        Several behaviours are joined by ``+``.
    task
        Which of the two.
    columns
        Regression: the behaviour's column names, or its own name where it is one-dimensional.
    one_dimensional
        Regression: whether the behaviour is a `Tsd`, so that predictions are one too.
    classes
        Classification: the labels in ascending order.
    """

    name: str
    task: Task
    columns: tuple[Any, ...] = ()
    one_dimensional: bool = False
    classes: tuple[Any, ...] = ()

    @property
    def n_outputs(self) -> int:
        """Dimensions of the behaviour, or classes."""
        return len(self.columns) if self.task == "regression" else len(self.classes)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Target":
        """Return the target whose fields went through JSON, which has no tuples."""
        return cls(
            fields["name"],
            fields["task"],
            columns=tuple(fields["columns"]),
            one_dimensional=fields["one_dimensional"],
            classes=tuple(fields["classes"]),
        )


def find_target(sessions: Sequence[Session], name: str) -> Target:
    """Return what `name` means in all of `sessions`.

    Raises
    ------
    UnknownTarget
        If a session has neither a behaviour nor a trial label of that name.
    DataError
        If sessions disagree, or there are fewer than two classes.
    """
    found = [_target_of(session, name) for session in sessions]
    first = found[0]
    for session, target in zip(sessions, found, strict=True):
        if (target.task, target.columns, target.one_dimensional) != (
            first.task,
            first.columns,
            first.one_dimensional,
        ):
            raise DataError(
                f"target {name!r} is {_described(target)} in session {session.id!r}",
                expected=f"{_described(first)}, as in session {sessions[0].id!r}",
                remedy="give the sessions the same columns, or fit them apart",
            )
    if first.task == "regression":
        return first
    classes = sorted({label for target in found for label in target.classes})
    if len(classes) < 2:
        raise DataError(
            f"label {name!r} has the classes {classes}",
            expected="at least two classes to tell apart",
            remedy="choose another target, or trials with different labels",
        )
    return Target(name, "classification", classes=tuple(classes))


def require_target(session: Session, target: Target) -> None:
    """Raise UnknownTarget unless `session` has the behaviour or label that is decoded."""
    if target.task == "classification":
        trial_labels(session, target.name)
    elif not behaviors_in(target.name, session.behavior):
        raise _unknown(session, target.name)


def require_task(target: Target, task: str | None) -> None:
    """Refuse a target that is for another task than was asked for; None takes any.

    Raises
    ------
    DataError
        If it is.
    """
    if task not in (None, target.task):
        raise DataError(
            f"{target.name!r} is for {target.task}", expected=f"a target for {task}",
            remedy="pass another target, or leave task out",
        )  # fmt: skip


def behavior_at(
    session: Session, name: str, centres_s: np.ndarray, *, width_s: float
) -> tuple[np.ndarray, tuple[Any, ...]]:
    """Return a behaviour in bins, and its column names.

    A sample at a bin's centre is taken as it is. Where there are two or more samples in a bin their mean is
    taken, else the line between the two samples around its centre; never over a border of the time support
    nor over a hole in the samples.

    Parameters
    ----------
    session
        Has the behaviour.
    name
        The behaviour, or several joined by ``+``, each at its own rate.
    centres_s
        Shape (bins,), ascending, inside the time support.
    width_s
        Width of the bins; 0 for moments.

    Returns
    -------
    values : ndarray
        Shape (bins, dimensions), float64; NaN where the behaviour is unknown.
    columns : tuple
        Names of the dimensions.
    """
    joined = behaviors_in(name, session.behavior)
    if len(joined) > 1:
        parts = [behavior_at(session, each, centres_s, width_s=width_s)[0] for each in joined]
        return np.hstack(parts), _target_of(session, name).columns
    series = session.behavior[name]
    columns = tuple(series.columns) if isinstance(series, nap.TsdFrame) else (name,)
    samples = np.asarray(series.values, dtype=np.float64).reshape(len(series), len(columns))
    starts = session.time_support.start
    sample_at = np.searchsorted(starts, series.t, side="right")
    steps = np.diff(series.t)[np.diff(sample_at) == 0]
    step_s = float(np.median(steps)) if len(steps) else 0.0
    if 0 < step_s <= width_s / 2:
        return _means(series.t, samples, centres_s, width_s), columns
    centre_at = np.searchsorted(starts, centres_s, side="right")
    return _lines(series.t, samples, sample_at, centres_s, centre_at, step_s), columns


def trial_labels(session: Session, name: str) -> np.ndarray:
    """Return a label of each trial, NaN or empty where it is missing.

    Raises
    ------
    UnknownTarget
        If the trials do not have the label.
    """
    trials = trials_of(session)
    if name not in trials.metadata_columns:
        raise _unknown(session, name)
    return label_values(trials, name)


def trials_of(session: Session) -> nap.IntervalSet:
    """Return the trials.

    Raises
    ------
    DataError
        If there are none.
    """
    if session.trials is None or not len(session.trials):
        raise DataError(
            f"session {session.id!r} has no trials",
            expected="trials, which a classifier decodes one by one",
            remedy="pass trials when building the session, or decode a behaviour",
        )
    return session.trials


def known(labels: np.ndarray) -> np.ndarray:
    """Say which labels are not missing."""
    if labels.dtype.kind == "f":
        return np.isfinite(labels)
    return np.not_equal(labels, "") if labels.dtype.kind == "U" else np.ones(len(labels), dtype=bool)


def class_codes(labels: np.ndarray, classes: Sequence[Any]) -> np.ndarray:
    """Return the position of each label among `classes`; -1 where it is missing or not one of them."""
    codes = np.full(len(labels), -1, dtype=np.int64)
    for code, each in enumerate(classes):
        codes[labels == each] = code
    return codes


def _target_of(session: Session, name: str) -> Target:
    joined = behaviors_in(name, session.behavior)
    if len(joined) > 1:
        parts = [(each, _target_of(session, each)) for each in joined]
        columns = [
            each if part.one_dimensional else f"{each} {column}"
            for each, part in parts
            for column in part.columns
        ]
        return Target(name, "regression", columns=tuple(columns))
    if joined:
        series = session.behavior[name]
        if isinstance(series, nap.TsdFrame):
            return Target(name, "regression", columns=tuple(_plain(each) for each in series.columns))
        return Target(name, "regression", columns=(name,), one_dimensional=True)
    if session.trials is None or name not in session.trials.metadata_columns:
        raise _unknown(session, name)
    labels = trial_labels(session, name)
    classes = np.unique(labels[known(labels)]).tolist()
    return Target(name, "classification", classes=tuple(classes))


def _unknown(session: Session, name: str) -> UnknownTarget:
    behaviors = ", ".join(session.behavior) or "none"
    if session.trials is None:
        labels = "none, for it has no trials"
    else:
        labels = ", ".join(session.trials.metadata_columns) or "none"
    return UnknownTarget(
        f"session {session.id!r} has no {name!r}",
        expected=f"one of its behaviours ({behaviors}) or trial labels ({labels})",
        remedy="pass one of these names as the target",
    )


def _described(target: Target) -> str:
    if target.task == "classification":
        return "a trial label"
    return f"a behaviour with columns {', '.join(map(str, target.columns))}"


def _plain(column: Any) -> Any:
    return column.item() if isinstance(column, np.generic) else column


def _means(times_s: np.ndarray, samples: np.ndarray, centres_s: np.ndarray, width_s: float) -> np.ndarray:
    """Return the mean of the known samples in each bin; bins do not overlap."""
    starts = centres_s - width_s / 2
    at = np.searchsorted(starts, times_s, side="right") - 1
    inside = (at >= 0) & (times_s < starts[np.maximum(at, 0)] + width_s)
    values = np.full((len(centres_s), samples.shape[1]), np.nan)
    for dimension in range(samples.shape[1]):
        usable = inside & np.isfinite(samples[:, dimension])
        n = np.bincount(at[usable], minlength=len(centres_s))
        total = np.bincount(at[usable], weights=samples[usable, dimension], minlength=len(centres_s))
        values[n > 0, dimension] = total[n > 0] / n[n > 0]
    return values


def _lines(
    times_s: np.ndarray,
    samples: np.ndarray,
    sample_at: np.ndarray,
    centres_s: np.ndarray,
    centre_at: np.ndarray,
    step_s: float,
) -> np.ndarray:
    """Return the nearest sample where it is near enough, else the line between two neighbours."""
    values = np.full((len(centres_s), samples.shape[1]), np.nan)
    if not len(times_s):
        return values
    right = np.clip(np.searchsorted(times_s, centres_s), 0, len(times_s) - 1)
    left = np.maximum(right - 1, 0)
    is_left = centres_s - times_s[left] < times_s[right] - centres_s
    nearest = np.where(is_left, left, right)
    distance_s = np.abs(times_s[nearest] - centres_s)
    gap_s = times_s[right] - times_s[left]
    # Tracking that was lost for longer than this is unknown, not a line.
    between = (
        (gap_s > 0) & (gap_s <= 2.5 * step_s) & (times_s[left] <= centres_s) & (centres_s <= times_s[right])
    )
    between &= (sample_at[left] == centre_at) & (sample_at[right] == centre_at)
    share = ((centres_s - times_s[left]) / np.where(gap_s > 0, gap_s, 1.0))[:, None]
    line = (1 - share) * samples[left] + share * samples[right]
    beside = ~between & (distance_s <= step_s / 2 + TOLERANCE_S) & (sample_at[nearest] == centre_at)
    exact = distance_s <= TOLERANCE_S
    values[between] = line[between]
    values[beside | exact] = samples[nearest[beside | exact]]
    return values
