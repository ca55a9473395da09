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
from neuroloom.pipeline.chapters import chapter, draw_recording
from neuroloom.pipeline.outcome import TRUTH, read_outcome, read_sorted
from neuroloom.reporting import sections
from neuroloom.reporting.page import Provenance, Section, Step, Summary, write_page
from neuroloom.reporting.summary import lines, points, steps

if TYPE_CHECKING:
    from spikeinterface import BaseRecording, BaseSorting

    from neuroloom.auditing.results import AuditCurve

# In the order of the page.
STAGES = ("recording", "sorting", "session", "decoding", "dynamics", "audit")
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
        draw_recording(folder, recording, seed=about["config"]["seed"])
    if truth is not None:
        sorting = read_sorted(folder)
        truths.keep_agreement(truths.compare(sorting, truth), sorting, folder / TRUTH)
    chapters = [section for stage in STAGES if (section := chapter(folder, stage)) is not None]
    outcome = read_outcome(folder, about)
    page = write_page(
        folder,
        summary=Summary(
            title=about["session_id"],
            subtitle=about["source"],
            points=points(outcome),
            steps=steps(outcome),
        ),
        sections=chapters,
        provenance=Provenance(
            version=__version__,
            command=about["command"],
            config={**about["config"], "source": about["source"], "target": about["target"]},
            seed=about["config"]["seed"],
            data_fingerprint=about["data_fingerprint"],
            stages=[(stage, _seconds(folder / stage)) for stage in STAGES[1:] if (folder / stage).exists()],
            packages=package_versions(),
        ),
        findings=outcome.findings,
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


def result_lines(folder: Path, *, width: int = 80) -> list[str]:
    """Return what came out of a run, as the page's summary says it, for a terminal of that width."""
    return lines(read_outcome(Path(folder), read_about(folder)), width=width)


def next_steps(folder: Path) -> list[Step]:
    """Return what to do with a run next, as the page's summary says it."""
    return steps(read_outcome(Path(folder), read_about(folder)), folder=str(folder))


def _seconds(stage: Path) -> float:
    return json.loads((stage / "stage.json").read_text())["seconds"]
