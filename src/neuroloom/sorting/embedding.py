"""The trained models at work on a recording: probabilities and embeddings of events."""

import numpy as np
import torch
from torch import nn

from neuroloom.sorting.neighbourhoods import LARGEST, Neighbourhood

BATCH = 2048  # events at a time


@torch.inference_mode()
def apply_model(model: nn.Module, snippets: np.ndarray, place: Neighbourhood) -> np.ndarray:
    """Run a detector or an extractor on snippets of one neighbourhood.

    Parameters
    ----------
    model
        From `neuroloom.sorting.pretrained.load_weights`.
    snippets
        In units of noise, shape ``(events, len(place.channels), samples)``.
    place
        Which contacts these are.

    Returns
    -------
    ndarray
        What the model gives, one row per event, float32.
    """
    device = next(model.parameters()).device
    contacts = torch.from_numpy(place.contacts_um).to(device)
    present = torch.from_numpy(place.present).to(device)
    rows = []
    for start in range(0, len(snippets), BATCH):
        part = torch.from_numpy(np.ascontiguousarray(snippets[start : start + BATCH], np.float32))
        voltage = torch.zeros(len(part), LARGEST, part.shape[2], device=device)
        voltage[:, : part.shape[1]] = part.to(device)
        result = model(voltage, contacts[None], present[None])  # the same for all
        rows.append(result.float().cpu().numpy())
    if not rows:
        return np.zeros((0, 0), np.float32)
    return np.concatenate(rows)
