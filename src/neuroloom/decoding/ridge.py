"""Ridge regression from additive moments: every penalty from one decomposition, memory bounded by a chunk."""

from dataclasses import dataclass

import numpy as np

# Penalties per bin, for features whose variance is about 1: from almost none to almost nothing but the mean.
PENALTIES = np.logspace(-5, 1.5, 27)
# The last part of the bins, on which a penalty is chosen, and how few bins leave nothing to choose it on.
VALIDATION_FRACTION, FEWEST_TO_CHOOSE = 0.2, 50
DEFAULT_PENALTY = 0.1


@dataclass
class Moments:
    """Sums over bins from which any ridge regression on them can be solved; moments of parts add.

    Attributes
    ----------
    n
        Number of bins.
    x, y
        Sums, shape (features,) and (outputs,).
    xx, xy, yy
        Sums of products, shape (features, features), (features, outputs) and of squares (outputs,).
    """

    n: int
    x: np.ndarray
    y: np.ndarray
    xx: np.ndarray
    xy: np.ndarray
    yy: np.ndarray

    @classmethod
    def zero(cls, n_features: int, n_outputs: int) -> "Moments":
        """Return the moments of no bins."""
        sums = np.zeros(n_features), np.zeros(n_outputs)
        products = np.zeros((n_features, n_features)), np.zeros((n_features, n_outputs)), np.zeros(n_outputs)
        return cls(0, *sums, *products)

    def add(self, x: np.ndarray, y: np.ndarray) -> None:
        """Add bins: features (bins, features) and outputs (bins, outputs)."""
        x, y = x.astype(np.float64, copy=False), y.astype(np.float64, copy=False)
        self.n += len(x)
        self.x += x.sum(axis=0)
        self.y += y.sum(axis=0)
        self.xx += x.T @ x
        self.xy += x.T @ y
        self.yy += np.sum(y**2, axis=0)

    def __add__(self, other: "Moments") -> "Moments":
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Moments(*(mine + theirs for mine, theirs in pairs))


@dataclass(frozen=True)
class _Centred:
    """Moments per bin about the means."""

    mean_x: np.ndarray
    mean_y: np.ndarray
    xx: np.ndarray  # (features, features)
    xy: np.ndarray  # (features, outputs)


def choose_penalties(train: Moments, validation: Moments) -> tuple[np.ndarray, np.ndarray]:
    """Return the penalty of each output with the least squared error in validation, and its R² there.

    Parameters
    ----------
    train, validation
        Moments of disjoint bins.

    Returns
    -------
    penalties, r2 : ndarray
        Shape (outputs,); R² is NaN for an output that is constant in validation.
    """
    centred = _centre(train)
    values, vectors = np.linalg.eigh(centred.xx)
    projected = vectors.T @ centred.xy  # (features, outputs)
    # (penalties, features, outputs), turned back by one product for all penalties.
    shrunk = projected / (np.maximum(values, 0)[:, None] + PENALTIES[:, None, None])
    n_features, n_outputs = projected.shape
    weights = vectors @ shrunk.transpose(1, 0, 2).reshape(n_features, -1)
    # Sums over the validation bins about the means of the training bins.
    n, mean_x, mean_y = validation.n, centred.mean_x, centred.mean_y
    xx = validation.xx - np.outer(validation.x, mean_x) - np.outer(mean_x, validation.x)
    xx += n * np.outer(mean_x, mean_x)
    xy = validation.xy - np.outer(validation.x, mean_y) - np.outer(mean_x, validation.y)
    xy += n * np.outer(mean_x, mean_y)
    yy = validation.yy - 2 * mean_y * validation.y + n * mean_y**2
    explained = np.sum(weights * (xx @ weights), axis=0).reshape(len(PENALTIES), n_outputs)
    crossed = np.einsum("fpo,fo->po", weights.reshape(n_features, len(PENALTIES), n_outputs), xy)
    errors = yy - 2 * crossed + explained  # (penalties, outputs)
    best = errors.argmin(axis=0)
    total = validation.yy - validation.y**2 / n
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = np.where(total > 1e-12 * validation.yy, 1 - errors[best, np.arange(n_outputs)] / total, np.nan)
    return PENALTIES[best], r2


def solve_ridge(moments: Moments, penalties: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (features, outputs) and intercept (outputs,) for a penalty of each output.

    Minimises, for every output, mean((y - x w - b)²) + penalty * |w|².
    """
    from scipy.linalg import cho_factor, cho_solve

    centred = _centre(moments)
    weights = np.empty_like(centred.xy)
    for penalty in np.unique(penalties):
        chosen = penalties == penalty
        factor = cho_factor(centred.xx + penalty * np.eye(len(centred.xx)))
        weights[:, chosen] = cho_solve(factor, centred.xy[:, chosen])
    return weights, centred.mean_y - centred.mean_x @ weights


def _centre(moments: Moments) -> _Centred:
    mean_x, mean_y = moments.x / moments.n, moments.y / moments.n
    xx = moments.xx / moments.n - np.outer(mean_x, mean_x)
    return _Centred(mean_x, mean_y, xx, moments.xy / moments.n - np.outer(mean_x, mean_y))
