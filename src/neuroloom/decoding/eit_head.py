"""Linear heads on all numbers of T or S, solved once these have learned; their penalty is chosen anew.

A readout that is trained with its network learns to trust what the network says of trials that it knows.
Solved afterwards, with a penalty for which trials were held out, it is often better on those that it does not
know (`wants_head`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from neuroloom.decoding.binning import inner_validation
from neuroloom.decoding.eit import EIT
from neuroloom.decoding.eit_data import EITData
from neuroloom.decoding.eit_inputs import EITInputs, population, to_places
from neuroloom.decoding.eit_predict import windows_in_batches
from neuroloom.decoding.logistic import ABSENT, DEFAULT_CHOICE, choose_logistic, fit_logistic
from neuroloom.decoding.ridge import (
    DEFAULT_PENALTY,
    FEWEST_TO_CHOOSE,
    VALIDATION_FRACTION,
    Moments,
    choose_penalties,
    solve_ridge,
)
from neuroloom.errors import DataError

# Numbers that a head is learned from; longer recordings are thinned evenly.
MOST_NUMBERS = 2**26
# Directions in which they vary most, which a head may use.
MOST_DIRECTIONS = 1024


@dataclass(frozen=True)
class Head:
    """Outputs of each bin from all numbers that a module has for each unit.

    Attributes
    ----------
    weights
        Shape (units, dim, outputs), float32.
    intercept
        Shape (outputs,), float32.
    """

    weights: np.ndarray
    intercept: np.ndarray

    def __call__(self, tokens: Tensor) -> Tensor:
        """tokens (B, T, N, D) of windows of its session -> (B, T, outputs)."""
        weights = torch.from_numpy(self.weights.reshape(-1, len(self.intercept)))
        return tokens.flatten(2) @ weights + torch.from_numpy(self.intercept)

    def among(self, places: Sequence[int], n_outputs: int) -> "Head":
        """Return the same head where output k has become ``places[k]`` of `n_outputs`; it gives no others."""
        weights = np.zeros((*self.weights.shape[:2], n_outputs), dtype=np.float32)
        intercept = np.full(n_outputs, ABSENT, dtype=np.float32)
        weights[:, :, list(places)], intercept[list(places)] = self.weights, self.intercept
        return Head(weights, intercept)


def wants_head(readout: str | None, *, task: str, answer: str) -> bool:
    """Return whether a head on S is solved after training.

    Where nothing is said, what was better in four parts of the training trials of two reaching monkeys, each
    held out once: with concatenated answers a head gains .01 to .04 of accuracy; with pooled ones, whose
    readout gives each unit gains of its own, it loses .03 on one animal and is level on the other. For hand
    velocity from few steps of training, pooled, it gains .09 of R² and more.
    """
    return readout == "solved" or (readout is None and (task == "regression" or answer == "concatenated"))


def solve_heads(model: EIT, data: EITData, *, n_bins: int, n_outputs: int, alone: bool) -> list[Head | None]:
    """Return a head for each session: multinomial logistic regression of labels, ridge of a behaviour.

    Numbers are centred, and scaled together, not each for itself: what the network makes large is penalised
    less.

    Parameters
    ----------
    model
        In evaluation mode; nothing of it changes.
    data
        The sessions with their truth.
    n_bins
        Bins of a window.
    n_outputs
        Classes, or dimensions.
    alone
        Whether heads read T, or S.

    Returns
    -------
    list of Head or None
        None for a session that has one class only or nothing known, for which the network's own readout
        of S does as well.

    Raises
    ------
    DataError
        If there is such a session and heads read T, which had no training there.
    """
    numbers = range(len(data.sessions))
    return [_solved(model, data, number, n_bins, n_outputs, alone=alone) for number in numbers]


def tokens_of(model: EIT, inputs: EITInputs, *, alone: bool) -> Tensor:
    """Return all numbers of T, or of S, by trial and place: (B, T, N, D)."""
    tokens = model.represent(inputs)
    return to_places(tokens, inputs) if alone else model.interact(tokens, inputs, population(inputs))


def _solved(
    model: EIT, data: EITData, number: int, n_bins: int, n_outputs: int, *, alone: bool
) -> Head | None:
    tokens, bins = _tokens(model, data, number, n_bins, alone=alone)
    stretch, truth = data.sessions[number].stretch, data.truth[data.first_bin[number] + bins]
    if not len(bins) or (truth.ndim == 1 and len(np.unique(truth)) < 2):
        if alone:
            raise DataError(
                "a session has one class only, or none that is known",
                expected="at least two classes in every session that a head is solved for",
                remedy="pass a longer part of it, or mode='interaction'",
            )
        return None
    mean = tokens.mean(axis=0, dtype=np.float64)
    tokens -= mean.astype(np.float32)
    # All numbers of a unit together have a variance of 1 on average, as the penalties suppose of a feature.
    spread = float(np.sqrt(model.config.dim * np.mean(tokens**2, dtype=np.float64))) or 1.0
    tokens /= spread
    directions = _directions(tokens)
    along = tokens @ directions
    if truth.ndim == 1:
        choice = choose_logistic(along, truth, stretch[bins]) or DEFAULT_CHOICE
        weights, intercept = fit_logistic(along, truth, n_outputs, choice)
    else:
        learns, decides = inner_validation(stretch, fraction=VALIDATION_FRACTION, gap=n_bins - 1)
        weights, intercept = _of_behaviour(along, truth, learns[bins], decides[bins])
    weights = directions @ weights / spread
    intercept = intercept - mean @ weights
    weights = weights.reshape(-1, model.config.dim, n_outputs)
    return Head(weights.astype(np.float32), intercept.astype(np.float32))


@torch.no_grad()
def _tokens(
    model: EIT, data: EITData, number: int, n_bins: int, *, alone: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of a session's known bins in all windows, (rows, units * dim), and the bins."""
    windows, batches = windows_in_batches(model, data, n_bins)
    mine = np.flatnonzero(windows.session == number)
    width = int(data.n_units[number]) * model.config.dim
    mine = mine[:: max(1, -(-len(mine) * n_bins * width // MOST_NUMBERS))]
    rows, bins = [], []
    for chosen in batches:
        chosen = chosen[np.isin(chosen, mine)]
        if not len(chosen):
            continue
        places, used = windows.places(chosen)
        counts = used & data.known[data.first_bin[number] + places]
        inputs = data.inputs(windows.session[chosen], places, used)
        rows.append(tokens_of(model, inputs, alone=alone).flatten(2).numpy()[counts])
        bins.append(places[counts])
    return np.concatenate(rows), np.concatenate(bins)


def _directions(tokens: np.ndarray) -> np.ndarray:
    """Return the directions in which rows vary most, (numbers, directions), orthonormal.

    A penalty on squares does not see a rotation, and hardly lets a head use directions that vary little.
    """
    n_rows, width = tokens.shape
    product = tokens.T @ tokens if width <= n_rows else tokens @ tokens.T
    values, vectors = np.linalg.eigh(product.astype(np.float64))
    values, vectors = values[-MOST_DIRECTIONS:], vectors[:, -MOST_DIRECTIONS:].astype(np.float32)
    there = values > 1e-6 * values[-1]
    there[-1] = True  # also of numbers that never vary
    if width <= n_rows:
        return vectors[:, there]
    size = np.sqrt(np.maximum(values[there], 1e-30)).astype(np.float32)
    return tokens.T @ (vectors[:, there] / size)


def _of_behaviour(
    x: np.ndarray, truth: np.ndarray, learns: np.ndarray, decides: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    sums = [Moments.zero(x.shape[1], truth.shape[1]) for _ in range(3)]
    for part, rows in zip(sums, (learns, decides, ~(learns | decides)), strict=True):
        part.add(x[rows], truth[rows])
    train, validation, gap = sums
    penalties = np.full(truth.shape[1], DEFAULT_PENALTY)
    if min(train.n, validation.n) >= FEWEST_TO_CHOOSE:
        penalties, _ = choose_penalties(train, validation)
    return solve_ridge(train + validation + gap, penalties)
