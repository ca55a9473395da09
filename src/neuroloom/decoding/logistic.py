"""Regularised multinomial logistic regression, its penalty chosen over whole trials."""

import warnings
from typing import Any

import numpy as np

# Values of scikit-learn's C, the inverse penalty, weakest fit first so that each warms the next.
INVERSE_PENALTIES = np.logspace(-4, 0.5, 10)
N_FOLDS = 5
# Log-odds of a class that was absent in training.
_ABSENT = -20.0


def choose_inverse_penalty(x: np.ndarray, codes: np.ndarray, stretch: np.ndarray) -> float | None:
    """Return the C with the highest likelihood in cross-validation over consecutive trials.

    Parameters
    ----------
    x
        Shape (bins, features).
    codes
        Class of each bin, shape (bins,).
    stretch
        Trial of each bin, shape (bins,): a trial is never on both sides.

    Returns
    -------
    float or None
        None where there are fewer trials than folds, or a fold would leave one class to train on.
    """
    trials = np.unique(stretch)
    if len(trials) < N_FOLDS:
        return None
    n_classes = int(codes.max()) + 1
    losses = np.zeros(len(INVERSE_PENALTIES))
    for fold in np.array_split(trials, N_FOLDS):
        held_out = np.isin(stretch, fold)
        if len(np.unique(codes[~held_out])) < 2:
            return None
        model = _model()
        for number, inverse_penalty in enumerate(INVERSE_PENALTIES):
            model.set_params(C=inverse_penalty)
            weights, intercept = _fitted(model, x[~held_out], codes[~held_out], n_classes)
            logits = x[held_out] @ weights + intercept
            logits -= logits.max(axis=1, keepdims=True)
            true = logits[np.arange(len(logits)), codes[held_out]]
            losses[number] += np.sum(np.log(np.exp(logits).sum(axis=1)) - true)
    return float(INVERSE_PENALTIES[losses.argmin()])


def fit_logistic(
    x: np.ndarray, codes: np.ndarray, n_classes: int, *, inverse_penalty: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (features, classes) and intercept (classes,) of the log-odds of the classes."""
    model = _model()
    model.set_params(C=inverse_penalty)
    return _fitted(model, x, codes, n_classes)


def _model() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(warm_start=True, max_iter=300, tol=1e-3)


def _fitted(model: Any, x: np.ndarray, codes: np.ndarray, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # A fit that is cut short is only a little more regularised; the choice of penalty sees that too.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, codes)
    weights, intercept = np.zeros((x.shape[1], n_classes)), np.full(n_classes, _ABSENT)
    if len(model.classes_) == 2:
        # scikit-learn keeps one column for two classes: the log-odds of the second against the first.
        intercept[model.classes_] = 0.0, model.intercept_[0]
        weights[:, model.classes_[1]] = model.coef_[0]
    else:
        weights[:, model.classes_], intercept[model.classes_] = model.coef_.T, model.intercept_
    return weights, intercept
