"""Networks with a row of their own for each unit and session: how rows are drawn, learned and saved."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from neuroloom import seeds
from neuroloom.errors import CorruptArtifact

# What the names of tables with rows contain.
_TABLES = ("embedding", "_table")


@contextmanager
def weights_from(seed: int, *names: str | int) -> Iterator[None]:
    """Draw initial weights from a named stream, leaving torch's own generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seeds.derive(seed, "poyo", *names))
        yield


@contextmanager
def only_learning(
    model: nn.Module, learns: Callable[[str], bool], *, rows: Mapping[str, Sequence[int]]
) -> Iterator[None]:
    """Let some parameters learn inside the block.

    Parameters
    ----------
    model
        The network.
    learns
        Says of a parameter's name whether it may learn.
    rows
        Names of tables that may learn in these rows alone.
    """
    hooks = []
    for name, weight in model.named_parameters():
        weight.requires_grad_(learns(name))
        if name in rows and weight.requires_grad:
            mask = torch.zeros(len(weight), 1)
            mask[list(rows[name])] = 1.0
            hooks.append(weight.register_hook(lambda grad, mask=mask: grad * mask.to(grad.device)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        model.requires_grad_(True)


def parameter_groups(model: nn.Module, *, weight_decay: float) -> list[dict[str, Any]]:
    """Return groups for an optimizer in which tables, norms and biases do not decay.

    A row that is rarely seen, or not to be trained, would fade.
    """
    still, fading = [], []
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            rests = weight.ndim < 2 or any(part in name for part in _TABLES)
            (still if rests else fading).append(weight)
    groups = [(fading, weight_decay), (still, 0.0)]
    return [{"params": params, "weight_decay": decay} for params, decay in groups if params]


def load_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Give a network of the same size saved weights, ready for use.

    Raises
    ------
    CorruptArtifact
        If they do not fit.
    """
    try:
        model.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise CorruptArtifact(
            f"the weights do not fit the network ({error})",
            expected="weights saved by this version",
            remedy="fit the decoder again",
        ) from None
    model.eval()
