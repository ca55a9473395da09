"""The stages of the main job, each from the outputs of those before it to a folder of its own."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuroloom.findings import Finding
from neuroloom.pipeline.run_folder import RunFolder

if TYPE_CHECKING:
    import pynapple as nap
    from spikeinterface import BaseRecording, BaseSorting

    from neuroloom.pipeline.chain import RunConfig
    from neuroloom.sessions.session import Session

WELL_DETECTED = 0.8


def sort_stage(
    run: RunFolder,
    recording: "BaseRecording",
    *,
    key: str,
    config: "RunConfig",
    truth: "BaseSorting | None" = None,
    units: "BaseSorting | None" = None,
) -> "BaseSorting":
    """Sort, where no `units` are given; leave them, folders for SpikeInterface and Phy, and the agreement."""
    from neuroloom.sorting.export import export_phy, read_sorting, write_sorting
    from neuroloom.sorting.quality import analyze
    from neuroloom.sorting.sorter import sort

    def make(draft: Path) -> dict[str, Any]:
        if units is not None:
            write_sorting(units, draft / "sorting", seed=config.seed)
            sorting = units
        else:
            sorting = sort(
                recording,
                sorter=config.sorter,
                motion=config.motion,
                seed=config.seed,
                progress=sys.stderr.isatty(),
                folder=draft / "sorting",
                work_folder=run.path / "sorting.partial",  # the draft does not outlive a kill
            )
        summary = {
            "sorter": sorting.get_annotation("sorter"),
            "n_units": len(sorting.unit_ids),
            "duration_s": recording.get_total_duration(),
            "findings": [finding.as_dict() for finding in _moved(sorting)],
        }
        if len(sorting.unit_ids):
            analyzer = analyze(sorting, recording, draft / "analyzer", seed=config.seed)
            if config.phy:
                export_phy(analyzer, draft / "phy")
        if truth is not None:
            summary |= _write_agreement(sorting, truth, draft / "agreement.csv")
        return summary

    # People curate there, in Phy and in SpikeInterface-GUI.
    theirs = ("phy", "analyzer/spikeinterface_gui")
    folder = run.stage("sorting", make, key=key, seed=config.seed, theirs=theirs)
    return read_sorting(folder / "sorting")


def _moved(sorting: "BaseSorting") -> list[Finding]:
    """Say that the tissue moved and was followed, where `neuroloom.sort` did so."""
    preset = sorting.get_annotation("motion")
    if preset in (None, "none"):
        return []
    what = f"the tissue moves along the probe; the voltage was shifted back ({preset})"
    return [Finding("info", what, "sorting", "look at the amplitudes over time for what was not followed")]


def session_stage(
    run: RunFolder,
    sorting: "BaseSorting",
    recording: "BaseRecording",
    behavior: "Mapping[str, nap.Tsd | nap.TsdFrame]",
    trials: "nap.IntervalSet | None",
    *,
    key: str,
    id: str,
    subject: str,
) -> "Session":
    """Join units and behaviour; leave the session as a session folder and as NWB."""
    from neuroloom.sessions.checks import check_session, check_sorting
    from neuroloom.sessions.session import Session

    def make(draft: Path) -> dict[str, Any]:
        session = _join(sorting, recording, behavior, trials, id=id, subject=subject)
        session.save(draft / "session.session")
        session.to_nwb(draft / "session.nwb")
        findings = [*check_sorting(sorting, recording), *check_session(session)]
        return {"n_units": len(session.spikes), "findings": [finding.as_dict() for finding in findings]}

    return Session.load(run.stage("session", make, key=key) / "session.session")


def audit_stage(run: RunFolder, session: "Session", target: str, *, key: str, config: "RunConfig") -> Path:
    """Measure how few dimensions of the population the target needs, beside the controls."""
    from neuroloom.auditing.decoders import audit_session

    def make(draft: Path) -> dict[str, Any]:
        curve = audit_session(session, target, seed=config.seed)
        curve.save(draft / "curve")
        return {"summary": curve.summary().to_dict(orient="records")}

    return run.stage("audit", make, key=key, seed=config.seed)


def _join(sorting, recording, behavior, trials, *, id: str, subject: str) -> "Session":
    from neuroloom.sessions.session import Session

    start_s = float(recording.get_start_time(0)) if recording.get_start_time(0) else 0.0
    support = (start_s, start_s + recording.get_total_duration())
    return Session.from_sorting(
        sorting, id=id, behavior=behavior, trials=trials, subject=subject, time_support=support
    )


def _write_agreement(sorting: "BaseSorting", truth: "BaseSorting", path: Path) -> dict[str, Any]:
    from neuroloom.sorting.agreement import compare_with_truth

    table = compare_with_truth(sorting, truth)
    accuracy = table["accuracy"].to_numpy(float)
    table.to_csv(path)
    return {
        "n_true_units": len(table),
        "n_well_detected": int((accuracy >= WELL_DETECTED).sum()),
        "mean_accuracy": float(accuracy.mean()) if len(accuracy) else None,
    }
