"""What an EIT is made from and writes into its folder: its configuration, weights and scales."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from neuroloom.decoding.binning import UnitScale
from neuroloom.decoding.eit import EITConfig
from neuroloom.decoding.eit_head import Head
from neuroloom.decoding.poyo_sessions import OutputScale
from neuroloom.errors import DataError

READOUTS = ("solved", "trained", None)
_NETWORK = "network/"


def eit_config(fields: EITConfig | Mapping[str, Any]) -> EITConfig:
    """Return a configuration from a dictionary of its fields, or the one given.

    Raises
    ------
    DataError
        If it is neither, or has fields that there are not.
    """
    if isinstance(fields, EITConfig):
        return fields
    known = list(EITConfig.__dataclass_fields__)
    if not isinstance(fields, Mapping) or set(fields) - set(known):
        raise DataError(
            f"config {fields!r}", expected=f"some of the fields {', '.join(known)}",
            remedy="pass an EITConfig or a dictionary of its fields",
        )  # fmt: skip
    return EITConfig(**fields)


def session_config(
    fields: EITConfig | Mapping[str, Any],
    *,
    readout: str | None,
    bin_s: float,
    window_s: float,
    validation_fraction: float,
    unit_dropout: float,
) -> EITConfig:
    """Return a configuration for sessions, after a look at the arguments of their training.

    Raises
    ------
    DataError
        If it is not for sessions, or an argument is out of range.
    """
    config = eit_config(fields)
    if config.answer not in ("pooled", "concatenated"):
        raise DataError(
            f"answer {config.answer!r} for sessions", expected="'pooled' or 'concatenated'",
            remedy="use EITClassifier for labels of individuals or pairs",
        )  # fmt: skip
    if readout not in READOUTS:
        choices = ", ".join(map(repr, READOUTS))
        raise DataError(f"readout {readout!r}", expected=f"one of {choices}", remedy="pass one of these")
    if not 0 < bin_s <= window_s:
        raise DataError(
            f"bin_s={bin_s} and window_s={window_s}",
            expected="positive times, a bin no longer than the window",
            remedy="change one of them",
        )
    if not (0 <= validation_fraction < 1 and 0 <= unit_dropout < 1):
        raise DataError(
            f"validation_fraction {validation_fraction}, unit_dropout {unit_dropout}",
            expected="fractions from 0 to below 1",
            remedy="change the one that is out of range",
        )
    return config


def pack_weights(model: nn.Module) -> dict[str, np.ndarray]:
    """Return the weights by name."""
    return {_NETWORK + name: value.cpu().numpy() for name, value in model.state_dict().items()}


def unpack_weights(arrays: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Take back what `pack_weights` gave."""
    return {
        name.removeprefix(_NETWORK): torch.from_numpy(np.array(value))
        for name, value in arrays.items()
        if name.startswith(_NETWORK)
    }


def pack_scales(
    sessions: Sequence[str], units: Mapping[str, UnitScale], outputs: Mapping[str, OutputScale]
) -> dict[str, np.ndarray]:
    """Return how units and outputs of each session are scaled, by the session's number."""
    arrays = {}
    for number, session_id in enumerate(sessions):
        scale = units[session_id]
        arrays |= {f"{number}/mean": scale.mean, f"{number}/spread": scale.spread}
        if session_id in outputs:
            output = outputs[session_id]
            arrays |= {f"{number}/output_mean": output.mean, f"{number}/output_spread": output.spread}
    return arrays


def unpack_scales(
    sessions: Sequence[str], unit_ids: Mapping[str, list[str]], arrays: Mapping[str, np.ndarray]
) -> tuple[dict[str, UnitScale], dict[str, OutputScale]]:
    """Take back what `pack_scales` gave."""
    units, outputs = {}, {}
    for number, session_id in enumerate(sessions):
        mean, spread = arrays[f"{number}/mean"], arrays[f"{number}/spread"]
        units[session_id] = UnitScale(unit_ids[session_id], mean, spread)
        if f"{number}/output_mean" in arrays:
            output_mean, output_spread = arrays[f"{number}/output_mean"], arrays[f"{number}/output_spread"]
            outputs[session_id] = OutputScale(output_mean, output_spread)
    return units, outputs


def pack_heads(sessions: Sequence[str], heads: Mapping[str, Head]) -> dict[str, np.ndarray]:
    """Return the sessions' own heads, by the session's number."""
    arrays = {}
    for session_id, head in heads.items():
        number = sessions.index(session_id)
        arrays |= {f"{number}/head_weights": head.weights, f"{number}/head_intercept": head.intercept}
    return arrays


def unpack_heads(sessions: Sequence[str], arrays: Mapping[str, np.ndarray]) -> dict[str, Head]:
    """Take back what `pack_heads` gave."""
    return {
        session_id: Head(arrays[f"{number}/head_weights"], arrays[f"{number}/head_intercept"])
        for number, session_id in enumerate(sessions)
        if f"{number}/head_weights" in arrays
    }
