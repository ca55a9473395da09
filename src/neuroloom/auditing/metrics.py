"""Scores of reconstructions against the truth, each ready to be bootstrapped over stimuli.

A metric describes stimuli (their pixels, or features of a network) and turns the descriptions of truth and
reconstruction into a `Statistic`: a function from stimulus weights (draws, stimuli) to scores (draws,).
Weights of one give the score itself; resampling counts give its bootstrap distribution.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

Statistic = Callable[[np.ndarray], np.ndarray]


class Metric(Protocol):
    """One way to score a reconstruction.

    A metric that looks through a network names it in an attribute ``network``; a generator that uses the same
    one is then flagged as circular. Metrics with an equal attribute ``eyes`` share one description. An
    attribute ``of`` (``"numbers"``, ``"images"``, ``"text"`` or ``"labels"``) lets the audit refuse others.
    """

    @property
    def name(self) -> str:
        """The value of the `metric` column."""
        ...

    @property
    def higher_is_better(self) -> bool:
        """False for errors and distances."""
        ...

    def describe(self, stimuli: np.ndarray) -> Any:
        """Return what is compared of stimuli (stimuli, ..), computed once for the truth."""
        ...

    def statistic(self, truth: Any, reconstruction: Any, *, groups: np.ndarray) -> Statistic:
        """Return the score of a described reconstruction against the described truth."""
        ...


class _Flat:
    """Metrics of the values themselves."""

    eyes, of = "values", "numbers"

    def describe(self, stimuli: np.ndarray) -> np.ndarray:
        """Return stimuli as float64 rows (stimuli, values)."""
        return np.asarray(stimuli, dtype=float).reshape(len(stimuli), -1)


@dataclass(frozen=True)
class R2(_Flat):
    """Fraction of the held-out variance explained, averaged over targets; 0 for the test mean itself.

    Targets that do not vary in the test set have no R2 and are left out.
    """

    name: str = "r2"
    higher_is_better: bool = True

    def statistic(self, truth: np.ndarray, reconstruction: np.ndarray, *, groups: np.ndarray) -> Statistic:
        """See `Metric`; arrays (stimuli, targets)."""
        y, guess = truth, reconstruction
        centred = y - y.mean(0)

        def score(weights: np.ndarray) -> np.ndarray:
            total = weights.sum(1, keepdims=True)
            residual = weights @ np.square(y - guess)
            variance = weights @ np.square(centred) - np.square(weights @ centred) / total
            return _mean_defined(1.0 - _ratio(residual, variance))

        return score


@dataclass(frozen=True)
class Correlation(_Flat):
    """Pearson correlation over stimuli, averaged over targets; blind to bias and gain."""

    name: str = "correlation"
    higher_is_better: bool = True

    def statistic(self, truth: np.ndarray, reconstruction: np.ndarray, *, groups: np.ndarray) -> Statistic:
        """See `Metric`; a reconstruction that does not vary scores 0."""
        y, guess = truth - truth.mean(0), reconstruction - reconstruction.mean(0)

        def score(weights: np.ndarray) -> np.ndarray:
            total = weights.sum(1, keepdims=True)
            mean_y, mean_guess = weights @ y / total, weights @ guess / total
            covariance = weights @ (y * guess) / total - mean_y * mean_guess
            variance_y = weights @ np.square(y) / total - np.square(mean_y)
            variance_guess = weights @ np.square(guess) / total - np.square(mean_guess)
            flat_guess = variance_guess <= 1e-14 * np.maximum(variance_y, 1e-300)
            spread = np.sqrt(np.maximum(variance_y, 0) * np.where(flat_guess, 1.0, variance_guess))
            return _mean_defined(np.where(flat_guess, 0.0, 1.0) * _ratio(covariance, spread))

        return score


@dataclass(frozen=True)
class PixelCorrelation(_Flat):
    """PixCorr: Pearson correlation over the pixels of one stimulus, averaged over stimuli."""

    name: str = "pixcorr"
    higher_is_better: bool = True

    def statistic(self, truth: np.ndarray, reconstruction: np.ndarray, *, groups: np.ndarray) -> Statistic:
        """See `Metric`; a flat reconstruction scores 0."""
        return mean_over_stimuli(row_correlation(truth, reconstruction))


@dataclass(frozen=True)
class TwoWay(_Flat):
    """2-way identification: how often a reconstruction resembles its own stimulus more than another one.

    Similarity is the Pearson correlation of pixels. Ties count half; pairs within one group (the same
    stimulus) are left out. Under cross-validation chance is not exactly .5: read it off the random arm.
    """

    name: str = "two_way"
    higher_is_better: bool = True

    def statistic(self, truth: np.ndarray, reconstruction: np.ndarray, *, groups: np.ndarray) -> Statistic:
        """See `Metric`; weights act on both members of a pair."""
        return identification(truth, reconstruction, groups=groups)


@dataclass(frozen=True)
class Accuracy:
    """Share of labels that are right."""

    name: str = "accuracy"
    higher_is_better: bool = True
    of: ClassVar[str] = "labels"

    def describe(self, stimuli: np.ndarray) -> np.ndarray:
        """Return the labels (stimuli,) as they are."""
        return np.asarray(stimuli)

    def statistic(self, truth: np.ndarray, reconstruction: np.ndarray, *, groups: np.ndarray) -> Statistic:
        """See `Metric`; the arrays are labels (stimuli,)."""
        return mean_over_stimuli((truth == reconstruction).astype(float))


@dataclass(frozen=True)
class BalancedAccuracy:
    """Share of labels that are right, averaged over true classes; chance is 1 / classes."""

    name: str = "balanced_accuracy"
    higher_is_better: bool = True
    of: ClassVar[str] = "labels"

    def describe(self, stimuli: np.ndarray) -> np.ndarray:
        """Return the labels (stimuli,) as they are."""
        return np.asarray(stimuli)

    def statistic(self, truth: np.ndarray, reconstruction: np.ndarray, *, groups: np.ndarray) -> Statistic:
        """See `Metric`; the arrays are labels (stimuli,)."""
        classes = np.unique(truth.astype(str))
        member = (truth[:, None].astype(str) == classes).astype(float)  # (stimuli, classes)
        right = member * (truth == reconstruction)[:, None]
        return lambda weights: _mean_defined(_ratio(weights @ right, weights @ member))


VALUE_METRICS: tuple[Metric, ...] = (
    R2(),
    Correlation(),
    PixelCorrelation(),
    TwoWay(),
    Accuracy(),
    BalancedAccuracy(),
)


def mean_over_stimuli(scores: np.ndarray) -> Statistic:
    """Return the weighted mean of one score per stimulus; undefined (NaN) scores are left out."""
    defined = np.isfinite(scores)
    values = np.where(defined, scores, 0.0)
    return lambda weights: _ratio(weights @ values, weights @ defined.astype(float))


def identification(truth: np.ndarray, reconstruction: np.ndarray, *, groups: np.ndarray) -> Statistic:
    """Return the 2-way identification score of feature rows (stimuli, features)."""
    similarity = _unit_rows(reconstruction) @ _unit_rows(truth).T  # (reconstruction, truth)
    margin = np.diag(similarity)[:, None] - similarity
    # Rounding must not decide between a stimulus and its equal.
    tied = np.abs(margin) < 1e-12
    correct = np.where(tied, 0.5, margin > 0)
    counted = (groups[:, None] != groups[None, :]).astype(float)
    correct = correct * counted
    return lambda weights: _ratio(
        ((weights @ correct) * weights).sum(1), ((weights @ counted) * weights).sum(1)
    )


def row_correlation(truth: np.ndarray, reconstruction: np.ndarray) -> np.ndarray:
    """Return the Pearson correlation of corresponding rows; 0 where the reconstruction is flat."""
    scores = (_unit_rows(truth) * _unit_rows(reconstruction)).sum(1)
    # A flat truth has no correlation with anything.
    return np.where(np.ptp(truth, axis=1) > 0, scores, np.nan)


def _unit_rows(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean(1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    floor = 1e-12 * np.linalg.norm(values, axis=1, keepdims=True)
    return np.divide(centred, length, out=np.zeros_like(centred), where=length > floor)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    undefined = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    return np.divide(numerator, denominator, out=undefined, where=denominator > 1e-300)


def _mean_defined(values: np.ndarray) -> np.ndarray:
    """Mean over columns without NaN ones; NaN where none is defined."""
    defined = np.isfinite(values)
    return _ratio(np.where(defined, values, 0.0).sum(1), defined.sum(1).astype(float))
