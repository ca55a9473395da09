"""EIT for systems that are not brains: `fit(X, y)` on arrays (trials, individuals, time, features)."""

from typing import Any, Self

import numpy as np
from sklearn.utils import ClassifierTags, RegressorTags, Tags

from neuroloom.decoding import scores
from neuroloom.decoding.eit_arrays import EITArrays
from neuroloom.decoding.eit_trials import AXES, TrialArrays, cut, flat, padded_answers
from neuroloom.errors import DataError


class EITClassifier(EITArrays):
    """Tell apart trials, individuals or pairs of individuals, as a scikit-learn estimator.

    Trials are an array (trials, individuals, time, features), or a list of arrays (individuals, time,
    features) where they differ in their number of individuals.

    Parameters
    ----------
    answer
        ``"pooled"`` or ``"concatenated"``: y (trials,). ``"individual"``: y (trials, individuals).
        ``"pair"``: y (trials, individuals, individuals), bool and symmetric: who interacts with whom.
    identity
        Whether the place of an individual says who it is, the same in every trial. The release has it with
        ``"concatenated"``; without it each place has a weight, but S does not know the places.
    config
        Further fields of an `EITConfig`.
    steps, batch_size, learning_rate, weight_decay
        Of the training; batches are of trials.
    validation_fraction
        Share of the trials (or of `groups`) that decides which weights are kept; 0 keeps the last.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    seed
        Seed of weights, order and dropout.
    quiet
        Whether to hide the progress bar.

    Attributes
    ----------
    classes_
        The labels in ascending order.
    model_, training_
        The `EIT` network, and how the training went.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(20, 3, 4, 1))
    >>> EITClassifier(steps=2, quiet=True).fit(x, np.arange(20) % 2).predict_proba(x).shape
    (20, 2)
    """

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.estimator_type, tags.classifier_tags = "classifier", ClassifierTags()
        return tags

    def fit(self, x: Any, y: Any, *, groups: Any = None) -> Self:
        """Learn from trials and their labels; trials of one group are never both learned and decided on.

        Raises
        ------
        DataError
            If shapes do not fit, a value is not finite, or there are fewer than two classes.
        """
        trials = TrialArrays.of(x)
        labels = padded_answers(y, trials.counts, self.answer, what="labels")
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2 or (self.answer == "pair" and len(self.classes_) > 2):
            raise DataError(
                f"labels {self.classes_[:8].tolist()}",
                expected="two for pairs" if self.answer == "pair" else "at least two classes to tell apart",
                remedy="pass other labels",
            )
        codes = codes.reshape(labels.shape)
        truth = codes.astype(np.float32 if self.answer == "pair" else np.int64)
        self._fit(trials, truth, 1 if self.answer == "pair" else len(self.classes_), groups)
        return self

    def predict_proba(self, x: Any) -> np.ndarray | list[np.ndarray]:
        """Return probabilities: (trials, classes), (trials, individuals, classes), or of the second class of
        pairs, (trials, individuals, individuals); a list where trials differ in size."""
        trials = self._trials(x)
        outputs = self._outputs(trials)
        if self.answer == "pair":
            values = 1 / (1 + np.exp(-outputs))
        else:
            values = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
            values /= values.sum(axis=-1, keepdims=True)
        return cut(values, trials.counts, n_axes=AXES.get(self.answer, 0))

    def predict(self, x: Any) -> np.ndarray | list[np.ndarray]:
        """Return the most likely labels, shape as y; of pairs, an individual is never one with itself."""
        probabilities = self.predict_proba(x)
        if isinstance(probabilities, list):
            return [self._label(each) for each in probabilities]
        return self._label(probabilities)

    def score(self, x: Any, y: Any) -> float:
        """Return the share of right labels: of trials, individuals, or pairs of different individuals."""
        predicted = self.predict(x)
        found, true = flat(predicted, self.answer), flat(y, self.answer)
        return float(np.mean(found == true))

    def _label(self, probabilities: np.ndarray) -> np.ndarray:
        if self.answer != "pair":
            return self.classes_[probabilities.argmax(axis=-1)]
        off_diagonal = ~np.eye(probabilities.shape[-1], dtype=bool)
        return self.classes_[((probabilities > 0.5) & off_diagonal).astype(int)]

    def _learned(self) -> dict[str, Any]:
        return super()._learned() | {"classes": self.classes_.tolist()}

    def _relearn(self, learned: dict[str, Any]) -> None:
        super()._relearn(learned)
        self.classes_ = np.array(learned["classes"])


class EITRegressor(EITArrays):
    """Predict numbers of trials or individuals; parameters as those of `EITClassifier`."""

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.estimator_type, tags.regressor_tags = "regressor", RegressorTags()
        return tags

    def fit(self, x: Any, y: Any, *, groups: Any = None) -> Self:
        """Learn y (trials,) or (trials, outputs); of individuals (trials, individuals) or with outputs.

        Raises
        ------
        DataError
            If shapes do not fit or a value is not finite.
        """
        trials = TrialArrays.of(x)
        values = padded_answers(y, trials.counts, self.answer, what="values").astype(np.float64)
        n_axes = 1 + AXES.get(self.answer, 0)
        if self.answer == "pair" or not np.isfinite(values).all() or values.ndim > n_axes + 1:
            raise DataError(
                f"values of shape {values.shape} for {self.answer!r} answers",
                expected="finite numbers of trials or individuals",
                remedy="leave out what is missing; pairs are for EITClassifier",
            )
        self.one_dimensional_ = values.ndim == n_axes
        values = values[..., None] if self.one_dimensional_ else values
        axes = tuple(range(n_axes))
        self.y_mean_, spread = values.mean(axis=axes), values.std(axis=axes)
        self.y_spread_ = np.where(spread > 0, spread, 1.0)
        truth = ((values - self.y_mean_) / self.y_spread_).astype(np.float32)
        self._fit(trials, truth, truth.shape[-1], groups)
        return self

    def predict(self, x: Any) -> np.ndarray | list[np.ndarray]:
        """Return predictions, shape as y."""
        trials = self._trials(x)
        values = self._outputs(trials) * self.y_spread_ + self.y_mean_
        values = values[..., 0] if self.one_dimensional_ else values
        return cut(values, trials.counts, n_axes=AXES.get(self.answer, 0))

    def score(self, x: Any, y: Any) -> float:
        """Return R², the mean over outputs."""
        found, true = self.predict(x), y
        if self.answer == "individual":
            found, true = np.concatenate(list(found)), np.concatenate([np.asarray(each) for each in y])
        return scores.r2(np.asarray(true), np.asarray(found))

    def _learned(self) -> dict[str, Any]:
        scale = {"mean": self.y_mean_.tolist(), "spread": self.y_spread_.tolist()}
        return super()._learned() | {"y": scale, "one_dimensional": self.one_dimensional_}

    def _relearn(self, learned: dict[str, Any]) -> None:
        super()._relearn(learned)
        self.y_mean_, self.y_spread_ = (np.array(learned["y"][name]) for name in ("mean", "spread"))
        self.one_dimensional_ = learned["one_dimensional"]
