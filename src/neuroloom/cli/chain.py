"""Verbs of the whole chain: demo, run, report."""

import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from neuroloom.cli import console
from neuroloom.cli.recordings import RecordingOptions
from neuroloom.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Run(RecordingOptions):
    """The main job: recording and behaviour in; units, decoder, dynamics, audit and one report page out."""

    out: Path
    """Run folder; a rerun resumes."""
    behavior: Path | None = None
    """Session folder, NWB file, or .csv table with a column time_s; without it the run ends after sorting."""
    trials: Path | None = None
    """A .csv table with columns start, end (seconds) and labels."""
    target: str | None = None
    """What to decode: a behaviour or a trial label."""
    model: Literal["auto", "wiener", "gru", "poyo", "eit"] = "auto"
    """Decoder; auto adapts the bundled POYO to a two-dimensional velocity, and else is a Wiener filter."""
    sorter: str = "auto"
    """Sorter."""
    sorting: Path | None = None
    """Units instead of sorting: a Phy folder as curated, an analyzer folder, or a saved sorting."""
    curation: Path | None = None
    """A .json file of SpikeInterface's curation to be applied to --sorting."""
    keep_labels: tuple[str, ...] = ("good", "mua", "unsorted")
    """Labels of curated units to keep; without a label a unit is unsorted."""
    metadata: Path | None = None
    """A .yaml or .json file on session and subject for results.nwb, or an .nwb file that has them."""
    motion: str = "auto"
    """How to follow tissue that moves along the probe: auto (looks whether it does), none, or a preset of
    SpikeInterface, such as dredge_fast."""
    test_fraction: float = 0.2
    """The last part of the session, on which the decoder is scored."""
    skip: tuple[Literal["decoding", "dynamics", "audit"], ...] = ()
    """Stages to leave out."""
    phy: bool = True
    """Also export for curation in Phy."""
    subject: str = "unknown"
    """Name of the animal or person."""
    seed: int = 0
    """Seed of all that is random."""

    def __call__(self) -> None:
        from neuroloom.pipeline.chain import RunConfig, run
        from neuroloom.sessions.behavior_files import read_behavior, read_trials
        from neuroloom.sessions.nwb_metadata import metadata_of_recording, read_metadata

        behavior, trials = read_behavior(self.behavior) if self.behavior else ({}, None)
        if self.trials:
            trials = read_trials(self.trials)
        config = RunConfig(
            sorter=self.sorter,
            motion=self.motion,
            target=self.target,
            model=self.model,
            test_fraction=self.test_fraction,
            phy=self.phy,
            skip=self.skip,
            seed=self.seed,
        )
        recording, units, notes = self.read(), None, []
        if self.curation is not None and self.sorting is None:
            raise DataError("--curation without --sorting", expected="the units that were curated",
                            remedy="pass --sorting FOLDER")  # fmt: skip
        metadata = read_metadata(self.metadata) if self.metadata else metadata_of_recording(self.recording)
        if self.sorting is not None:
            from neuroloom.pipeline.given_units import read_given_units

            units, notes = read_given_units(
                self.sorting, recording, curated=self.curation, keep=self.keep_labels, out=self.out
            )
        folder = run(
            recording,
            out=self.out,
            behavior=behavior,
            trials=trials,
            units=units,
            notes=notes,
            metadata=metadata,
            session_id=self.recording.stem,
            subject=self.subject,
            source=str(self.recording),
            command=shlex.join(["neuroloom", *sys.argv[1:]]),
            config=config,
            say=print,
        )
        finish(folder)


@dataclass(frozen=True, kw_only=True)
class Demo:
    """The main job on a simulated recording of a small population that controls a reaching hand."""

    out: Path = Path("demo")
    """Run folder; a rerun resumes."""
    probe: str = "columns-32"
    """Where the population is recorded: tetrode, linear-32, columns-32, .."""
    minutes: float = 2.0
    """How long."""
    seed: int = 0
    """Seed of all that is random."""

    def __call__(self) -> None:
        from neuroloom.pipeline.demo import run_demo

        finish(run_demo(self.out, probe=self.probe, minutes=self.minutes, seed=self.seed, say=print))


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write the page of a run again from what its stages left."""

    folder: Positional[Path]
    """Run folder."""
    open: bool = False
    """Show it in the browser."""

    def __call__(self) -> None:
        import webbrowser

        from neuroloom.pipeline.pages import write_report

        page = write_report(self.folder)
        console.wrote(page, "the report")
        if self.open:
            if not webbrowser.open(page.absolute().as_uri()):
                print(f"there is no browser to show it in; open {page.absolute()} in one, here or elsewhere")
        else:
            console.following(f"neuroloom report {self.folder} --open")


def finish(folder: Path) -> None:
    """Print the results of a run, what it wrote, and what to do next."""
    from neuroloom.pipeline.pages import next_steps, result_lines

    print()
    for line in result_lines(folder, width=shutil.get_terminal_size().columns):
        print(line)
    print()
    console.wrote(folder / "report.html", "the report: open it in a browser")
    if (folder / "sorting" / "phy").exists():
        phy = folder / "sorting" / "phy"
        console.wrote(phy, "for curation: phy template-gui params.py, then run --sorting")
    if (folder / "session").exists():
        console.wrote(folder / "session" / "session.nwb", "units and behaviour")
    for step in next_steps(folder):
        print(step.text)
        if step.command:
            console.following(step.command)
