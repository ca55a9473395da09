"""Linear bottlenecks between a brain and what is decoded from it.

A bottleneck maps `units` responses to `size` numbers and those to the targets (latents of a generator,
pixels, behaviour). `ReducedRankRidge` holds the solution of every size at once, and so does `PCABottleneck`;
the jointly trained one of the paper is in `neuroloom.auditing.joint_bottleneck`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, Self, TypeVar, runtime_checkable

import numpy as np

from neuroloom.auditing.spectrum import RIDGE_GRID, Scaling, Spectrum, choose_ridges, require_pairs
from neuroloom.errors import NotFitted

Learned = TypeVar("Learned")


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


@runtime_checkable
class Trained(Protocol):
    """What a bottleneck offers besides, whose solution depends on the random weights it starts from."""

    def reseeded(self, draw: int) -> Bottleneck:
        """Return an unfitted copy that starts from other weights."""
        ...


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
            require_pairs(responses, array)
        ridges = [self.ridge] * len(targets)
        if self.ridge is None:
            ridges = choose_ridges(
                responses,
                targets,
                groups=groups,
                n_folds=self.inner_folds,
                grid=self.ridge_grid,
                unit_variance=self.unit_variance,
                seed=self.seed,
            )
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
        return replace(
            self,
            ridge_=ridge,
            input_=input_scaling,
            output_=output,
            encoder_=encoder,
            decoder_=directions,
        )


@dataclass(frozen=True)
class PCABottleneck:
    """Principal components of the z-scored responses, then ridge regression from these to the targets.

    What passes is chosen without looking at the targets. Components are uncorrelated, so the regression on
    the first L is the first L terms of the full one, and every size comes from one decomposition.

    Attributes
    ----------
    ridge, inner_folds, unit_variance, ridge_grid, seed
        As in `ReducedRankRidge`.
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
    encoder_: np.ndarray | None = field(default=None, repr=False)  # W (units, rank)
    decoder_: np.ndarray | None = field(default=None, repr=False)  # (rank, targets)

    @property
    def rank(self) -> int:
        """min(units, stimuli - 1), less what is constant."""
        return _fitted(self.decoder_).shape[0]

    def fit_many(
        self, responses: np.ndarray, targets: Sequence[np.ndarray], *, groups: np.ndarray | None = None
    ) -> "list[PCABottleneck]":
        """Return one fitted copy per target array; see `ReducedRankRidge.fit_many`."""
        for array in targets:
            require_pairs(responses, array)
        ridges = [self.ridge] * len(targets)
        if self.ridge is None:
            ridges = choose_ridges(
                responses,
                targets,
                groups=groups,
                n_folds=self.inner_folds,
                grid=self.ridge_grid,
                unit_variance=self.unit_variance,
                seed=self.seed,
            )
        input_scaling = Scaling.of(responses, unit_variance=True)
        spectrum = Spectrum.of(input_scaling.apply(responses))
        components = spectrum.to_units(np.eye(len(spectrum.eigenvalues)))[:, ::-1]  # largest first
        fitted = []
        for array, ridge in zip(targets, ridges, strict=True):
            output = Scaling.of(array, unit_variance=self.unit_variance)
            damped = spectrum.eigenvalues[:, None] + float(ridge or 0.0) * spectrum.scale
            slopes = (spectrum.cross(output.apply(array)) / damped)[::-1]
            learned = {"ridge_": ridge, "input_": input_scaling, "output_": output}
            fitted.append(replace(self, **learned, encoder_=components, decoder_=slopes))
        return fitted

    def predict(self, responses: np.ndarray, *, size: int) -> np.ndarray:
        """Return the targets (stimuli, targets) seen through `size` components, in their own units."""
        code = self.encode(responses, size=size)
        return _fitted(self.output_).undo(code @ _fitted(self.decoder_)[:size])

    def encode(self, responses: np.ndarray, *, size: int) -> np.ndarray:
        """Return the first components, (stimuli, min(size, rank))."""
        return _fitted(self.input_).apply(responses) @ _fitted(self.encoder_)[:, :size]

    def input_weights(self, *, size: int) -> np.ndarray:
        """Return the map from raw responses into the bottleneck: (units, min(size, rank))."""
        return _fitted(self.input_).inverse_scale[:, None] * _fitted(self.encoder_)[:, :size]


def _fitted(learned: Learned | None) -> Learned:
    if learned is None:
        raise NotFitted("this bottleneck holds no weights", expected="a fitted one", remedy="call fit first")
    return learned
