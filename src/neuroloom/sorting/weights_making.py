"""From a cell library to weights with a card: ``python -m neuroloom.sorting.weights_making``.

Needs only torch, NumPy and the library: no simulator and no SpikeInterface.
"""

import argparse
import dataclasses
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from neuroloom.artifacts import load_artifact
from neuroloom.seeds import derive, stream
from neuroloom.simulation.bank import Bank, build_bank
from neuroloom.simulation.corpus import extractor_batch
from neuroloom.simulation.library import DEFAULT_CELLS, CellLibrary
from neuroloom.sorting.detector import make_detector
from neuroloom.sorting.extractor import make_extractor
from neuroloom.sorting.pretrain import identification_accuracy, pretrain, raw_accuracy
from neuroloom.sorting.pretrained import load_weights, save_weights
from neuroloom.training.config import TrainConfig

_NOISE_LEVELS = {"faint": (3.5, 6.0), "medium": (6.0, 10.0), "loud": (10.0, 40.0)}  # peak over noise


def make_weights(
    kind: str,
    library: CellLibrary,
    out: str | os.PathLike,
    *,
    config: str | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    batch_size: int | None = None,
    learning_rate: float = 2e-3,
    n_geometries: int = 512,
    held_out_fraction: float = 0.2,
    device: str = "auto",
    precision: str = "float32",
    n_jobs: int = 1,
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
        Folder; checkpoints go to ``<out>/runs/<kind>``, where an interrupted run is resumed.
    config
        ``"strided"``/``"contacts"`` (default) or ``"paper"``.
    steps, minutes
        Length of training: steps, or the number of steps that fit into these minutes on this machine.
    batch_size
        Windows (detector, 512) or scenes (extractor, 16) per step.
    learning_rate, device, precision, seed, quiet
        As in `TrainConfig`.
    n_geometries
        Neighbourhoods in the training bank.
    n_jobs
        Workers that build the bank.
    validation_size
        Windows or scenes of validation.
    start
        Weights (of the same configuration) to train further; ``None`` starts afresh.
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
    if minutes is not None and not (out / "runs" / kind).exists():
        training = dataclasses.replace(training, steps=_steps_in(minutes, model, bank, held_out, training))
        print(f"{kind}: {training.steps} steps fit into {minutes:g} minutes", flush=True)
    total = training.total_steps(1)
    training = dataclasses.replace(
        training, evaluate_every=max(total // 6, 1), checkpoint_every=max(total // 6, 1)
    )
    started = time.monotonic()
    result = pretrain(
        model,
        bank,
        held_out,
        config=training,
        folder=out / "runs" / kind,
        validation_size=validation_size,
        quiet=quiet,
    )
    card: dict[str, Any] = {
        "library": {"cells": len(library), "licence": library.licence, "source": library.source},
        "held_out_cells": [cell.name for cell in unseen.cells],
        "training": training.identity() | {"neighbourhoods": n_geometries},
        "minutes": round((time.monotonic() - started) / 60, 1),
        "command": _command(kind, training, n_geometries=n_geometries, seed=seed),
        "continues": None if start is None else str(load_artifact(start).document["card"]),
        "held_out_loss": result.best_loss,
    }
    if kind == "extractor":
        card["held_out_identification"] = identification_table(model.cpu(), held_out, seed=seed)
    print(
        {key: card[key] for key in card if key.startswith("held_out") and key != "held_out_cells"}, flush=True
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


def identification_table(model: nn.Module, bank: Bank, *, seed: int, n_scenes: int = 48) -> dict[str, Any]:
    """Return how often a spike is closest to its own unit's mean: embedded, and as raw voltage."""
    table = {}
    for name, (smallest, largest) in _NOISE_LEVELS.items():
        generator = torch.Generator().manual_seed(derive(seed, "identification", name))
        batch = extractor_batch(bank, n_scenes, generator=generator, smallest=smallest, largest=largest)
        embedded, raw = identification_accuracy(model, batch), raw_accuracy(batch)
        table[name] = {"embedded": round(embedded, 4), "raw": round(raw, 4)}
    return table


def _command(kind: str, training: TrainConfig, *, n_geometries: int, seed: int) -> str:
    return (
        f"python -m neuroloom.sorting.weights_making {kind} --out FOLDER --steps {training.steps} "
        f"--batch-size {training.batch_size} --learning-rate {training.learning_rate:g} "
        f"--geometries {n_geometries} --device {training.device} --seed {seed}"
    )


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


def main(arguments: list[str] | None = None) -> int:
    """Parse arguments and make weights."""
    parser = argparse.ArgumentParser(prog="python -m neuroloom.sorting.weights_making", description=__doc__)
    parser.add_argument("kind", choices=["detector", "extractor"])
    parser.add_argument("--library", default=DEFAULT_CELLS, help="cell library folder")
    parser.add_argument("--out", required=True, help="where weights and checkpoints go")
    parser.add_argument("--config", help="strided | contacts | paper")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--geometries", type=int, default=512)
    parser.add_argument("--held-out-fraction", type=float, default=0.2)
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--start", help="weights to train further")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    folder = make_weights(
        given.kind,
        CellLibrary.load(given.library),
        given.out,
        config=given.config,
        steps=given.steps,
        minutes=given.minutes,
        batch_size=given.batch_size,
        learning_rate=given.learning_rate,
        n_geometries=given.geometries,
        held_out_fraction=given.held_out_fraction,
        device=given.device,
        precision=given.precision,
        n_jobs=given.jobs,
        start=given.start,
        seed=given.seed,
        quiet=not sys.stderr.isatty(),
    )
    print(f"wrote {folder}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
