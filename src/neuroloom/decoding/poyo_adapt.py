"""Teaching a trained POYO new sessions: room for their embeddings, and what may move at each stage."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from neuroloom import seeds
from neuroloom.decoding.poyo import Poyo
from neuroloom.decoding.poyo_data import PoyoData

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
# From here on a tenth of the data is spared to say which embeddings are best.
_ENOUGH_S = 299.0


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


@contextmanager
def only_learning(
    model: Poyo, stage: str, *, units: Sequence[int], sessions: Sequence[int]
) -> Iterator[None]:
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
    rows = {f"{UNITS}.weight": list(units), f"{SESSIONS}.weight": list(sessions)}
    hooks = []
    for name, weight in model.named_parameters():
        borders = stage == "borders" and name.startswith(_BORDERS)
        weight.requires_grad_(name in rows or borders or stage == "all")
        if name in rows:
            mask = torch.zeros(len(weight), 1, device=weight.device)
            mask[rows[name]] = 1.0
            hooks.append(weight.register_hook(lambda grad, mask=mask: grad * mask.to(grad.device)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        model.requires_grad_(True)


def deciding_fraction(data: PoyoData, stage: str, *, stops_early: bool) -> float:
    """Return the share of the data that decides which weights are kept, where the user does not say.

    A tenth. 0, so that all is learned from and the last weights are kept, where the loss on a tenth says less
    than leaving it out costs: for trial labels, and for embeddings alone from less than five minutes (R² of
    two simulated animals after one minute: .887 with 0, .879 with a tenth, .883 with a twentieth).

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


def parameter_groups(model: nn.Module, *, weight_decay: float) -> list[dict[str, Any]]:
    """Return groups for an optimizer in which embeddings, norms and biases do not decay.

    An embedding that is rarely seen, or not to be trained, would fade.
    """
    still, fading = [], []
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            (still if weight.ndim < 2 or "embedding" in name else fading).append(weight)
    groups = [(fading, weight_decay), (still, 0.0)]
    return [{"params": params, "weight_decay": decay} for params, decay in groups if params]


@contextmanager
def weights_from(seed: int, *names: str | int) -> Iterator[None]:
    """Draw initial weights from a named stream, leaving torch's own generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seeds.derive(seed, "poyo", *names))
        yield
