"""Fit a decoder on the first part of each session and look at it on the last."""

import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom.decoding.comparison import Scores
from neuroloom.decoding.estimator import Decoder, decoder_class
from neuroloom.decoding.targets import Target, behavior_at, find_target, trial_labels, trials_of
from neuroloom.errors import DataError
from neuroloom.findings import refuse_errors
from neuroloom.sessions.checks import check_session
from neuroloom.sessions.session import Session
from neuroloom.sessions.splits import split_time, split_trials

if TYPE_CHECKING:
    import pandas as pd

# Between training and test time: longer than any decoder's memory of spikes.
GAP_S = 1.0


@dataclass(frozen=True)
class HeldOut:
    """Predictions beside the truth on held-out time.

    Attributes
    ----------
    times_s
        (n,) centres of the decoded bins.
    predicted, true
        (n,) or (n, dimensions); labels for classification. NaN (or empty) where the truth is not known.
    columns
        Names of the dimensions, or of the label.
    scores
        As from `Decoder.evaluate`.
    """

    times_s: np.ndarray
    predicted: np.ndarray
    true: np.ndarray
    columns: list[str]
    scores: Scores


def hold_out(
    session: Session, target: str, fraction: float, *, gap_s: float = GAP_S, bin_s: float | None = None
) -> tuple[Session, Session]:
    """Return the first part of a session and the last `fraction` of it.

    Labels are held out by whole trials, behaviour by time with `gap_s` in between. With `bin_s` the cut lies
    on a border of bins of that width, so that binned recordings keep their bins.

    Raises
    ------
    DataError
        If nothing is left of a part, or the fraction is not between 0 and 1.
    """
    if not 0 < fraction < 1:
        raise DataError(
            f"test fraction {fraction:g}", expected="a number between 0 and 1", remedy="pass for example 0.2"
        )
    shares = (1 - fraction, fraction)
    if find_target([session], target).task == "classification":
        train, test = split_trials(session, shares)
    else:
        train, test = split_time(
            session, shares, gap_s=gap_s if session.duration_s > 20 * gap_s else 0.0, bin_s=bin_s
        )
    return session.restrict(train), session.restrict(test)


def make_decoder(
    model: str, target: str, *, seed: int = 0, options: Mapping[str, Any] | None = None
) -> Decoder:
    """Return an unfitted decoder by its model's name.

    Raises
    ------
    DataError
        If there is no such model, or it does not take one of the options.
    """
    kind = decoder_class(model)
    accepted = [
        name for name in inspect.signature(kind).parameters if name not in ("target", "seed", "quiet")
    ]
    unknown = sorted(set(options or {}) - set(accepted))
    if unknown:
        raise DataError(
            f"{model} has no option {', '.join(unknown)}",
            expected=f"some of {', '.join(accepted)}",
            remedy="leave it out or choose another model",
        )
    return kind(target, seed=seed, **dict(options or {}))  # type: ignore[call-arg]


def fit_and_evaluate(
    decoder: Decoder,
    sessions: Sequence[Session],
    *,
    test_fraction: float = 0.2,
    folder: str | os.PathLike | None = None,
) -> dict[str, HeldOut]:
    """Fit `decoder` on the first part of each session; return what it makes of the last, by session id.

    Parameters
    ----------
    decoder
        Unfitted; it is fitted in place.
    sessions
        Sessions with the decoder's target.
    test_fraction
        Share of each session that is held out; 0 fits on everything and returns nothing.
    folder
        Where a long training keeps its checkpoints.

    Raises
    ------
    DataError
        If a check of a session forbids the work, or nothing is left of a part.
    UnknownTarget
        If a session does not have the target.
    """
    for session in sessions:
        refuse_errors(check_session(session, target=decoder.target))
    if test_fraction == 0:
        decoder.fit(sessions, folder=folder)
        return {}
    parts = [hold_out(each, decoder.target, test_fraction, bin_s=decoder.bin_s) for each in sessions]
    decoder.fit([train for train, _ in parts], folder=folder)
    return {test.id: evaluate(decoder, test) for _, test in parts}


def adapt_and_evaluate(
    decoder: Decoder,
    sessions: Sequence[Session],
    *,
    options: Mapping[str, Any] | None = None,
    test_fraction: float = 0.2,
    minutes: float | None = None,
) -> dict[str, HeldOut]:
    """Adapt `decoder` to the first part of new sessions; return what it makes of the last, by session id.

    Parameters
    ----------
    decoder
        Fitted; it is adapted in place.
    sessions
        Sessions with the decoder's target.
    options
        Further arguments of the decoder's `adapt`, such as ``mode`` and ``steps`` of POYO's.
    test_fraction
        Share of each session that is held out; 0 adapts to everything and returns nothing.
    minutes
        Adapt to no more than this, the end of the first part.

    Raises
    ------
    DataError
        If the decoder's `adapt` does not take one of the options; else as `fit_and_evaluate`.
    """
    accepted = [name for name in inspect.signature(decoder.adapt).parameters if name != "session"]
    unknown = sorted(set(options or {}) - set(accepted))
    if unknown:
        raise DataError(
            f"a {decoder.kind} decoder adapts without {', '.join(unknown)}",
            expected=f"some of {', '.join(accepted) or 'no options'}",
            remedy="leave it out",
        )
    if minutes is not None and not minutes > 0:
        raise DataError(f"minutes {minutes:g}", expected="more than 0", remedy="pass for example 5")
    first, last = list(sessions), []
    if test_fraction:
        parts = [hold_out(each, decoder.target, test_fraction, bin_s=decoder.bin_s) for each in sessions]
        first, last = [train for train, _ in parts], [test for _, test in parts]
    if minutes is not None:
        first = [_last_minutes(each, minutes, bin_s=decoder.bin_s) for each in first]
    decoder.adapt(first, **dict(options or {}))
    return {test.id: evaluate(decoder, test) for test in last}


def _last_minutes(session: Session, minutes: float, *, bin_s: float) -> Session:
    """Return the end of a session, from a border of its bins on."""
    start_s, end_s = float(session.time_support.start[0]), float(session.time_support.end[-1])
    n_bins = np.ceil((end_s - 60 * minutes - start_s) / bin_s - 1e-6)
    return session if n_bins <= 0 else session.restrict((start_s + n_bins * bin_s, end_s))


def evaluate(decoder: Decoder, session: Session) -> HeldOut:
    """Return a fitted decoder's predictions on a session beside the truth."""
    predicted = decoder.predict(session)
    true = truth_at(session, decoder.target_, predicted.t, width_s=decoder.bin_s)
    values = np.asarray(predicted.values)
    columns = [str(column) for column in decoder.target_.columns] or [decoder.target]
    return HeldOut(predicted.t, values, true.reshape(values.shape), columns, decoder.evaluate(session))


def truth_at(session: Session, target: Target, times_s: np.ndarray, *, width_s: float) -> np.ndarray:
    """Return the behaviour (n, dimensions) or the label of the trial (n,) at the times of predictions."""
    if target.task == "regression":
        return behavior_at(session, target.name, times_s, width_s=width_s)[0]
    trial = np.searchsorted(trials_of(session).start, times_s, side="right") - 1
    return trial_labels(session, target.name)[trial]


def prediction_table(decoder: Decoder, session: Session) -> "pd.DataFrame":
    """Return predictions as a table: ``time_s`` and one column per dimension, or the label."""
    import pandas as pd

    predicted = decoder.predict(session)
    columns = [str(column) for column in decoder.target_.columns] or [decoder.target]
    values = np.asarray(predicted.values).reshape(len(predicted), len(columns))
    return pd.DataFrame({"time_s": predicted.t, **{name: values[:, i] for i, name in enumerate(columns)}})
