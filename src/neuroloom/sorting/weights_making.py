"""From a cell library to weights with a card: ``neuroloom pretrain detector`` and ``extractor``.

Needs only torch, NumPy and the library: no simulator and no SpikeInterface.
"""

import dataclasses
import json
import os
import shlex
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from neuroloom.artifacts import fingerprint, load_artifact, write_text
from neuroloom.errors import DataError
from neuroloom.seeds import derive, stream
from neuroloom.simulation.bank import Bank, build_bank
from neuroloom.simulation.corpus import extractor_batch
from neuroloom.simulation.library import CellLibrary
from neuroloom.sorting.detector import make_detector
from neuroloom.sorting.extractor import make_extractor
from neuroloom.sorting.pretrain import identification_accuracy, pretrain, raw_accuracy
from neuroloom.sorting.pretrained import load_weights, save_weights
from neuroloom.training.config import TrainConfig

_CHECKPOINT_EVERY = 500  # steps; what a kill may cost
_NOISE_LEVELS = {"faint": (3.5, 6.0), "medium": (6.0, 10.0), "loud": (10.0, 40.0)}  # peak over noise


def make_weights(
    kind: str,
    library: CellLibrary,
    out: str | os.PathLike,
    *,
    library_name: str = "default",
    config: str | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    batch_size: int | None = None,
    learning_rate: float = 2e-3,
    n_cells: int | None = None,
    n_geometries: int = 512,
    held_out_fraction: float = 0.2,
    device: str = "auto",
    precision: str = "float32",
    n_jobs: int | None = None,
    validation_size: int | None = None,
    start: str | os.PathLike | None = None,
    seed: int = 0,
    quiet: bool = False,
) -> Path:
    """Train a detector or an extractor on a library and write ``<out>/<kind>``.

    Parameters
    ----------
    kind
        ``"detector"`` or ``"extractor"``.
    library
        Cells; `held_out_fraction` of them never enter training and give the card's figures.
    out
        Folder; checkpoints go to ``<out>/runs/<kind>``, where an interrupted run is resumed. One that
        learned from other cells or with other settings is refused.
    library_name
        Its path, for the command on the card; ``"default"`` for the one that comes with the package.
    config
        ``"strided"``/``"contacts"`` (default) or ``"paper"``.
    steps, minutes
        Length of training: steps (1,000), or the number that fits into these minutes on this machine;
        a resumed run keeps the number that was measured first.
    batch_size
        Windows (detector, 512) or scenes (extractor, 16) per step.
    learning_rate, device, precision, seed, quiet
        As in `TrainConfig`.
    n_cells
        Train on this many cells, chosen by the seed so that a larger number contains the smaller; the
        held-out ones stay the same. ``None`` for all.
    n_geometries
        Neighbourhoods in the training bank, 40 units each.
    held_out_fraction
        Share of cells that are only judged by.
    n_jobs
        Workers that build the bank; ``None`` leaves it to ``joblib.parallel_config``.
    validation_size
        Windows or scenes of validation.
    start
        Weights (of the same configuration) to train further; ``None`` starts afresh.

    Returns
    -------
    Path
        The folder of the weights.

    Raises
    ------
    DataError
        If there are fewer cells than asked for, or `out` holds another run.
    """
    out = Path(out)
    torch.manual_seed(derive(seed, "weights", kind))
    if kind == "detector":
        model, batch_size = make_detector(config or "strided"), batch_size or 512
    else:
        model, batch_size = make_extractor(config or "contacts"), batch_size or 16
    if start is not None:
        model.load_state_dict(load_weights(start).state_dict())
    seen, unseen = split_cells(library, held_out_fraction=held_out_fraction, seed=seed)
    seen = choose_cells(seen, n_cells, seed=seed)
    made_of = fingerprint(
        [cell.name for cell in seen.cells], [cell.name for cell in unseen.cells], library.source,
        n_geometries, None if start is None else load_artifact(start).provenance,
    )  # fmt: skip
    bank = build_bank(seen, n_geometries=n_geometries, seed=derive(seed, "bank", "train"), n_jobs=n_jobs)
    held_out = build_bank(unseen, n_geometries=64, seed=derive(seed, "bank", "held out"), n_jobs=n_jobs)
    training = TrainConfig(
        steps=steps or 1000,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=1e-3,
        warmup_fraction=0.05,
        schedule="onecycle",
        seed=seed,
        device=device,
        precision="bfloat16" if precision == "bfloat16" else "float32",
        log_every=50,
    )
    run = out / "runs" / kind
    if minutes is not None:
        training = dataclasses.replace(
            training, steps=_steps_for(minutes, run, model, bank, held_out, training)
        )
        print(f"{kind}: {training.steps} steps fit into {minutes:g} minutes", flush=True)
    total = training.total_steps(1)
    training = dataclasses.replace(
        training,
        evaluate_every=max(total // 6, 1),
        checkpoint_every=max(min(total // 6, _CHECKPOINT_EVERY), 1),
    )
    started = time.monotonic()
    result = pretrain(
        model,
        bank,
        held_out,
        config=training,
        folder=run,
        validation_size=validation_size,
        data_fingerprint=made_of,
        quiet=quiet,
    )
    card: dict[str, Any] = {
        "library": {"cells": len(library), "licence": library.licence, "source": library.source},
        "held_out_cells": [cell.name for cell in unseen.cells],
        "training": training.identity() | {"cells": len(seen), "neighbourhoods": n_geometries},
        "minutes": round((time.monotonic() - started) / 60, 1),
        "command": _command(
            kind,
            training,
            {
                "library": None if library_name == "default" else library_name,
                "config": str(model.kind).partition("/")[2],
                "cells": n_cells,
                "geometries": n_geometries,
                "held-out-fraction": held_out_fraction,
                "start": start,
            },
        ),
        "continues": None if start is None else str(load_artifact(start).document["card"]),
        "held_out_loss": result.best_loss,
    }
    if kind == "extractor":
        card["held_out_identification"] = identification_table(
            model.cpu(), held_out, seed=seed, n_scenes=validation_size or 48
        )
    return save_weights(model, out / kind, card=card, seed=seed)


def split_cells(
    library: CellLibrary, *, held_out_fraction: float, seed: int
) -> tuple[CellLibrary, CellLibrary]:
    """Split the cells of a library at random into those to learn from and those to be judged by."""
    order = stream(seed, "split cells").permutation(len(library))
    n_held_out = int(np.clip(round(held_out_fraction * len(library)), 1, len(library) - 1))
    pick = lambda rows: tuple(library.cells[int(row)] for row in sorted(rows))  # noqa: E731
    return (
        dataclasses.replace(library, cells=pick(order[n_held_out:])),
        dataclasses.replace(library, cells=pick(order[:n_held_out])),
    )


def choose_cells(library: CellLibrary, n_cells: int | None, *, seed: int) -> CellLibrary:
    """Return some cells of a library; the seed orders them, so that a larger number contains the smaller.

    Raises
    ------
    DataError
        If there are not so many.
    """
    if n_cells is None:
        return library
    if not 1 <= n_cells <= len(library):
        raise DataError(
            f"{n_cells} cells to train on",
            expected=f"1 to {len(library)}, the cells that are not held out",
            remedy="pass --cells with such a number, or a larger library",
        )
    chosen = stream(seed, "choose cells").permutation(len(library))[:n_cells]
    return dataclasses.replace(library, cells=tuple(library.cells[int(i)] for i in sorted(chosen)))


def identification_table(model: nn.Module, bank: Bank, *, seed: int, n_scenes: int = 48) -> dict[str, Any]:
    """Return how often a spike is closest to its own unit's mean: embedded, and as raw voltage."""
    table = {}
    for name, (smallest, largest) in _NOISE_LEVELS.items():
        generator = torch.Generator().manual_seed(derive(seed, "identification", name))
        batch = extractor_batch(bank, n_scenes, generator=generator, smallest=smallest, largest=largest)
        embedded, raw = identification_accuracy(model, batch), raw_accuracy(batch)
        table[name] = {"embedded": round(embedded, 4), "raw": round(raw, 4)}
    return table


def _command(kind: str, training: TrainConfig, more: dict[str, Any]) -> str:
    options = {
        "out": "FOLDER",
        "steps": training.steps,
        "batch-size": training.batch_size,
        "learning-rate": f"{training.learning_rate:g}",
        "precision": training.precision,
        "device": training.device,
        "seed": training.seed,
    } | more
    words = [
        word for name, value in options.items() if value is not None for word in (f"--{name}", str(value))
    ]
    return f"neuroloom pretrain {kind} {shlex.join(words)}"


def _steps_for(
    minutes: float, run: Path, model: nn.Module, bank: Bank, held_out: Bank, config: TrainConfig
) -> int:
    """Measure once how many steps fit into so many minutes; a resumed run must have the same number."""
    noted = run.with_name(f"{run.name}.steps.json")
    if noted.exists():
        found = json.loads(noted.read_text())
        if found["minutes"] == minutes:
            return int(found["steps"])
    steps = _steps_in(minutes, model, bank, held_out, config)
    write_text(noted, json.dumps({"minutes": minutes, "steps": steps}))
    return steps


def _steps_in(minutes: float, model: nn.Module, bank: Bank, held_out: Bank, config: TrainConfig) -> int:
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    rates = []
    for n_steps in (10, 40):  # the first warms up
        started = time.monotonic()
        trial = dataclasses.replace(config, steps=n_steps, evaluate_every=n_steps, checkpoint_every=n_steps)
        pretrain(model, bank, held_out, config=trial, validation_size=config.batch_size, quiet=True)
        rates.append((time.monotonic() - started) / n_steps)
    model.load_state_dict(weights)
    return max(int(60 * minutes / rates[-1] * 0.9), 1)
