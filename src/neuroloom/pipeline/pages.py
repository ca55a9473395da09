"""The page of a run, put together from what its stages left."""

import json
import platform
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuroloom import __version__, artifacts
from neuroloom.errors import CorruptArtifact, MissingFile
from neuroloom.findings import Finding
from neuroloom.pipeline import truth as truths
from neuroloom.pipeline.stages import WELL_DETECTED
from neuroloom.reporting import sections
from neuroloom.reporting.numbers import counted
from neuroloom.reporting.page import Figure, Provenance, Section, Summary, write_page
from neuroloom.reporting.section_files import FILE, read_section, write_section
from neuroloom.reporting.sorting.overview import Embedding, example
from neuroloom.reporting.sorting.units import Units

if TYPE_CHECKING:
    from spikeinterface import BaseRecording, BaseSorting, SortingAnalyzer

    from neuroloom.auditing.results import AuditCurve

# Stage -> the builder of its section, in the order of the page.
STAGES = ("recording", "sorting", "session", "decoding", "dynamics", "audit")
TRUTH, EXAMPLE = Path("page") / "truth", Path("page") / "example"
PACKAGES = ("spikeinterface", "pynapple", "torch", "scikit-learn", "numpy", "scipy")


def write_report(
    folder: Path,
    *,
    recording: "BaseRecording | None" = None,
    truth: "BaseSorting | None" = None,
    say: Callable[[str], None] = lambda _: None,
) -> Path:
    """Write ``report.html`` of a run folder and return its path.

    Parameters
    ----------
    folder
        A run folder with at least its sorting finished.
    recording
        The voltage, to draw it; without it the drawing of an earlier report is used.
    truth
        The true units, to compare the sorting with; without them what an earlier report found is used, as
        long as the sorting is the same.
    say
        Called with one line of text.

    Raises
    ------
    MissingFile, CorruptArtifact
        If the folder is not a run, or a stage in it is damaged.
    """
    folder = Path(folder)
    about = read_about(folder)
    if recording is not None:
        _draw_recording(folder, recording, about)
    if truth is not None:
        sorting = _read_sorting(folder / "sorting")
        truths.keep_agreement(truths.compare(sorting, truth), sorting, folder / TRUTH)
    page_sections, seconds = [], []
    for stage in STAGES:
        if stage == "recording":
            if (folder / "page" / stage / FILE).exists():
                page_sections.append(read_section(folder / "page" / stage))
        elif (folder / stage).exists():
            artifacts.verify(folder / stage)
            section = _BUILDERS[stage](folder / stage, about)
            page_sections += [] if section is None else [section]
            seconds.append((stage, json.loads((folder / stage / "stage.json").read_text())["seconds"]))
    findings = [Finding(**finding) for finding in about["findings"]]
    for stage in ("session", "decoding", "dynamics"):
        if (folder / stage).exists():
            findings += [Finding(**finding) for finding in _summary(folder / stage)["findings"]]
    page = write_page(
        folder,
        summary=_summarise(about, folder),
        sections=page_sections,
        provenance=Provenance(
            version=__version__,
            command=about["command"],
            config={**about["config"], "source": about["source"], "target": about["target"]},
            seed=about["config"]["seed"],
            data_fingerprint=about["data_fingerprint"],
            stages=seconds,
            packages=package_versions(),
        ),
        findings=findings,
    )
    say(f"report: {page}")
    return page


def write_audit_page(curve: "AuditCurve", folder: Path) -> tuple[Path, Path]:
    """Write a page and a ``.csv`` table of an audit that stands alone; return their paths."""
    facts = curve.facts
    page = write_section_page(
        sections.audit_section(curve),
        folder,
        title="Audit",
        subtitle=f"{facts['n_units']} units, {facts['n_test']} held-out samples",
        config=facts,
        seed=facts["seed"],
        findings=curve.findings,
    )
    return page, artifacts.write_text(Path(folder) / "scores.csv", curve.to_frame().to_csv(index=False))


def write_section_page(
    section: Section,
    folder: Path,
    *,
    title: str,
    subtitle: str,
    config: Mapping[str, Any],
    seed: int,
    findings: Sequence[Finding] = (),
) -> Path:
    """Write the page of one result that is not part of a run; return its path."""
    return write_page(
        folder,
        summary=Summary(title=title, subtitle=subtitle),
        sections=[section],
        provenance=Provenance(
            version=__version__,
            config=config,
            seed=seed,
            data_fingerprint=config.get("data_fingerprint"),
            packages=package_versions(),
        ),
        findings=findings,
    )


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that do the work, where they are installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def read_about(folder: Path) -> dict[str, Any]:
    """Return ``run.json`` of a run folder.

    Raises
    ------
    MissingFile, CorruptArtifact
        If there is none, or it cannot be read.
    """
    path = Path(folder) / "run.json"
    if not path.is_file():
        raise MissingFile(
            f"{folder} is not a neuroloom run",
            expected="a folder with run.json",
            remedy="pass --out of a run",
        )
    try:
        about = json.loads(path.read_text())
        incomplete = {"config", "findings", "command", "source", "target", "session_id"} - set(about)
        if incomplete or "seed" not in about["config"]:
            raise ValueError(f"it lacks {', '.join(sorted(incomplete)) or 'the seed'}")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CorruptArtifact(
            f"{path} cannot be read ({error})", expected="what `neuroloom run` wrote", remedy="run again"
        ) from None
    return about


def result_lines(folder: Path) -> list[str]:
    """Return what came out of a run, a sentence per line."""
    return list(_summarise(read_about(folder), folder).sentences)


def _draw_recording(folder: Path, recording: "BaseRecording", about: dict[str, Any]) -> None:
    """Draw what needs the voltage, for this report and later ones."""
    from neuroloom.sorting.preprocessing import prepare

    prepared = prepare(recording, seed=about["config"]["seed"])
    section = sections.recording_section(
        recording,
        preprocessed=prepared.recording,
        bad_channel_ids=list(prepared.removed),
        preprocessing=", then ".join(prepared.steps),
    )
    write_section(section, folder / "page" / "recording")
    analyzer = _analyzer(folder / "sorting")
    if analyzer is not None and not analyzer.has_recording():
        # It was simulated, say, and is nowhere on disk.
        analyzer.set_temporary_recording(prepared.recording)
    drawn = None if analyzer is None else example(Units(analyzer))
    write_section(Section("Example", "example", blocks=[drawn] if drawn else []), folder / EXAMPLE)


def _analyzer(stage: Path) -> "SortingAnalyzer | None":
    from neuroloom.sorting.quality import read_analyzer

    return read_analyzer(stage / "analyzer") if (stage / "analyzer").exists() else None


def _sorting(stage: Path, about: dict[str, Any]) -> Section:
    import pandas as pd

    from neuroloom.sorting.details import read_details

    try:
        details = read_details(stage / "sorting")
    except MissingFile:  # this sorter says nothing of its confidence
        details = None
    known = _known_truth(stage.parent)
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
        lead=f"Found by {_summary(stage)['sorter']}.",
    )


def _known_truth(folder: Path) -> "truths.Agreement | None":
    """Return how the run's sorting agrees with the truth, where a report was ever given one."""
    if not (folder / TRUTH).exists():
        return None
    return truths.read_agreement(folder / TRUTH, _read_sorting(folder / "sorting"))


def _read_sorting(stage: Path) -> "BaseSorting":
    from neuroloom.sorting.export import read_sorting

    return read_sorting(stage / "sorting")


def _session(stage: Path, about: dict[str, Any]) -> Section:
    from neuroloom.sessions.session import Session

    return sections.session_section(Session.load(stage / "session.session"))


def _decoding(stage: Path, about: dict[str, Any]) -> Section:
    summary = _summary(stage)
    stored = artifacts.load_artifact(stage / "predictions", kind="predictions")
    labels = summary["metric"] == "accuracy"
    return sections.decoding_section(
        _series(stored, "predicted", labels=labels),
        _series(stored, "true", labels=labels),
        target=summary["target"],
        model=summary["model"],
        metric=summary["metric"],
        score=_number(summary["score"]),
        dimension_scores=None if labels else [_number(part) for part in summary["dimension_scores"].values()],
        comparison={name: _number(score) for name, score in summary["comparison"].items()},
        lead=summary["lead"],
    )


def _series(stored: artifacts.Artifact, name: str, *, labels: bool) -> Any:
    import pynapple as nap

    values, times_s = stored.arrays[name], stored.arrays["times_s"]
    if stored.document["classes"] is not None:
        return [stored.document["classes"][code] for code in values]
    if labels or values.ndim == 1:
        return values.tolist() if labels else nap.Tsd(times_s, values)
    return nap.TsdFrame(times_s, values, columns=stored.document["columns"])


def _dynamics(stage: Path, about: dict[str, Any]) -> Section | None:
    return read_section(stage / "section") if (stage / "section").exists() else None


def _audit(stage: Path, about: dict[str, Any]) -> Section:
    from neuroloom.auditing.curve import AuditCurve

    return sections.audit_section(AuditCurve.load(stage / "curve"))


_BUILDERS: dict[str, Callable[[Path, dict[str, Any]], Section | None]] = {
    "sorting": _sorting,
    "session": _session,
    "decoding": _decoding,
    "dynamics": _dynamics,
    "audit": _audit,
}


def _summarise(about: dict[str, Any], folder: Path) -> Summary:
    sentences = []
    if (folder / "sorting").exists():
        sorting = _summary(folder / "sorting")
        units = counted(sorting["n_units"], "unit")
        sentences.append(f"{sorting['sorter']} found {units} in {sorting['duration_s']:.0f} s.")
        known = _known_truth(folder)
        if known is not None:
            accuracy = known.table["accuracy"].to_numpy(float)
            sorting |= {
                "n_true_units": len(accuracy),
                "n_well_detected": int((accuracy >= WELL_DETECTED).sum()),
                "mean_accuracy": float(accuracy.mean()) if len(accuracy) else 0.0,
            }
        if sorting.get("n_true_units"):
            sentences.append(
                f"{sorting['n_well_detected']} of the {sorting['n_true_units']} true units were found with "
                f"an accuracy of .8 or more (mean accuracy {sorting['mean_accuracy']:.2f})."
            )
    if (folder / "decoding").exists():
        sentences.append(_summary(folder / "decoding")["lead"])
    if (folder / "dynamics").exists():
        sentences += [line for line in [_summary(folder / "dynamics").get("lead")] if line]
    return Summary(title=about["session_id"], subtitle=about["source"], sentences=sentences)


def _summary(stage: Path) -> dict[str, Any]:
    return json.loads((stage / "stage.json").read_text())["summary"]


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
