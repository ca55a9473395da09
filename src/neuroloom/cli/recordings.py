"""Verbs about voltage: sort, check."""

import shlex
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from neuroloom.cli import console

if TYPE_CHECKING:
    from spikeinterface import BaseRecording


@dataclass(frozen=True, kw_only=True)
class RecordingOptions:
    """How to read a recording. A raw binary needs dtype, channels and rate; other formats know them."""

    recording: Path
    """A raw binary, an NWB file or a SpikeInterface folder."""
    dtype: str | None = None
    """Sample type of a raw binary, e.g. int16."""
    channels: int | None = None
    """Number of channels of a raw binary."""
    rate_hz: float | None = None
    """Sampling rate of a raw binary, in Hz."""
    probe: str | None = None
    """A probeinterface .json file, or a name such as tetrode or linear-32."""
    gain_to_uv: float | None = None
    """Microvolts per unit of a raw binary."""
    allow_partial: bool = False
    """Accept a raw binary whose last frame is cut, and drop that frame."""

    def read(self) -> "BaseRecording":
        """Return the recording."""
        from neuroloom.sorting.reading import read_recording

        return read_recording(
            self.recording,
            dtype=self.dtype,
            n_channels=self.channels,
            rate_hz=self.rate_hz,
            probe=self.probe,
            gain_to_uv=self.gain_to_uv,
            allow_partial=self.allow_partial,
        )


@dataclass(frozen=True, kw_only=True)
class Sort(RecordingOptions):
    """From voltage to units: sorted spikes, their quality, and folders for SpikeInterface and Phy."""

    out: Path
    """Folder to write; a rerun resumes."""
    sorter: str = "auto"
    """A sorter of SpikeInterface that is installed, or simsort."""
    motion: str = "auto"
    """How to follow tissue that moves along the probe: auto (looks whether it does), none, or a preset of
    SpikeInterface, such as dredge_fast."""
    truth: Path | None = None
    """The true units where they are known, saved by SpikeInterface: the page then shows the agreement."""
    phy: bool = True
    """Also export for curation in Phy."""
    seed: int = 0
    """Seed of all that is random."""

    def __call__(self) -> None:
        from neuroloom.pipeline.chain import RunConfig, run
        from neuroloom.pipeline.pages import result_lines, write_report
        from neuroloom.pipeline.truth import read_truth

        recording = self.read()
        # Read before the work: hours of sorting must not end in a refusal.
        truth = None if self.truth is None else read_truth(self.truth, recording)
        config = RunConfig(
            sorter=self.sorter,
            motion=self.motion,
            phy=self.phy,
            seed=self.seed,
            skip=("decoding", "audit"),
        )
        folder = run(
            recording,
            out=self.out,
            session_id=self.recording.stem,
            source=str(self.recording),
            command=shlex.join(["neuroloom", *sys.argv[1:]]),
            config=config,
            say=print,
        )
        if truth is not None:
            write_report(folder, truth=truth)
        for line in result_lines(folder):
            print(line)
        console.wrote(folder / "report.html", "the report: open it in a browser")
        console.wrote(folder / "sorting" / "sorting", "units: neuroloom.sorting.export.read_sorting")
        if (folder / "sorting" / "phy").exists():
            console.wrote(folder / "sorting" / "phy", "for curation: phy template-gui params.py")
        # There is none where no units were found.
        if (folder / "sorting" / "analyzer").exists():
            console.wrote(folder / "sorting" / "analyzer", "for SpikeInterface: load_sorting_analyzer")
            options = self._options()
            console.following(f"neuroloom run {options} --behavior FILE --out {shlex.quote(str(folder))}")
        else:
            console.following(f"neuroloom check {self._options(of=Check)}")

    def _options(self, *, of: type | None = None) -> str:
        """Return how this recording is read and sorted, as the options of another verb that does the same."""
        known = {field.name for field in fields(of or Sort)} - {"out", "truth"}
        words = []
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in known and value != field.default:
                flag = f"--{field.name.replace('_', '-')}"
                if isinstance(value, bool):
                    words.append(flag if value else flag.replace("--", "--no-"))
                else:
                    words += [flag, str(value)]
        return shlex.join(words)


@dataclass(frozen=True, kw_only=True)
class Check:
    """Look for faults in recordings and sessions before any work: exit code 2 if one forbids it."""

    recording: Path | None = None
    """A raw binary, an NWB file or a SpikeInterface folder."""
    dtype: str | None = None
    """Sample type of a raw binary, e.g. int16."""
    channels: int | None = None
    """Number of channels of a raw binary."""
    rate_hz: float | None = None
    """Sampling rate of a raw binary, in Hz."""
    probe: str | None = None
    """A probeinterface .json file, or a name such as tetrode or linear-32."""
    session: tuple[Path, ...] = ()
    """Session folders or NWB files."""
    target: str | None = None
    """A behaviour or trial label that the sessions must have."""

    def __call__(self) -> int:
        from neuroloom.errors import DataError
        from neuroloom.sessions.checks import check_recording, check_session
        from neuroloom.sessions.session import Session

        if self.recording is None and not self.session:
            raise DataError("nothing to check", expected="a recording or a session",
                            remedy="pass --recording FILE or --session FILE")  # fmt: skip
        findings = []
        if self.recording is not None:
            options = RecordingOptions(recording=self.recording, dtype=self.dtype, channels=self.channels,
                                       rate_hz=self.rate_hz, probe=self.probe)  # fmt: skip
            findings += check_recording(options.read())
        for path in self.session:
            findings += check_session(Session.load(path), target=self.target)
        console.show_findings(findings)
        n_errors = sum(finding.level == "error" for finding in findings)
        n_warnings = sum(finding.level == "warning" for finding in findings)
        print(f"{n_errors} errors, {n_warnings} warnings, {len(findings) - n_errors - n_warnings} notes")
        return 2 if n_errors else 0
