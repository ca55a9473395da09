"""Sessions as EIT's batches: windows of bins, every unit a time series, whatever session it is of."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from neuroloom.decoding.binning import SessionBins, UnitScale, inner_validation, join_parts
from neuroloom.decoding.eit_inputs import EITInputs
from neuroloom.decoding.poyo_sessions import OutputScale
from neuroloom.decoding.sequences import Sequences, cut_sequences
from neuroloom.decoding.targets import Target
from neuroloom.sessions.session import Session
from neuroloom.training.loop import Batch, Objective

# The share of T's loss beside that of S, as released.
INDIVIDUAL_SHARE = 0.5


@dataclass(frozen=True)
class Prepared:
    """A batch ready for the loss.

    Attributes
    ----------
    inputs
        The individuals.
    truth
        (B, T, dimensions) float32, or classes (B, T) int64; 0 where unknown.
    weight
        (B, T) float32: 1 where a bin counts.
    """

    inputs: EITInputs
    truth: Tensor
    weight: Tensor

    def to(self, device: str) -> "Prepared":
        """Return the batch on another device."""
        return Prepared(self.inputs.to(device), self.truth.to(device), self.weight.to(device))


def scaled_bins(
    sessions: Sequence[Session], target: Target, *, unit_ids: list[str], bin_s: float
) -> tuple[UnitScale, OutputScale | None, SessionBins]:
    """Return the bins of the parts of one session, scaled, and the scales: of units, and of a behaviour."""
    scale, joined = join_parts(list(sessions), target, unit_ids=unit_ids, bin_s=bin_s)
    if target.task == "classification":
        return scale, None, joined
    output = OutputScale.of([joined.truth[joined.known]])
    return scale, output, dataclasses.replace(joined, truth=(joined.truth - output.mean) / output.spread)


class EITData:
    """Binned sessions end to end, so that windows of any of them are gathered at once.

    Parameters
    ----------
    sessions
        The bins of each session.
    rows
        For each session the rows of its units, (units,).
    session_rows
        The row of each session.
    unit_dropout
        Share of the units that is left out of each window in training.
    """

    def __init__(
        self,
        sessions: Sequence[SessionBins],
        rows: Sequence[np.ndarray],
        session_rows: Sequence[int],
        *,
        unit_dropout: float = 0.0,
    ):
        self.sessions, self.unit_dropout = list(sessions), unit_dropout
        n_bins = np.array([len(each.features) for each in sessions])
        self.n_units = np.array([each.features.shape[1] for each in sessions])
        # Every unit's time series end to end, and where each of them starts.
        self.series = np.concatenate([each.features.T.ravel() for each in sessions])
        lengths = np.repeat(n_bins, self.n_units)
        self.series_start = np.cumsum(lengths) - lengths
        self.first_unit = np.cumsum(self.n_units) - self.n_units
        self.row, self.session_row = np.concatenate(rows), np.array(session_rows)
        self.first_bin = np.cumsum(n_bins) - n_bins
        truth = np.concatenate([each.truth for each in sessions])
        self.known = np.concatenate([each.known for each in sessions])
        mask = self.known if truth.ndim == 1 else self.known[:, None]
        self.truth = np.where(mask, truth, np.zeros((), dtype=truth.dtype))
        if truth.ndim > 1:
            self.truth = self.truth.astype(np.float32)

    def windows(self, n_bins: int, *, step: int, wanted: list[np.ndarray] | None = None) -> Sequences:
        """Lay windows of `n_bins` bins over every stretch, `step` bins apart."""
        borders = [each.stretch for each in self.sessions]
        return cut_sequences(borders, n_bins=n_bins, warmup=0, step=step, wanted=wanted)

    def split(self, fraction: float) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return which bins of each session are learned and which decide: the last part, if long enough."""
        first, last = [], []
        for bins in self.sessions:
            everything = np.ones(len(bins.known), dtype=bool)
            train, decide = everything, ~everything
            if fraction:
                train, decide = inner_validation(bins.stretch, fraction=fraction, gap=0)
            if not ((train & bins.known).any() and (decide & bins.known).any()):
                train, decide = everything, ~everything  # too short to be split
            first.append(train)
            last.append(decide)
        return first, last

    def objectives(
        self, n_bins: int, *, validation_fraction: float, alone: bool = False
    ) -> tuple[Objective, Objective | None]:
        """Return what is trained on, and what decides: the last part of each session, if there is one.

        Parameters
        ----------
        n_bins
            Bins of a window.
        validation_fraction
            Share of each session that decides; 0 for none.
        alone
            Whether only the readout of T learns.
        """
        first, last = self.split(validation_fraction)

        def loss(model: nn.Module, prepared: Prepared) -> tuple[Tensor, Tensor]:
            outputs = model(prepared.inputs, alone=alone)
            errors = _errors(outputs.individual, prepared.truth)
            if not alone:
                errors = _errors(outputs.interaction, prepared.truth) + INDIVIDUAL_SHARE * errors
            return (errors * prepared.weight).sum(), prepared.weight.sum()

        def objective(windows: Sequences, drop: float) -> Objective:
            def prepare(batch: Batch) -> Prepared:
                random = batch.stream("units") if drop else None
                return self.prepare(windows, batch.indices, random=random).to(batch.device)

            return Objective(len(windows), loss, prepare)

        training = self.windows(n_bins, step=max(1, n_bins // 2), wanted=first)
        validation = self.windows(n_bins, step=n_bins, wanted=last)
        return (
            objective(training, self.unit_dropout),
            objective(validation, 0.0) if len(validation) else None,
        )

    def prepare(
        self, windows: Sequences, chosen: np.ndarray, *, random: np.random.Generator | None = None
    ) -> Prepared:
        """Return windows with their truth; with `random`, some of the units are left out."""
        places, used = windows.places(chosen)
        session = windows.session[chosen]
        bins = self.first_bin[session][:, None] + places
        weight = used & self.known[bins]
        return Prepared(
            self.inputs(session, places, used, random=random),
            torch.from_numpy(self.truth[bins]),
            torch.from_numpy(weight.astype(np.float32)),
        )

    def inputs(
        self,
        session: np.ndarray,
        places: np.ndarray,
        used: np.ndarray,
        *,
        random: np.random.Generator | None = None,
    ) -> EITInputs:
        """Return the individuals of windows: session (B,), bins (B, T), which of them are used (B, T)."""
        count = self.n_units[session]
        trial = np.repeat(np.arange(len(session)), count)
        unit = np.arange(len(trial)) - np.repeat(np.cumsum(count) - count, count)
        if random is not None:
            kept = random.random(len(trial)) >= self.unit_dropout
            kept |= unit == random.integers(count)[trial]  # one stays in any case
            trial, unit = trial[kept], unit[kept]
            count = np.bincount(trial, minlength=len(session))
        place = np.arange(len(trial)) - np.repeat(np.cumsum(count) - count, count)
        who = self.first_unit[session][trial] + unit
        values = self.series[self.series_start[who][:, None] + places[trial]]  # (M, T)
        return EITInputs(
            torch.from_numpy(values)[..., None],
            torch.from_numpy(trial),
            torch.from_numpy(place),
            torch.from_numpy(self.row[who]),
            torch.from_numpy(self.session_row[session]),
            int(count.max()),
            None if used.all() else torch.from_numpy(used),
        )


def _errors(outputs: Tensor, truth: Tensor) -> Tensor:
    """Return the squared error, or the cross-entropy, of each bin, (B, T)."""
    if truth.is_floating_point():
        return ((outputs.float() - truth) ** 2).mean(dim=2)
    return nn.functional.cross_entropy(outputs.float().transpose(1, 2), truth, reduction="none")
