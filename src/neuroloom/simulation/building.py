"""Build the default cell library: draw cells, simulate them, keep those that look like neurons."""

import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from neuroloom.artifacts import fingerprint, load_artifact, save_artifact
from neuroloom.errors import CorruptArtifact, DataError
from neuroloom.simulation.archetypes import ARCHETYPES, draw_cell
from neuroloom.simulation.cells import CellSpec, simulate
from neuroloom.simulation.library import Cell, CellLibrary, cell_seed, describe, plausible, take_spikes

SHARES = {"pyramidal": 0.35, "bursting": 0.2, "fast_spiking": 0.25, "interneuron": 0.2}
KIND = "simulated-cell"
DRIVES_NA = (0.03, 0.06, 0.12, 0.25, 0.5, 1.0)
LICENCE = "BSD-3-Clause (Allen Institute morphologies shipped with bmtk; Arbor's Allen channel catalogue)"


def simulate_cell(
    spec: CellSpec, *, duration_ms: float = 2500.0, n_spikes: int = 10, seed: int = 0
) -> Cell | None:
    """Simulate one cell and keep a few of its spikes; None if it is silent, blocked or implausible.

    The drive is raised from weak to strong until the cell fires about twice a second, as the published
    simulation scales its noise to the rheobase.
    """
    own_seed = cell_seed(seed, spec.name)
    for drive in DRIVES_NA:
        trial = simulate(spec, duration_ms=500.0, mean_na=drive, noise_na=drive, seed=own_seed)
        if len(trial.spike_times_ms) >= 2:
            break
    else:
        return None

    def run(current_times_ms):
        return simulate(
            spec,
            duration_ms=duration_ms,
            mean_na=drive,
            noise_na=drive,
            seed=own_seed,
            current_times_ms=current_times_ms,
        )

    try:
        fields = take_spikes(run, n_spikes=n_spikes, duration_ms=duration_ms, seed=own_seed)
    except DataError:
        return None
    cell = Cell(name=spec.name, archetype=spec.archetype, duration_ms=duration_ms, **fields)
    return cell if plausible(describe(cell)) else None


def build_library(
    n_cells: int = 100,
    *,
    seed: int = 0,
    duration_ms: float = 2500.0,
    cache: str | os.PathLike | None = None,
    quiet: bool = True,
) -> CellLibrary:
    """Simulate the default library.

    Parameters
    ----------
    n_cells
        How many cells to keep.
    seed
        Seed of densities, shapes and noise.
    duration_ms
        Simulated time per cell.
    cache
        Folder that keeps every simulated cell, so that an interrupted build goes on where it stopped and
        ends with the same library.
    quiet
        No progress bar.

    Notes
    -----
    Cells are simulated by joblib's workers; see `neuroloom.simulation.workers.workers`.
    """
    from joblib import Parallel, delayed
    from tqdm import tqdm

    kept: list[Cell] = []
    with tqdm(total=n_cells, desc="cells", unit="", disable=quiet) as bar:
        for archetype in ARCHETYPES:
            wanted = round(SHARES[archetype] * n_cells)
            found: list[Cell] = []
            index = 0
            while len(found) < wanted and index < 20 * wanted + 20:
                batch = [
                    draw_cell(archetype, index=i, seed=seed)
                    for i in range(index, index + max(wanted // 2, 4))
                ]
                index += len(batch)
                results = Parallel()(
                    delayed(_remembered)(spec, cache, duration_ms=duration_ms, seed=seed) for spec in batch
                )
                new = [cell for cell in results if cell is not None][: wanted - len(found)]
                found += new
                bar.update(len(new))
            kept += found
    source = (
        f"Arbor; {len(kept)} cells; seed {seed}; neuroloom simulate library --cells {n_cells} --seed {seed}"
    )
    return CellLibrary(tuple(kept), LICENCE, source)


def _remembered(
    spec: CellSpec, cache: str | os.PathLike | None, *, duration_ms: float, seed: int
) -> Cell | None:
    """Simulate a cell, or read what came of it before: the cell, or that it was none."""
    if cache is None:
        return simulate_cell(spec, duration_ms=duration_ms, seed=seed)
    identity = fingerprint(asdict(spec), duration_ms, seed)
    folder = Path(cache) / spec.name
    if folder.exists():
        try:
            artifact = load_artifact(folder, kind=KIND)
        except CorruptArtifact:
            artifact = None  # it is simulated again, and replaced
            shutil.rmtree(folder)
        if artifact is not None and artifact.provenance["data_fingerprint"] == identity:
            fields: dict[str, Any] = artifact.document["cell"] | artifact.arrays
            return Cell(**fields) if artifact.arrays else None
    cell = simulate_cell(spec, duration_ms=duration_ms, seed=seed)
    values = {} if cell is None else vars(cell)
    save_artifact(
        folder,
        kind=KIND,
        document={"cell": {k: v for k, v in values.items() if not isinstance(v, np.ndarray)}},
        arrays={k: v for k, v in values.items() if isinstance(v, np.ndarray)},
        seed=seed,
        data_fingerprint=identity,
    )
    return cell
