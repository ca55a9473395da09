"""Teaching a trained POYO new sessions: room for their embeddings, and what may move at each stage."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Literal

import torch
from torch import Tensor, nn

from neuroloom.decoding.poyo import Poyo
from neuroloom.decoding.poyo_data import PoyoData
from neuroloom.decoding.rows import only_learning, weights_from

Mode = Literal["units", "full", "gradual", "all"]
STAGES: dict[Mode, tuple[str, ...]] = {
    "units": ("units",),
    "full": ("units", "all"),
    "gradual": ("units", "borders", "all"),
    "all": ("all",),
}
UNITS, SESSIONS = "unit_embedding", "session_embedding"
# What reads the spikes and what writes the outputs.
_BORDERS = ("encoder", "decoder", "readout")
# Beyond this a tenth of the data is spared to say which embeddings are best.
_ENOUGH_S = 301.0


def extend(
    model: Poyo,
    *,
    n_units: int,
    n_sessions: int,
    seed: int,
    centres: Mapping[str, Tensor] | None = None,
) -> None:
    """Add embeddings of new units and sessions, drawn around the mean of those that are known.

    Parameters
    ----------
    model
        Changed in place.
    n_units, n_sessions
        How many to add.
    seed
        Seed of the new rows.
    centres
        The means to draw around, by name of the embedding, where no known rows are left.
    """
    for name, n in ((UNITS, n_units), (SESSIONS, n_sessions)):
        old = model.get_submodule(name).get_parameter("weight").detach()
        if centres and name in centres and not len(old):
            centre = centres[name].to(old.device)
        else:
            centre = old.mean(0) if len(old) else old.new_zeros(old.shape[1])
        with weights_from(seed, "new", name, len(old)):
            fresh = centre + 0.02 * torch.randn(n, old.shape[1]).to(old.device)
        setattr(model, name, nn.Embedding.from_pretrained(torch.cat([old, fresh]), freeze=False))


def learning(
    model: Poyo, stage: str, *, units: Sequence[int], sessions: Sequence[int]
) -> AbstractContextManager[None]:
    """Let some parameters learn inside the block; of the embeddings, always the given rows alone.

    Parameters
    ----------
    model
        The network.
    stage
        ``"units"``: the new embeddings; ``"borders"``: also encoder, decoder and readout; ``"all"``.
    units, sessions
        Rows that may change.
    """
    rows = {f"{UNITS}.weight": units, f"{SESSIONS}.weight": sessions}

    def learns(name: str) -> bool:
        return stage == "all" or name in rows or (stage == "borders" and name.startswith(_BORDERS))

    return only_learning(model, learns, rows=rows)


def deciding_fraction(data: PoyoData, stage: str, *, stops_early: bool) -> float:
    """Return the share of the data that decides which weights are kept, where the user does not say.

    A tenth. 0, so that all is learned from and the last weights are kept, where the loss on a tenth says less
    than leaving it out costs: for trial labels, and for embeddings alone from five minutes or less (R² of
    two simulated animals: after one minute .887 with 0, .879 with a tenth; after five .914, .911).

    Parameters
    ----------
    data
        All there is.
    stage
        As in `only_learning`.
    stops_early
        Whether something must decide when to stop.
    """
    seconds = sum(float((each.bounds_s[:, 1] - each.bounds_s[:, 0]).sum()) for each in data.outputs)
    few = data.task == "classification" or (stage == "units" and seconds < _ENOUGH_S)
    return 0.0 if few and not stops_early else 0.1
