"""All that a run must remember between two steps: weights, optimizer, and the best so far."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from neuroloom.errors import DataError
from neuroloom.training.checkpoint import Checkpoint


@dataclass
class TrainState:
    """A run between two steps.

    Attributes
    ----------
    model, optimizer
        What is being trained; both are changed in place.
    step
        Optimizer steps made.
    best_step, best_loss, best_weights
        The lowest validation loss so far and its weights, on the CPU.
    waited
        Evaluations since the best one.
    stopped
        Whether patience has run out.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    step: int = 0
    best_step: int | None = None
    best_loss: float | None = None
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)
    waited: int = 0
    stopped: bool = False

    def judge(self, loss: float | None, *, patience: int | None) -> None:
        """Keep the weights if `loss` is the lowest so far; stop when it was not `patience` times."""
        if loss is not None and (self.best_loss is None or loss < self.best_loss):
            self.best_step, self.best_loss, self.waited = self.step, loss, 0
            weights = self.model.state_dict()
            self.best_weights = {name: value.detach().cpu().clone() for name, value in weights.items()}
            return
        self.waited += 1
        self.stopped = patience is not None and self.waited >= patience

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return every tensor to be saved, by name."""
        named = {f"model/{name}": value for name, value in self.model.state_dict().items()}
        if self.best_step != self.step:
            named |= {f"best/{name}": value for name, value in self.best_weights.items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            for name, value in moments.items():
                if isinstance(value, torch.Tensor):
                    named[f"optimizer/{index}/{name}"] = value
        return named

    def document(self) -> dict[str, Any]:
        """Return everything else to be saved, ready for JSON."""
        plain = [
            [index, name, value]
            for index, moments in self.optimizer.state_dict()["state"].items()
            for name, value in moments.items()
            if not isinstance(value, torch.Tensor)
        ]
        return {
            "best_step": self.best_step,
            "best_loss": self.best_loss,
            "waited": self.waited,
            "stopped": self.stopped,
            "optimizer": plain,
        }

    def restore(self, checkpoint: Checkpoint) -> None:
        """Become what was saved.

        Raises
        ------
        DataError
            If the checkpoint is of another model.
        """
        document = checkpoint.document
        weights = _below("model/", checkpoint.tensors)
        expected = {name: tuple(value.shape) for name, value in self.model.state_dict().items()}
        found = {name: tuple(value.shape) for name, value in weights.items()}
        if found != expected:
            different = sorted(name for name in found | expected if found.get(name) != expected.get(name))
            raise DataError(
                f"the checkpoint of step {checkpoint.step} is of another model (it differs in "
                f"{', '.join(different[:5])}{' ..' if len(different) > 5 else ''})",
                expected="tensors of the same names and shapes",
                remedy="choose another folder, or train the same model",
            )
        self.model.load_state_dict(weights)
        moments: dict[int, dict[str, Any]] = {}
        for key, value in _below("optimizer/", checkpoint.tensors).items():
            index, _, name = key.partition("/")
            moments.setdefault(int(index), {})[name] = value
        for index, name, value in document["optimizer"]:
            moments.setdefault(index, {})[name] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self.step, self.waited, self.stopped = checkpoint.step, document["waited"], document["stopped"]
        self.best_step, self.best_loss = document["best_step"], document["best_loss"]
        if self.best_step is not None:
            self.best_weights = (
                weights if self.best_step == self.step else _below("best/", checkpoint.tensors)
            )

    def n_bytes(self) -> int:
        """Return about how many bytes a checkpoint takes: weights, the best ones, and two moments."""
        return 4 * sum(value.nbytes for value in self.model.state_dict().values())


def _below(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
