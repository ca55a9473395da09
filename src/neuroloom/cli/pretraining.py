"""Verbs that make weights: pretrain detector, pretrain extractor."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from neuroloom.cli import console
from neuroloom.cli.simulation import WorkerOptions, read_library


@dataclass(frozen=True, kw_only=True)
class PretrainOptions(WorkerOptions):
    """What training of either network needs."""

    out: Path
    """Folder: weights go to OUT/detector or OUT/extractor, checkpoints to OUT/runs; a rerun resumes."""
    library: Path | None = None
    """A cell library; the one that comes with the package by default."""
    steps: int | None = None
    """Optimizer steps; 1,000 by default."""
    minutes: float | None = None
    """Instead of steps: as many as fit into these minutes on this machine."""
    batch_size: int | None = None
    """Windows (detector, 512) or scenes (extractor, 16) per step."""
    learning_rate: float = 2e-3
    """Peak of the schedule."""
    cells: int | None = None
    """Train on this many of the cells only; a larger number contains the smaller."""
    geometries: int = 512
    """Neighbourhoods of contacts with 40 units each: the scenes that training draws from."""
    held_out_fraction: float = 0.2
    """Share of cells that never enter training and give the card's figures."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16 is faster on a GPU."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:1."""
    start: Path | None = None
    """Weights of the same configuration to train further."""
    seed: int = 0
    """Seed of all that is random."""

    def run(self, kind: str, config: str) -> None:
        """Make the weights and say where they are."""
        from neuroloom.artifacts import load_artifact
        from neuroloom.errors import DataError
        from neuroloom.simulation.workers import workers
        from neuroloom.sorting.weights_making import make_weights

        if self.steps is not None and self.minutes is not None:
            raise DataError(
                f"--steps {self.steps} and --minutes {self.minutes:g}",
                expected="one of them",
                remedy="leave one out",
            )
        library, name = read_library(self.library)
        with workers(self.jobs, dask=self.dask):
            folder = make_weights(
                kind,
                library,
                self.out,
                library_name=name,
                config=config,
                steps=self.steps,
                minutes=self.minutes,
                batch_size=self.batch_size,
                learning_rate=self.learning_rate,
                n_cells=self.cells,
                n_geometries=self.geometries,
                held_out_fraction=self.held_out_fraction,
                precision=self.precision,
                device=self.device,
                start=self.start,
                seed=self.seed,
            )
        card = load_artifact(folder).document["card"]
        print(f"loss on {len(card['held_out_cells'])} cells that were held out: {card['held_out_loss']:.4f}")
        if "held_out_identification" in card:
            rows = [[n, v["embedded"], v["raw"]] for n, v in card["held_out_identification"].items()]
            console.show_table(["spikes", "embedded", "as voltage"], rows)
        console.wrote(folder, f"{kind} weights with their card")
        other = "extractor" if kind == "detector" else "detector"
        if (self.out / other).exists():
            console.following(
                "neuroloom.sorting.simsort.simsort(recording, detector=.., extractor=..) in Python, "
                "each from neuroloom.sorting.pretrained.load_weights"
            )
        else:
            console.following(f"neuroloom pretrain {other} --out {shlex.quote(str(self.out))}")


@dataclass(frozen=True, kw_only=True)
class PretrainDetector(PretrainOptions):
    """Train the spike detector on simulated scenes, from scratch or further."""

    config: Literal["strided", "paper"] = "strided"
    """The default network, or the published one (tetrodes only, about a hundred times slower)."""

    def __call__(self) -> None:
        self.run("detector", self.config)


@dataclass(frozen=True, kw_only=True)
class PretrainExtractor(PretrainOptions):
    """Train the identity extractor on simulated scenes, from scratch or further."""

    config: Literal["contacts", "paper"] = "contacts"
    """The default network, or the published one (tetrodes only)."""

    def __call__(self) -> None:
        self.run("extractor", self.config)
