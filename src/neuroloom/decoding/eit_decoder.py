"""EIT as a decoder: fit on sessions of different size at once, adapt to others by as much as one likes."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from torch import Tensor

from neuroloom.decoding import eit_files
from neuroloom.decoding.binning import SessionBins, UnitScale, bin_for
from neuroloom.decoding.eit import EIT, EITConfig
from neuroloom.decoding.eit_adapt import ANSWERED_BY, STAGES, Mode, add_outputs, check_mode, extend, learning
from neuroloom.decoding.eit_data import EITData, scaled_bins
from neuroloom.decoding.eit_head import Head, solve_heads, tokens_of, wants_head
from neuroloom.decoding.eit_inputs import EITInputs
from neuroloom.decoding.eit_predict import mean_attention, predict_windows
from neuroloom.decoding.eit_pretraining import fill
from neuroloom.decoding.poyo_sessions import OutputScale
from neuroloom.decoding.rows import load_weights, parameter_groups, weights_from
from neuroloom.decoding.shared_network import NetworkDecoder
from neuroloom.decoding.targets import Task, find_target, require_task
from neuroloom.decoding.units import listed, parts_by_id
from neuroloom.sessions.session import Session
from neuroloom.training.loop import TrainResult, train


class EITDecoder(NetworkDecoder):
    """Individuals first, then the population (Liu et al., NeurIPS 2022); every unit is an individual.

    All sessions share the network; a unit has only rows in its tables. The last part of each session's
    training data decides which weights are kept. Behaviours are scaled for each session.

    Parameters
    ----------
    target
        A behaviour or a trial label.
    task
        ``"classification"`` or ``"regression"``, to be refused where the target is the other; None takes
        what it is.
    config
        An `EITConfig`, or a dictionary of its fields; None takes the defaults.
    readout
        ``"solved"``: when T and S have learned, a penalised linear head on all numbers of S is solved for
        each session, and answers for it. ``"trained"``: the one that learned with them, as released. None
        takes the trained one for labels with pooled answers, else the solved one (`wants_head`).
    bin_s, window_s
        Bin width, and length of the windows that the network reads, inside a trial or support interval.
    steps, batch_size, learning_rate, weight_decay
        Of the training; batches are of windows.
    unit_dropout
        Share of the units that each window lacks in training.
    validation_fraction, patience
        Share of the data that decides which weights are kept, and how many of 20 evaluations may pass
        without improvement; None never stops early. A fraction of 0 keeps the last weights.
    precision, device, seed, quiet
        As of `PoyoDecoder`.

    Attributes
    ----------
    model_, sessions_, rows_
        The `EIT` network, session ids in the order of its rows, and unit id -> row.
    answers_
        Session id -> ``"interaction"`` or ``"individual"``: the module that answers for it.
    heads_
        Session id -> the `Head` that reads this module; others are read as they were trained.
    training_
        How the last training went: a `TrainResult` (not saved).
    """

    kind = "eit"

    def __init__(
        self,
        target: str,
        *,
        task: Task | None = None,
        config: EITConfig | Mapping[str, Any] | None = None,
        readout: Literal["solved", "trained"] | None = None,
        bin_s: float = 0.1,
        window_s: float = 0.6,
        steps: int = 1000,
        batch_size: int = 64,
        learning_rate: float = 3e-3,
        weight_decay: float = 1e-2,
        unit_dropout: float = 0.0,
        validation_fraction: float = 0.15,
        patience: int | None = None,
        precision: Literal["float32", "bfloat16"] = "float32",
        device: str = "auto",
        seed: int = 0,
        quiet: bool = False,
    ):
        self.target, self.task, self.config = target, task, config
        self.readout, self.bin_s, self.window_s = readout, bin_s, window_s
        self.steps, self.batch_size = steps, batch_size
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.unit_dropout = unit_dropout
        self.validation_fraction, self.patience = validation_fraction, patience
        self.precision, self.device, self.seed, self.quiet = precision, device, seed, quiet

    def pretrain(
        self,
        sessions: Session | Sequence[Session],
        *,
        steps: int | None = None,
        masked_fraction: float = 0.25,
    ) -> Self:
        """Learn from spikes alone, without the target: T and S fill in bins that are hidden from them.

        The next `fit` starts from there, readouts apart. Its sessions may be others: units that were met here
        keep their rows. What was learned is saved only once `fit` has used it.

        Parameters
        ----------
        sessions
            Sessions, with or without the target.
        steps
            Optimizer steps; None takes those of training.
        masked_fraction
            Share of the bins of every unit that is hidden.

        Raises
        ------
        DataError
            If an argument is out of range.
        """
        steps = self.steps if steps is None else steps
        self.pretrained_, self.training_ = fill(
            self._network_config(),
            parts_by_id(listed(sessions)),
            bin_s=self.bin_s,
            n_bins=self._n_bins,
            masked_fraction=masked_fraction,
            validation_fraction=self.validation_fraction,
            unit_dropout=self.unit_dropout,
            settings=self._train_config(steps=steps, rate=self.learning_rate),
            quiet=self.quiet,
        )
        return self

    def adapt(
        self,
        session: Session | Sequence[Session],
        *,
        mode: Mode = "head",
        steps: int = 300,
        learning_rate: float | None = None,
    ) -> Self:
        """Learn sessions that were not in training: another animal, day, or set of labels.

        Parameters
        ----------
        session
            Sessions with the target; they may have labels that were not in training.
        mode
            ``"head"``: T rests, and a penalised linear head on all its numbers of the new units is solved;
            what was known stays as it was. ``"bottleneck"``: the same of one number per unit, trained, as
            published. ``"interaction"``: T rests, and S and all rows of the new units are learned.
            ``"full"``: the new rows, then everything, with a tenth of the rate.
        steps, learning_rate
            Optimizer steps of each stage, and their rate, which is that of training where it is None; not
            used by ``"head"``.

        Raises
        ------
        DataError
            If there is no such mode, ``"bottleneck"`` for a network that does not tell units apart, or one
            class only for ``"head"``; else as `Decoder.adapt`.
        """
        self._require_fitted()
        check_mode(mode, self.model_)
        self._adaptation = (mode, steps, learning_rate or self.learning_rate)
        self._meet_labels([session] if isinstance(session, Session) else session)
        return super().adapt(session)

    def attention(self, session: Session) -> np.ndarray:
        """Return who attends to whom in S, mean over windows, (layers, heads, units, units).

        Units are in the order of ``units_[session.id]``; rows attend to columns.
        """
        data = self._read(session)[1]
        return mean_attention(self.model_, data, n_bins=self._n_bins)

    def settings(self) -> dict[str, Any]:
        """Return the constructor's arguments by name, ready for JSON."""
        settings = super().settings()
        if isinstance(self.config, EITConfig):
            settings["config"] = self.config.as_dict()
        return settings

    def _network_config(self) -> EITConfig:
        return eit_files.session_config(
            self.config or EITConfig(),
            readout=self.readout,
            bin_s=self.bin_s,
            window_s=self.window_s,
            validation_fraction=self.validation_fraction,
            unit_dropout=self.unit_dropout,
        )

    def _learn(self, parts: dict[str, list[Session]], folder: Path | None) -> None:
        config = self._network_config()
        require_task(self.target_, self.task)
        self.sessions_: list[str] = []
        self.rows_: dict[str, int] = {}
        self.answers_: dict[str, str] = {}
        self.heads_: dict[str, Head] = {}
        self.unit_scales_: dict[str, UnitScale] = {}
        self.output_scales_: dict[str, OutputScale] = {}
        data = self._data(parts)
        with weights_from(self.seed, "eit", "weights"):
            self.model_ = self._new_model(config)
        if hasattr(self, "pretrained_"):
            self.pretrained_.give(self.model_, self.rows_)
        self.answers_ |= dict.fromkeys(parts, "interaction")
        self._train(data, steps=self.steps, rate=self.learning_rate, folder=folder)
        self._solve(parts, data)

    def _adapt(self, parts: dict[str, list[Session]]) -> None:
        mode, steps, rate = self._adaptation
        n_rows, n_sessions = len(self.rows_), len(self.sessions_)
        data = self._data(parts)
        new_rows, new_sessions = len(self.rows_) - n_rows, len(self.sessions_) - n_sessions
        extend(self.model_, n_rows=new_rows, n_sessions=new_sessions, seed=self.seed)
        rows = [self.rows_[unit] for session_id in parts for unit in self.units_[session_id]]
        sessions = [self.sessions_.index(session_id) for session_id in parts]
        self.answers_ |= dict.fromkeys(parts, ANSWERED_BY[mode])
        for stage in STAGES[mode]:
            with learning(self.model_, stage, rows=rows, sessions=sessions):
                stage_rate = rate / 10 if stage == "all" else rate
                self._train(data, steps=steps, rate=stage_rate, folder=None, alone=mode == "bottleneck")
        self._solve(parts, data, mode=mode)

    def _solve(self, parts: dict[str, list[Session]], data: EITData, *, mode: Mode | None = None) -> None:
        """Give sessions heads of their own, or take them."""
        self.heads_ = {id: head for id, head in self.heads_.items() if id not in parts}
        wanted = wants_head(self.readout, task=self.target_.task, answer=self.model_.config.answer)
        if mode == "head" or (wanted and mode != "bottleneck"):
            alone = self.answers_[next(iter(parts))] == "individual"
            options = {"n_bins": self._n_bins, "n_outputs": self.target_.n_outputs, "alone": alone}
            heads = zip(parts, solve_heads(self.model_, data, **options), strict=True)
            self.heads_ |= {session_id: head for session_id, head in heads if head is not None}

    def _train(
        self, data: EITData, *, steps: int, rate: float, folder: Path | None, alone: bool = False
    ) -> None:
        training, validation = data.objectives(
            self._n_bins, validation_fraction=self.validation_fraction, alone=alone
        )
        self.training_: TrainResult = train(
            self.model_,
            training,
            validation=validation,
            config=self._train_config(steps=steps, rate=rate),
            folder=folder,
            parameter_groups=lambda model: parameter_groups(model, weight_decay=self.weight_decay),
            data_fingerprint=self.data_fingerprint_,
            label=f"EIT on {self.target}",
            quiet=self.quiet,
        )
        self.model_.cpu()

    def _data(self, parts: Mapping[str, list[Session]]) -> EITData:
        """Give rows to new sessions and units, measure scales, and bin."""
        self._number(parts)
        bins, rows, session_rows = [], [], []
        for session_id, sessions in parts.items():
            scale, output, joined = scaled_bins(
                sessions, self.target_, unit_ids=self.units_[session_id], bin_s=self.bin_s
            )
            self._note_masked(sessions[0], joined.known)
            self.unit_scales_[session_id] = scale
            if output is not None:
                self.output_scales_[session_id] = output
            bins.append(joined)
            rows.append(np.array([self.rows_[unit] for unit in self.units_[session_id]]))
            session_rows.append(self.sessions_.index(session_id))
        return EITData(bins, rows, session_rows, unit_dropout=self.unit_dropout)

    def _meet_labels(self, sessions: Sequence[Session]) -> None:
        """Make room for labels that were not in training."""
        found = find_target(list(sessions), self.target)
        new = set(found.classes) - set(self.target_.classes)
        if (found.task, self.target_.task) != ("classification", "classification") or not new:
            return
        classes = tuple(sorted({*self.target_.classes, *new}))
        places = [classes.index(each) for each in self.target_.classes]
        add_outputs(self.model_, places, len(classes))
        self.heads_ = {id: head.among(places, len(classes)) for id, head in self.heads_.items()}
        self.target_ = dataclasses.replace(self.target_, classes=classes)

    @property
    def _n_bins(self) -> int:
        return max(1, round(self.window_s / self.bin_s))

    def _new_model(self, config: EITConfig) -> EIT:
        return EIT(
            config,
            n_features=1,
            n_outputs=self.target_.n_outputs,
            n_rows=len(self.rows_),
            n_sessions=len(self.sessions_),
        )

    def _read(self, session: Session) -> tuple[np.ndarray, EITData]:
        """Return a session's bin centres and data without truth."""
        bins = bin_for(session, self.target_, self.bin_s)
        features = self.unit_scales_[session.id].apply(session, bins.counts)
        rows = np.array([self.rows_[unit] for unit in self.unit_scales_[session.id].ids])
        nothing = np.zeros(len(features))
        silent = SessionBins(features, bins.stretch, nothing, nothing > 0)
        return bins.centres_s, EITData([silent], [rows], [self.sessions_.index(session.id)])

    def _outputs(self, session: Session) -> tuple[np.ndarray, np.ndarray]:
        centres_s, data = self._read(session)
        classes = self.target_.task == "classification"
        values = predict_windows(
            self.model_, data, n_bins=self._n_bins, answer=self._answer(session.id), classes=classes
        )
        if classes:
            return centres_s, values
        scale = self.output_scales_[session.id]
        return centres_s, values * scale.spread + scale.mean

    def _answer(self, session_id: str) -> Callable[[EITInputs], Tensor]:
        alone = self.answers_[session_id] == "individual"
        if session_id in self.heads_:
            return lambda inputs: self.heads_[session_id](tokens_of(self.model_, inputs, alone=alone))
        return lambda inputs: self.model_(inputs, alone=alone).interaction

    def _pack(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        arrays = eit_files.pack_scales(self.sessions_, self.unit_scales_, self.output_scales_)
        arrays |= eit_files.pack_heads(self.sessions_, self.heads_)
        document = {
            "network": self.model_.config.as_dict(),
            "sessions": self.sessions_,
            "unit_rows": self.rows_,
            "answers": self.answers_,
        }
        return document, arrays | eit_files.pack_weights(self.model_)

    def _unpack(self, document: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        self.sessions_, self.rows_ = list(document["sessions"]), dict(document["unit_rows"])
        self.answers_ = dict(document["answers"])
        self.unit_scales_, self.output_scales_ = eit_files.unpack_scales(self.sessions_, self.units_, arrays)
        self.heads_ = eit_files.unpack_heads(self.sessions_, arrays)
        self.model_ = self._new_model(EITConfig(**document["network"]))
        load_weights(self.model_, eit_files.unpack_weights(arrays))
