"""Populations of different size in one batch: individuals end to end, or padded with a mask."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class EITInputs:
    """A batch of B trials with M individuals altogether, T bins each.

    Attributes
    ----------
    values
        Time series of every individual, trial by trial, (M, T, features) float32.
    trial
        Trial of every individual, (M,) int64, ascending.
    place
        Its place among the individuals of its trial, (M,) int64, ascending within a trial.
    row
        Its row in the tables of individuals, (M,) int64.
    session
        Row of every trial's session, (B,) int64.
    n_places
        Individuals of the largest trial, N.
    used
        Which bins of a trial are not padding, (B, T) bool; None where all are used.
    hidden
        Which bins of an individual the model does not see, (M, T) bool; None where it sees all.
    """

    values: Tensor
    trial: Tensor
    place: Tensor
    row: Tensor
    session: Tensor
    n_places: int
    used: Tensor | None = None
    hidden: Tensor | None = None

    def to(self, device: torch.device | str) -> "EITInputs":
        """Return the batch on another device."""
        fields = (self.values, self.trial, self.place, self.row, self.session)
        values, trial, place, row, session = (each.to(device, non_blocking=True) for each in fields)
        used, hidden = (
            None if each is None else each.to(device, non_blocking=True) for each in (self.used, self.hidden)
        )
        return EITInputs(values, trial, place, row, session, self.n_places, used, hidden)


@dataclass(frozen=True)
class Population:
    """Who is where in a padded batch: row (B, N) int64, and present (B, N) bool."""

    row: Tensor
    present: Tensor


def to_places(tokens: Tensor, inputs: EITInputs) -> Tensor:
    """Return individuals' tokens (M, T, D) by trial and place, (B, T, N, D); 0 where there is no one."""
    n_trials, n_places = len(inputs.session), inputs.n_places
    if len(tokens) == n_trials * n_places:
        return tokens.unflatten(0, (n_trials, n_places)).transpose(1, 2)
    padded = tokens.new_zeros(n_trials * n_places, *tokens.shape[1:])
    padded = padded.index_copy(0, inputs.trial * n_places + inputs.place, tokens)
    return padded.unflatten(0, (n_trials, n_places)).transpose(1, 2)


def population(inputs: EITInputs) -> Population:
    """Return who is where in the padded batch."""
    shape = len(inputs.session), inputs.n_places
    row = inputs.row.new_zeros(shape)
    row[inputs.trial, inputs.place] = inputs.row
    present = torch.zeros(shape, dtype=torch.bool, device=row.device)
    present[inputs.trial, inputs.place] = True
    return Population(row, present)


def visible(inputs: EITInputs, who: Population) -> Tensor | None:
    """Return which places may be attended to at every bin, (B T, N); None where all may."""
    if len(inputs.row) == who.present.numel():
        return None
    mask = who.present.clone()
    mask[:, 0] |= ~who.present.any(dim=1)  # a trial without individuals sees an empty token, not nothing
    return mask.repeat_interleave(inputs.values.shape[1], dim=0)


def bin_shares(inputs: EITInputs, tokens: Tensor) -> Tensor:
    """Return the share of each used bin in a mean over time, (B, T)."""
    if inputs.used is None:
        return tokens.new_full(tokens.shape[:2], 1 / tokens.shape[1])
    return inputs.used.to(tokens.dtype) / inputs.used.sum(dim=1, keepdim=True).clamp(min=1)


def time_code(n_bins: int, dim: int) -> Tensor:
    """Return sines and cosines of the place in time, (bins, dim) (Vaswani et al. 2017)."""
    rates = 10000 ** (-torch.arange((dim + 1) // 2) * 2 / dim)
    angles = torch.arange(n_bins)[:, None] * rates  # (bins, dim / 2)
    return torch.cat([angles.sin(), angles.cos()], dim=1)[:, :dim]
