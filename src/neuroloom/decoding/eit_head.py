"""A linear head on T for units that were never met: solved at once, its penalty chosen where it learns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from neuroloom.decoding.binning import inner_validation
from neuroloom.decoding.eit import EIT
from neuroloom.decoding.eit_data import EITData
from neuroloom.decoding.eit_inputs import EITInputs, to_places
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

# Of T's numbers that a head is learned from; longer recordings are thinned evenly.
MOST_NUMBERS = 2**28


@dataclass(frozen=True)
class Head:
    """Outputs of each bin from all numbers that T has for each unit.

    Attributes
    ----------
    weights
        Shape (units, dim, outputs), float32.
    intercept
        Shape (outputs,), float32.
    """

    weights: np.ndarray
    intercept: np.ndarray

    def __call__(self, model: EIT, inputs: EITInputs) -> Tensor:
        """Return the outputs of windows of the session that it was learned in, (B, T, outputs)."""
        tokens = to_places(model.represent(inputs), inputs)  # (B, T, N, D)
        weights = torch.from_numpy(self.weights.reshape(-1, len(self.intercept)))
        return tokens.flatten(2) @ weights + torch.from_numpy(self.intercept)

    def among(self, places: Sequence[int], n_outputs: int) -> "Head":
        """Return the same head where output k has become ``places[k]`` of `n_outputs`; it gives no others."""
        weights = np.zeros((*self.weights.shape[:2], n_outputs), dtype=np.float32)
        intercept = np.full(n_outputs, ABSENT, dtype=np.float32)
        weights[:, :, list(places)], intercept[list(places)] = self.weights, self.intercept
        return Head(weights, intercept)


def solve_heads(model: EIT, data: EITData, *, n_bins: int, n_outputs: int) -> list[Head]:
    """Return a head for each session: multinomial logistic regression of labels, ridge of a behaviour.

    T's numbers are centred, and scaled together, not each for itself: what T makes large is penalised less.

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

    Raises
    ------
    DataError
        If a session has one class only.
    """
    return [_solved(model, data, number, n_bins, n_outputs) for number in range(len(data.sessions))]


def _solved(model: EIT, data: EITData, number: int, n_bins: int, n_outputs: int) -> Head:
    tokens, bins = _tokens(model, data, number, n_bins)
    stretch, truth = data.sessions[number].stretch, data.truth[data.first_bin[number] + bins]
    mean = tokens.mean(axis=0, dtype=np.float64)
    tokens -= mean.astype(np.float32)
    # All numbers of a unit together have a variance of 1 on average, as the penalties suppose of a feature.
    spread = float(np.sqrt(model.config.dim * np.mean(tokens**2, dtype=np.float64))) or 1.0
    tokens /= spread
    numbers, back = _fewer(tokens)
    if truth.ndim == 1:
        weights, intercept = _of_labels(numbers, truth, stretch[bins], n_outputs)
    else:
        learns, decides = inner_validation(stretch, fraction=VALIDATION_FRACTION, gap=n_bins - 1)
        weights, intercept = _of_behaviour(numbers, truth, learns[bins], decides[bins])
    weights = (weights if back is None else back @ weights) / spread
    intercept = intercept - mean @ weights
    weights = weights.reshape(-1, model.config.dim, n_outputs)
    return Head(weights.astype(np.float32), intercept.astype(np.float32))


@torch.no_grad()
def _tokens(model: EIT, data: EITData, number: int, n_bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Return T's numbers of a session's known bins in all windows, (rows, units * dim), and the bins."""
    windows, batches = windows_in_batches(model, data, n_bins)
    mine = np.flatnonzero(windows.session == number)
    width = int(data.n_units[number]) * model.config.dim
    mine = mine[:: -(-len(mine) * n_bins * width // MOST_NUMBERS)]
    rows, bins = [], []
    for chosen in batches:
        chosen = chosen[np.isin(chosen, mine)]
        if not len(chosen):
            continue
        places, used = windows.places(chosen)
        counts = used & data.known[data.first_bin[number] + places]
        inputs = data.inputs(windows.session[chosen], places, used)
        tokens = to_places(model.represent(inputs), inputs).flatten(2).numpy()
        rows.append(tokens[counts])
        bins.append(places[counts])
    return np.concatenate(rows), np.concatenate(bins)


def _fewer(tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Return at most as many numbers as there are rows, and what turns their weights into those of all.

    A penalty on squares does not see directions in which no row goes, nor a rotation of the others.
    """
    n_rows, width = tokens.shape
    if width <= n_rows:
        return tokens, None
    values, vectors = np.linalg.eigh((tokens @ tokens.T).astype(np.float64))
    there = values > 1e-6 * max(values[-1], 1e-30)
    size = np.sqrt(values[there])
    return vectors[:, there] * size, (tokens.T @ (vectors[:, there] / size).astype(np.float32)).astype(float)


def _of_labels(
    x: np.ndarray, codes: np.ndarray, trial: np.ndarray, n_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    if len(np.unique(codes)) < 2:
        raise DataError(
            "the session has one class only",
            expected="at least two classes in every session that a head is learned for",
            remedy="pass a longer part of it, or mode='interaction'",
        )
    return fit_logistic(x, codes, n_classes, choose_logistic(x, codes, trial) or DEFAULT_CHOICE)


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
