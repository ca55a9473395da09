"""Sessions as POYO's arrays: spikes by embedding row, outputs scaled and weighted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from neuroloom.decoding.poyo_data import Outputs
from neuroloom.decoding.targets import Target, behavior_at, class_codes, trial_labels, trials_of
from neuroloom.decoding.tokens import Train
from neuroloom.errors import DataError, UnknownTarget
from neuroloom.findings import Finding
from neuroloom.sessions.session import Session
from neuroloom.sessions.windows import bin_starts, flatten


@dataclass(frozen=True)
class OutputScale:
    """Mean and spread of a behaviour in one session, each (dimensions,)."""

    mean: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, values: Sequence[np.ndarray]) -> "OutputScale":
        """Measure known values, each (outputs, dimensions); a constant behaviour has spread 1."""
        together = np.concatenate(values)
        known = [column[np.isfinite(column)] for column in together.T]
        mean = np.array([column.mean() if len(column) else 0.0 for column in known])
        spread = np.array([column.std() if len(column) else 1.0 for column in known])
        return cls(mean, np.where(spread > 1e-12 * np.maximum(np.abs(mean), 1e-300), spread, 1.0))

    @classmethod
    def none(cls, dimensions: int) -> "OutputScale":
        """Leave values as they are."""
        return cls(np.zeros(dimensions), np.ones(dimensions))


def scale_of(outputs: Sequence[Outputs], target: Target) -> OutputScale:
    """Return the scale of a session's behaviour, of moments with weight alone; labels stay as they are."""
    if target.task == "classification":
        return OutputScale.none(1)
    return OutputScale.of([each.values[each.weights > 0] for each in outputs])


def counted_spikes(
    session_id: str, times_s: np.ndarray, *, jitter_s: float, period_s: float
) -> list[Finding]:
    """Say so if spikes come from counts in bins, inside which the time embedding tells moments apart.

    Counted spikes share their times with those of other units, which is rare among others.

    Parameters
    ----------
    session_id
        Where they come from.
    times_s
        Shape (spikes,), of all units together, ascending.
    jitter_s
        By how much training moves them, which is the bins' width.
    period_s
        The shortest period of the time embedding.

    Examples
    --------
    >>> for each in counted_spikes("a", np.repeat(np.arange(9) * 0.02, 5), jitter_s=0.02, period_s=1e-4):
    ...     print(each.remedy)
    try shortest_period_s=0.04 or more
    """
    first = times_s[:100_000]
    distinct = np.unique(first)
    if len(distinct) < 2 or len(distinct) > len(first) / 2 or np.median(np.diff(distinct)) < period_s:
        return []
    where = f"session {session_id}"
    finding = f"spikes come from counts in bins, the time embedding has periods from {period_s:.3g} s on"
    if jitter_s == 0:
        remedy = "pass jitter_s=(the bins' width), and try a shortest_period_s of twice that or more"
        return [Finding("warning", finding, where, remedy)]
    if period_s < jitter_s:
        return [Finding("info", finding, where, f"try shortest_period_s={2 * jitter_s:.3g} or more")]
    return []


def train_of(session: Session, *, rows: Mapping[str, int], session_row: int) -> Train:
    """Return a session's spikes by the rows of its units in the model."""
    flat = flatten(session)
    units = np.array([rows[unit] for unit in session.unit_ids], dtype=np.int64)
    return Train(flat.times_s, units[flat.unit], np.sort(units), session_row)


def moments_of(session: Session, target: Target, bin_s: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return output times (outputs,), the stretch of each, and the stretches' borders (stretches, 2).

    Outputs are the centres of bins that fill every trial (labels) or support interval (behaviour).
    """
    within = trials_of(session) if target.task == "classification" else session.time_support
    starts, stretch = bin_starts(within, bin_s)
    return starts + bin_s / 2, stretch, np.asarray(within.values, dtype=np.float64)


def outputs_of(
    session: Session, target: Target, *, bin_s: float, weights: str | None, known: bool = True
) -> Outputs:
    """Return a session's outputs, not yet scaled.

    Parameters
    ----------
    session
        Has the target, unless `known` is False.
    target
        What is decoded.
    bin_s
        Time from one output to the next; an output stands for the mean of the behaviour in its bin.
    weights
        Name of a trial column or of a behaviour with the loss's weight of each moment; None weighs alike.
        Moments outside trials, or without a number, weigh 0.
    known
        False gives zeros as values, for prediction.
    """
    times, stretch, bounds = moments_of(session, target, bin_s)
    if not known:
        values = np.zeros((len(times), 1))
    elif target.task == "regression":
        values = behavior_at(session, target.name, times, width_s=bin_s)[0]
    else:
        codes = class_codes(trial_labels(session, target.name), target.classes)[stretch]
        values = np.where(codes >= 0, codes, np.nan).astype(np.float64)[:, None]
    return Outputs(times, stretch, bounds, values, _weights(session, weights, times, bin_s))


def _weights(session: Session, name: str | None, times_s: np.ndarray, bin_s: float) -> np.ndarray:
    if name is None:
        return np.ones(len(times_s))
    if name in session.behavior:
        weights = behavior_at(session, name, times_s, width_s=bin_s)[0][:, 0]
    elif session.trials is not None and name in session.trials.metadata_columns:
        by_trial = np.asarray(trial_labels(session, name), dtype=np.float64)
        trial = np.searchsorted(session.trials.start, times_s, side="right") - 1
        inside = (trial >= 0) & (times_s <= session.trials.end[np.maximum(trial, 0)])
        weights = np.where(inside, by_trial[np.maximum(trial, 0)], 0.0)
    else:
        raise UnknownTarget(
            f"session {session.id!r} has no weights {name!r}",
            expected="a trial column or a behaviour of that name",
            remedy="add it to the session, or pass weights=None",
        )
    weights = np.where(np.isfinite(weights), weights, 0.0)
    if (weights < 0).any():
        raise DataError(
            f"weights {name!r} of session {session.id!r} reach {weights.min():g}",
            expected="weights of 0 or more",
            remedy="correct them in the session",
        )
    return weights
