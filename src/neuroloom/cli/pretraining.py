"""Verbs that make weights: pretrain detector, pretrain extractor, pretrain poyo."""

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


@dataclass(frozen=True, kw_only=True)
class PretrainPoyo:
    """Train POYO on simulated reaching animals: a decoder of hand velocity that adapts to unseen sessions."""

    out: Path
    """Folder: the decoder goes to OUT/poyo-reaching-small, checkpoints to OUT/runs; a rerun resumes."""
    sessions: int = 96
    """Simulated sessions, dealt to the animals in turn, both tasks alike."""
    animals: int = 24
    """Simulated animals; those that give the card's figures are others."""
    minutes_each: float = 8.0
    """Training data of each session."""
    config: Literal["reaching", "small", "1.3M", "11.8M"] = "reaching"
    """Size of the network; reaching is that of the bundled weights."""
    steps: int = 16_000
    """Optimizer steps."""
    batch_size: int = 32
    """Windows of one second per step."""
    learning_rate: float = 2e-3
    """Peak of the schedule."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:1."""
    seed: int = 0
    """Seed of all that is random."""

    def __call__(self) -> None:
        from neuroloom.artifacts import load_artifact
        from neuroloom.decoding.poyo_pretraining import CONFIG, make_pretrained

        folder = make_pretrained(
            self.out,
            n_sessions=self.sessions,
            n_animals=self.animals,
            minutes_each=self.minutes_each,
            config=CONFIG if self.config == "reaching" else self.config,
            steps=self.steps,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            seed=self.seed,
            device=self.device,
        )
        figures = load_artifact(folder).document["card"]["figures"]
        unseen = figures["r2_unseen_animals"]
        rows = [
            ["held-out time of the training sessions", figures["r2_held_out_time"]["mean"]],
            [f"unseen animals after {unseen['minutes']:g} minutes", unseen["mean"]],
        ]
        console.show_table(["", "R²"], rows)
        console.wrote(folder, "pre-trained decoder with its card")
        console.following(
            f"neuroloom decode adapt --decoder {shlex.quote(str(folder))} --session SESSION --out DECODER"
        )
