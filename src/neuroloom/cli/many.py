"""The verb that sorts many recordings."""

import shlex
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from neuroloom.cli import console


@dataclass(frozen=True, kw_only=True)
class SortMany:
    """Sort many recordings of one kind, each into a folder of its own: here, or on a Dask cluster."""

    recording: tuple[Path, ...]
    """Raw binaries, NWB files or SpikeInterface folders."""
    out: Path
    """Folder for the run folders; a rerun resumes, and more recordings may be added."""
    dtype: str | None = None
    """Sample type of raw binaries, e.g. int16."""
    channels: int | None = None
    """Number of channels of raw binaries."""
    rate_hz: float | None = None
    """Sampling rate of raw binaries, in Hz."""
    probe: str | None = None
    """A probeinterface .json file, or a name such as tetrode or linear-32."""
    gain_to_uv: float | None = None
    """Microvolts per unit of raw binaries."""
    sorter: str = "auto"
    """A sorter of SpikeInterface that is installed, or simsort."""
    motion: str = "auto"
    """How to follow tissue that moves along the probe: auto (looks whether it does), none, or a preset of
    SpikeInterface, such as dredge_fast."""
    phy: bool = True
    """Also export for curation in Phy."""
    jobs: int = 1
    """Recordings at a time on this machine; -1 for all cores."""
    dask: str | None = None
    """A Dask scheduler instead, such as tcp://10.0.0.1:8786; needs the extra [dask]."""
    seed: int = 0
    """Seed of all that is random."""

    def __call__(self) -> int:
        from neuroloom.pipeline.chain import RunConfig
        from neuroloom.pipeline.many import sort_many
        from neuroloom.simulation.workers import workers
        from neuroloom.sorting.reading import read_recording

        read = partial(
            read_recording,
            dtype=self.dtype,
            n_channels=self.channels,
            rate_hz=self.rate_hz,
            probe=self.probe,
            gain_to_uv=self.gain_to_uv,
        )
        with workers(self.jobs, dask=self.dask):
            outcomes = sort_many(
                self.recording,
                out=self.out,
                read=read,
                config=RunConfig(sorter=self.sorter, motion=self.motion, phy=self.phy, seed=self.seed),
                command=shlex.join(["neuroloom", *sys.argv[1:]]),
                quiet=not sys.stderr.isatty(),
            )
        sorted_ones = [outcome for outcome in outcomes if outcome.n_units is not None]
        rows = [(str(outcome.recording), outcome.n_units, str(outcome.folder)) for outcome in sorted_ones]
        console.show_table(("recording", "units", "folder"), rows)
        for outcome in outcomes:
            if outcome.error:
                print(f"not sorted: {outcome.recording}: {outcome.error}", file=sys.stderr)
        if sorted_ones:
            console.wrote(self.out, f"{len(sorted_ones)} sorted recordings, each with its report.html")
            console.following(f"neuroloom report {shlex.quote(str(sorted_ones[0].folder))}")
        return 0 if len(sorted_ones) == len(outcomes) else 2
