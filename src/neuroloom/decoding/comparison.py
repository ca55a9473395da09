"""Predictions beside the truth of a session: the score, its parts, and what to know before trusting it."""

from dataclasses import dataclass, field

import numpy as np
import pynapple as nap

from neuroloom.decoding import scores
from neuroloom.decoding.targets import Target, behavior_at, known, trial_labels, trials_of
from neuroloom.findings import Finding
from neuroloom.sessions.session import Session

R2, ACCURACY = "R²", "accuracy"


@dataclass(frozen=True)
class Scores:
    """How well a session was decoded.

    Attributes
    ----------
    metric
        ``"R²"`` (mean over dimensions) or ``"accuracy"`` (share of right bins).
    value
        The score; NaN where it is undefined.
    parts
        Regression: dimension -> its R². Classification: ``"balanced accuracy"`` -> its value.
    n_scored, n_masked
        Bins that were compared, and those without a known truth.
    findings
        What to know before trusting the value.
    """

    metric: str
    value: float
    parts: dict[str, float]
    n_scored: int
    n_masked: int
    findings: list[Finding] = field(default_factory=list)


def compare(predicted: nap.Tsd | nap.TsdFrame, session: Session, target: Target, *, width_s: float) -> Scores:
    """Compare predictions with the truth of a session at the same times.

    Parameters
    ----------
    predicted
        As from `Decoder.predict`.
    session
        Has the target.
    target
        What was decoded.
    width_s
        The time that one prediction stands for; 0 for a moment.

    Returns
    -------
    Scores
        Undefined (NaN, with a finding) where the truth is constant or fewer than two bins are known.
    """
    if target.task == "classification":
        trial = np.searchsorted(trials_of(session).start, predicted.t, side="right") - 1
        true = trial_labels(session, target.name)[trial]
        usable = known(true)
        true, labels = true[usable], np.asarray(predicted.values)[usable]
        value, metric = scores.accuracy(true, labels), ACCURACY
        parts = {"balanced accuracy": scores.balanced_accuracy(true, labels)}
    else:
        true, columns = behavior_at(session, target.name, predicted.t, width_s=width_s)
        values = np.asarray(predicted.values).reshape(true.shape)
        per_dimension = scores.r2_per_dimension(true, values)
        value, metric = scores.r2(true, values), R2
        parts = {str(name): float(each) for name, each in zip(columns, per_dimension, strict=True)}
        usable = np.logical_or.reduce(np.isfinite(true), axis=1)
    findings = []
    n_masked = int(np.count_nonzero(~usable))
    if n_masked:
        findings.append(masked_finding(n_masked, len(usable), session, target.name))
    undefined = [name for name, each in parts.items() if np.isnan(each)]
    if undefined:
        findings.append(
            Finding(
                "warning",
                f"{metric} is undefined for {', '.join(undefined)}: the truth is constant or unknown",
                f"session {session.id}, target {target.name}",
                "score on a longer stretch in which the target changes",
            )
        )
    return Scores(metric, value, parts, int(np.count_nonzero(usable)), n_masked, findings)


def masked_finding(n_masked: int, n_bins: int, session: Session, target: str) -> Finding:
    """Say how many bins had no known target."""
    what = f"{n_masked} of {n_bins} bins have no known target and were left out"
    return Finding("info", what, f"session {session.id}, target {target}", "none needed if this was meant")
