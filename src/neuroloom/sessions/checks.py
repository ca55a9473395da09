"""The fault gate: what is wrong with a session, before work starts on it.

`check_recording` and `check_sorting` are those of `neuroloom.sorting.checks`.
"""

from typing import Literal

import numpy as np
import pynapple as nap

from neuroloom.errors import UnknownTarget
from neuroloom.findings import Finding
from neuroloom.sessions.columns import behaviors_in, label_values
from neuroloom.sessions.session import Session
from neuroloom.sessions.windows import flatten
from neuroloom.sorting.checks import check_recording, check_sorting

__all__ = ["check_recording", "check_session", "check_sorting", "missing", "target_kind"]

LONG_SILENCE_S = 1.0
# A label with more values than this share of the trials is hardly a class.
MOST_CLASSES = 0.5
_ORDER = {"error": 0, "warning": 1, "info": 2}


def check_session(session: Session, *, target: str | None = None) -> list[Finding]:
    """Return what is wrong with a session, the gravest first, together with what its construction mended.

    Parameters
    ----------
    session
        Any session.
    target
        The behaviour or trial label that is to be decoded; what is merely worth knowing about others forbids
        work on it.

    Raises
    ------
    UnknownTarget
        If the session has neither a behaviour nor a trial label of that name.
    """
    kind = None if target is None else target_kind(session, target)
    targets = [] if target is None else behaviors_in(target, session.behavior)
    findings = [*session.findings, *_check_spikes(session)]
    for name, series in session.behavior.items():
        findings += _check_behavior(name, series, is_target=name in targets)
    if session.trials is not None:
        findings += _check_trials(session, session.trials)
        for name in session.trials.metadata_columns:
            labels = label_values(session.trials, name)
            findings += _check_label(name, labels, is_target=kind == "classification" and name == target)
    if kind == "regression" and session.trials is not None and target in session.trials.metadata_columns:
        what = "it names a behaviour and a trial label; the behaviour is decoded"
        findings.append(Finding("info", what, f"target {target!r}", "rename one of them to decode the label"))
    return sorted(findings, key=lambda finding: _ORDER[finding.level])


def target_kind(session: Session, target: str) -> Literal["regression", "classification"]:
    """Return what decoding `target` means: a behaviour is regressed, a trial label classified.

    Raises
    ------
    UnknownTarget
        If the session has neither, naming what there is.
    """
    if behaviors_in(target, session.behavior):
        return "regression"
    labels = [] if session.trials is None else sorted(session.trials.metadata_columns)
    if target in labels:
        return "classification"
    behavior = ", ".join(sorted(session.behavior)) or "none"
    of_trials = "the session has no trials" if session.trials is None else ", ".join(labels) or "none"
    raise UnknownTarget(
        f"session {session.id!r} has no target {target!r}",
        expected=f"a behaviour ({behavior}) or a trial label ({of_trials})",
        remedy="pass one of these, or add behaviour or labelled trials when building the session",
    )


def missing(labels: np.ndarray) -> np.ndarray:
    """Say for each label or sample whether it is missing: not finite, or an empty string.

    Parameters
    ----------
    labels
        Shape (items,) or (items, dimensions); a row with any missing value is missing.
    """
    labels = np.asarray(labels)
    if labels.dtype.kind in "US":
        absent = np.asarray(labels == "")
    elif labels.dtype.kind == "f":
        absent = ~np.isfinite(labels)
    else:
        absent = np.zeros(labels.shape, dtype=bool)
    return np.asarray(absent.any(axis=tuple(range(1, absent.ndim))))


def _check_spikes(session: Session) -> list[Finding]:
    trains = {key: session.spikes.data[key].t for key in session.spikes.index}
    if not trains:
        return [Finding("warning", "it has no units", f"session {session.id!r}", "check the sorting")]
    findings = []
    silent = [key for key, times in trains.items() if not len(times)]
    if len(silent) == len(trains):
        what = f"none of its {len(trains)} units has a spike"
        return [Finding("warning", what, f"session {session.id!r}", "check the sorting and the time support")]
    if silent:
        what = f"{len(silent)} of {len(trains)} have no spikes and carry no information"
        findings.append(Finding("info", what, f"units {_some(silent)}", "nothing, or leave them out"))
    doubled = {key: int(np.count_nonzero(np.diff(times) == 0)) for key, times in trains.items()}
    doubled = {key: count for key, count in doubled.items() if count}
    if doubled:
        what = f"{sum(doubled.values())} spikes stand twice at the same time"
        remedy = "build the session with Session.from_arrays, which drops them"
        findings.append(Finding("warning", what, f"units {_some(list(doubled))}", remedy))
    longest, total = _silences(session)
    if total:
        what = (
            f"{total:.1f} s of {session.duration_s:.1f} s lie in silences of all units, up to {longest:.1f} s"
        )
        remedy = "give a time support that leaves out what was not recorded; windows without spikes are zero"
        findings.append(Finding("info", what, f"session {session.id!r}", remedy))
    return findings


def _silences(session: Session) -> tuple[float, float]:
    """Return the longest and the summed length of stretches without any spike, counting long ones only."""
    times = flatten(session).times_s
    support = session.time_support
    # Within each interval: its start, the spikes, its end. Gaps between intervals are not observed.
    borders = np.concatenate([support.start, times, support.end])
    interval = np.searchsorted(support.start, borders, side="right")
    order = np.lexsort((borders, interval))
    gaps = np.diff(borders[order])[np.diff(interval[order]) == 0]
    gaps = gaps[gaps >= LONG_SILENCE_S]
    return float(gaps.max(initial=0.0)), float(gaps.sum())


def _check_behavior(name: str, series: nap.Tsd | nap.TsdFrame, *, is_target: bool) -> list[Finding]:
    where = f"behaviour {name!r}"
    values = np.asarray(series.values)
    absent = missing(values)
    usable = values[~absent]
    remedy = "pass more of it, or choose another target"
    if len(usable) < 2:
        what = f"it has {len(usable)} samples that are numbers, so that no score is defined"
        return [Finding("error" if is_target else "info", what, where, remedy)]
    findings = []
    if absent.any():
        what = f"{np.count_nonzero(absent)} of {len(absent)} samples are NaN or infinite and are masked"
        findings.append(Finding("warning" if is_target else "info", what, where, "nothing, or fill them in"))
    constant = np.flatnonzero((usable.reshape(len(usable), -1) == usable[:1].reshape(1, -1)).all(axis=0))
    if len(constant):
        all_of_it = values.ndim == 1 or len(constant) == values.shape[1]
        what = "it is constant" if all_of_it else f"dimensions {_some(list(constant))} are constant"
        level = ("error" if all_of_it else "warning") if is_target else "info"
        findings.append(Finding(level, f"{what}: R2 is undefined there", where, "choose another target"))
    return findings


def _check_trials(session: Session, trials: nap.IntervalSet) -> list[Finding]:
    if not len(trials):
        return [
            Finding("info", "there are none", "trials", "check the intervals the session was restricted to")
        ]
    times = flatten(session).times_s
    counts = np.searchsorted(times, trials.end, side="right") - np.searchsorted(times, trials.start)
    if not len(session.spikes) or counts.all():
        return []
    what = f"{np.count_nonzero(counts == 0)} of {len(trials)} hold no spike"
    return [Finding("info", what, "trials", "nothing; their windows are zero")]


def _check_label(name: str, labels: np.ndarray, *, is_target: bool) -> list[Finding]:
    where = f"trial label {name!r}"
    absent = missing(labels)
    classes, counts = np.unique(labels[~absent], return_counts=True)
    findings = []
    if absent.any():
        what = f"{np.count_nonzero(absent)} of {len(labels)} are missing and are masked"
        findings.append(Finding("warning" if is_target else "info", what, where, "nothing, or fill them in"))
    if not is_target:
        return findings
    if len(classes) < 2:
        what = f"{len(labels) - np.count_nonzero(absent)} labelled trials of {len(classes)} class"
        what += "" if len(classes) == 1 else "es"
        findings.append(Finding("error", what, where, "pass trials of at least two classes"))
    elif len(classes) > MOST_CLASSES * counts.sum() and counts.sum() > 2:
        what = f"{len(classes)} values in {counts.sum()} trials: it looks continuous, each value is a class"
        findings.append(Finding("warning", what, where, "pass it as a behaviour, or in fewer classes"))
    elif (counts == 1).any():
        what = f"{np.count_nonzero(counts == 1)} of {len(classes)} classes have one trial"
        findings.append(Finding("warning", what, where, "leave them out, or pass more trials"))
    return findings


def _some(keys: list) -> str:
    return ", ".join(str(key) for key in keys[:8]) + (", .." if len(keys) > 8 else "")
