"""Arrays as EIT's batches: trials of any number of individuals, and the answers to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from neuroloom import seeds
from neuroloom.decoding.eit import Answer
from neuroloom.decoding.eit_data import INDIVIDUAL_SHARE
from neuroloom.decoding.eit_inputs import EITInputs
from neuroloom.errors import DataError
from neuroloom.training.loop import Batch, Objective

# Axes of individuals in an answer about one trial.
AXES = {"individual": 1, "pair": 2}


@dataclass(frozen=True)
class TrialArrays:
    """Trials with their individuals end to end.

    Attributes
    ----------
    values
        Shape (all individuals, time, features), float64.
    counts
        Shape (trials,): individuals of each trial.
    """

    values: np.ndarray
    counts: np.ndarray

    def __len__(self) -> int:
        return len(self.counts)

    @classmethod
    def of(cls, x: Any) -> "TrialArrays":
        """Check and join trials: an array (trials, individuals, time, features), or a list of one per trial.

        Raises
        ------
        DataError
            If there are no trials, one has no individuals or no time, sizes differ, or a value is not finite.
        """
        trials = [np.asarray(each, dtype=np.float64) for each in x]
        expected = (
            "an array (trials, individuals, time, features), or a list of (individuals, time, features)"
        )
        if not trials:
            raise DataError("0 trials", expected=expected, remedy="pass at least one trial")
        shapes = {each.shape[1:] for each in trials}
        if len(shapes) > 1 or any(each.ndim != 3 for each in trials):
            found = ", ".join(map(str, sorted({each.shape for each in trials}, key=str)[:4]))
            raise DataError(
                f"trials of shapes {found}",
                expected=expected,
                remedy="give all trials the same time and features (x[..., None] for a single feature)",
            )
        empty = [number for number, each in enumerate(trials) if not each.size]
        if empty:
            raise DataError(
                f"trial {empty[0]} of {len(trials)} has the shape {trials[empty[0]].shape}",
                expected="at least one individual, point in time and feature in every trial",
                remedy="leave empty trials out",
            )
        values = np.concatenate(trials)
        if not np.isfinite(values).all():
            raise DataError(
                f"{np.count_nonzero(~np.isfinite(values))} values are not finite",
                expected="finite numbers",
                remedy="interpolate or leave out what is missing",
            )
        return cls(values, np.array([len(each) for each in trials]))

    def scaled(self, mean: np.ndarray, spread: np.ndarray) -> "TrialArrays":
        """Return the trials with each feature centred and divided by its spread."""
        return TrialArrays(((self.values - mean) / spread).astype(np.float32), self.counts)

    def inputs(self, chosen: np.ndarray, *, n_rows: int) -> EITInputs:
        """Return some trials as a batch; an individual's row is its place, as far as there are rows."""
        count = self.counts[chosen]
        trial = np.repeat(np.arange(len(chosen)), count)
        place = np.arange(len(trial)) - np.repeat(np.cumsum(count) - count, count)
        first = np.cumsum(self.counts) - self.counts
        return EITInputs(
            torch.from_numpy(self.values[first[chosen][trial] + place]),
            torch.from_numpy(trial),
            torch.from_numpy(place),
            torch.from_numpy(np.minimum(place, n_rows - 1)),
            torch.zeros(len(chosen), dtype=torch.long),
            int(count.max()),
        )


def split_groups(n_trials: int, groups: Any, *, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the trials that are learned and those that decide; a group is never on both sides.

    Parameters
    ----------
    n_trials
        How many there are.
    groups
        The group of each trial, e.g. the one that it is a copy of; None for groups of one.
    fraction
        Share of the groups that decides.
    seed
        Seed of the draw.

    Raises
    ------
    DataError
        If the fraction is out of range or the groups do not fit.
    """
    if not 0 <= fraction < 1:
        raise DataError(
            f"validation_fraction {fraction}", expected="a fraction from 0 to below 1",
            remedy="pass 0.1, or 0 to keep the last weights",
        )  # fmt: skip
    group = np.arange(n_trials) if groups is None else np.asarray(groups)
    if group.shape != (n_trials,):
        raise DataError(
            f"groups of shape {group.shape} for {n_trials} trials", expected="one per trial",
            remedy="pass the number of the trial that each is a copy of",
        )  # fmt: skip
    names = np.unique(group)
    decide = seeds.stream(seed, "eit", "validation").permutation(names)[: round(fraction * len(names))]
    deciding = np.isin(group, decide)
    return np.flatnonzero(~deciding), np.flatnonzero(deciding)


def padded_answers(y: Any, counts: np.ndarray, answer: Answer, *, what: str) -> np.ndarray:
    """Check answers, and pad those about individuals or pairs to the largest trial.

    Parameters
    ----------
    y
        One per trial; or per trial an array of one per individual, or (individuals, individuals) of pairs.
    counts
        Shape (trials,).
    answer
        As `EITConfig.answer`.
    what
        What they are called in a refusal.

    Returns
    -------
    ndarray
        Shape (trials, ..), (trials, individuals, ..) or (trials, individuals, individuals); what is padded
        repeats the first answer.

    Raises
    ------
    DataError
        If their number or shape does not fit.
    """
    n_axes = AXES.get(answer, 0)
    rows = [np.asarray(each) for each in y]
    wanted = {0: "one per trial", 1: "one per individual", 2: "one per pair, symmetric"}[n_axes]
    if len(rows) != len(counts):
        raise DataError(
            f"{len(rows)} {what} for {len(counts)} trials", expected=wanted, remedy="pass one for each trial"
        )
    for number, (row, n) in enumerate(zip(rows, counts, strict=True)):
        if row.shape[:n_axes] != (n,) * n_axes or (n_axes == 2 and not (row == row.T).all()):
            raise DataError(
                f"{what} of shape {row.shape} in trial {number} with {n} individuals",
                expected=wanted,
                remedy=f"pass answer='pooled', 'individual' or 'pair' as the {what} are",
            )
    if n_axes == 0:
        return np.stack(rows)
    widest = int(counts.max())
    padding = [
        [(0, widest - n)] * n_axes + [(0, 0)] * (row.ndim - n_axes)
        for row, n in zip(rows, counts, strict=True)
    ]
    return np.stack([np.pad(row, pad, mode="edge") for row, pad in zip(rows, padding, strict=True)])


def objective(
    trials: TrialArrays, truth: np.ndarray, chosen: np.ndarray, *, answer: Answer, n_rows: int
) -> Objective:
    """Return the loss on some trials: S plus half of T.

    Parameters
    ----------
    trials
        Scaled.
    truth
        From `padded_answers`; int64 classes, float32 values (.., outputs), or float32 0 and 1 of pairs.
    chosen
        Shape (examples,): which trials.
    answer, n_rows
        Of the network.
    """

    def prepare(batch: Batch) -> tuple[EITInputs, Tensor]:
        mine = chosen[batch.indices]
        inputs = trials.inputs(mine, n_rows=n_rows)
        right = torch.from_numpy(truth[mine])
        right = right[(slice(None), *[slice(inputs.n_places)] * AXES.get(answer, 0))]
        return inputs.to(batch.device), right.to(batch.device)

    def loss(model: nn.Module, prepared: tuple[EITInputs, Tensor]) -> tuple[Tensor, Tensor]:
        inputs, right = prepared
        outputs = model(inputs)
        errors = _errors(outputs.interaction, right, answer)
        errors = errors + INDIVIDUAL_SHARE * _errors(outputs.individual, right, answer)
        weight = _weights(inputs, answer).expand_as(errors)
        return (errors * weight).sum(), weight.sum()

    return Objective(len(chosen), loss, prepare)


def _errors(outputs: Tensor, truth: Tensor, answer: Answer) -> Tensor:
    """Return the error of each bin (B, T), individual (B, N) or pair (B, N, N)."""
    outputs = outputs.float()
    if answer == "pair":
        return nn.functional.binary_cross_entropy_with_logits(outputs, truth, reduction="none")
    if answer != "individual":  # every bin has the answer of its trial
        truth = truth[:, None].expand(*outputs.shape[:2], *truth.shape[1:])
    if truth.is_floating_point():
        return ((outputs - truth) ** 2).mean(dim=-1)
    return nn.functional.cross_entropy(outputs.transpose(1, 2), truth, reduction="none")


def _weights(inputs: EITInputs, answer: Answer) -> Tensor:
    """Return which errors count: all bins, all individuals there are, or all pairs of them."""
    n_trials = len(inputs.session)
    if answer not in ("individual", "pair"):
        return inputs.values.new_ones(n_trials, 1)
    present = inputs.values.new_zeros(n_trials, inputs.n_places)
    present[inputs.trial, inputs.place] = 1.0
    if answer == "individual":
        return present
    return present[:, :, None] * present[:, None] * (1 - torch.eye(inputs.n_places).to(present))


def cut(values: np.ndarray, counts: np.ndarray, *, n_axes: int) -> np.ndarray | list[np.ndarray]:
    """Take padding off the first `n_axes` axes after that of trials; an array where trials are alike."""
    if n_axes == 0 or (counts == counts[0]).all():
        return values
    return [row[(slice(n),) * n_axes] for row, n in zip(values, counts, strict=True)]


def together(parts: Sequence[np.ndarray], *, widest: int, n_axes: int) -> np.ndarray:
    """Join batches that were padded to different widths in their first `n_axes` axes after that of trials."""
    padded = []
    for part in parts:
        pad = [(0, 0)] + [(0, widest - part.shape[1 + axis]) for axis in range(n_axes)]
        padded.append(np.pad(part, pad + [(0, 0)] * (part.ndim - len(pad))))
    return np.concatenate(padded)


def flat(labels: Any, answer: Answer) -> np.ndarray:
    """Return labels end to end, of pairs each once."""
    if answer == "pair":
        return np.concatenate([np.asarray(each)[np.triu_indices(len(each), 1)] for each in labels])
    return np.concatenate([np.ravel(each) for each in labels])
