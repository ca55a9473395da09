"""What an EIT is made from and writes into its folder: its configuration, weights and scales."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from neuroloom.decoding.binning import UnitScale
from neuroloom.decoding.eit import EITConfig
from neuroloom.decoding.poyo_sessions import OutputScale
from neuroloom.errors import DataError

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
