"""What a run minimises, and its weighted mean and gradient over any number of processes."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from neuroloom import seeds
from neuroloom.training.config import TrainConfig
from neuroloom.training.prefetch import prefetched
from neuroloom.training.processes import Processes
from neuroloom.training.sampler import Batch, Sampler


def _unchanged(batch: Batch) -> Any:
    return batch


@dataclass(frozen=True)
class Objective:
    """What is minimised: the weighted mean of a loss over `n_examples` examples.

    Attributes
    ----------
    n_examples
        How many examples there are; batches hold their numbers.
    loss
        ``loss(model, inputs) -> (weighted sum of losses, sum of weights)``. The loop divides the one by
        the other over the whole batch, so masked and weighted losses mean the same on any number of
        processes. The sum must depend on the model even when every weight is zero.
    prepare
        ``prepare(batch) -> inputs``, e.g. tensors on ``batch.device``; may run in a thread, so its
        randomness comes from ``batch.stream``. By default the inputs are the `Batch` itself.
    """

    n_examples: int
    loss: Callable[[nn.Module, Any], tuple[torch.Tensor, torch.Tensor | float]]
    prepare: Callable[[Batch], Any] = _unchanged


class Gradient:
    """The gradient of an objective, batch after batch.

    Parameters
    ----------
    model, objective
        Whose gradient, of what.
    first_step, last_step
        The range of steps whose batches are drawn.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        *,
        config: TrainConfig,
        processes: Processes,
        first_step: int,
        last_step: int,
    ):
        self.config, self.processes, self.objective = config, processes, objective
        self.steps = range(first_step, last_step)
        self.module: nn.Module = _Loss(model, objective.loss)
        if processes.n_processes > 1 and self.steps:
            # A session's own parameters are used only by the processes that drew from that session.
            self.module = DistributedDataParallel(self.module, find_unused_parameters=True)
        self._inputs = prefetched(self._prepare, self._batches(), depth=config.prefetch)

    def accumulate(self) -> torch.Tensor:
        """Set the parameters' ``grad`` for the next batch.

        Returns
        -------
        torch.Tensor
            The batch's weighted sum of losses and sum of weights, (2,) float64.
        """
        sums = _zero_sums(self.processes)
        for piece in range(self.config.accumulate):
            seed, inputs = next(self._inputs)
            self.processes.seed(seed)
            with self._without_sync(unless=piece == self.config.accumulate - 1):
                with autocast(self.processes, self.config):
                    loss, weight = self.module(inputs)
                loss.backward()
            sums += _pair(loss, weight)
        sums = self.processes.total(sums)
        # DDP has averaged the gradients of the processes' sums; the gradient of the weighted mean is
        # their total over the total weight.
        scale = (self.processes.n_processes / torch.where(sums[1] > 0, sums[1], 1.0)).float()
        gradients = [p.grad for p in self.module.parameters() if p.grad is not None]
        torch._foreach_mul_(gradients, scale)  # pyright: ignore[reportPrivateImportUsage]
        return sums

    def close(self) -> None:
        """Stop preparing batches ahead."""
        self._inputs.close()

    def _batches(self) -> Iterator[Batch]:
        sampler = Sampler(self.objective.n_examples, seed=self.config.seed)
        accumulate, batch_size = self.config.accumulate, self.config.batch_size
        slots = range(self.processes.rank * accumulate, (self.processes.rank + 1) * accumulate)
        n_slots = accumulate * self.processes.n_processes
        for step in self.steps:
            for slot in slots:
                examples = sampler.slot(step, slot, n_slots=n_slots, batch_size=batch_size)
                yield Batch(examples, step, slot, self.config.seed, str(self.processes.device))

    def _prepare(self, batch: Batch) -> tuple[int, Any]:
        return batch.torch_seed(), self.objective.prepare(batch)

    def _without_sync(self, *, unless: bool) -> contextlib.AbstractContextManager[None]:
        if isinstance(self.module, DistributedDataParallel) and not unless:
            return self.module.no_sync()
        return contextlib.nullcontext()


@torch.no_grad()
def mean_loss(
    model: nn.Module, objective: Objective, *, config: TrainConfig, processes: Processes
) -> torch.Tensor:
    """Return the weighted sum of losses and sum of weights over all examples, (2,) float64.

    The examples are taken in order and shared out over the processes; every call draws alike.
    """
    size = max(1, config.batch_size // config.accumulate)
    starts = range(0, objective.n_examples, size)
    seed = seeds.derive(config.seed, "validation")
    sums = _zero_sums(processes)
    was_training = model.training
    model.eval()
    for slot in range(processes.rank, len(starts), processes.n_processes):
        examples = np.arange(starts[slot], min(starts[slot] + size, objective.n_examples))
        batch = Batch(examples, 0, slot, seed, str(processes.device))
        processes.seed(batch.torch_seed())
        with autocast(processes, config):
            loss, weight = objective.loss(model, objective.prepare(batch))
        sums += _pair(loss, weight)
    model.train(was_training)
    return processes.total(sums)


def autocast(processes: Processes, config: TrainConfig) -> torch.autocast:
    """Return the context in which the model computes at the config's precision."""
    enabled = config.precision == "bfloat16"
    return torch.autocast(processes.device.type, torch.bfloat16, enabled=enabled)


class _Loss(nn.Module):
    """Model and loss as one module, so that DDP sees every use of the model, not only ``model(...)``."""

    def __init__(self, model: nn.Module, loss: Callable):
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, inputs: Any) -> tuple[torch.Tensor, torch.Tensor | float]:
        return self.loss(self.model, inputs)


def _zero_sums(processes: Processes) -> torch.Tensor:
    return torch.zeros(2, dtype=torch.float64, device=processes.device)


def _pair(loss: torch.Tensor, weight: torch.Tensor | float) -> torch.Tensor:
    return torch.stack([loss.detach().double(), torch.as_tensor(weight, device=loss.device).double()])
