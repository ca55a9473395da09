"""Baselines that take a population as a whole: whoever is in it, and in which order, must be the same.

Of sessions: `NDTDecoder`, a transformer over time whose token is all units of a bin; beside it stand the
logistic regression (`WienerDecoder` on a label) and the recurrent network (`GRUDecoder`). Of arrays:
`PopulationClassifier`, which is any of the three.
"""

from typing import Any, Literal, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import ClassifierTags, Tags
from torch import Tensor, nn

from neuroloom.decoding.eit_trials import TrialArrays, split_groups
from neuroloom.decoding.gru import GRUDecoder, GRUNetwork
from neuroloom.decoding.logistic import DEFAULT_CHOICE, choose_logistic, fit_logistic
from neuroloom.decoding.rows import weights_from
from neuroloom.errors import DataError, NotFitted
from neuroloom.training.loop import Batch, Objective, TrainConfig, TrainResult, train

Kind = Literal["ndt", "gru", "logistic"]
KINDS = ("ndt", "gru", "logistic")


class NDTNetwork(nn.Module):
    """Counts of any session -> its linear entrance -> a transformer over time -> linear readout.

    Layers are torch's own, pre-norm; places in time are learned.

    Parameters
    ----------
    n_units
        Units of each session.
    n_outputs
        Numbers per bin.
    n_bins
        Bins of the longest window.
    width, depth, heads
        Width of a token, layers, and heads.
    dropout
        Share of what enters, and of every layer, that is hidden in training.
    """

    def __init__(
        self,
        n_units: list[int],
        n_outputs: int,
        *,
        n_bins: int,
        width: int,
        depth: int,
        heads: int,
        dropout: float,
    ):
        super().__init__()
        self.entrances = nn.ModuleList(nn.Linear(n, width) for n in n_units)
        self.place = nn.Parameter(0.02 * torch.randn(n_bins, width))
        self.dropout = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(
            width, heads, 2 * width, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.readout = nn.Linear(width, n_outputs)

    def forward(self, features: list[Tensor], sessions: list[int]) -> Tensor:
        """Return outputs (all sequences, bins, outputs) for groups of (sequences, bins, units)."""
        entered = [
            self.entrances[number](self.dropout(group))
            for number, group in zip(sessions, features, strict=True)
        ]
        tokens = torch.cat(entered)  # (S, bins, width)
        tokens = self.encoder(tokens + self.place[: tokens.shape[1]])
        return self.readout(self.dropout(self.norm(tokens)))


class NDTDecoder(GRUDecoder):
    """A transformer over time on binned counts, one linear entrance per session.

    It differs from `GRUDecoder` in its network alone: windows are read in both directions, each by itself.

    Parameters
    ----------
    target
        A behaviour or a trial label.
    bin_s
        Bin width in seconds.
    width, depth, heads
        Width of a token, layers, and heads.
    dropout
        Share of counts, and of every layer, that is hidden in training.
    window_s
        Length of the windows in training and in use.
    steps, batch_size, learning_rate, weight_decay, patience, device, seed, quiet
        As of `GRUDecoder`.

    Notes
    -----
    Ye and Pandarinath, "Representation learning for neural population activity with Neural Data
    Transformers", 2021: one token is the population in a bin. Theirs learns by masking; this one, as the
    baseline of Liu et al. (NeurIPS 2022), from labels.
    """

    kind = "ndt"

    def __init__(
        self,
        target: str,
        *,
        bin_s: float = 0.1,
        width: int = 64,
        depth: int = 2,
        heads: int = 4,
        dropout: float = 0.4,
        window_s: float = 0.6,
        steps: int = 1000,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-2,
        patience: int = 15,
        device: str = "auto",
        seed: int = 0,
        quiet: bool = False,
    ):
        self.target, self.bin_s = target, bin_s
        self.width, self.depth, self.heads, self.dropout = width, depth, heads, dropout
        self.window_s = window_s
        self.steps, self.batch_size = steps, batch_size
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.patience, self.device, self.seed, self.quiet = patience, device, seed, quiet

    # Each window is read as a whole, so that none of it only fills a memory.
    warmup_s = 0.0

    def _new_network(self) -> NDTNetwork:  # pyright: ignore[reportIncompatibleMethodOverride]
        return NDTNetwork(
            [len(scale.ids) for scale in self.unit_scales_.values()],
            self.target_.n_outputs,
            n_bins=self._lengths()[0],
            width=self.width,
            depth=self.depth,
            heads=self.heads,
            dropout=self.dropout,
        )


class PopulationClassifier(BaseEstimator):
    """Tell trials apart by all individuals together, as a scikit-learn estimator.

    Trials are an array (trials, individuals, time, features), as of `EITClassifier`. Individuals are known by
    their place alone: their features are laid side by side.

    Parameters
    ----------
    kind
        ``"ndt"``: a transformer over time. ``"gru"``: a recurrent network. Both answer at every bin; the mean
        decides. ``"logistic"``: logistic regression on all bins at once.
    width, depth, heads, dropout
        Of the networks; the recurrent one has a memory of twice the width, and neither depth nor heads.
    steps, batch_size, learning_rate, weight_decay
        Of the training.
    validation_fraction
        Share of the trials (or of `groups`) that decides which weights are kept; 0 keeps the last.
    device, seed, quiet
        As of `EITClassifier`.

    Attributes
    ----------
    classes_
        The labels in ascending order.
    training_
        How the training of a network went.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(20, 3, 4, 1))
    >>> PopulationClassifier(steps=2, quiet=True).fit(x, np.arange(20) % 2).predict(x).shape
    (20,)
    """

    def __init__(
        self,
        kind: Kind = "ndt",
        *,
        width: int = 64,
        depth: int = 2,
        heads: int = 4,
        dropout: float = 0.0,
        steps: int = 2000,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-2,
        validation_fraction: float = 0.1,
        device: str = "auto",
        seed: int = 0,
        quiet: bool = False,
    ):
        self.kind = kind
        self.width, self.depth, self.heads, self.dropout = width, depth, heads, dropout
        self.steps, self.batch_size = steps, batch_size
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.validation_fraction, self.device = validation_fraction, device
        self.seed, self.quiet = seed, quiet

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
        if self.kind not in KINDS:
            raise DataError(f"kind {self.kind!r}", expected=f"one of {', '.join(KINDS)}", remedy="pass one")
        bins = self._bins(x)
        labels = np.asarray(y)
        if labels.shape != (len(bins),):
            raise DataError(
                f"labels of shape {labels.shape} for {len(bins)} trials", expected="one per trial",
                remedy="pass one for each trial",
            )  # fmt: skip
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(
                f"labels {self.classes_.tolist()}", expected="at least two classes to tell apart",
                remedy="pass other labels",
            )  # fmt: skip
        self.shape_ = bins.shape[1:]
        self.mean_, spread = bins.mean(axis=(0, 1)), bins.std(axis=(0, 1))
        self.spread_ = np.where(spread > 0, spread, 1.0)
        learn, decide = split_groups(len(bins), groups, fraction=self.validation_fraction, seed=self.seed)
        if self.kind == "logistic":
            self._fit_logistic(self._scaled(bins), codes, groups)
        else:
            self._fit_network(self._scaled(bins), codes, learn, decide)
        return self

    def predict(self, x: Any) -> np.ndarray:
        """Return the most likely labels, (trials,)."""
        odds = self._odds(x)
        return self.classes_[odds.argmax(axis=1)]

    def score(self, x: Any, y: Any) -> float:
        """Return the share of right labels."""
        return float(np.mean(self.predict(x) == np.asarray(y)))

    def _bins(self, x: Any) -> np.ndarray:
        """Return trials as (trials, time, individuals x features), float64."""
        trials = TrialArrays.of(x)
        if (trials.counts != trials.counts[0]).any():
            raise DataError(
                f"trials of {trials.counts.min()} to {trials.counts.max()} individuals",
                expected="the same individuals in every trial", remedy="use EITClassifier",
            )  # fmt: skip
        values = trials.values.reshape(len(trials), trials.counts[0], *trials.values.shape[1:])
        return values.swapaxes(1, 2).reshape(len(trials), values.shape[2], -1)

    def _scaled(self, bins: np.ndarray) -> np.ndarray:
        return ((bins - self.mean_) / self.spread_).astype(np.float32)

    def _fit_logistic(self, bins: np.ndarray, codes: np.ndarray, groups: Any) -> None:
        flat = bins.reshape(len(bins), -1)
        group = np.arange(len(bins)) if groups is None else np.asarray(groups)
        choice = choose_logistic(flat, codes, group) or DEFAULT_CHOICE
        self.weights_ = fit_logistic(flat, codes, len(self.classes_), choice)

    def _fit_network(
        self, bins: np.ndarray, codes: np.ndarray, learn: np.ndarray, decide: np.ndarray
    ) -> None:
        n_bins, n_numbers = self.shape_
        with weights_from(self.seed, self.kind, "weights"):
            if self.kind == "gru":
                network: nn.Module = GRUNetwork(
                    [n_numbers], len(self.classes_), width=self.width, hidden=2 * self.width,
                    dropout=self.dropout,
                )  # fmt: skip
            else:
                network = NDTNetwork(
                    [n_numbers], len(self.classes_), n_bins=n_bins, width=self.width, depth=self.depth,
                    heads=self.heads, dropout=self.dropout,
                )  # fmt: skip
        values, truth = torch.from_numpy(bins), torch.from_numpy(codes)

        def on(chosen: np.ndarray) -> Objective:
            def prepare(batch: Batch) -> tuple[Tensor, Tensor]:
                mine = torch.from_numpy(chosen[batch.indices])
                return values[mine].to(batch.device), truth[mine].to(batch.device)

            def loss(model: nn.Module, prepared: tuple[Tensor, Tensor]) -> tuple[Tensor, float]:
                outputs = model([prepared[0]], [0]).transpose(1, 2)  # (B, classes, T)
                right = prepared[1][:, None].expand(-1, n_bins)
                return nn.functional.cross_entropy(outputs, right, reduction="sum"), float(right.numel())

            return Objective(len(chosen), loss, prepare)

        self.training_: TrainResult = train(
            network,
            on(learn),
            validation=on(decide) if len(decide) else None,
            config=TrainConfig(
                steps=self.steps, batch_size=self.batch_size, learning_rate=self.learning_rate,
                weight_decay=self.weight_decay, evaluate_every=max(1, self.steps // 20), seed=self.seed,
                device=self.device,
            ),
            label=f"{self.kind}, a label a trial",
            quiet=self.quiet,
        )  # fmt: skip
        self.network_ = network.cpu()

    @torch.no_grad()
    def _odds(self, x: Any) -> np.ndarray:
        if not hasattr(self, "classes_"):
            raise NotFitted(
                "this PopulationClassifier has not been fitted", expected="a fitted estimator",
                remedy="call fit first",
            )  # fmt: skip
        bins = self._bins(x)
        if bins.shape[1:] != self.shape_:
            raise DataError(
                f"trials of {bins.shape[1]} bins and {bins.shape[2]} numbers a bin",
                expected=f"{self.shape_[0]} and {self.shape_[1]}", remedy="pass what it was fitted on",
            )  # fmt: skip
        bins = self._scaled(bins)
        if self.kind == "logistic":
            return bins.reshape(len(bins), -1) @ self.weights_[0] + self.weights_[1]
        parts = [
            self.network_([torch.from_numpy(bins[first : first + 1024])], [0]).mean(dim=1).numpy()
            for first in range(0, len(bins), 1024)
        ]
        return np.concatenate(parts)
