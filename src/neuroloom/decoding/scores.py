"""How good a prediction is, and when that cannot be said.

A score that is undefined (nothing to compare, or a truth that never changes) is NaN, never a number.
"""

import numpy as np

from neuroloom.errors import DataError


def r2_per_dimension(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return the coefficient of determination of each dimension: 1 - squared error / variance of the truth.

    Parameters
    ----------
    true, predicted
        Shape (samples,) or (samples, dimensions). Samples whose truth is NaN are left out, for each
        dimension by itself.

    Returns
    -------
    ndarray
        Shape (dimensions,); NaN where fewer than two samples are known or the truth is constant.

    Raises
    ------
    DataError
        If the shapes differ.

    Examples
    --------
    >>> r2_per_dimension([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]], [[1.0, 5.0], [2.0, 5.0], [3.0, 4.0]])
    array([ 1., nan])
    """
    true, predicted = _columns(true, predicted)
    scores = np.full(true.shape[1], np.nan)
    for dimension in range(true.shape[1]):
        known = np.isfinite(true[:, dimension])
        truth, guess = true[known, dimension], predicted[known, dimension]
        # A constant may differ from its own mean in the last bits.
        if len(truth) < 2 or np.ptp(truth) <= 1e-12 * np.abs(truth).max():
            continue
        scores[dimension] = 1 - np.sum((truth - guess) ** 2) / np.sum((truth - truth.mean()) ** 2)
    return scores


def r2(true: np.ndarray, predicted: np.ndarray) -> float:
    """Return the mean R² over the dimensions where it is defined, each with the same weight; else NaN."""
    scores = r2_per_dimension(true, predicted)
    defined = scores[~np.isnan(scores)]
    return float(defined.mean()) if len(defined) else float("nan")


def accuracy(true: np.ndarray, predicted: np.ndarray) -> float:
    """Return the share of equal labels; NaN where the truth has fewer than two classes.

    Telling classes apart cannot be measured on one of them.

    Examples
    --------
    >>> accuracy(["left", "right", "right", "left"], ["left", "right", "left", "left"])
    0.75
    """
    true, predicted = _labels(true, predicted)
    return float(np.mean(true == predicted)) if len(np.unique(true)) > 1 else float("nan")


def balanced_accuracy(true: np.ndarray, predicted: np.ndarray) -> float:
    """Return the mean over the true classes of the share recognised; NaN for fewer than two classes.

    Examples
    --------
    >>> balanced_accuracy([0, 0, 0, 1], [0, 0, 0, 0])
    0.5
    """
    true, predicted = _labels(true, predicted)
    classes = np.unique(true)
    if len(classes) < 2:
        return float("nan")
    return float(np.mean([np.mean(predicted[true == each] == each) for each in classes]))


def _columns(true: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    true, predicted = np.asarray(true, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    _require_same_shape(true, predicted)
    if true.ndim == 1:
        return true[:, None], predicted[:, None]
    return true, predicted


def _labels(true: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    true, predicted = np.asarray(true), np.asarray(predicted)
    _require_same_shape(true, predicted)
    return true, predicted


def _require_same_shape(true: np.ndarray, predicted: np.ndarray) -> None:
    if true.shape != predicted.shape:
        raise DataError(
            f"predictions of shape {predicted.shape} for a truth of shape {true.shape}",
            expected="the same shape",
            remedy="read the truth at the times of the predictions",
        )
