"""The one training loop, for every torch model: alone, or under ``torchrun`` with the same result.

A run is a function of its config, the initial weights and the data. Every random choice belongs to a step's
number, so a run that was killed and resumed ends with the same bits as one that was not.
"""

import contextlib
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from neuroloom import artifacts
from neuroloom.errors import DataError
from neuroloom.findings import Finding
from neuroloom.training import checkpoint as checkpoints
from neuroloom.training.config import TrainConfig
from neuroloom.training.journal import Journal
from neuroloom.training.objective import Gradient, Objective, mean_loss
from neuroloom.training.processes import Processes, borrowed_randomness, join
from neuroloom.training.sampler import Batch
from neuroloom.training.schedule import rate_factor
from neuroloom.training.state import TrainState

__all__ = ["Batch", "Objective", "TrainConfig", "TrainResult", "train"]


@dataclass(frozen=True)
class TrainResult:
    """How a run ended.

    Attributes
    ----------
    step
        Optimizer steps made.
    best_step, best_loss
        The step with the lowest validation loss, whose weights the model has; None without validation.
    stopped_early
        Whether patience ran out before the steps did.
    records
        The log's lines: step, epoch, loss (mean since the line before), learning_rate, elapsed_s, and
        validation_loss where it was evaluated.
    findings
        Damaged checkpoints that were passed over.
    """

    step: int
    best_step: int | None
    best_loss: float | None
    stopped_early: bool
    records: list[dict[str, Any]] = field(repr=False)
    findings: list[Finding]


def train(
    model: nn.Module,
    objective: Objective,
    *,
    config: TrainConfig,
    validation: Objective | None = None,
    folder: str | os.PathLike | None = None,
    parameter_groups: Callable[[nn.Module], list[dict[str, Any]]] | None = None,
    make_optimizer: Callable[[list[dict[str, Any]]], torch.optim.Optimizer] | None = None,
    data_fingerprint: str | None = None,
    label: str = "training",
    quiet: bool = False,
) -> TrainResult:
    """Train `model` in place and return how it went.

    The model ends on the run's device, in evaluation mode, with the weights of the lowest validation loss
    (those of the last step without `validation`).

    Parameters
    ----------
    model
        The module, initialised by the caller. Parameters without ``requires_grad`` are left alone.
    objective, validation
        What is minimised, and what decides which weights are best and when to stop early.
    config
        The settings.
    folder
        Where the log (``log.jsonl``) and the checkpoints go. A run found there is resumed; it must have
        the same config and data. Processes on several machines must all see the folder.
    parameter_groups
        ``parameter_groups(model) -> groups`` for the optimizer; a group's own ``lr`` is its peak rate.
        By default weight decay applies to parameters with two or more dimensions.
    make_optimizer
        ``make_optimizer(groups) -> optimizer``; AdamW by default.
    data_fingerprint
        Identity of the data, to refuse resuming on other data.
    label, quiet
        The progress bar's name, and whether to hide it.

    Raises
    ------
    DataError
        If the loss stops being finite, the disk has too little room, the batch is too small to share out,
        or `folder` holds another run.
    """
    processes = join(config.device)
    n_pieces = config.accumulate * processes.n_processes
    if config.batch_size < n_pieces:
        raise DataError(
            f"a batch of {config.batch_size} examples is cut into {n_pieces} pieces",
            expected="at least one example a piece",
            remedy="raise batch_size, or lower accumulate or the number of processes",
        )
    with borrowed_randomness(processes.device, deterministic=config.deterministic):
        model.to(processes.device)
        groups = parameter_groups(model) if parameter_groups else _decay_matrices(model, config)
        optimizer = make_optimizer(groups) if make_optimizer else _adamw(groups, config)
        peak_rates = [group["lr"] for group in optimizer.param_groups]
        state = TrainState(model, optimizer)
        files = _RunFolder(folder, config, data_fingerprint)
        findings = files.resume(state, processes)
        total_steps = config.total_steps(objective.n_examples)
        gradient = Gradient(
            model,
            objective,
            config=config,
            processes=processes,
            first_step=total_steps if state.stopped else state.step,
            last_step=total_steps,
        )
        with contextlib.closing(gradient), _progress_bar(state, total_steps, label, quiet, processes) as bar:
            _advance(state, gradient, peak_rates, validation, files, total_steps, bar)
        if state.best_weights:
            model.load_state_dict(state.best_weights)
        model.eval()
    return TrainResult(
        step=state.step,
        best_step=state.best_step,
        best_loss=state.best_loss,
        stopped_early=state.stopped,
        records=[record for record in files.journal.records if "loss" in record],
        findings=findings,
    )


def _advance(
    state: TrainState,
    gradient: Gradient,
    peak_rates: list[float],
    validation: Objective | None,
    files: "_RunFolder",
    total_steps: int,
    bar: Any,
) -> None:
    """Make the remaining steps."""
    config, processes = gradient.config, gradient.processes
    parameters = [p for group in state.optimizer.param_groups for p in group["params"]]
    evaluate_every = config.evaluate_every or math.ceil(gradient.objective.n_examples / config.batch_size)
    earlier_s = max((record.get("elapsed_s", 0.0) for record in files.journal.records), default=0.0)
    began_s = time.monotonic() - earlier_s
    running = torch.zeros(2, dtype=torch.float64, device=processes.device)
    state.model.train()
    while state.step < total_steps and not state.stopped:
        factor = rate_factor(state.step, total_steps=total_steps, config=config)
        for group, peak in zip(state.optimizer.param_groups, peak_rates, strict=True):
            group["lr"] = peak * factor
        running += gradient.accumulate()
        if config.gradient_clip is not None:
            nn.utils.clip_grad_norm_(parameters, config.gradient_clip)
        state.optimizer.step()
        state.optimizer.zero_grad(set_to_none=True)
        state.step += 1
        bar.update()

        last = state.step == total_steps
        evaluates = validation is not None and (last or state.step % evaluate_every == 0)
        saves = files.folder is not None and (last or state.step % config.checkpoint_every == 0)
        if not (evaluates or saves or last or state.step % config.log_every == 0):
            continue
        record: dict[str, Any] = {
            "step": state.step,
            "epoch": round(state.step * config.batch_size / gradient.objective.n_examples, 4),
            "loss": _mean(running, state.step),
            "learning_rate": config.learning_rate * factor,
        }
        running.zero_()
        if validation is not None and evaluates:
            sums = mean_loss(state.model, validation, config=config, processes=processes)
            record["validation_loss"] = _mean(sums, state.step)
            state.judge(record["validation_loss"], patience=config.patience)
        record["elapsed_s"] = round(time.monotonic() - began_s, 3)
        files.journal.append(record)
        bar.set_postfix({name: record[name] for name in ("loss", "validation_loss") if name in record})
        if saves or state.stopped:
            files.save(state, processes)


class _RunFolder:
    """The run's log and checkpoints; without a folder, the log in memory alone."""

    def __init__(self, folder: str | os.PathLike | None, config: TrainConfig, data_fingerprint: str | None):
        self.folder = Path(folder) if folder is not None else None
        self.config, self.data_fingerprint = config, data_fingerprint
        self.journal = Journal(None)

    def resume(self, state: TrainState, processes: Processes) -> list[Finding]:
        """Restore what the folder holds, if anything, and make the folder ready for more."""
        if self.folder is None:
            return []
        found, findings = checkpoints.load_latest(self.folder / "checkpoints")
        step = found.step if found else 0
        agreed = processes.agree(step)
        if step != agreed:
            raise DataError(
                f"process {processes.rank} sees step {step} in {self.folder}, the first one sees {agreed}",
                expected="the same folder in every process",
                remedy="put the folder on a file system that all machines share",
            )
        if found:
            self._require_same_run(found)
            state.restore(found)
        if not processes.first:
            return findings
        checkpoints.clear_remains(self.folder / "checkpoints")
        if found is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            artifacts.require_space(self.folder, (checkpoints.KEPT + 1) * state.n_bytes())
        self.journal = Journal(self.folder / "log.jsonl", last_step=step)
        for finding in findings:
            self.journal.append({"step": step, "finding": finding.as_dict()})
        return findings

    def save(self, state: TrainState, processes: Processes) -> None:
        """Write a checkpoint, if there is a folder and this is the process that writes."""
        if self.folder is not None and processes.first:
            checkpoints.save_checkpoint(
                self.folder / "checkpoints",
                step=state.step,
                tensors=state.tensors(),
                document=state.document(),
                config=self.config.identity(),
                seed=self.config.seed,
                data_fingerprint=self.data_fingerprint,
            )

    def _require_same_run(self, found: checkpoints.Checkpoint) -> None:
        mine = self.config.identity() | {"data_fingerprint": self.data_fingerprint}
        theirs = found.provenance["config"] | {"data_fingerprint": found.provenance["data_fingerprint"]}
        different = [name for name in mine if mine[name] != theirs.get(name)]
        if different:
            raise DataError(
                f"{self.folder} holds a run with "
                + ", ".join(f"{name}={theirs.get(name)!r}" for name in different),
                expected=", ".join(f"{name}={mine[name]!r}" for name in different),
                remedy="choose another folder, or the settings and data of the run to be resumed",
            )


def _decay_matrices(model: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _adamw(groups: list[dict[str, Any]], config: TrainConfig) -> torch.optim.Optimizer:
    # The fused kernel is the fastest on either device, and as exact as the others.
    return torch.optim.AdamW(
        groups, lr=config.learning_rate, betas=config.betas, weight_decay=config.weight_decay, fused=True
    )


def _progress_bar(state: TrainState, total_steps: int, label: str, quiet: bool, processes: Processes) -> Any:
    from tqdm import tqdm

    hidden = quiet or not processes.first
    return tqdm(total=total_steps, initial=state.step, desc=label, unit="step", disable=hidden)


def _mean(sums: torch.Tensor, step: int) -> float | None:
    """Return the weighted mean; None where every weight was zero."""
    total, weight = sums.tolist()
    if not (math.isfinite(total) and math.isfinite(weight)):
        raise DataError(
            f"the loss is {total} at step {step}",
            expected="a finite loss",
            remedy="lower learning_rate, or check the data with `neuroloom check`",
        )
    return total / weight if weight > 0 else None
