"""Saved detectors and extractors: artifact folders with a card, and those that come with the package."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from neuroloom.artifacts import load_artifact, refuse_foreign_content, save_artifact
from neuroloom.errors import CorruptArtifact
from neuroloom.sorting.detector import make_detector, sizes
from neuroloom.sorting.extractor import make_extractor

BUNDLED = Path(__file__).parent / "weights"


def save_weights(
    model: nn.Module, folder: str | os.PathLike, *, card: Mapping[str, Any], seed: int | None = None
) -> Path:
    """Write a detector or an extractor with its card: data, licence, command, figures."""
    arrays = {name: value.detach().cpu().float().numpy() for name, value in model.state_dict().items()}
    return save_artifact(
        folder,
        kind=str(model.kind),
        document={"sizes": sizes(model), "card": dict(card)},
        arrays=arrays,
        seed=seed,
    )


def load_weights(folder: str | os.PathLike, *, device: str | torch.device = "cpu") -> nn.Module:
    """Read a detector or an extractor, in evaluation mode; its card is in ``model.card``.

    Raises
    ------
    MissingFile
        If there is no such folder.
    CorruptArtifact
        If it is damaged, or holds something else.
    """
    artifact = load_artifact(folder)
    room, _, config = artifact.kind.partition("/")
    makers = {"detector": make_detector, "extractor": make_extractor}
    if room not in makers:
        raise CorruptArtifact(
            f"{folder} holds a {artifact.kind!r}",
            expected="a detector or an extractor",
            remedy="pass a folder of that kind",
        )
    with refuse_foreign_content(folder, expected=f"the weights of a {artifact.kind}"):
        model = makers[room](config, sizes=artifact.document["sizes"])
        model.load_state_dict(
            {name: torch.from_numpy(np.array(value)) for name, value in artifact.arrays.items()}
        )
        model.card = artifact.document["card"]
    return model.eval().to(device)


def bundled_weights(name: str) -> Path:
    """Return the folder of weights that come with the package, e.g. ``"detector"`` or ``"extractor"``."""
    return BUNDLED / name
