"""The chapters of a run's page, each built from what its stage left in the run folder."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuroloom import artifacts
from neuroloom.errors import MissingFile
from neuroloom.pipeline import truth as truths
from neuroloom.pipeline.outcome import chance_of, keep_recording, known_truth, number, said
from neuroloom.reporting import sections
from neuroloom.reporting.decoding.models import model_name
from neuroloom.reporting.page import Figure, Section
from neuroloom.reporting.section_files import FILE, read_section, write_section
from neuroloom.reporting.sorting.overview import Embedding, example
from neuroloom.reporting.sorting.units import Units

if TYPE_CHECKING:
    from spikeinterface import BaseRecording, SortingAnalyzer

RECORDING, EXAMPLE = Path("page") / "recording", Path("page") / "example"


def chapter(folder: Path, stage: str) -> Section | None:
    """Return the chapter of a stage, or None where the run has none.

    Raises
    ------
    CorruptArtifact
        If the stage is damaged.
    """
    if stage == "recording":
        return read_section(folder / RECORDING) if (folder / RECORDING / FILE).exists() else None
    if not (folder / stage).exists():
        return None
    artifacts.verify(folder / stage)
    return _BUILDERS[stage](folder / stage)


def draw_recording(folder: Path, recording: "BaseRecording", *, seed: int) -> None:
    """Draw what needs the voltage, for this report and later ones."""
    from neuroloom.sorting.preprocessing import prepare

    prepared = prepare(recording, seed=seed)
    section = sections.recording_section(
        recording,
        preprocessed=prepared.recording,
        bad_channel_ids=list(prepared.removed),
        preprocessing=", then ".join(prepared.steps),
    )
    write_section(section, folder / RECORDING)
    keep_recording(folder, recording)
    analyzer = _analyzer(folder / "sorting")
    if analyzer is not None and not analyzer.has_recording():
        # It was simulated, say, and is nowhere on disk.
        analyzer.set_temporary_recording(prepared.recording)
    drawn = None if analyzer is None else example(Units(analyzer))
    write_section(Section("Example", "example", blocks=[drawn] if drawn else []), folder / EXAMPLE)


def _analyzer(stage: Path) -> "SortingAnalyzer | None":
    from neuroloom.sorting.quality import read_analyzer

    return read_analyzer(stage / "analyzer") if (stage / "analyzer").exists() else None


def _sorting(stage: Path) -> Section:
    import pandas as pd

    from neuroloom.sorting.details import read_details

    try:
        details = read_details(stage / "sorting")
    except MissingFile:  # this sorter says nothing of its confidence
        details = None
    known = known_truth(stage.parent)
    agreement = None if known is None else known.table
    if known is None and (stage / "agreement.csv").exists():
        agreement = pd.read_csv(stage / "agreement.csv", index_col="true_unit")
    ids = [] if details is None else details.unit_ids.tolist()
    drawn = ()
    if (stage.parent / EXAMPLE / FILE).exists():
        drawn = read_section(stage.parent / EXAMPLE).blocks
    return sections.sorting_section(
        _analyzer(stage),
        agreement=agreement,
        matches=None if known is None else known.matches,
        unit_confidence=None if details is None else dict(zip(ids, details.unit_confidence, strict=True)),
        spike_map=None if details is None else Embedding(details.map_points, details.map_unit, ids),
        calibration=None if details is None or known is None else truths.calibrate(known, details),
        drawn_example=next((block for block in drawn if isinstance(block, Figure)), None),
        lead=f"Found by {said(stage)['sorter']}.",
    )


def _session(stage: Path) -> Section:
    from neuroloom.sessions.session import Session

    return sections.session_section(Session.load(stage / "session.session"))


def _decoding(stage: Path) -> Section:
    from neuroloom.sessions.session import Session

    summary = said(stage)
    stored = artifacts.load_artifact(stage / "predictions", kind="predictions")
    labels = summary["metric"] == "accuracy"
    session = Session.load(stage.parent / "session" / "session.session")
    return sections.decoding_section(
        _series(stored, "predicted", labels=labels),
        _series(stored, "true", labels=labels),
        target=summary["target"],
        model=model_name(summary["model"]),
        metric=summary["metric"],
        score=number(summary["score"]),
        dimension_scores=None if labels else [number(part) for part in summary["dimension_scores"].values()],
        comparison=_compared(summary),
        chance=chance_of(stage),
        trials=session.trials,
        times_s=stored.arrays["times_s"],
        lead=summary["lead"],
    )


def _compared(summary: dict[str, Any]) -> dict[str, float]:
    """Return the scores to compare, each by the decoder and the units that it is of."""
    named = {}
    for key, score in summary["comparison"].items():
        units, _, kind = key.partition(", ")
        named[f"{model_name(kind or summary['model'])}, {units}"] = number(score)
    return named


def _series(stored: artifacts.Artifact, name: str, *, labels: bool) -> Any:
    import pynapple as nap

    values, times_s = stored.arrays[name], stored.arrays["times_s"]
    if stored.document["classes"] is not None:
        return [stored.document["classes"][code] for code in values]
    if labels or values.ndim == 1:
        return values.tolist() if labels else nap.Tsd(times_s, values)
    return nap.TsdFrame(times_s, values, columns=stored.document["columns"])


def _dynamics(stage: Path) -> Section | None:
    return read_section(stage / "section") if (stage / "section").exists() else None


def _audit(stage: Path) -> Section:
    from neuroloom.auditing.curve import AuditCurve

    return sections.audit_section(AuditCurve.load(stage / "curve"))


_BUILDERS: dict[str, Callable[[Path], Section | None]] = {
    "sorting": _sorting,
    "session": _session,
    "decoding": _decoding,
    "dynamics": _dynamics,
    "audit": _audit,
}
