"""POYO as a decoder: fit on many sessions, adapt to new ones by learning only their embeddings."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch

from neuroloom.decoding.lamb import Lamb
from neuroloom.decoding.poyo import Poyo, PoyoConfig, poyo_config
from neuroloom.decoding.poyo_adapt import STAGES, Mode, deciding_fraction, extend, learning
from neuroloom.decoding.poyo_curve import curve_rows
from neuroloom.decoding.poyo_data import Outputs, PoyoData
from neuroloom.decoding.poyo_predict import PIECE, predict_causally, predict_overlapping
from neuroloom.decoding.poyo_sessions import OutputScale, counted_spikes, outputs_of, scale_of, train_of
from neuroloom.decoding.rows import load_weights, parameter_groups, weights_from
from neuroloom.decoding.shared_network import NetworkDecoder
from neuroloom.decoding.streaming import SpikeStream
from neuroloom.errors import DataError
from neuroloom.sessions.session import Session
from neuroloom.training.loop import TrainResult, train

_EARLY_WEIGHT = 0.25  # of outputs that see less of the past than a causal decoder will


class PoyoDecoder(NetworkDecoder):
    """One transformer for many sessions, with every spike a token (Azabou et al., NeurIPS 2023).

    All sessions share everything but the embeddings of their units and their own, and a behaviour's scale.

    Parameters
    ----------
    target
        A behaviour, several (``"velocity+pupil"`` or a list; each at its own rate), or a trial label.
    config
        ``"small"``, ``"1.3M"``, ``"11.8M"``, a `PoyoConfig`, or a dictionary of its fields.
    context_s, shortest_period_s
        Length of the windows, and the shortest period of the time embedding; None takes the config's.
    bin_s
        Time from one output to the next; any rate will do. In training and scoring an output is compared
        with the mean of the behaviour in its bin.
    causal
        Read only what came before: every output is made at the end of its own window. Also the condition
        under which `stream` equals `predict`.
    steps, batch_size, learning_rate, weight_decay, optimizer
        Of the training; batches are of windows, the optimizer is ``"adamw"`` or ``"lamb"``.
    unit_dropout
        Keep a random number of units per window: least, most likely and most; None keeps all.
    jitter_s
        Move spikes by up to half of this in training; the bin width, for spikes that come from counts.
    weights
        A trial column or behaviour with the weight of each moment in the loss.
    validation_fraction, patience
        Share of the data that decides which weights are kept (0 keeps the last; None is a tenth, or 0 where
        that tells too little: `deciding_fraction`), and how many of 20 evaluations may pass without
        improvement (None never stops early).
    precision
        ``"float32"``, or ``"bfloat16"`` for autocast.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    seed, quiet
        Seed of weights, windows and dropout; whether to hide the progress bar.

    Attributes
    ----------
    model_, sessions_
        The `Poyo` network, and session ids in the order of its session embedding.
    training_, curve_
        How the last training went, as a `TrainResult` and as the rows of `poyo_curve` (not saved).
    """

    kind = "poyo"

    def __init__(
        self,
        target: str | Sequence[str],
        *,
        config: str | PoyoConfig | Mapping[str, Any] = "small",
        context_s: float | None = None,
        shortest_period_s: float | None = None,
        bin_s: float = 0.05,
        causal: bool = False,
        steps: int = 1000,
        batch_size: int = 64,
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-2,
        optimizer: Literal["adamw", "lamb"] = "adamw",
        unit_dropout: Sequence[int] | None = (30, 100, 300),
        jitter_s: float = 0.0,
        weights: str | None = None,
        validation_fraction: float | None = None,
        patience: int | None = None,
        precision: Literal["float32", "bfloat16"] = "float32",
        device: str = "auto",
        seed: int = 0,
        quiet: bool = False,
    ):
        self.target = target if isinstance(target, str) else "+".join(target)
        self.config, self.context_s, self.shortest_period_s = config, context_s, shortest_period_s
        self.bin_s, self.causal = bin_s, causal
        self.steps, self.batch_size, self.learning_rate = steps, batch_size, learning_rate
        self.weight_decay, self.optimizer = weight_decay, optimizer
        self.unit_dropout, self.jitter_s, self.weights = unit_dropout, jitter_s, weights
        self.validation_fraction, self.patience = validation_fraction, patience
        self.precision, self.device, self.seed, self.quiet = precision, device, seed, quiet

    def adapt(
        self,
        session: Session | Sequence[Session],
        *,
        mode: Mode = "units",
        steps: int = 300,
        learning_rate: float | None = None,
        folder: str | os.PathLike | None = None,
    ) -> Self:
        """Learn sessions that were not in training.

        Parameters
        ----------
        session
            Sessions with the target.
        mode
            ``"units"``: only the embeddings of the new units and sessions (unit identification; what was
            known stays as it was, to the bit). ``"full"``: then everything, with a tenth of the rate.
            ``"gradual"``: embeddings, then also what reads and what writes, then everything. ``"all"``:
            everything at once, with a tenth of the rate, e.g. to go on after unit identification.
        steps
            Optimizer steps of each stage.
        learning_rate
            Of the embeddings; None takes five times that of training, since nothing else moves.
        folder
            Where each stage keeps its log and checkpoints, in a folder of its own name; None keeps none.

        Raises
        ------
        DataError
            If there is no such mode; else as `Decoder.adapt`.
        """
        if mode not in STAGES:
            modes = ", ".join(map(repr, STAGES))
            raise DataError(f"mode {mode!r}", expected=f"one of {modes}", remedy="pass one of them")
        self._adaptation = (mode, steps, learning_rate or 5 * self.learning_rate, folder)
        return super().adapt(session)

    def stream(self, session_id: str, *, start_s: float = -np.inf) -> SpikeStream:
        """Return a stream that takes spikes as they come and decodes the last second on demand.

        Raises
        ------
        UnknownUnit
            If the session is not known.
        """
        self._require_fitted()
        return SpikeStream(self, session_id, start_s=start_s)

    def settings(self) -> dict[str, Any]:
        """Return the constructor's arguments by name, ready for JSON."""
        settings = super().settings()
        if isinstance(self.config, PoyoConfig):
            settings["config"] = self.config.as_dict()
        return settings

    def network_config(self) -> PoyoConfig:
        """Return the network's size.

        Raises
        ------
        DataError
            If a size or the training's arguments are out of range.
        """
        config = PoyoConfig(**self.config) if isinstance(self.config, Mapping) else self.config
        config = poyo_config(config, context_s=self.context_s, shortest_period_s=self.shortest_period_s)
        if not 0 < self.bin_s <= config.context_s:
            raise DataError(
                f"bin_s is {self.bin_s}",
                expected=f"a positive time up to the context of {config.context_s} s",
                remedy="pass another bin_s",
            )
        if not 0 <= (self.validation_fraction or 0) < 1 or self.optimizer not in ("adamw", "lamb"):
            raise DataError(
                f"validation_fraction {self.validation_fraction}, optimizer {self.optimizer!r}",
                expected="a fraction from 0 to below 1, and 'adamw' or 'lamb'",
                remedy="change the one that is out of range",
            )
        kept = () if self.unit_dropout is None else self.unit_dropout
        if not isinstance(kept, Sequence) or len(kept) not in (0, 3) or list(kept) != sorted(kept):
            raise DataError(
                f"unit_dropout {self.unit_dropout!r}", expected="three ascending numbers of units, or None",
                remedy="pass the least, the most likely and the most that a window keeps",
            )  # fmt: skip
        return config

    def _learn(self, parts: dict[str, list[Session]], folder: Path | None) -> None:
        config = self.network_config()
        self.sessions_: list[str] = []
        self.rows_: dict[str, int] = {}
        self.scales_: dict[str, OutputScale] = {}
        self.centres_: dict[str, torch.Tensor] = {}
        self._number(parts)
        with weights_from(self.seed, "weights"):
            self.model_ = Poyo(
                config,
                n_units=len(self.rows_),
                n_sessions=len(self.sessions_),
                dim_out=self.target_.n_outputs,
            )
        data, self.curve_ = self._data(parts), []
        self._train(data, "all", steps=self.steps, rate=self.learning_rate, folder=folder)

    def _adapt(self, parts: dict[str, list[Session]]) -> None:
        mode, steps, rate, folder = self._adaptation
        known_units, known_sessions = len(self.rows_), len(self.sessions_)
        self._number(parts)
        extend(
            self.model_,
            n_units=len(self.rows_) - known_units,
            n_sessions=len(self.sessions_) - known_sessions,
            seed=self.seed,
            centres=self.centres_,
        )
        data, self.curve_ = self._data(parts), []
        units = [self.rows_[unit] for session_id in parts for unit in self.units_[session_id]]
        sessions = [self.sessions_.index(session_id) for session_id in parts]
        for stage in STAGES[mode]:
            with learning(self.model_, stage, units=units, sessions=sessions):
                stage_rate = rate if stage == "units" else rate / 10
                own = None if folder is None else Path(folder) / stage
                self._train(data, stage, steps=steps, rate=stage_rate, folder=own)

    def _train(self, data: PoyoData, stage: str, *, steps: int, rate: float, folder: Path | None) -> None:
        validation = held_out = None
        fraction = self.validation_fraction
        if fraction is None:
            fraction = deciding_fraction(data, stage, stops_early=self.patience is not None)
        if fraction:
            data, held_out = data.split(fraction)
            validation = held_out.validation()
        self.training_: TrainResult = train(
            self.model_,
            data.training(),
            config=self._train_config(steps=steps, rate=rate, accumulate=self._pieces()),
            validation=validation,
            folder=folder,
            parameter_groups=lambda model: parameter_groups(model, weight_decay=self.weight_decay),
            make_optimizer=(lambda groups: Lamb(groups, lr=rate)) if self.optimizer == "lamb" else None,
            data_fingerprint=self.data_fingerprint_,
            label=f"POYO on {self.target}",
            quiet=self.quiet,
        )
        self.curve_ += curve_rows(stage, self.training_.records, held_out, earlier=self.curve_)

    def _pieces(self) -> int:
        """Return how many pieces a processor cuts its share of a batch into; a GPU takes it whole."""
        if self.device.startswith("cuda") or (self.device == "auto" and torch.cuda.is_available()):
            return 1
        return max(1, self.batch_size // (PIECE * int(os.environ.get("WORLD_SIZE", 1))))

    def _data(self, parts: Mapping[str, list[Session]]) -> PoyoData:
        trains, outputs, config = [], [], self.model_.config
        for session_id, same in parts.items():
            raw = [outputs_of(each, self.target_, bin_s=self.bin_s, weights=self.weights) for each in same]
            scale = self.scales_[session_id] = scale_of(raw, self.target_)
            row = self.sessions_.index(session_id)
            for session, each in zip(same, raw, strict=True):
                self._note_masked(session, np.asarray(np.isfinite(each.values).all(axis=1)))
                values = (each.values - scale.mean) / scale.spread
                outputs.append(Outputs(each.times_s, each.stretch, each.bounds_s, values, each.weights))
                trains.append(train_of(session, rows=self.rows_, session_row=row))
            self.findings_ += counted_spikes(
                session_id, trains[-1].times_s, jitter_s=self.jitter_s, period_s=config.shortest_period_s
            )
        return PoyoData(
            trains,
            outputs,
            config.context_s,
            self.target_.task,
            keep_units=tuple(self.unit_dropout) if self.unit_dropout else None,  # type: ignore[arg-type]
            jitter_s=self.jitter_s,
            seen_from_s=0.75 * config.context_s if self.causal else 0.0,
            early_weight=_EARLY_WEIGHT if self.causal else 0.0,
        )

    def _outputs(self, session: Session) -> tuple[np.ndarray, np.ndarray]:
        outputs = outputs_of(session, self.target_, bin_s=self.bin_s, weights=None, known=False)
        row = self.sessions_.index(session.id)
        spikes = train_of(session, rows=self.rows_, session_row=row)
        data = PoyoData([spikes], [outputs], self.model_.config.context_s, self.target_.task)
        classes = self.target_.task == "classification"
        if self.causal:
            values = predict_causally(self.model_, data, bin_s=self.bin_s, classes=classes)
        else:
            values = predict_overlapping(self.model_, data, classes=classes)
        scale = self.scales_[session.id]
        return outputs.times_s, values if classes else values * scale.spread + scale.mean

    def _pack(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        arrays = {name: value.cpu().numpy() for name, value in self.model_.state_dict().items()}
        arrays |= {f"centre/{name}": value.cpu().numpy() for name, value in self.centres_.items()}
        document = {
            "network": self.model_.config.as_dict(),
            "sessions": self.sessions_,
            "unit_rows": self.rows_,
            "scales": {name: [each.mean, each.spread] for name, each in self.scales_.items()},
        }
        return document, arrays

    def _unpack(self, document: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        self.sessions_, self.rows_ = list(document["sessions"]), dict(document["unit_rows"])
        self.scales_ = {
            name: OutputScale(*(np.asarray(each) for each in pair))
            for name, pair in document["scales"].items()
        }
        self.model_ = Poyo(
            PoyoConfig(**document["network"]),
            n_units=len(self.rows_),
            n_sessions=len(self.sessions_),
            dim_out=self.target_.n_outputs,
        )
        tensors = {name: torch.from_numpy(value) for name, value in arrays.items()}
        self.centres_ = {
            name.removeprefix("centre/"): tensors.pop(name) for name in arrays if name.startswith("centre/")
        }
        load_weights(self.model_, tensors)
