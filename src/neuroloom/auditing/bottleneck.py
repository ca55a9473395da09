"""Linear bottlenecks between a brain and what is decoded from it.

A bottleneck maps `units` responses to `size` numbers and those to the targets (latents of a generator,
pixels, behaviour). `ReducedRankRidge` holds the solution of every size at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self, TypeVar

import numpy as np

from neuroloom.errors import DataError, NotFitted
from neuroloom.sessions.splits import grouped_folds

Learned = TypeVar("Learned")

# Ridge strengths tried, relative to the mean nonzero eigenvalue of the response covariance.
RIDGE_GRID = tuple(np.logspace(-4.0, 4.0, 17))


class Bottleneck(Protocol):
    """What every bottleneck offers to the audit."""

    @property
    def rank(self) -> int:
        """The size beyond which nothing changes."""
        ...

    def fit_many(
        self, responses: np.ndarray, targets: Sequence[np.ndarray], *, groups: np.ndarray | None = None
    ) -> list[Self]:
        """Return one fitted copy per target array, all from the same responses (stimuli, units)."""
        ...

    def predict(self, responses: np.ndarray, *, size: int) -> np.ndarray:
        """Return the targets (stimuli, targets) seen through `size` dimensions."""
        ...

    def encode(self, responses: np.ndarray, *, size: int) -> np.ndarray:
        """Return what passes the bottleneck: (stimuli, size)."""
        ...

    def input_weights(self, *, size: int) -> np.ndarray:
        """Return the map from raw responses into the bottleneck: (units, size)."""
        ...


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


@dataclass(frozen=True)
class ReducedRankRidge:
    """Reduced-rank ridge regression: the best rank-L linear map, for every L from one decomposition.

    With X = U S Wᵀ (z-scored responses), targets Y and ridge λ, the ridge solution is
    B = W S(S²+λ)⁻¹ UᵀY, and the best rank-L map under the ridge loss is B V_L V_Lᵀ, where V holds the
    right singular vectors of S(S²+λ)^-½ UᵀY (Mukherjee & Zhu 2011, the ridge-augmented form). The
    bottleneck's first map is B V_L, the second V_Lᵀ.

    Attributes
    ----------
    ridge
        λ relative to the mean eigenvalue; ``None`` chooses it from `ridge_grid` by cross-validation inside
        the training set, grouped when groups are given.
    inner_folds
        Folds of that cross-validation.
    unit_variance
        z-score the targets too. Right for behaviours in different units; wrong for latents whose variance
        says how much they matter.
    seed
        Seed of the inner folds.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> brain = rng.normal(size=(200, 8))
    >>> [fitted] = ReducedRankRidge().fit_many(brain, [brain @ rng.normal(size=(8, 3))])
    >>> fitted.predict(brain, size=2).shape
    (200, 3)
    """

    ridge: float | None = None
    inner_folds: int = 5
    unit_variance: bool = False
    ridge_grid: tuple[float, ...] = RIDGE_GRID
    seed: int = 0
    # Learned, empty until `fit_many`.
    ridge_: float | None = None
    input_: Scaling | None = field(default=None, repr=False)
    output_: Scaling | None = field(default=None, repr=False)
    encoder_: np.ndarray | None = field(default=None, repr=False)  # B V (units, rank)
    decoder_: np.ndarray | None = field(default=None, repr=False)  # Vᵀ (rank, targets)

    @property
    def rank(self) -> int:
        """min(units, targets, stimuli - 1), less what is constant."""
        return _fitted(self.decoder_).shape[0]

    def fit(
        self, responses: np.ndarray, targets: np.ndarray, *, groups: np.ndarray | None = None
    ) -> "ReducedRankRidge":
        """Return a fitted copy; see `fit_many`."""
        return self.fit_many(responses, [targets], groups=groups)[0]

    def fit_many(
        self, responses: np.ndarray, targets: Sequence[np.ndarray], *, groups: np.ndarray | None = None
    ) -> "list[ReducedRankRidge]":
        """Return one fitted copy per target array; the decompositions of the responses are shared.

        Parameters
        ----------
        responses
            (stimuli, units), finite.
        targets
            Arrays (stimuli, targets), finite.
        groups
            (stimuli,) ids that the inner folds keep together.

        Raises
        ------
        DataError
            If shapes disagree or there are fewer than two stimuli.
        """
        for array in targets:
            _require_pairs(responses, array)
        ridges = [self.ridge] * len(targets)
        if self.ridge is None:
            ridges = self._choose_ridges(responses, targets, groups)
        input_scaling = Scaling.of(responses, unit_variance=True)
        spectrum = Spectrum.of(input_scaling.apply(responses))
        return [
            self._solve(spectrum, input_scaling, array, float(ridge or 0.0))
            for array, ridge in zip(targets, ridges, strict=True)
        ]

    def predict(self, responses: np.ndarray, *, size: int) -> np.ndarray:
        """Return the targets (stimuli, targets) seen through `size` dimensions, in their own units."""
        code = self.encode(responses, size=size)
        return _fitted(self.output_).undo(code @ _fitted(self.decoder_)[:size])

    def encode(self, responses: np.ndarray, *, size: int) -> np.ndarray:
        """Return what passes the bottleneck, (stimuli, min(size, rank)), strongest dimension first."""
        return _fitted(self.input_).apply(responses) @ _fitted(self.encoder_)[:, :size]

    def input_weights(self, *, size: int) -> np.ndarray:
        """Return the map from raw responses into the bottleneck: (units, min(size, rank))."""
        return _fitted(self.input_).inverse_scale[:, None] * _fitted(self.encoder_)[:, :size]

    def _solve(
        self, spectrum: Spectrum, input_scaling: Scaling, targets: np.ndarray, ridge: float
    ) -> "ReducedRankRidge":
        output = Scaling.of(targets, unit_variance=self.unit_variance)
        cross = spectrum.cross(output.apply(targets))  # (rank of X, targets)
        damped = spectrum.eigenvalues[:, None] + ridge * spectrum.scale
        _, strength, directions = np.linalg.svd(cross / np.sqrt(damped), full_matrices=False)
        keep = strength > (strength[0] if len(strength) else 0.0) * 1e-10
        directions = directions[keep]  # (rank, targets)
        encoder = spectrum.to_units((cross / damped) @ directions.T)
        return ReducedRankRidge(
            self.ridge,
            self.inner_folds,
            self.unit_variance,
            self.ridge_grid,
            self.seed,
            ridge_=ridge,
            input_=input_scaling,
            output_=output,
            encoder_=encoder,
            decoder_=directions,
        )

    def _choose_ridges(
        self, responses: np.ndarray, targets: Sequence[np.ndarray], groups: np.ndarray | None
    ) -> list[float]:
        """Return, per target array, the strength with the least error on inner held-out folds."""
        ids = np.arange(len(responses)) if groups is None else np.asarray(groups)
        n_groups = len(np.unique(ids))
        if n_groups < 2:
            # One group cannot be held out from itself: take the middle of the grid, the mean eigenvalue.
            return [1.0] * len(targets)
        errors = np.zeros((len(targets), len(self.ridge_grid)))
        for train, held_out in grouped_folds(ids, min(self.inner_folds, n_groups), seed=self.seed):
            input_scaling = Scaling.of(responses[train], unit_variance=True)
            spectrum = Spectrum.of(input_scaling.apply(responses[train]))
            seen = spectrum.along(input_scaling.apply(responses[held_out]))  # (held out, rank)
            for t, array in enumerate(targets):
                output = Scaling.of(array[train], unit_variance=self.unit_variance)
                cross = spectrum.cross(output.apply(array[train]))
                truth = output.apply(array[held_out])
                for r, ridge in enumerate(self.ridge_grid):
                    damped = spectrum.eigenvalues + ridge * spectrum.scale
                    errors[t, r] += np.square(truth - (seen / damped) @ cross).sum()
        return [self.ridge_grid[best] for best in errors.argmin(1)]


def _require_pairs(responses: np.ndarray, targets: np.ndarray) -> None:
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


def _fitted(learned: Learned | None) -> Learned:
    if learned is None:
        raise NotFitted("this bottleneck holds no weights", expected="a fitted one", remedy="call fit first")
    return learned
