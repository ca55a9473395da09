"""What an EIT writes into its folder, and takes back."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn

from neuroloom.decoding.binning import UnitScale
from neuroloom.decoding.poyo_sessions import OutputScale
from neuroloom.errors import CorruptArtifact

_NETWORK = "network/"


def pack_weights(model: nn.Module) -> dict[str, np.ndarray]:
    """Return the weights by name."""
    return {_NETWORK + name: value.cpu().numpy() for name, value in model.state_dict().items()}


def load_weights(model: nn.Module, arrays: Mapping[str, np.ndarray]) -> None:
    """Give a network of the same size the weights that `pack_weights` returned.

    Raises
    ------
    CorruptArtifact
        If they do not fit.
    """
    weights = {
        name.removeprefix(_NETWORK): torch.from_numpy(np.array(value))
        for name, value in arrays.items()
        if name.startswith(_NETWORK)
    }
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CorruptArtifact(
            f"the weights do not fit the network ({error})",
            expected="weights saved by this version",
            remedy="fit the decoder again",
        ) from None
    model.eval()


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
