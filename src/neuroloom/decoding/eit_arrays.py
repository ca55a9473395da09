"""What the EIT estimators of arrays share: scaling, training, outputs, attention and files."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator

from neuroloom.artifacts import fingerprint, load_artifact, refuse_foreign_content, save_artifact, settings_of
from neuroloom.decoding.eit import EIT, Answer, EITConfig
from neuroloom.decoding.eit_files import eit_config, pack_weights, unpack_weights
from neuroloom.decoding.eit_predict import AT_ONCE
from neuroloom.decoding.eit_trials import AXES, TrialArrays, cut, objective, split_groups, together
from neuroloom.decoding.rows import load_weights, weights_from
from neuroloom.errors import DataError, NotFitted
from neuroloom.training.loop import TrainConfig, TrainResult, train


class EITArrays(BaseEstimator):
    """What `EITClassifier` and `EITRegressor` share; their parameters are described there."""

    model_: EIT
    answer: Answer

    def __init__(
        self,
        answer: Answer = "pooled",
        *,
        identity: bool = False,
        config: Mapping[str, Any] | None = None,
        steps: int = 2000,
        batch_size: int = 64,
        learning_rate: float = 3e-3,
        weight_decay: float = 1e-2,
        validation_fraction: float = 0.1,
        device: str = "auto",
        seed: int = 0,
        quiet: bool = False,
    ):
        self.answer, self.identity, self.config = answer, identity, config
        self.steps, self.batch_size = steps, batch_size
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.validation_fraction, self.device = validation_fraction, device
        self.seed, self.quiet = seed, quiet

    def attention(self, x: Any) -> np.ndarray | list[np.ndarray]:
        """Return who attends to whom in S, mean over time, (trials, layers, heads, individuals, individuals).

        A list of arrays where trials differ in their number of individuals.
        """
        trials, parts = self._trials(x), []
        for chosen in self._batches(trials):
            weights = self.model_.attention(trials.inputs(chosen, n_rows=self.n_rows_))
            parts.append(np.moveaxis(weights.numpy(), (1, 2), (3, 4)))
        joined = cut(together(parts, widest=int(trials.counts.max()), n_axes=2), trials.counts, n_axes=2)
        if isinstance(joined, np.ndarray):
            return np.moveaxis(joined, (3, 4), (1, 2))
        return [np.moveaxis(each, (2, 3), (0, 1)) for each in joined]

    def save(self, folder: str | os.PathLike) -> Path:
        """Write the estimator as an artifact folder, to be read by `load`."""
        self._require_fitted()
        return save_artifact(
            folder,
            kind=f"eit/{type(self).__name__}",
            document={"network": self.model_.config.as_dict(), "learned": self._learned()},
            arrays=pack_weights(self.model_) | {"mean": self.mean_, "spread": self.spread_},
            config=self.get_params(),
            seed=self.seed,
            data_fingerprint=self.data_fingerprint_,
        )

    @classmethod
    def load(cls, folder: str | os.PathLike) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        MissingFile
            If there is no such folder.
        CorruptArtifact
            If it is damaged or holds something else.
        """
        artifact = load_artifact(folder, kind=f"eit/{cls.__name__}")
        settings = settings_of(artifact, cls, folder=folder)
        with refuse_foreign_content(folder, expected=f"an {cls.__name__}"):
            estimator = cls(**settings)
            estimator.data_fingerprint_ = artifact.provenance["data_fingerprint"]
            estimator.mean_, estimator.spread_ = artifact.arrays["mean"], artifact.arrays["spread"]
            estimator._relearn(artifact.document["learned"])
            estimator.model_ = estimator._new_model(EITConfig(**artifact.document["network"]))
            load_weights(estimator.model_, unpack_weights(artifact.arrays))
        return estimator

    def _fit(self, trials: TrialArrays, truth: np.ndarray, n_outputs: int, groups: Any) -> None:
        config = eit_config({**(self.config or {}), "answer": self.answer, "identity": self.identity})
        if (self.identity or self.answer == "concatenated") and len(np.unique(trials.counts)) > 1:
            raise DataError(
                f"trials of {trials.counts.min()} to {trials.counts.max()} individuals",
                expected="the same individuals in every trial, where they are told apart by their place",
                remedy="pass identity=False and answer='pooled', 'individual' or 'pair'",
            )
        self.mean_ = trials.values.mean(axis=(0, 1))
        spread = trials.values.std(axis=(0, 1))
        self.spread_ = np.where(spread > 0, spread, 1.0)
        self.n_rows_, self.n_outputs_ = int(trials.counts.max()), n_outputs
        self.data_fingerprint_ = fingerprint(trials.values, trials.counts, truth)
        trials = trials.scaled(self.mean_, self.spread_)
        with weights_from(self.seed, "eit", "weights"):
            self.model_ = self._new_model(config)
        learn, decide = split_groups(len(trials), groups, fraction=self.validation_fraction, seed=self.seed)

        def on(chosen: np.ndarray):
            return objective(trials, truth, chosen, answer=self.answer, n_rows=self.n_rows_)

        self.training_: TrainResult = train(
            self.model_,
            on(learn),
            validation=on(decide) if len(decide) else None,
            config=TrainConfig(
                steps=self.steps,
                batch_size=self.batch_size,
                learning_rate=self.learning_rate,
                weight_decay=self.weight_decay,
                evaluate_every=max(1, self.steps // 20),
                seed=self.seed,
                device=self.device,
            ),
            data_fingerprint=self.data_fingerprint_,
            label=f"EIT, {self.answer} answers",
            quiet=self.quiet,
        )
        self.model_.cpu()

    def _new_model(self, config: EITConfig) -> EIT:
        return EIT(config, n_features=len(self.mean_), n_outputs=self.n_outputs_, n_rows=self.n_rows_)

    @torch.no_grad()
    def _outputs(self, trials: TrialArrays) -> np.ndarray:
        """Return S's outputs, those per bin averaged over time."""
        parts = []
        for chosen in self._batches(trials):
            values = self.model_(trials.inputs(chosen, n_rows=self.n_rows_)).interaction
            parts.append((values if self.answer in AXES else values.mean(dim=1)).double().numpy())
        return together(parts, widest=int(trials.counts.max()), n_axes=AXES.get(self.answer, 0))

    def _batches(self, trials: TrialArrays) -> list[np.ndarray]:
        n, n_bins = int(trials.counts.max()), trials.values.shape[1]
        config = self.model_.config
        size = max(1, AT_ONCE // (config.heads * n_bins * n * (config.dim + n + n_bins)))
        return [np.arange(first, min(first + size, len(trials))) for first in range(0, len(trials), size)]

    def _trials(self, x: Any) -> TrialArrays:
        """Check trials against those of training, and scale them."""
        self._require_fitted()
        trials = TrialArrays.of(x)
        tied = self.identity or self.answer == "concatenated"
        if trials.values.shape[2] != len(self.mean_) or (tied and (trials.counts != self.n_rows_).any()):
            raise DataError(
                f"trials of {trials.values.shape[2]} features and up to {trials.counts.max()} individuals",
                expected=f"{len(self.mean_)} features" + tied * f" and {self.n_rows_} individuals",
                remedy="pass what the estimator was fitted on",
            )
        return trials.scaled(self.mean_, self.spread_)

    def _require_fitted(self) -> None:
        if not hasattr(self, "model_"):
            raise NotFitted(
                f"this {type(self).__name__} has not been fitted", expected="a fitted estimator",
                remedy=f"call fit first, or load one with {type(self).__name__}.load",
            )  # fmt: skip

    def _learned(self) -> dict[str, Any]:
        return {"n_rows": self.n_rows_, "n_outputs": self.n_outputs_}

    def _relearn(self, learned: dict[str, Any]) -> None:
        self.n_rows_, self.n_outputs_ = learned["n_rows"], learned["n_outputs"]
