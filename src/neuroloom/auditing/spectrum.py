"""Ridge regressions of every strength from one decomposition of the responses."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neuroloom.errors import DataError
from neuroloom.sessions.splits import grouped_folds

# Ridge strengths tried, relative to the mean nonzero eigenvalue of the response covariance.
RIDGE_GRID = tuple(np.logspace(-4.0, 4.0, 17))


@dataclass(frozen=True)
class Scaling:
    """Column means and scales of a training set; constant columns get scale 0 and carry nothing.

    Attributes
    ----------
    mean, scale
        Both (columns,); `apply` returns ``(values - mean) / scale``.
    """

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, *, unit_variance: bool) -> "Scaling":
        """Measure the columns of `values` (rows, columns)."""
        mean = values.mean(0)
        if not unit_variance:
            return cls(mean, np.ones_like(mean))
        spread = values.std(0)
        # Rounding leaves a constant column a tiny spread that must not be blown up to 1.
        spread[spread <= 1e-10 * np.maximum(np.abs(mean), 1e-300)] = 0.0
        return cls(mean, spread)

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Centre and scale the columns."""
        return (values - self.mean) * self.inverse_scale

    def undo(self, values: np.ndarray) -> np.ndarray:
        """Return to the original units."""
        return values * self.scale + self.mean

    @property
    def inverse_scale(self) -> np.ndarray:
        """``1 / scale``, and 0 for constant columns."""
        return np.divide(1.0, self.scale, out=np.zeros_like(self.scale), where=self.scale > 0)


@dataclass(frozen=True)
class Spectrum:
    """Eigenvectors of the smaller Gram matrix of centred responses X (stimuli, units).

    Attributes
    ----------
    eigenvalues
        Squared singular values s² of X above rounding, (rank,).
    vectors
        Right singular vectors W (units, rank) in primal form, left ones U (stimuli, rank) in kernel form.
    responses
        X itself.
    primal
        Whether `vectors` live in unit space.
    """

    eigenvalues: np.ndarray
    vectors: np.ndarray
    responses: np.ndarray
    primal: bool

    @classmethod
    def of(cls, responses: np.ndarray) -> "Spectrum":
        """Decompose centred responses in unit space or stimulus space, whichever is smaller."""
        n_stimuli, n_units = responses.shape
        primal = n_units <= n_stimuli
        values, vectors = np.linalg.eigh(responses.T @ responses if primal else responses @ responses.T)
        keep = values > values[-1] * max(responses.shape) * np.finfo(float).eps
        return cls(values[keep], vectors[:, keep], responses, primal)

    @property
    def scale(self) -> float:
        """The mean eigenvalue, to which ridge strengths are relative."""
        return float(self.eigenvalues.mean()) if len(self.eigenvalues) else 1.0

    def cross(self, targets: np.ndarray) -> np.ndarray:
        """Return S Uᵀ Y (rank, targets): targets seen along each singular direction, times s."""
        if self.primal:
            return self.vectors.T @ (self.responses.T @ targets)
        return np.sqrt(self.eigenvalues)[:, None] * (self.vectors.T @ targets)

    def along(self, responses: np.ndarray) -> np.ndarray:
        """Return other responses X' W (stimuli, rank) along the singular directions in unit space."""
        if self.primal:
            return responses @ self.vectors
        return (responses @ self.responses.T @ self.vectors) / np.sqrt(self.eigenvalues)

    def to_units(self, coefficients: np.ndarray) -> np.ndarray:
        """Return W c: coefficients (rank, k) along singular directions as weights (units, k)."""
        if self.primal:
            return self.vectors @ coefficients
        return self.responses.T @ (self.vectors @ (coefficients / np.sqrt(self.eigenvalues)[:, None]))


def choose_ridges(
    responses: np.ndarray,
    targets: Sequence[np.ndarray],
    *,
    groups: np.ndarray | None,
    n_folds: int,
    grid: Sequence[float] = RIDGE_GRID,
    unit_variance: bool = False,
    seed: int = 0,
) -> list[float]:
    """Return, per target array, the ridge strength with the least error on inner held-out folds.

    Parameters
    ----------
    responses
        (stimuli, units) of the training set.
    targets
        Arrays (stimuli, targets); each fold's decomposition serves them all.
    groups
        (stimuli,) ids that the folds keep together.
    n_folds, grid, unit_variance, seed
        As in `neuroloom.auditing.bottleneck.ReducedRankRidge`.
    """
    ids = np.arange(len(responses)) if groups is None else np.asarray(groups)
    n_groups = len(np.unique(ids))
    if n_groups < 2:
        # One group cannot be held out from itself: take the middle of the grid, the mean eigenvalue.
        return [1.0] * len(targets)
    errors = np.zeros((len(targets), len(grid)))
    for train, held_out in grouped_folds(ids, min(n_folds, n_groups), seed=seed):
        if len(train) < 2:
            continue
        input_scaling = Scaling.of(responses[train], unit_variance=True)
        spectrum = Spectrum.of(input_scaling.apply(responses[train]))
        seen = spectrum.along(input_scaling.apply(responses[held_out]))  # (held out, rank)
        for t, array in enumerate(targets):
            output = Scaling.of(array[train], unit_variance=unit_variance)
            cross = spectrum.cross(output.apply(array[train]))
            truth = output.apply(array[held_out])
            for r, ridge in enumerate(grid):
                damped = spectrum.eigenvalues + ridge * spectrum.scale
                errors[t, r] += np.square(truth - (seen / damped) @ cross).sum()
    return [grid[best] for best in errors.argmin(1)]


def require_pairs(responses: np.ndarray, targets: np.ndarray) -> None:
    """Refuse responses and targets that do not belong together.

    Raises
    ------
    DataError
        If shapes disagree or there are fewer than two stimuli.
    """
    if responses.ndim != 2 or targets.ndim != 2 or len(responses) != len(targets):
        raise DataError(
            f"responses have shape {responses.shape} and targets {targets.shape}",
            expected="(stimuli, units) and (stimuli, targets) with as many stimuli",
            remedy="reshape them so that row i of both belongs to stimulus i",
        )
    if len(responses) < 2:
        raise DataError(
            f"there are {len(responses)} training stimuli",
            expected="at least 2",
            remedy="give more stimuli or a smaller test set",
        )
