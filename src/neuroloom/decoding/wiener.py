"""The linear baseline: a Wiener filter for behaviour, logistic regression on the same lags for labels."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from neuroloom.decoding.binning import SessionBins, UnitScale, bin_for, inner_validation, join_parts, lagged
from neuroloom.decoding.estimator import Decoder
from neuroloom.decoding.logistic import DEFAULT_CHOICE, INVERSE_PENALTIES, choose_logistic, fit_logistic
from neuroloom.decoding.ridge import (
    DEFAULT_PENALTY,
    FEWEST_TO_CHOOSE,
    VALIDATION_FRACTION,
    Moments,
    choose_penalties,
    solve_ridge,
)
from neuroloom.errors import DataError
from neuroloom.findings import Finding
from neuroloom.sessions.session import Session

_CHUNK_VALUES = 4_000_000


@dataclass(frozen=True)
class _Readout:
    """What is learned for one session: weights (lags * units, outputs) and intercept (outputs,)."""

    weights: np.ndarray
    intercept: np.ndarray
    penalties: list[float]


class WienerDecoder(Decoder):
    """Linear readout of the counts in the last bins.

    For a behaviour: ridge regression, with the penalty of each dimension chosen on the last fifth of the
    training bins, then solved on all of them. For a trial label: multinomial logistic regression, one
    prediction per bin; its penalty, how sharp odds are, and whether classes are as likely as they were
    frequent are chosen in cross-validation over whole trials (`neuroloom.decoding.logistic`). Counts are
    scaled by unit. Lags that would reach out of a trial or support interval read the mean of those that do
    not, so every bin has a prediction. Each session has weights of its own.

    Parameters
    ----------
    target
        A behaviour or a trial label.
    bin_s
        Bin width in seconds.
    past_bins
        Bins read up to and including the decoded one.
    future_bins
        Bins read after the decoded one; 0 is causal.
    alpha
        ``"auto"``, or the penalty on scaled counts: per bin (behaviour), or the inverse of
        scikit-learn's ``C`` (label).
    seed, quiet
        Not used (nothing is random, nothing takes long); all decoders have them.

    Attributes
    ----------
    alpha_
        Session id -> the penalties used, one per dimension, or one for labels.

    Examples
    --------
    >>> from neuroloom.sessions.session import Session
    >>> rng = np.random.default_rng(0)
    >>> counts = rng.poisson(3, size=(400, 5))
    >>> speed = counts @ [1.0, -1.0, 0.5, 0.0, 0.0]
    >>> session = Session.from_counts(counts, bin_size_s=0.05, id="a", behavior={"speed": speed})
    >>> decoder = WienerDecoder("speed", past_bins=2).fit(session.restrict((0, 15)))
    >>> round(decoder.score(session.restrict((15, 20))), 2)
    1.0
    """

    kind = "wiener"

    def __init__(
        self,
        target: str,
        *,
        bin_s: float = 0.05,
        past_bins: int = 10,
        future_bins: int = 0,
        alpha: float | Literal["auto"] = "auto",
        seed: int = 0,
        quiet: bool = False,
    ):
        self.target, self.bin_s = target, bin_s
        self.past_bins, self.future_bins, self.alpha = past_bins, future_bins, alpha
        self.seed, self.quiet = seed, quiet

    @property
    def alpha_(self) -> dict[str, list[float]]:
        """Session id -> penalties used."""
        return {session_id: readout.penalties for session_id, readout in self._readouts.items()}

    def _learn(self, parts: dict[str, list[Session]], folder: Path | None) -> None:
        self._validate()
        self._readouts: dict[str, _Readout] = {}
        self.unit_scales_: dict[str, UnitScale] = {}
        self._adapt(parts)

    def _adapt(self, parts: dict[str, list[Session]]) -> None:
        for session_id, sessions in parts.items():
            self._readouts[session_id] = self._fit_session(sessions)

    def _validate(self) -> None:
        if self.past_bins < 0 or self.future_bins < 0 or self.past_bins + self.future_bins < 1:
            raise DataError(
                f"past_bins={self.past_bins} and future_bins={self.future_bins}",
                expected="at least one bin to read",
                remedy="pass past_bins=1 to read only the decoded bin",
            )
        if self.alpha != "auto" and not (isinstance(self.alpha, int | float) and 0 < self.alpha < np.inf):
            raise DataError(
                f"alpha={self.alpha!r}", expected='"auto" or a positive number', remedy="change it"
            )

    def _fit_session(self, parts: list[Session]) -> _Readout:
        unit_ids = self.units_[parts[0].id]
        scale, bins = join_parts(parts, self.target_, unit_ids=unit_ids, bin_s=self.bin_s)
        self.unit_scales_[parts[0].id] = scale
        self._note_masked(parts[0], bins.known)
        if self.target_.task == "classification":
            return self._fit_labels(scale, bins)
        return self._fit_behavior(scale, bins)

    def _fit_behavior(self, scale: UnitScale, bins: SessionBins) -> _Readout:
        train, validation = inner_validation(
            bins.stretch, fraction=VALIDATION_FRACTION, gap=self.past_bins + self.future_bins - 1
        )
        n_features, n_outputs = (self.past_bins + self.future_bins) * len(scale.ids), bins.truth.shape[1]
        places = {"train": train, "validation": validation, "gap": ~(train | validation)}
        sums = {part: Moments.zero(n_features, n_outputs) for part in places}
        for rows in self._chunks(bins.features):
            x = self._lagged(bins.features, bins.stretch, rows)
            for part, place in places.items():
                chosen = (place & bins.known)[rows]
                if chosen.any():
                    sums[part].add(x[chosen], bins.truth[rows][chosen])
        if self.alpha != "auto":
            penalties = np.full(n_outputs, float(self.alpha))
        elif min(sums["train"].n, sums["validation"].n) < FEWEST_TO_CHOOSE:
            penalties = np.full(n_outputs, DEFAULT_PENALTY)
            self._note_few(scale, f"{np.count_nonzero(bins.known)} bins", DEFAULT_PENALTY)
        else:
            penalties, _ = choose_penalties(sums["train"], sums["validation"])
        weights, intercept = solve_ridge(sums["train"] + sums["validation"] + sums["gap"], penalties)
        return _Readout(weights, intercept, penalties.tolist())

    def _fit_labels(self, scale: UnitScale, bins: SessionBins) -> _Readout:
        codes, trial = bins.truth[bins.known], bins.stretch[bins.known]
        if len(np.unique(codes)) < 2:
            raise DataError(
                f"a session with units such as {scale.ids[0]} has one class of {self.target!r} only",
                expected="at least two classes in every session",
                remedy="leave the session out, or choose a decoder that shares what it learns",
            )
        x = self._lagged(bins.features, bins.stretch, slice(None))[bins.known]
        allowed = INVERSE_PENALTIES if self.alpha == "auto" else (1 / float(self.alpha),)
        choice = choose_logistic(x, codes, trial, inverse_penalties=allowed)
        if choice is None and self.alpha != "auto":
            choice = dataclasses.replace(DEFAULT_CHOICE, inverse_penalty=allowed[0])
        elif choice is None:
            choice = DEFAULT_CHOICE
            self._note_few(scale, f"{len(np.unique(trial))} trials", 1 / choice.inverse_penalty)
        weights, intercept = fit_logistic(x, codes, self.target_.n_outputs, choice)
        return _Readout(weights, intercept, [1 / choice.inverse_penalty])

    def _outputs(self, session: Session) -> tuple[np.ndarray, np.ndarray]:
        bins = bin_for(session, self.target_, self.bin_s)
        readout = self._readouts[session.id]
        features = self.unit_scales_[session.id].apply(session, bins.counts)
        values = np.concatenate(
            [
                self._lagged(features, bins.stretch, rows) @ readout.weights + readout.intercept
                for rows in self._chunks(features)
            ]
        )
        if self.target_.task == "classification":
            values = np.exp(values - values.max(axis=1, keepdims=True))
            values /= values.sum(axis=1, keepdims=True)
        return bins.centres_s, values

    def _lagged(self, features: np.ndarray, stretch: np.ndarray, rows: slice) -> np.ndarray:
        return lagged(features, stretch, rows, past=self.past_bins, future=self.future_bins)

    def _chunks(self, features: np.ndarray) -> list[slice]:
        width = (self.past_bins + self.future_bins) * max(1, features.shape[1])
        size = max(64, _CHUNK_VALUES // width)
        return [slice(start, start + size) for start in range(0, len(features), size)]

    def _note_few(self, scale: UnitScale, found: str, penalty: float) -> None:
        self.findings_.append(
            Finding(
                "warning",
                f"too little data ({found}) to choose the penalty; alpha={penalty:g} was used",
                f"units {scale.ids[0]} to {scale.ids[-1]}",
                "fit on more data, or pass alpha",
            )
        )

    def _pack(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        arrays = {}
        for number, (session_id, readout) in enumerate(self._readouts.items()):
            scale = self.unit_scales_[session_id]
            arrays[f"{number}/weights"], arrays[f"{number}/intercept"] = readout.weights, readout.intercept
            arrays[f"{number}/mean"], arrays[f"{number}/spread"] = scale.mean, scale.spread
        return {"alpha": self.alpha_}, arrays

    def _unpack(self, document: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        self._readouts, self.unit_scales_ = {}, {}
        for number, (session_id, penalties) in enumerate(document["alpha"].items()):
            weights, intercept = arrays[f"{number}/weights"], arrays[f"{number}/intercept"]
            self._readouts[session_id] = _Readout(weights, intercept, penalties)
            mean, spread = arrays[f"{number}/mean"], arrays[f"{number}/spread"]
            self.unit_scales_[session_id] = UnitScale(self.units_[session_id], mean, spread)
