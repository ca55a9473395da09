"""The recurrent baseline: a GRU over binned counts, one linear entrance per session."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from neuroloom import seeds
from neuroloom.decoding.binning import SessionBins, UnitScale, bin_for, inner_validation, join_parts
from neuroloom.decoding.estimator import Decoder
from neuroloom.decoding.sequences import SequenceBatch, Sequences, cut_sequences, gather
from neuroloom.errors import DataError
from neuroloom.sessions.session import Session
from neuroloom.training.loop import Batch, Objective, TrainConfig, TrainResult, train

VALIDATION_FRACTION = 0.15


class GRUNetwork(nn.Module):
    """Counts of any session -> its linear entrance -> a GRU that all sessions share -> linear readout."""

    def __init__(self, n_units: list[int], n_outputs: int, *, width: int, hidden: int, dropout: float):
        super().__init__()
        self.entrances = nn.ModuleList(nn.Linear(n, width) for n in n_units)
        self.dropout = nn.Dropout(dropout)
        self.gru = nn.GRU(width, hidden, batch_first=True)
        self.readout = nn.Linear(hidden, n_outputs)

    def forward(self, features: list[torch.Tensor], sessions: list[int]) -> torch.Tensor:
        """Return outputs (all sequences, bins, outputs) for groups of (sequences, bins, units)."""
        entered = [
            self.entrances[number](self.dropout(group))
            for number, group in zip(sessions, features, strict=True)
        ]
        memory, _ = self.gru(torch.cat(entered))  # (S, bins, hidden)
        return self.readout(self.dropout(memory))


class GRUDecoder(Decoder):
    """Causal recurrent decoder trained by gradient on one session or many.

    The last part of each session's training data (whole trials where they are short) decides when to stop;
    its targets are not trained on. Behaviours are scaled for each session. A session that is adapted to
    gets an entrance of its own, learned while all else rests.

    Parameters
    ----------
    target
        A behaviour or a trial label.
    bin_s
        Bin width in seconds.
    width, hidden
        Size of a session's entrance, and of the memory.
    dropout
        Share of counts, and of the memory, that is hidden in training.
    window_s, warmup_s
        Length of the sequences in training and in use, and how much of their start only fills the memory.
    steps, batch_size, learning_rate, weight_decay
        Of the training; batches are of sequences.
    patience
        Evaluations (50 of them over the training) without improvement before it stops.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    seed
        Seed of weights, order and dropout.
    quiet
        Whether to hide the progress bar.

    Attributes
    ----------
    training_
        How the last training went: a `TrainResult` (not saved).

    Notes
    -----
    Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014; as a neural decoder,
    Glaser et al., "Machine learning for neural decoding", eNeuro 2020.
    """

    kind = "gru"

    def __init__(
        self,
        target: str,
        *,
        bin_s: float = 0.05,
        width: int = 64,
        hidden: int = 128,
        dropout: float = 0.4,
        window_s: float = 3.0,
        warmup_s: float = 1.0,
        steps: int = 1000,
        batch_size: int = 32,
        learning_rate: float = 3e-3,
        weight_decay: float = 1e-2,
        patience: int = 15,
        device: str = "auto",
        seed: int = 0,
        quiet: bool = False,
    ):
        self.target, self.bin_s = target, bin_s
        self.width, self.hidden, self.dropout = width, hidden, dropout
        self.window_s, self.warmup_s = window_s, warmup_s
        self.steps, self.batch_size = steps, batch_size
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.patience, self.device, self.seed, self.quiet = patience, device, seed, quiet

    def _learn(self, parts: dict[str, list[Session]], folder: Path | None) -> None:
        self._validate()
        self.unit_scales_: dict[str, UnitScale] = {}
        self._target_scales: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        data = [self._prepared(sessions) for sessions in parts.values()]
        with _drawn_from(self.seed, "weights"):
            self._network = self._new_network()
        self._train(data, numbers=list(range(len(data))), folder=folder)

    def _adapt(self, parts: dict[str, list[Session]]) -> None:
        self._network.requires_grad_(False)
        data, numbers = [], []
        for session_id, sessions in parts.items():
            data.append(self._prepared(sessions))
            with _drawn_from(self.seed, "entrance", session_id):
                entrance = nn.Linear(len(self.units_[session_id]), self.width)
            numbers.append(list(self.unit_scales_).index(session_id))
            if numbers[-1] == len(self._network.entrances):
                self._network.entrances.append(entrance)
            else:
                self._network.entrances[numbers[-1]] = entrance
        self._train(data, numbers=numbers, folder=None)
        self._network.requires_grad_(True)

    def _validate(self) -> None:
        if not 0 <= self.warmup_s < self.window_s or self.window_s < self.bin_s:
            raise DataError(
                f"window_s={self.window_s}, warmup_s={self.warmup_s} and bin_s={self.bin_s}",
                expected="a bin that fits in the window, and a warm-up shorter than it",
                remedy="change one of them",
            )

    def _new_network(self) -> GRUNetwork:
        n_units = [len(scale.ids) for scale in self.unit_scales_.values()]
        return GRUNetwork(
            n_units, self.target_.n_outputs, width=self.width, hidden=self.hidden, dropout=self.dropout
        )

    def _prepared(self, parts: list[Session]) -> SessionBins:
        """Return the bins of one session, target scaled, and note its scales."""
        session_id = parts[0].id
        scale, bins = join_parts(parts, self.target_, unit_ids=self.units_[session_id], bin_s=self.bin_s)
        self._note_masked(parts[0], bins.known)
        self.unit_scales_[session_id] = scale
        if self.target_.task == "classification":
            return bins
        mean, spread = bins.truth[bins.known].mean(axis=0), bins.truth[bins.known].std(axis=0)
        spread = np.where(spread > 0, spread, 1.0)
        self._target_scales[session_id] = mean, spread
        return dataclasses.replace(bins, truth=((bins.truth - mean) / spread).astype(np.float32))

    def _train(self, data: list[SessionBins], *, numbers: list[int], folder: Path | None) -> None:
        """Train the parameters that may change on sessions with the entrances `numbers`."""
        n_bins, warmup = self._lengths()
        train_bins, validation_bins = [], []
        for bins in data:
            first, last = inner_validation(bins.stretch, fraction=VALIDATION_FRACTION, gap=warmup)
            if not ((first & bins.known).any() and (last & bins.known).any()):
                # Too short to be split: all of it trains, and the other sessions decide.
                first, last = np.ones_like(first), np.zeros_like(last)
            train_bins.append(first)
            validation_bins.append(last)
        borders = [bins.stretch for bins in data]
        train_on = cut_sequences(
            borders, n_bins=n_bins, warmup=warmup, step=max(1, warmup), wanted=train_bins
        )
        validate_on = cut_sequences(
            borders, n_bins=n_bins, warmup=warmup, step=n_bins - warmup, wanted=validation_bins
        )

        def loss(network: nn.Module, batch: SequenceBatch) -> tuple[torch.Tensor, torch.Tensor]:
            device = next(network.parameters()).device
            features = [torch.from_numpy(group).to(device) for group in batch.features]
            outputs = network(features, [numbers[number] for number in batch.sessions])  # (S, bins, outputs)
            truth, weight = (
                torch.from_numpy(batch.truth).to(device),
                torch.from_numpy(batch.weight).to(device),
            )
            if self.target_.task == "classification":
                errors = nn.functional.cross_entropy(outputs.transpose(1, 2), truth, reduction="none")
            else:
                errors = ((outputs - truth) ** 2).mean(dim=2)
            return (errors * weight).sum(), weight.sum()

        def objective(sequences: Sequences) -> Objective:
            def prepare(batch: Batch) -> SequenceBatch:
                return gather(data, sequences, batch.indices)

            return Objective(len(sequences), loss, prepare)

        self.training_: TrainResult = train(
            self._network,
            objective(train_on),
            validation=objective(validate_on) if len(validate_on) else None,
            config=TrainConfig(
                steps=self.steps,
                batch_size=self.batch_size,
                learning_rate=self.learning_rate,
                weight_decay=self.weight_decay,
                evaluate_every=max(1, self.steps // 50),
                patience=self.patience,
                warmup_fraction=0.2,
                seed=self.seed,
                device=self.device,
            ),
            folder=folder,
            data_fingerprint=self.data_fingerprint_,
            label=f"GRU, {self.target}",
            quiet=self.quiet,
        )
        self._network.cpu()

    def _lengths(self) -> tuple[int, int]:
        n_bins = max(1, round(self.window_s / self.bin_s))
        return n_bins, min(round(self.warmup_s / self.bin_s), n_bins - 1)

    @torch.no_grad()
    def _outputs(self, session: Session) -> tuple[np.ndarray, np.ndarray]:
        bins = bin_for(session, self.target_, self.bin_s)
        features = self.unit_scales_[session.id].apply(session, bins.counts)
        number = list(self.unit_scales_).index(session.id)
        n_bins, warmup = self._lengths()
        sequences = cut_sequences([bins.stretch], n_bins=n_bins, warmup=warmup, step=n_bins - warmup)
        values = np.full((len(features), self.target_.n_outputs), np.nan, dtype=np.float32)
        for chosen in np.array_split(np.arange(len(sequences)), max(1, len(sequences) // 256)):
            places, used = sequences.places(chosen)
            outputs = self._network([torch.from_numpy(features[places])], [number])
            if self.target_.task == "classification":
                outputs = outputs.softmax(dim=2)
            values[places[used]] = outputs.numpy()[used]
        if self.target_.task == "regression":
            mean, spread = self._target_scales[session.id]
            return bins.centres_s, values * spread + mean
        return bins.centres_s, values.astype(np.float64)

    def _pack(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        arrays = {f"network/{name}": value.numpy() for name, value in self._network.state_dict().items()}
        for number, (session_id, scale) in enumerate(self.unit_scales_.items()):
            arrays[f"{number}/mean"], arrays[f"{number}/spread"] = scale.mean, scale.spread
            if session_id in self._target_scales:
                target_mean, target_spread = self._target_scales[session_id]
                arrays[f"{number}/target_mean"], arrays[f"{number}/target_spread"] = (
                    target_mean,
                    target_spread,
                )
        return {"sessions": list(self.unit_scales_)}, arrays

    def _unpack(self, document: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        self.unit_scales_, self._target_scales = {}, {}
        for number, session_id in enumerate(document["sessions"]):
            mean, spread = arrays[f"{number}/mean"], arrays[f"{number}/spread"]
            self.unit_scales_[session_id] = UnitScale(self.units_[session_id], mean, spread)
            if f"{number}/target_mean" in arrays:
                target_scale = arrays[f"{number}/target_mean"], arrays[f"{number}/target_spread"]
                self._target_scales[session_id] = target_scale
        self._network = self._new_network()
        weights = {
            name.removeprefix("network/"): torch.from_numpy(np.array(value))
            for name, value in arrays.items()
            if name.startswith("network/")
        }
        self._network.load_state_dict(weights)
        self._network.eval()


@contextlib.contextmanager
def _drawn_from(seed: int, *names: str) -> Iterator[None]:
    """Draw initial weights from a named stream, and leave torch's own generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seeds.derive(seed, *names))
        yield
