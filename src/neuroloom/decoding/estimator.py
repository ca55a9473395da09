"""The face that all decoders share: fit, predict, score, adapt, save."""

import dataclasses
import importlib
import inspect
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pynapple as nap

from neuroloom.artifacts import (
    Artifact,
    fingerprint,
    load_artifact,
    refuse_foreign_content,
    save_artifact,
    settings_of,
)
from neuroloom.decoding.binning import UnitScale
from neuroloom.decoding.comparison import Scores, compare, masked_finding
from neuroloom.decoding.recalibration import measured_anew
from neuroloom.decoding.targets import Target, find_target, require_target, trials_of
from neuroloom.decoding.units import listed, lost_units, parts_by_id, require_known_units
from neuroloom.errors import CorruptArtifact, DataError, NotFitted
from neuroloom.findings import Finding
from neuroloom.sessions.session import Session

# Kind in a saved folder -> the module that defines it. A folder can only choose among these names and
# those of decoders that were imported before.
_MODULES = {
    "wiener": "neuroloom.decoding.wiener",
    "gru": "neuroloom.decoding.gru",
    "ndt": "neuroloom.decoding.baselines",
    "poyo": "neuroloom.decoding.poyo_decoder",
    "eit": "neuroloom.decoding.eit_decoder",
}
_DEFINED: dict[str, type["Decoder"]] = {}


class Decoder(ABC):
    """From a session's spikes to a behaviour (regression) or a trial label (classification).

    A subclass stores its constructor's arguments under their names and does nothing else there; it gives
    itself a `kind` and writes `_learn`, `_adapt`, `_outputs`, `_pack` and `_unpack`. What is learned ends
    in ``_``.

    Attributes
    ----------
    target_
        What is decoded, after `fit`.
    units_
        Session id -> ids of the units that the decoder knows there.
    findings_
        What was met in the training data, e.g. how many bins had no target.
    data_fingerprint_
        Identity of the training sessions.
    card_
        Where pre-trained weights come from (data, seed, command, figures, date); None for other decoders.
    """

    kind: ClassVar[str]
    target: str
    bin_s: float
    unit_scales_: dict[str, UnitScale]  # of decoders that read counts
    card_: dict[str, Any] | None = None

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        if "kind" in cls.__dict__:
            _DEFINED[cls.kind] = cls

    def fit(self, sessions: Session | Sequence[Session], *, folder: str | os.PathLike | None = None) -> Self:
        """Learn from one session or several.

        Parameters
        ----------
        sessions
            Sessions with the target. Several with one id are parts of the same recording.
        folder
            Where a long training keeps log and checkpoints, and resumes from; decoders that are solved in
            one go do not use it.

        Raises
        ------
        UnknownTarget
            If a session does not have the target.
        DataError
            If there is nothing to learn from.
        """
        sessions = listed(sessions)
        self.target_ = find_target(sessions, self.target)
        self.units_: dict[str, list[str]] = {}
        self.findings_: list[Finding] = []
        self.data_fingerprint_ = fingerprint(*(session.fingerprint() for session in sessions))
        self._learn(self._meet(sessions), Path(folder) if folder is not None else None)
        return self

    def adapt(self, session: Session | Sequence[Session]) -> Self:
        """Learn a session that was not in training, from its own spikes and target.

        Columns that had no names in training (0, 1, ..) take the session's.

        Raises
        ------
        UnknownTarget, DataError
            If the session lacks the target, or has it in another form than in training.
        """
        self._require_fitted()
        sessions = listed(session)
        found = find_target(sessions, self.target)
        if self.target_.columns == tuple(range(len(found.columns))):
            self.target_ = dataclasses.replace(self.target_, columns=found.columns)
        new = set(found.classes) - set(self.target_.classes)
        if (found.task, found.columns) != (self.target_.task, self.target_.columns) or new:
            raise DataError(
                f"session {sessions[0].id!r} has {sorted(new) or list(found.columns)} for {self.target!r}",
                expected=f"{list(self.target_.classes or self.target_.columns)}, as in training",
                remedy="fit a new decoder on all sessions",
            )
        self.data_fingerprint_ = fingerprint(self.data_fingerprint_, *(one.fingerprint() for one in sessions))
        self._adapt(self._meet(sessions))
        return self

    def recalibrate(self, session: Session | Sequence[Session]) -> Self:
        """Measure anew how much the units of a known session fire, which drifts; no target is needed.

        Counts are scaled by each unit's mean and spread in training; those of this later part of the session
        take their place, the more so the longer it is (half of the way at 30 bins).

        Parameters
        ----------
        session
            A part of a session that was in training, or several.

        Raises
        ------
        UnknownUnit
            If the session, or some of its units, were not in training.
        DataError
            If the decoder reads spikes, as POYO does, or a label is decoded and there are no trials.
        """
        self._require_fitted()
        sessions = listed(session)
        if not hasattr(self, "unit_scales_"):
            raise DataError(
                f"{type(self).__name__} reads spikes, whose number it does not scale",
                expected="a decoder of counts", remedy="call adapt with a part of the session and its target",
            )  # fmt: skip
        for each in sessions:
            require_known_units(each, self.units_)
        self.unit_scales_ |= measured_anew(self.unit_scales_, sessions, self.target_, bin_s=self.bin_s)
        self.data_fingerprint_ = fingerprint(self.data_fingerprint_, *(one.fingerprint() for one in sessions))
        return self

    def predict(self, session: Session) -> nap.Tsd | nap.TsdFrame:
        """Decode a session, from its spikes alone.

        Units are matched by id, in any order; one that the session has lost counts as being at its mean.

        Returns
        -------
        Tsd or TsdFrame
            At the bins' centres: the behaviour with its column names, or each bin's most likely label.

        Raises
        ------
        UnknownUnit
            If the session, or some of its units, were not in training.
        DataError
            If a label is decoded and the session has no trials.
        """
        centres_s, values, support = self._decoded(session)
        if self.target_.task == "classification":
            labels = np.asarray(self.target_.classes)[values.argmax(axis=1)]
            return nap.Tsd(centres_s, labels, time_support=support)
        if self.target_.one_dimensional:
            return nap.Tsd(centres_s, values[:, 0], time_support=support)
        return nap.TsdFrame(centres_s, values, time_support=support, columns=list(self.target_.columns))

    def predict_probabilities(self, session: Session) -> nap.TsdFrame:
        """Return the probability of every label in each bin; columns are the labels as text.

        Raises
        ------
        DataError
            If a behaviour is decoded; else as `predict`.
        """
        centres_s, values, support = self._decoded(session)
        if self.target_.task == "regression":
            raise DataError(
                f"{self.target!r} is a behaviour", expected="a trial label", remedy="call predict instead"
            )
        names = [str(each) for each in self.target_.classes]
        return nap.TsdFrame(centres_s, values, time_support=support, columns=names)

    def score(self, session: Session) -> float:
        """Return `evaluate(session).value`: mean R² over dimensions, or accuracy; NaN where undefined."""
        return self.evaluate(session).value

    def evaluate(self, session: Session) -> Scores:
        """Compare predictions with the session's truth, bin by bin.

        Bins whose truth is missing are masked and counted. The score is undefined (NaN, with a finding)
        where the truth is constant or there are fewer than two known bins.

        Raises
        ------
        UnknownTarget
            If the session does not have the target; else as `predict`.
        """
        self._require_fitted()
        require_target(session, self.target_)
        predicted = self.predict(session)
        result = compare(predicted, session, self.target_, width_s=self.bin_s)
        return dataclasses.replace(result, findings=lost_units(session, self.units_) + result.findings)

    def save(self, folder: str | os.PathLike) -> Path:
        """Write the decoder as an artifact folder, to be read by `load_decoder`."""
        self._require_fitted()
        document, arrays = self._pack()
        card = {"card": self.card_} if self.card_ else {}
        return save_artifact(
            folder,
            kind=f"decoder/{self.kind}",
            document={
                "target": dataclasses.asdict(self.target_),
                "units": self.units_,
                "findings": [finding.as_dict() for finding in self.findings_],
                "learned": document,
            }
            | card,
            arrays=arrays,
            config=self.settings(),
            seed=getattr(self, "seed", None),
            data_fingerprint=self.data_fingerprint_,
        )

    def settings(self) -> dict[str, Any]:
        """Return the constructor's arguments by name, as they come back from JSON: lists for tuples."""
        given = {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}

    def __repr__(self) -> str:
        parameters = inspect.signature(type(self)).parameters
        chosen = {name: value for name, value in self.settings().items() if value != parameters[name].default}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in chosen.items())})"

    @abstractmethod
    def _learn(self, parts: dict[str, list[Session]], folder: Path | None) -> None:
        """Learn from the parts of each session, by session id."""

    @abstractmethod
    def _adapt(self, parts: dict[str, list[Session]]) -> None:
        """Learn sessions beside what is known already."""

    @abstractmethod
    def _outputs(self, session: Session) -> tuple[np.ndarray, np.ndarray]:
        """Return bin centres (bins,) and values (bins, dimensions) or class probabilities (bins, classes)."""

    @abstractmethod
    def _pack(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return what was learned, as JSON content and arrays."""

    @abstractmethod
    def _unpack(self, document: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Take back what `_pack` gave."""

    def _restore(self, artifact: Artifact) -> None:
        document = artifact.document
        self.target_ = Target.from_json(document["target"])
        self.units_ = document["units"]
        self.findings_ = [Finding(**finding) for finding in document["findings"]]
        self.data_fingerprint_ = artifact.provenance["data_fingerprint"]
        self.card_ = document.get("card")
        self._unpack(document["learned"], artifact.arrays)

    def _decoded(self, session: Session) -> tuple[np.ndarray, np.ndarray, nap.IntervalSet]:
        self._require_fitted()
        if self.target_.task == "classification":
            trials_of(session)
        require_known_units(session, self.units_)
        centres_s, values = self._outputs(session)
        return centres_s, values, session.time_support

    def _meet(self, sessions: list[Session]) -> dict[str, list[Session]]:
        parts = parts_by_id(sessions)
        self.units_ |= {session_id: same[0].unit_ids for session_id, same in parts.items()}
        return parts

    def _require_fitted(self) -> None:
        if not hasattr(self, "target_"):
            raise NotFitted(
                f"this {type(self).__name__} has not been fitted",
                expected="a fitted decoder", remedy="call fit first, or load one with neuroloom.load_decoder",
            )  # fmt: skip

    def _note_masked(self, session: Session, known: np.ndarray) -> None:
        if not known.all():
            n_masked = int(np.count_nonzero(~known))
            self.findings_.append(masked_finding(n_masked, len(known), session, self.target))


def load_decoder(folder: str | os.PathLike) -> Decoder:
    """Read a decoder that was written by `Decoder.save`.

    Raises
    ------
    MissingFile
        If there is no such folder.
    CorruptArtifact
        If it is damaged, or not a decoder that this version knows.
    """
    artifact = load_artifact(folder, kind="decoder/")
    kind = artifact.kind.removeprefix("decoder/")
    try:
        kind_class = decoder_class(kind)
    except DataError as error:
        raise CorruptArtifact(
            f"{folder} holds a decoder of kind {kind!r}",
            expected=error.expected,
            remedy="import the module that defines it, or use the neuroloom version that wrote it",
        ) from None
    settings = settings_of(artifact, kind_class, folder=folder)
    with refuse_foreign_content(folder, expected=f"a {kind} decoder"):
        decoder = kind_class(**settings)
        decoder._restore(artifact)
    return decoder


def decoder_class(kind: str) -> type[Decoder]:
    """Return the class of a model by its name, such as ``"wiener"``.

    Raises
    ------
    DataError
        If there is no such model.
    """
    if kind not in _DEFINED and kind in _MODULES:
        importlib.import_module(_MODULES[kind])
    if kind not in _DEFINED:
        raise DataError(
            f"there is no model {kind!r}",
            expected=f"one of {', '.join(sorted(_MODULES.keys() | _DEFINED.keys()))}",
            remedy="pass one of these",
        )
    return _DEFINED[kind]
