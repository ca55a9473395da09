"""Train a tiny model from the command line: the subject of the kill -9 and torchrun tests."""

import argparse
import json
import os
import time
from pathlib import Path

import torch
from torch import nn

from neuroloom import artifacts, seeds
from neuroloom.training.loop import Batch, Objective, TrainConfig, train


class TwoDoors(nn.Module):
    """A regression with one input layer per group, so that some parameters rest in some batches."""

    def __init__(self, dropout: float):
        super().__init__()
        self.doors = nn.ModuleList(nn.Linear(4, 16) for _ in range(2))
        self.body = nn.Sequential(nn.Tanh(), nn.Dropout(dropout), nn.Linear(16, 1))

    def through(self, inputs: torch.Tensor, door: int) -> torch.Tensor:
        return self.body(self.doors[door](inputs))[:, 0]


def objective(n_examples: int, *, pause_s: float = 0.0, jitter: float = 0.0) -> Objective:
    generator = seeds.torch_stream(0, "data")
    inputs = torch.randn(n_examples, 4, generator=generator)
    targets = inputs.sum(1) ** 2 / 4
    weights = (torch.rand(n_examples, generator=generator) > 0.3).float()
    door_of = (torch.arange(n_examples) >= n_examples // 2).long()

    def prepare(batch: Batch) -> torch.Tensor:
        indices = torch.from_numpy(batch.indices)
        noise = torch.from_numpy(batch.stream("jitter").normal(size=(len(indices), 4))).float()
        return torch.cat([indices[:, None].float(), inputs[indices] + jitter * noise], dim=1)

    def loss(model: TwoDoors, prepared: torch.Tensor):
        if pause_s:
            time.sleep(pause_s)
        indices, total = prepared[:, 0].long(), 0.0 * model.body[2].bias.sum()
        for door in door_of[indices].unique().tolist():
            chosen = door_of[indices] == door
            errors = model.through(prepared[chosen, 1:], door) - targets[indices[chosen]]
            total = total + (weights[indices[chosen]] * errors**2).sum()
        return total, weights[indices].sum()

    return Objective(n_examples, loss, prepare)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--losses", type=Path)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--accumulate", type=int, default=1)
    parser.add_argument("--dropout", type=float, default=0.5)
    parser.add_argument("--pause-s", type=float, default=0.0)
    chosen = parser.parse_args(arguments)
    torch.manual_seed(0)
    model = TwoDoors(chosen.dropout)
    config = TrainConfig(
        steps=chosen.steps,
        batch_size=16,
        accumulate=chosen.accumulate,
        learning_rate=0.02,
        checkpoint_every=7,
        evaluate_every=5,
        log_every=1,
        device="cpu",
    )
    result = train(
        model,
        objective(101, pause_s=chosen.pause_s, jitter=0.1),
        config=config,
        validation=objective(40),
        folder=chosen.folder,
        quiet=True,
    )
    if os.environ.get("RANK", "0") != "0":
        return
    if chosen.weights:
        state = {name: value.numpy() for name, value in model.state_dict().items()}
        artifacts.save_artifact(chosen.weights, kind="weights", arrays=state)
    if chosen.losses:
        curve = [[row["step"], row["loss"], row.get("validation_loss")] for row in result.records]
        artifacts.write_text(chosen.losses, json.dumps(curve))


if __name__ == "__main__":
    main()
