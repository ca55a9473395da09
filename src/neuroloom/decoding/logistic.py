"""Regularised multinomial logistic regression; what it supposes is chosen over whole trials.

Three things are chosen by the likelihood of trials that were held out:

- The **penalty** for directions, and the **sharpness** for confidence: log-odds are multiplied by it. A
  penalty that is strong enough for the directions makes all odds too even, and likelihood alone pays for
  even odds with too weak a penalty. Of two reaching monkeys' eight directions, from a quarter of the trials,
  .75 of the bins are right where both are chosen, and .71 where the penalty is alone (means of 12 draws).
- Whether a class is more likely because it was frequent, its **shares**; in the fit, classes weigh alike. In
  a few trials of a balanced design shares are chance, and all that a bin that says little goes by (from a
  tenth of the trials .58 against .53, in 8 draws).
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

# Values of scikit-learn's C, the inverse penalty, weakest fit first so that each warms the next.
INVERSE_PENALTIES = tuple(np.logspace(-5, 0.5, 12))
N_FOLDS, FEWEST_TRIALS = 5, 10
_LOG_SHARPNESS = (-1.0, 4.0)  # of base 10, from least to most
# Log-odds of a class that was absent in training.
ABSENT = -20.0


@dataclass(frozen=True)
class LogisticChoice:
    """What a fit supposes.

    Attributes
    ----------
    inverse_penalty
        Scikit-learn's C.
    sharpness
        What log-odds are multiplied by.
    shares
        Whether a class is as likely as it was frequent; else all are alike.
    """

    inverse_penalty: float
    sharpness: float
    shares: bool


# Where there is too little to choose on.
DEFAULT_CHOICE = LogisticChoice(0.01, sharpness=1.0, shares=False)


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
        None where there are fewer than ten trials, or a fold would leave one class to train on.
    """
    trials = np.unique(stretch)
    if len(trials) < FEWEST_TRIALS:
        return None
    n_classes = int(codes.max()) + 1
    asked = []  # of each fold: log-odds of its bins for every penalty, their classes, shares in the others
    for fold in np.array_split(trials, N_FOLDS):
        learns = ~np.isin(stretch, fold)
        learned = codes[learns]
        if len(np.unique(learned)) < 2:
            return None
        # Of a class that is not in the other folds, no choice says anything.
        decides = ~learns & np.isin(codes, learned)
        model, log_odds = _model(), []
        for inverse_penalty in inverse_penalties:
            model.set_params(C=inverse_penalty)
            weights, intercept = _fitted(model, x[learns], learned, n_classes)
            log_odds.append(x[decides] @ weights + intercept)
        asked.append((log_odds, codes[decides], _log_shares(learned, n_classes)))
    best, choice = np.inf, None
    for number, inverse_penalty in enumerate(inverse_penalties):
        for shares in (False, True):
            parts = [(odds[number], true, shares * log_shares) for odds, true, log_shares in asked]
            sharpness, surprise = _sharpest(parts)
            if surprise < best:
                best, choice = surprise, LogisticChoice(float(inverse_penalty), sharpness, shares)
    return choice


def fit_logistic(
    x: np.ndarray, codes: np.ndarray, n_classes: int, choice: LogisticChoice
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (features, classes) and intercept (classes,) of the log-odds of the classes."""
    model = _model()
    model.set_params(C=choice.inverse_penalty)
    weights, intercept = _fitted(model, x, codes, n_classes)
    intercept = np.where(intercept == ABSENT, ABSENT, choice.sharpness * intercept)
    return choice.sharpness * weights, intercept + choice.shares * _log_shares(codes, n_classes)


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


def _sharpest(parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> tuple[float, float]:
    """Return the sharpness that makes true classes least surprising, and how surprising they are then.

    `parts` are log-odds (bins, classes), classes (bins,) and what is added to sharpened log-odds (classes,).
    """
    from scipy.optimize import minimize_scalar

    def surprise(log_sharpness: float) -> float:
        return sum(_surprise(10**log_sharpness * odds + more, true) for odds, true, more in parts)

    found = minimize_scalar(surprise, bounds=_LOG_SHARPNESS, method="bounded", options={"xatol": 0.02})
    return float(10**found.x), float(found.fun)


def _surprise(logits: np.ndarray, codes: np.ndarray) -> float:
    """Return minus the log-likelihood of the true classes, all bins together."""
    logits = logits - logits.max(axis=1, keepdims=True)
    return float(np.sum(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(logits)), codes]))
