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


def result_lines(folder: Path, *, width: int = 80) -> list[str]:
    """Return what came out of a run, as the page's summary says it, for a terminal of that width."""
    return lines(read_outcome(Path(folder), read_about(folder)), width=width)


def next_steps(folder: Path) -> list[Step]:
    """Return what to do with a run next, as the page's summary says it."""
    return steps(read_outcome(Path(folder), read_about(folder)), folder=str(folder))


def _seconds(stage: Path) -> float:
    return json.loads((stage / "stage.json").read_text())["seconds"]
