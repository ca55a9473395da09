"""Verbs about simulated voltage: one recording, a corpus of them, the library of cells."""

import shlex
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from neuroloom.cli import console
from neuroloom.simulation.scenario import Scenario

if TYPE_CHECKING:
    from probeinterface import Probe, ProbeGroup

    from neuroloom.simulation.library import CellLibrary


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """Where the work is done."""

    jobs: int = 1
    """Processes on this machine; -1 for all cores."""
    dask: str | None = None
    """A Dask scheduler instead, such as tcp://10.0.0.1:8786; needs the extra [dask]."""


def read_library(path: Path | None) -> tuple["CellLibrary", str]:
    """Return a library and how to speak of it; without a path the one that comes with the package."""
    from neuroloom.simulation.library import DEFAULT_CELLS, CellLibrary

    return CellLibrary.load(path or DEFAULT_CELLS), str(path or "default")


@dataclass(frozen=True, kw_only=True)
class SimulateRecording(Scenario, WorkerOptions):
    """Simulate biophysical neurons around a probe, and write the voltage with its true units."""

    out: Path
    """Folder to write; the same command goes on where a stopped one was."""
    probe: str = "tetrode"
    """A name such as tetrode or columns-32, or a probeinterface .json file."""
    library: Path | None = None
    """A cell library; the one that comes with the package by default."""
    dtype: Literal["float32", "int16"] = "float32"
    """float32 in microvolt, or int16 in steps of .195 uV."""
    raw: bool = False
    """Write a bare binary file and the probe instead of a SpikeInterface folder."""
    seed: int = 0
    """Seed of all that is random."""

    def __post_init__(self):
        pass  # numbers are checked when the verb runs, where refusals become messages

    def __call__(self) -> None:
        from neuroloom.simulation.biophysical import biophysical_recording
        from neuroloom.simulation.workers import workers
        from neuroloom.simulation.writing import INT16_GAIN_UV, describe_config, read_about, write_simulation
        from neuroloom.sorting.probes import load_probe

        library, name = read_library(self.library)
        probe = _one_probe(load_probe(self.probe))
        scenario = Scenario(**{field.name: getattr(self, field.name) for field in fields(Scenario)})
        with workers(self.jobs, dask=self.dask):
            write_simulation(
                lambda: biophysical_recording(library, probe=probe, scenario=scenario, seed=self.seed),
                self.out,
                config=describe_config(
                    scenario, probe=self.probe, library=library, library_name=name, seed=self.seed
                ),
                dtype=self.dtype,
                raw=self.raw,
            )
        units = read_about(self.out)["units"]
        rows = [[u["unit"], u["cell"], u["spikes"], round(u["trough_uv"], 1)] for u in units]
        console.show_table(["unit", "cell", "spikes", "trough uV"], rows)
        if self.raw:
            console.wrote(self.out / "traces.raw", f"{self.duration_s:g} s of voltage")
            where = [
                *("--recording", str(self.out / "traces.raw"), "--dtype", self.dtype),
                *("--channels", str(probe.get_contact_count()), "--rate-hz", f"{self.rate_hz:g}"),
                *("--probe", str(self.out / "probe.json")),
                *(("--gain-to-uv", str(INT16_GAIN_UV)) if self.dtype == "int16" else ()),
            ]
        else:
            console.wrote(self.out / "recording", f"{self.duration_s:g} s of voltage, for SpikeInterface")
            where = ["--recording", str(self.out / "recording")]
        console.wrote(self.out / "truth", f"{len(units)} true units")
        console.wrote(self.out / "about", "cells, places and drift")
        sort = [*where, "--truth", str(self.out / "truth"), "--out", str(self.out) + ".sorted"]
        console.following(f"neuroloom sort {shlex.join(sort)}")


@dataclass(frozen=True, kw_only=True)
class SimulateCorpus(WorkerOptions):
    """Simulate many recordings, each different, with their true units."""

    out: Path
    """Folder to write; the same command goes on where a stopped one was, and a larger number adds to it."""
    recordings: int = 12
    """How many."""
    duration_s: float = 60.0
    """Length of each in seconds."""
    rate_hz: float = 30_000.0
    """Sampling rate in Hz."""
    probe: tuple[str, ...] = ("tetrode", "linear-16", "columns-32")
    """Names of probes, taken in turn."""
    library: Path | None = None
    """A cell library; the one that comes with the package by default."""
    dtype: Literal["float32", "int16"] = "float32"
    """float32 in microvolt, or int16 in steps of .195 uV."""
    seed: int = 0
    """Seed of all that is random."""

    def __call__(self) -> None:
        from neuroloom.simulation.corpora import read_corpus, write_corpus
        from neuroloom.simulation.workers import workers

        library, name = read_library(self.library)
        with workers(self.jobs, dask=self.dask):
            write_corpus(
                library,
                self.out,
                n_recordings=self.recordings,
                duration_s=self.duration_s,
                rate_hz=self.rate_hz,
                probes=self.probe,
                dtype=self.dtype,
                library_name=name,
                seed=self.seed,
            )
        rows = read_corpus(self.out)
        console.show_table(list(rows[0]), [list(row.values()) for row in rows])
        console.wrote(self.out, f"{len(rows)} recordings, each with recording/, truth/ and about/")
        first = self.out / rows[0]["name"]
        following = ["--recording", str(first / "recording"), "--truth", str(first / "truth")]
        console.following(f"neuroloom sort {shlex.join(following)} --out {shlex.quote(str(self.out))}.sorted")


@dataclass(frozen=True, kw_only=True)
class SimulateLibrary(WorkerOptions):
    """Simulate cells and keep their membrane currents; needs [biophysics]."""

    out: Path
    """Folder of the library; until it is whole, finished cells wait beside it, and a stopped run goes on."""
    kind: Literal["arbor", "blue-brain"] = "arbor"
    """The default cells by Arbor, or Blue Brain's by NEURON (CC-BY-NC-SA; needs a C++ compiler)."""
    cells: int = 100
    """How many cells; of blue-brain, runs with other noise of its 13 cells, 13, 26, 39, .."""
    duration_ms: float = 2500.0
    """Simulated time of each cell."""
    seed: int = 0
    """Seed of densities, shapes and noise."""

    def __call__(self) -> None:
        import numpy as np

        from neuroloom.simulation.library import describe

        library = self._arbor() if self.kind == "arbor" else self._blue_brain()
        measured = [(cell.archetype, describe(cell)) for cell in library.cells]
        rows = []
        for archetype in dict.fromkeys(kind for kind, _ in measured):
            found = [values for kind, values in measured if kind == archetype]
            median = [float(np.median([values[name] for values in found])) for name in _SHOWN]
            rows.append([archetype, len(found), *median])
        console.show_table(["archetype", "cells", "width ms", "uV at 20 um", "rate Hz"], rows)
        console.wrote(self.out, f"{len(library)} cells, {library.licence}")
        where = shlex.quote(str(self.out))
        console.following(f"neuroloom pretrain extractor --library {where} --out {where}.weights")

    def _arbor(self) -> "CellLibrary":
        import shutil

        from neuroloom.simulation.building import build_library
        from neuroloom.simulation.cells import require_arbor
        from neuroloom.simulation.morphology import bundled_morphologies
        from neuroloom.simulation.workers import workers

        require_arbor()
        bundled_morphologies()
        cache = self.out.with_name(self.out.name + ".cells")
        with workers(self.jobs, dask=self.dask):
            library = build_library(
                self.cells, seed=self.seed, duration_ms=self.duration_ms, cache=cache, quiet=False
            )
        library.save(self.out)
        shutil.rmtree(cache)
        return library

    def _blue_brain(self) -> "CellLibrary":
        import os

        from tqdm import tqdm

        from neuroloom.errors import DataError
        from neuroloom.simulation.blue_brain import build_blue_brain_library
        from neuroloom.simulation.blue_brain_models import cell_models

        if self.dask is not None:
            raise DataError(
                f"--dask {self.dask} with --kind blue-brain",
                expected="processes of this machine",
                remedy="pass --jobs instead: every run of NEURON has a process of its own",
            )
        return build_blue_brain_library(
            self.out,
            n_variants=max(round(self.cells / len(cell_models())), 1),
            duration_ms=self.duration_ms,
            seed=self.seed,
            n_jobs=self.jobs if self.jobs > 0 else os.cpu_count() or 1,
            progress=lambda runs: tqdm(runs, unit="run"),
        )


def _one_probe(group: "ProbeGroup") -> "Probe":
    from neuroloom.errors import DataError

    if len(group.probes) != 1:
        raise DataError(
            f"{len(group.probes)} probes in one file", expected="one", remedy="simulate each by itself"
        )
    probe = group.probes[0]
    if probe.device_channel_indices is None:
        probe.set_device_channel_indices(range(probe.get_contact_count()))
    return probe


_SHOWN = ("width_ms", "amplitude_uv@20", "rate_hz")
