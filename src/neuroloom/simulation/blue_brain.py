"""A second library of cells, by another simulator: NEURON and Blue Brain's neocortical cells.

What was learned on the default library must hold on this one, which shares no morphology, channel model or
simulator with it.
"""

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from neuroloom.errors import DataError
from neuroloom.seeds import stream
from neuroloom.simulation.blue_brain_cell import NeuronCell
from neuroloom.simulation.blue_brain_models import LICENCE, cell_models, compile_mechanisms, rheobase_na
from neuroloom.simulation.cells import MembraneRun
from neuroloom.simulation.library import Cell, CellLibrary, cell_seed, describe, plausible, take_spikes

_EXCITATORY = ("PC", "SS", "SP")  # of the names of morphological types
_TRIALS, _LOUDER, _FEWEST_SPIKES = 8, 1.35, 4


def build_blue_brain_library(
    folder: str | os.PathLike,
    *,
    n_variants: int = 2,
    duration_ms: float = 2500.0,
    n_spikes: int = 10,
    dt_ms: float = 0.025,
    names: Iterable[str] | None = None,
    seed: int = 0,
    n_jobs: int = 1,
    progress: Callable[[Iterable], Iterable] = iter,
) -> CellLibrary:
    """Simulate Blue Brain's cells with NEURON, and keep the membrane currents of a few spikes of each.

    Every cell is driven at 34 C by pink noise into its soma whose standard deviation is about the rheobase
    (SimSort's simulation, Zhang et al. 2025), louder where it stays silent.

    Parameters
    ----------
    folder
        Where the library goes; it is read from there if it is there already. Compiled mechanisms and finished
        cells are kept in ``<folder>.partial`` until all are, so that a build that was stopped goes on.
    n_variants
        Runs of each cell, with other noise and another drive.
    duration_ms
        Simulated time of each run.
    n_spikes
        Spikes kept of each.
    dt_ms
        Integration step.
    names
        Some of `cell_models`; all thirteen by default.
    seed
        Of noise and drive.
    n_jobs
        Processes; every run has a fresh one, as cells share names in NEURON.
    progress
        Wraps the loop over runs, e.g. ``tqdm``.

    Raises
    ------
    MissingDependency
        If MEArec, NEURON or a C++ compiler is not installed.
    DataError
        If no cell is left, or the folder holds a library of other settings.
    CorruptArtifact
        If the folder holds something else.
    """
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    folder = Path(folder)
    wanted = sorted(cell_models() if names is None else names)
    recipe = (
        f"of {len(wanted)} Blue Brain L5 cells; seed {seed}; "
        f"build_blue_brain_library(folder, n_variants={n_variants}, duration_ms={duration_ms:g}, "
        f"n_spikes={n_spikes}, dt_ms={dt_ms:g}, seed={seed})"
    )
    if folder.exists() and any(folder.iterdir()):
        library = CellLibrary.load(folder)
        if recipe in library.source:
            return library
        raise DataError(
            f"{folder} holds another library ({library.source})",
            expected=f"one {recipe}",
            remedy="choose another folder, or remove this one",
        )
    partial = folder.with_name(folder.name + ".partial")
    mechanisms = compile_mechanisms(partial / "mechanisms")
    settings = {"duration_ms": duration_ms, "n_spikes": n_spikes, "dt_ms": dt_ms, "seed": seed}
    runs = [(name, variant) for name in wanted for variant in range(n_variants)]
    tag = "-".join(f"{value:g}" for value in settings.values())
    paths = [partial / f"{name}.{variant}.{tag}" for name, variant in runs]
    with ProcessPoolExecutor(n_jobs, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        jobs = [
            pool.submit(_build_cell, path, name, variant, mechanisms, **settings)
            for path, (name, variant) in zip(paths, runs, strict=True)
            if not path.exists()
        ]
        try:
            for job in progress(jobs):
                job.result()
        except BaseException:  # also an interrupt: what has not begun is not waited for
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    cells = tuple(cell for path in paths for cell in CellLibrary.load(path).cells)
    if not cells:
        raise DataError(
            f"none of {len(runs)} runs gave a plausible neuron",
            expected="at least one",
            remedy="simulate for longer (duration_ms)",
        )
    library = CellLibrary(cells, LICENCE, f"NEURON; {len(cells)} runs {recipe}")
    library.save(folder)
    shutil.rmtree(partial, ignore_errors=True)
    return library


def simulate_cell(
    name: str,
    mechanisms: str | os.PathLike,
    *,
    variant: int = 0,
    duration_ms: float = 2500.0,
    n_spikes: int = 10,
    dt_ms: float = 0.025,
    seed: int = 0,
) -> Cell | None:
    """Simulate one cell and keep a few of its spikes; None if it is silent, blocked or implausible.

    To be called in a process of its own: NEURON keeps what it has loaded, and cells share names.

    Parameters
    ----------
    name
        One of `cell_models`.
    mechanisms
        From `compile_mechanisms`.
    variant
        Which noise and drive.
    duration_ms, n_spikes, dt_ms, seed
        As in `build_blue_brain_library`.
    """
    neuron = NeuronCell(name, mechanisms)
    own_seed = cell_seed(seed, f"{name}.{variant}")
    random = stream(own_seed, "drive")
    noise_na = rheobase_na(name) * float(random.uniform(0.7, 1.3))
    mean_na = rheobase_na(name) * float(random.uniform(0.0, 0.7))
    for _ in range(_TRIALS):
        drive = {"mean_na": mean_na, "noise_na": noise_na, "seed": own_seed}
        first = neuron.run(duration_ms=duration_ms, dt_ms=dt_ms, **drive)
        if len(first.spike_times_ms) >= _FEWEST_SPIKES:
            break
        mean_na, noise_na = _LOUDER * mean_na, _LOUDER * noise_na
    else:
        return None

    def run(current_times_ms: np.ndarray | None) -> MembraneRun:
        if current_times_ms is None:
            return first
        return neuron.run(
            duration_ms=float(current_times_ms[-1]) + 1.0,
            dt_ms=dt_ms,
            current_times_ms=current_times_ms,
            noise_ms=duration_ms,
            **drive,
        )

    try:
        fields = take_spikes(run, n_spikes=n_spikes, duration_ms=duration_ms, seed=own_seed)
    except DataError:
        return None
    archetype = "pyramidal" if any(kind in name for kind in _EXCITATORY) else "interneuron"
    cell = Cell(name=f"{name}.{variant}", archetype=archetype, duration_ms=duration_ms, **fields)
    return cell if plausible(describe(cell)) else None


def _build_cell(path: Path, name: str, variant: int, mechanisms: Path, **settings: Any) -> None:
    """In a process of its own: one run, kept as a library of one cell or none."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # hoc prints what it loads
    os.environ.setdefault("NEURON_MODULE_OPTIONS", "-nogui")
    cell = simulate_cell(name, mechanisms, variant=variant, **settings)
    CellLibrary(() if cell is None else (cell,), LICENCE, f"NEURON; {name}, run {variant}").save(path)
