"""What a run came to, read from its folder: the facts behind the page's summary and the terminal's."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom import artifacts
from neuroloom.auditing.metric_names import spelled
from neuroloom.errors import MissingFile
from neuroloom.findings import Finding
from neuroloom.pipeline import truth as truths
from neuroloom.pipeline.stages import WELL_DETECTED
from neuroloom.reporting.summary import Outcome

if TYPE_CHECKING:
    from spikeinterface import BaseRecording, BaseSorting

TRUTH, RECORDING = Path("page") / "truth", Path("page") / "recording" / "facts.json"


def read_outcome(folder: Path, about: dict[str, Any]) -> Outcome:
    """Return what the stages of a run said of themselves.

    Parameters
    ----------
    folder
        A run folder.
    about
        Its ``run.json``.
    """
    facts: dict[str, Any] = {"findings": findings_of(folder, about)}
    if (folder / RECORDING).exists():
        facts |= json.loads((folder / RECORDING).read_text())
    if (folder / "sorting").exists():
        facts |= _sorting(folder)
    if (folder / "session").exists():
        facts |= _session(folder / "session")
    if (folder / "decoding").exists():
        facts |= _decoding(folder / "decoding")
    if (folder / "dynamics").exists():
        facts["dynamics"] = said(folder / "dynamics").get("lead", "")
    if (folder / "audit").exists():
        facts |= _audit(folder / "audit", n_units=said(folder / "session")["n_units"])
    return Outcome(**facts)


def findings_of(folder: Path, about: dict[str, Any]) -> list[Finding]:
    """Return what all checks of a run found, in the order of its stages."""
    from neuroloom.auditing.curve import AuditCurve

    found = list(about["findings"])
    for stage in ("sorting", "session", "decoding", "dynamics"):
        if (folder / stage).exists():
            found += said(folder / stage).get("findings", [])
    findings = [Finding(**finding) for finding in found]
    if (folder / "audit").exists():
        findings += AuditCurve.load(folder / "audit" / "curve").findings
    return findings


def said(stage: Path) -> dict[str, Any]:
    """Return what a finished stage said of itself."""
    return json.loads((stage / "stage.json").read_text())["summary"]


def number(value: float | None) -> float:
    """Return a number that went through JSON, which has no NaN."""
    return float("nan") if value is None else value


def keep_recording(folder: Path, recording: "BaseRecording") -> None:
    """Keep what the summary says of a recording, which later reports do not have."""
    facts = {"duration_s": recording.get_total_duration(), "n_channels": recording.get_num_channels()}
    artifacts.write_text(folder / RECORDING, artifacts.to_json(facts))


def read_sorted(folder: Path) -> "BaseSorting":
    """Return the units of a run."""
    from neuroloom.sorting.export import read_sorting

    return read_sorting(folder / "sorting" / "sorting")


def known_truth(folder: Path) -> "truths.Agreement | None":
    """Return how the run's sorting agrees with the truth, where a report was ever given one."""
    if not (folder / TRUTH).exists():
        return None
    return truths.read_agreement(folder / TRUTH, read_sorted(folder))


def chance_of(stage: Path) -> float:
    """Return the score of saying always the same on the held-out part that a decoding stage scored.

    R² is 0 for the mean, by its definition; labels have the share of the most frequent one.
    """
    if said(stage)["metric"] != "accuracy":
        return 0.0
    true = artifacts.load_artifact(stage / "predictions", kind="predictions").arrays["true"]
    _, counts = np.unique(true[np.isfinite(true)] if true.dtype.kind == "f" else true, return_counts=True)
    return float(counts.max() / counts.sum()) if len(counts) else float("nan")


def _sorting(folder: Path) -> dict[str, Any]:
    from neuroloom.sorting.details import read_details

    stage = said(folder / "sorting")
    names = ("sorter", "n_units", "duration_s", "n_true_units", "n_well_detected", "mean_accuracy")
    facts = {name: stage[name] for name in names if name in stage}
    try:
        facts["confidence"] = read_details(folder / "sorting" / "sorting").unit_confidence.tolist()
    except MissingFile:  # this sorter says nothing of its confidence
        facts["confidence"] = ()
    known = known_truth(folder)
    if known is not None:
        accuracy = known.table["accuracy"].to_numpy(float)
        facts |= {
            "n_true_units": len(accuracy),
            "n_well_detected": int((accuracy >= WELL_DETECTED).sum()),
            "mean_accuracy": float(accuracy.mean()) if len(accuracy) else 0.0,
        }
    return facts | {"has_phy": (folder / "sorting" / "phy").exists()}


def _session(stage: Path) -> dict[str, Any]:
    from neuroloom.sessions.session import Session

    session = Session.load(stage / "session.session")
    return {
        "behaviors": list(session.behavior),
        "n_trials": 0 if session.trials is None else len(session.trials),
    }


def _decoding(stage: Path) -> dict[str, Any]:
    summary = said(stage)
    compared = {name: number(score) for name, score in summary["comparison"].items()}
    return {
        "target": summary["target"],
        "metric": summary["metric"],
        "score": number(summary["score"]),
        "said": summary["lead"],
        "chance": chance_of(stage),
        "baseline_score": compared.get("sorted units, wiener"),
        "true_unit_score": compared.get("true units"),
    }


def _audit(stage: Path, *, n_units: int) -> dict[str, Any]:
    first = said(stage)["summary"][0]
    return {
        "size_95": None if first["size_95"] is None else int(first["size_95"]),
        "n_audited": n_units,
        "audit_metric": spelled(str(first["metric"])),
    }
