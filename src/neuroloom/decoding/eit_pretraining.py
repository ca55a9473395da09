"""What EIT learns without labels: to fill in the bins that are hidden from it.

T fills them in from the other bins of the same individual, S also from the other individuals of the same bin.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from neuroloom.decoding.binning import SessionBins, UnitScale, bin_for
from neuroloom.decoding.eit import EIT, EITConfig
from neuroloom.decoding.eit_data import INDIVIDUAL_SHARE, EITData
from neuroloom.decoding.eit_inputs import EITInputs, population
from neuroloom.decoding.rows import parameter_groups, weights_from
from neuroloom.decoding.targets import Target
from neuroloom.errors import DataError
from neuroloom.sessions.session import Session
from neuroloom.training.loop import Batch, Objective, TrainConfig, TrainResult, train

# Of a network's weights, those that answer nothing; tables among them have a row for each unit.
_TABLES = ("shift_table.weight", "scale_table.weight")
_LEARNED = ("embed.", "individual.", "interaction.", "hidden_token")


class Filling(nn.Module):
    """A network and two readouts that say what was hidden; only the network is kept."""

    def __init__(self, model: EIT, n_features: int):
        super().__init__()
        self.model = model
        self.from_interaction = nn.Linear(model.config.dim, n_features)
        self.from_individual = nn.Linear(model.config.dim, n_features)

    def forward(self, inputs: EITInputs) -> tuple[Tensor, Tensor]:
        """Return what S and what T say, both (M, T, features)."""
        tokens = self.model.represent(inputs)
        together = self.model.interact(tokens, inputs, population(inputs))  # (B, T, N, D)
        together = together.transpose(1, 2)[inputs.trial, inputs.place]  # (M, T, D)
        return self.from_interaction(together), self.from_individual(tokens)


@dataclass(frozen=True)
class Pretrained:
    """What pre-training found: weights by name, and the row of each unit in the tables among them."""

    weights: dict[str, Tensor]
    rows: dict[str, int]

    @classmethod
    def of(cls, model: EIT, rows: Mapping[str, int]) -> "Pretrained":
        """Take from a network what does not answer."""
        kept = {
            name: value.clone()
            for name, value in model.state_dict().items()
            if name in _TABLES or name.startswith(_LEARNED)
        }
        return cls(kept, dict(rows))

    def give(self, model: EIT, rows: Mapping[str, int]) -> None:
        """Start a network from these weights; units that are not known keep the rows that they have.

        Raises
        ------
        DataError
            If the network has another size.
        """
        state = model.state_dict()
        known = [unit for unit in rows if unit in self.rows]
        new, old = [rows[unit] for unit in known], [self.rows[unit] for unit in known]
        for name, value in self.weights.items():
            fits = name in state and value.shape[1:] == state[name].shape[1:]
            if not fits or (name not in _TABLES and len(value) != len(state[name])):
                raise DataError(
                    f"pre-trained {name} of shape {tuple(value.shape)}",
                    expected="a network of the size that was pre-trained",
                    remedy="call pretrain again after changing config",
                )
            if name in _TABLES:
                state[name][new] = value[old]
            else:
                state[name].copy_(value)


def filling(n_examples: int, inputs_of: Callable[[Batch], EITInputs], *, masked_fraction: float) -> Objective:
    """Return the squared error on hidden bins, of S plus half of T.

    Parameters
    ----------
    n_examples
        Windows or trials.
    inputs_of
        Makes the inputs of a batch of them.
    masked_fraction
        Share of the bins of every individual that is hidden.
    """

    def prepare(batch: Batch) -> EITInputs:
        inputs = inputs_of(batch)
        drawn = batch.stream("mask").random(inputs.values.shape[:2]) < masked_fraction
        hidden = torch.from_numpy(drawn)
        if inputs.used is not None:
            hidden &= inputs.used[inputs.trial]
        return dataclasses.replace(inputs, hidden=hidden).to(batch.device)

    def loss(model: nn.Module, inputs: EITInputs) -> tuple[Tensor, Tensor]:
        assert inputs.hidden is not None
        weight = inputs.hidden[..., None].float().expand_as(inputs.values)
        together, alone = model(inputs)
        errors = (together.float() - inputs.values) ** 2
        errors = errors + INDIVIDUAL_SHARE * (alone.float() - inputs.values) ** 2
        return (errors * weight).sum(), weight.sum()

    return Objective(n_examples, loss, prepare)


def fill(
    config: EITConfig,
    parts: Mapping[str, list[Session]],
    *,
    bin_s: float,
    n_bins: int,
    masked_fraction: float,
    validation_fraction: float,
    unit_dropout: float,
    settings: TrainConfig,
    quiet: bool,
) -> tuple[Pretrained, TrainResult]:
    """Train a new network to fill in hidden bins of sessions; return what it learned, and how it went.

    Raises
    ------
    DataError
        If `masked_fraction` hides nothing or everything.
    """
    if not 0 < masked_fraction < 1:
        raise DataError(
            f"masked_fraction {masked_fraction}", expected="a fraction between 0 and 1", remedy="pass 0.25"
        )
    units = {session_id: same[0].unit_ids for session_id, same in parts.items()}
    met = dict.fromkeys(unit for mine in units.values() for unit in mine)
    rows = {unit: row for row, unit in enumerate(met)}
    bins = [unlabelled(same, unit_ids=units[name], bin_s=bin_s) for name, same in parts.items()]
    mine = [np.array([rows[unit] for unit in units[name]]) for name in parts]
    data = EITData(bins, mine, range(len(parts)), unit_dropout=unit_dropout)
    with weights_from(settings.seed, "eit", "weights"):
        model = EIT(config, n_features=1, n_outputs=1, n_rows=len(rows), n_sessions=len(parts))
        filler = Filling(model, 1)

    def on(wanted: list[np.ndarray], step: int) -> Objective:
        windows = data.windows(n_bins, step=step, wanted=wanted)

        def inputs(batch: Batch) -> EITInputs:
            random = batch.stream("units") if unit_dropout else None
            places, used = windows.places(batch.indices)
            return data.inputs(windows.session[batch.indices], places, used, random=random)

        return filling(len(windows), inputs, masked_fraction=masked_fraction)

    first, last = data.split(validation_fraction)
    validation = on(last, n_bins)
    result = train(
        filler,
        on(first, max(1, n_bins // 2)),
        validation=validation if validation.n_examples else None,
        config=settings,
        parameter_groups=lambda model: parameter_groups(model, weight_decay=settings.weight_decay),
        label="EIT, hidden bins",
        quiet=quiet,
    )
    return Pretrained.of(model.cpu(), rows), result


def unlabelled(parts: Sequence[Session], *, unit_ids: list[str], bin_s: float) -> SessionBins:
    """Bin the parts of one session, by trials where it has them, and scale them; the truth says nothing."""
    binned, counts = [], []
    for part in parts:
        by_trial = part.trials is not None and len(part.trials)
        bins = bin_for(part, Target("", "classification" if by_trial else "regression"), bin_s)
        column = {unit: number for number, unit in enumerate(part.unit_ids)}
        counts.append(bins.counts[:, [column[unit] for unit in unit_ids]])
        binned.append(bins)
    scale = UnitScale.of(unit_ids, np.concatenate(counts))
    features = ((np.concatenate(counts) - scale.mean) / scale.spread).astype(np.float32)
    first = np.cumsum([0, *(int(bins.stretch[-1]) + 1 for bins in binned)])
    stretch = np.concatenate([bins.stretch + n for bins, n in zip(binned, first[:-1], strict=True)])
    return SessionBins(features, stretch, np.zeros(len(features)), np.ones(len(features), dtype=bool))
