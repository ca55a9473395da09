"""Regularised multinomial logistic regression; what it supposes is chosen over whole trials.

Classes weigh alike in the fit. Whether one is also more likely because it was frequent is chosen with the
penalty: in a few trials of a balanced design, shares are chance, and they are all that a bin that says little
goes by (of two reaching monkeys' eight directions, from a twentieth of the trials, .45 of the bins are right
without shares and .31 with them, in 16 draws).
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

# Values of scikit-learn's C, the inverse penalty, weakest fit first so that each warms the next.
INVERSE_PENALTIES = tuple(np.logspace(-4, 0.5, 10))
N_FOLDS = 5
# Log-odds of a class that was absent in training.
ABSENT = -20.0


@dataclass(frozen=True)
class LogisticChoice:
    """What a fit supposes.

    Attributes
    ----------
    inverse_penalty
        Scikit-learn's C.
    shares
        Whether a class is as likely as it was frequent; else all are alike.
    """

    inverse_penalty: float
    shares: bool


# Where there is too little to choose on.
DEFAULT_CHOICE = LogisticChoice(0.01, shares=False)


def choose_logistic(
    x: np.ndarray,
    codes: np.ndarray,
    stretch: np.ndarray,
    *,
    inverse_penalties: tuple[float, ...] = INVERSE_PENALTIES,
) -> LogisticChoice | None:
    """Return what has the highest likelihood in cross-validation over consecutive trials.

    Parameters
    ----------
    x
        Shape (bins, features).
    codes
        Class of each bin, shape (bins,).
    stretch
        Trial of each bin, shape (bins,): a trial is never on both sides.
    inverse_penalties
        What there is to choose from.

    Returns
    -------
    LogisticChoice or None
        None where there are fewer trials than folds, or a fold would leave one class to train on.
    """
    trials = np.unique(stretch)
    if len(trials) < N_FOLDS:
        return None
    n_classes = int(codes.max()) + 1
    losses = np.zeros((2, len(inverse_penalties)))  # without and with shares
    for fold in np.array_split(trials, N_FOLDS):
        held_out = np.isin(stretch, fold)
        learned, asked = codes[~held_out], codes[held_out]
        if len(np.unique(learned)) < 2:
            return None
        known = np.isin(asked, learned)  # of a class that is not in these folds, no choice says anything
        model, log_shares = _model(), _log_shares(learned, n_classes)
        for number, inverse_penalty in enumerate(inverse_penalties):
            model.set_params(C=inverse_penalty)
            weights, intercept = _fitted(model, x[~held_out], learned, n_classes)
            for shares in (0, 1):
                logits = x[held_out] @ weights + intercept + shares * log_shares
                losses[shares, number] += _surprise(logits[known], asked[known])
    shares, number = np.unravel_index(losses.argmin(), losses.shape)
    return LogisticChoice(float(inverse_penalties[number]), shares=bool(shares))


def fit_logistic(
    x: np.ndarray, codes: np.ndarray, n_classes: int, choice: LogisticChoice
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (features, classes) and intercept (classes,) of the log-odds of the classes."""
    model = _model()
    model.set_params(C=choice.inverse_penalty)
    weights, intercept = _fitted(model, x, codes, n_classes)
    return weights, intercept + choice.shares * _log_shares(codes, n_classes)


def _model() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(class_weight="balanced", warm_start=True, max_iter=300, tol=1e-3)


def _fitted(model: Any, x: np.ndarray, codes: np.ndarray, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # A fit that is cut short is only a little more regularised; the choice of penalty sees that too.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, codes)
    weights, intercept = np.zeros((x.shape[1], n_classes)), np.full(n_classes, ABSENT)
    if len(model.classes_) == 2:
        # scikit-learn keeps one column for two classes: the log-odds of the second against the first.
        intercept[model.classes_] = 0.0, model.intercept_[0]
        weights[:, model.classes_[1]] = model.coef_[0]
    else:
        weights[:, model.classes_], intercept[model.classes_] = model.coef_.T, model.intercept_
    return weights, intercept


def _log_shares(codes: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the logarithm of how frequent each class is; of one that is not there, 0."""
    count = np.bincount(codes, minlength=n_classes)
    return np.where(count, np.log(np.maximum(count, 1) / len(codes)), 0.0)


def _surprise(logits: np.ndarray, codes: np.ndarray) -> float:
    """Return minus the log-likelihood of the true classes, all bins together."""
    logits = logits - logits.max(axis=1, keepdims=True)
    return float(np.sum(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(logits)), codes]))
