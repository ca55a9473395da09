"""Teaching a trained EIT new sessions: rows for their units, columns for new labels, and what may move."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Literal

import torch
from torch import nn

from neuroloom.decoding.eit import EIT, Concatenated, Pooled
from neuroloom.decoding.rows import only_learning, weights_from
from neuroloom.errors import DataError

Mode = Literal["head", "bottleneck", "interaction", "full"]
STAGES: dict[Mode, tuple[str, ...]] = {
    "head": (),  # solved, not trained
    "bottleneck": ("bottleneck",),
    "interaction": ("interaction",),
    "full": ("rows", "all"),
}
# What answers for a session that was met so.
ANSWERED_BY: dict[Mode, str] = {
    "head": "individual",
    "bottleneck": "individual",
    "interaction": "interaction",
    "full": "interaction",
}
# What may learn at each stage; of tables, the rows of the new sessions alone.
_LEARNING = {
    "bottleneck": ("individual_readout.weight_table", "individual_readout.bias_table"),
    "rows": ("shift_table", "scale_table"),
    "interaction": ("shift_table", "scale_table", "interaction"),
    "all": ("",),
}
_LEARNING["rows"] += _LEARNING["bottleneck"] + (
    "interaction_readout.weight_table",
    "interaction_readout.bias_table",
    "interaction_readout.gain_table",
)
_LEARNING["interaction"] += _LEARNING["bottleneck"]


def check_mode(mode: str, model: EIT) -> None:
    """Refuse a mode that there is not, or that the network cannot do.

    Raises
    ------
    DataError
        If there is no such mode, or ``"bottleneck"`` of a network that does not tell units apart.
    """
    if mode not in STAGES:
        modes = ", ".join(map(repr, STAGES))
        raise DataError(f"mode {mode!r}", expected=f"one of {modes}", remedy="pass one of them")
    if mode == "bottleneck" and not hasattr(model.individual_readout, "weight_table"):
        raise DataError(
            "mode 'bottleneck' with exchangeable units", expected="units that have rows",
            remedy="pass mode='head', or fit with identity=True",
        )  # fmt: skip


def extend(model: EIT, *, n_rows: int, n_sessions: int, seed: int) -> None:
    """Add rows for new units and sessions, drawn like those that are known.

    Parameters
    ----------
    model
        Changed in place.
    n_rows, n_sessions
        How many to add.
    seed
        Seed of the new rows.
    """
    for name, table in _tables(model):
        n = n_sessions if name.endswith("bias_table") else n_rows
        old = table.weight.detach()
        spread = old.std(dim=0) if len(old) > 1 else torch.zeros_like(old[0])
        with weights_from(seed, "eit", name, len(old)):
            fresh = torch.randn(n, old.shape[1]).to(old.device)
        # A unit of which nothing is known says nothing.
        fresh = 0 * fresh if "readout" in name else old.mean(dim=0) + spread * fresh
        model.set_submodule(name, nn.Embedding.from_pretrained(torch.cat([old, fresh]), freeze=False))


def add_outputs(model: EIT, places: Sequence[int], n_outputs: int) -> None:
    """Make room for new labels: output k of before becomes output ``places[k]`` of `n_outputs`.

    New outputs start at 0, with a bias as low as the lowest.
    """
    kept = torch.as_tensor(list(places))
    for readout in (model.interaction_readout, model.individual_readout):
        if isinstance(readout, Pooled):
            old = readout.out
            readout.out = nn.Linear(old.in_features, n_outputs).to(old.weight.device)
            with torch.no_grad():
                readout.out.weight.zero_()[kept] = old.weight
                readout.out.bias.fill_(float(old.bias.min()))[kept] = old.bias
        elif isinstance(readout, Concatenated):
            for name in ("weight_table", "bias_table"):
                old = readout.get_submodule(name).get_parameter("weight").detach()
                new = old.new_zeros(len(old), n_outputs)
                if name == "bias_table":
                    new += old.min(dim=1, keepdim=True).values
                new[:, kept] = old
                setattr(readout, name, nn.Embedding.from_pretrained(new, freeze=False))


def learning(
    model: EIT, stage: str, *, rows: Sequence[int], sessions: Sequence[int]
) -> AbstractContextManager[None]:
    """Let some parameters learn inside the block; of tables, always the given rows alone."""
    names = [f"{name}.weight" for name, _ in _tables(model)]
    return only_learning(
        model,
        lambda name: name.startswith(_LEARNING[stage]),
        rows={name: sessions if "bias_table" in name else rows for name in names},
    )


def _tables(model: EIT) -> list[tuple[str, nn.Embedding]]:
    return [(name, each) for name, each in model.named_modules() if isinstance(each, nn.Embedding)]
