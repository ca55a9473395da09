"""From sessions to trajectories: binned square-root counts per trial, their principal components, inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuroloom.errors import DataError, UnknownTarget, UnknownUnit
from neuroloom.sessions.session import Session
from neuroloom.sessions.windows import count_windows, flatten


@dataclass(frozen=True)
class Preparation:
    """How spikes became outputs, so that other trials of the same sessions can be treated alike.

    Attributes
    ----------
    bin_s, square_root, input_key
        See `trials_of`.
    projections
        Session id -> (unit ids, mean (units,), axes (units, outputs)).
    """

    bin_s: float
    square_root: bool
    input_key: str | None
    projections: Mapping[str, tuple[list[str], np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Trials:
    """Trajectories of the trials of one or more sessions.

    Attributes
    ----------
    outputs
        List of (bins, outputs).
    inputs
        List of (bins, inputs), or ``None``.
    labels
        Metadata column of the trials -> one value per trial.
    preparation
        To be passed to `trials_of` for held-out trials.
    """

    outputs: list[np.ndarray]
    inputs: list[np.ndarray] | None
    labels: dict[str, list[Any]]
    preparation: Preparation


def trials_of(
    sessions: Session | Sequence[Session],
    *,
    bin_s: float = 0.05,
    n_pcs: int | None = None,
    input_key: str | None = None,
    square_root: bool = True,
    preparation: Preparation | None = None,
) -> Trials:
    """Bin the trials of sessions into trajectories.

    Parameters
    ----------
    sessions
        One or more sessions. Without trials, every interval of the time support is one trajectory.
    bin_s
        Bin width in seconds; what is left of a trial after its last whole bin is dropped.
    n_pcs
        Number of principal components of the counts kept as outputs, one set of axes per session; ``None``
        keeps the units. Fewer outputs make each component's output noise and readout cheap to estimate
        from short trials.
    input_key
        Name of the behaviour that drives the systems, sampled at bin centres; ``None`` for none.
    square_root
        Take square roots of counts, which makes their variance even.
    preparation
        From an earlier call, instead of the other settings: same bins, same axes.

    Raises
    ------
    DataError
        If no trial holds a whole bin, or several sessions are joined without principal components.
    UnknownTarget
        If a session lacks the behaviour.
    UnknownUnit
        If the preparation does not know a session, or its units differ.
    """
    sessions = [sessions] if isinstance(sessions, Session) else list(sessions)
    if not sessions:
        raise DataError("no sessions", expected="at least one", remedy="pass a session")
    if preparation is not None:
        bin_s, square_root, input_key = preparation.bin_s, preparation.square_root, preparation.input_key
    elif len(sessions) > 1 and n_pcs is None:
        raise DataError(
            f"{len(sessions)} sessions with units of their own",
            expected="n_pcs, so that all have the same number of outputs",
            remedy="pass n_pcs=6, or fit one session at a time",
        )
    if not bin_s > 0:
        raise DataError(f"bin_s is {bin_s}", expected="a positive width in seconds", remedy="pass bin_s=0.05")
    outputs: list[np.ndarray] = []
    inputs: list[np.ndarray] = []
    labels: dict[str, list[Any]] = {}
    projections = {}
    for session in sessions:
        counts, centers, rows = _binned_trials(session, bin_s)
        values = [np.sqrt(c) if square_root else c.astype(float) for c in counts]
        mean, axes = _projection(session, values, n_pcs, preparation)
        projections[session.id] = (session.unit_ids, mean, axes)
        outputs += [(value - mean) @ axes for value in values]
        if input_key is not None:
            inputs += [_sampled(session, input_key, times) for times in centers]
        for name, column in _columns(session, rows).items():
            labels.setdefault(name, []).extend(column)
    if not outputs:
        raise DataError(
            f"no trial holds a bin of {bin_s} s", expected="trials longer than a bin", remedy="lower bin_s"
        )
    kept = Preparation(bin_s, square_root, input_key, projections)
    return Trials(outputs, inputs if input_key is not None else None, labels, preparation or kept)


def _binned_trials(session: Session, bin_s: float) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """Counts (bins, units), bin centres, and the index of each trial that holds a bin."""
    intervals = (session.time_support if session.trials is None else session.trials).values
    flat = flatten(session)
    n_bins = np.floor((intervals[:, 1] - intervals[:, 0]) / bin_s + 1e-6).astype(int)
    rows = np.flatnonzero(n_bins > 0)
    starts = [intervals[row, 0] + bin_s * np.arange(n_bins[row]) for row in rows]
    if not starts:
        return [], [], rows
    counts = count_windows(flat, np.concatenate(starts), window_s=bin_s, bin_s=bin_s)[:, 0]
    return np.split(counts, np.cumsum(n_bins[rows])[:-1]), [start + bin_s / 2 for start in starts], rows


def _projection(
    session: Session, values: list[np.ndarray], n_pcs: int | None, preparation: Preparation | None
) -> tuple[np.ndarray, np.ndarray]:
    units = session.unit_ids
    if preparation is not None:
        known = preparation.projections.get(session.id)
        if known is None or known[0] != units:
            raise UnknownUnit(
                f"session {session.id!r} with {len(units)} units",
                expected=f"one of {sorted(preparation.projections)} with its units",
                remedy="fit this session too",
            )
        return known[1], known[2]
    if n_pcs is None:
        return np.zeros(len(units)), np.eye(len(units))
    if not 1 <= n_pcs <= len(units):
        raise DataError(
            f"n_pcs is {n_pcs}",
            expected=f"1 to {len(units)}, the units of {session.id!r}",
            remedy="lower n_pcs",
        )
    if not values:
        return np.zeros(len(units)), np.eye(len(units))[:, :n_pcs]
    every = np.concatenate(values)
    mean = every.mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov((every - mean).T).reshape(len(units), len(units)))
    axes = vectors[:, ::-1][:, :n_pcs]
    # The sign of an eigenvector is arbitrary; a fixed one makes runs comparable.
    return mean, axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(n_pcs)])


def _sampled(session: Session, key: str, times_s: np.ndarray) -> np.ndarray:
    if key not in session.behavior:
        raise UnknownTarget(
            f"behaviour {key!r} in session {session.id!r}",
            expected=f"one of {sorted(session.behavior)}",
            remedy="change input_key",
        )
    series = session.behavior[key]
    values = np.asarray(series.values, dtype=float).reshape(len(series), -1)
    known = np.isfinite(values).all(axis=1)
    if not known.any():
        raise DataError(
            f"behaviour {key!r} is NaN throughout", expected="numbers", remedy="choose another input"
        )
    return np.stack([np.interp(times_s, series.t[known], column[known]) for column in values.T], axis=1)


def _columns(session: Session, rows: np.ndarray) -> dict[str, list[Any]]:
    if session.trials is None:
        return {}
    return {name: list(np.asarray(session.trials[name])[rows]) for name in session.trials.metadata_columns}
