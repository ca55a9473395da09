"""Build the default cell library: draw cells, simulate them, keep those that look like neurons."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from neuroloom.errors import DataError
from neuroloom.simulation.archetypes import ARCHETYPES, draw_cell
from neuroloom.simulation.cells import CellSpec, simulate
from neuroloom.simulation.library import Cell, CellLibrary, cell_seed, describe, plausible, take_spikes

SHARES = {"pyramidal": 0.35, "bursting": 0.2, "fast_spiking": 0.25, "interneuron": 0.2}
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
    n_jobs: int = 1,
    cache: str | os.PathLike | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
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
    n_jobs
        Parallel workers (joblib; a Dask cluster through ``joblib.parallel_config``).
    cache
        Folder that keeps every simulated cell, so that an interrupted build goes on where it stopped.
    progress
        Wraps the loop over rounds, e.g. ``tqdm``.
    """
    from joblib import Memory, Parallel, delayed

    memory = Memory(None if cache is None else str(Path(cache)), verbose=0)
    one = memory.cache(simulate_cell)
    kept: list[Cell] = []
    for archetype in progress(ARCHETYPES):
        wanted = round(SHARES[archetype] * n_cells)
        found: list[Cell] = []
        index = 0
        while len(found) < wanted and index < 20 * wanted + 20:
            batch = [
                draw_cell(archetype, index=i, seed=seed) for i in range(index, index + max(wanted // 2, 4))
            ]
            index += len(batch)
            results = Parallel(n_jobs=n_jobs)(
                delayed(one)(spec, duration_ms=duration_ms, seed=seed) for spec in batch
            )
            found += [cell for cell in results if cell is not None]
        kept += found[:wanted]
    source = (
        f"Arbor; {len(kept)} cells; seed {seed}; neuroloom simulate library --cells {n_cells} --seed {seed}"
    )
    return CellLibrary(tuple(kept), LICENCE, source)
