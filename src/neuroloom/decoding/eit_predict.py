"""A trained EIT over a whole recording: windows that overlap by half, their outputs averaged."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from neuroloom.decoding.eit import EIT
from neuroloom.decoding.eit_data import EITData
from neuroloom.decoding.eit_inputs import EITInputs
from neuroloom.decoding.sequences import Sequences

# Numbers in the widest layer that are computed at once.
AT_ONCE = 2**26


@torch.no_grad()
def predict_windows(
    model: EIT, data: EITData, *, n_bins: int, answer: Callable[[EITInputs], Tensor], classes: bool
) -> np.ndarray:
    """Return outputs of every bin, (bins, outputs).

    Parameters
    ----------
    model
        In evaluation mode.
    data
        One recording.
    n_bins
        Bins of a window.
    answer
        What is asked of it: inputs -> outputs, (B, T, outputs).
    classes
        Whether to average probabilities of classes.
    """
    windows, batches = windows_in_batches(model, data, n_bins)
    total, count = np.zeros((0, 0)), np.zeros(len(data.known))
    for chosen in batches:
        places, used = windows.places(chosen)
        values = answer(data.inputs(windows.session[chosen], places, used)).double()
        values = (values.softmax(dim=-1) if classes else values).numpy()[used]
        if not len(total):
            total = np.zeros((len(count), values.shape[1]))
        np.add.at(total, places[used], values)
        np.add.at(count, places[used], 1)
    return total / count[:, None]


def mean_attention(model: EIT, data: EITData, *, n_bins: int) -> np.ndarray:
    """Return who attends to whom in S, mean over windows, (layers, heads, units, units)."""
    windows, batches = windows_in_batches(model, data, n_bins)
    total = 0.0
    for chosen in batches:
        inputs = data.inputs(windows.session[chosen], *windows.places(chosen))
        total = total + model.attention(inputs).sum(dim=0).double().numpy()
    return np.asarray(total) / len(windows)


def windows_in_batches(model: EIT, data: EITData, n_bins: int) -> tuple[Sequences, list[np.ndarray]]:
    """Return windows over the recording, and their numbers in batches that fit in memory."""
    windows = data.windows(n_bins, step=max(1, n_bins // 2))
    config, n_units = model.config, int(data.n_units.max())
    size = max(1, AT_ONCE // (config.heads * n_bins * n_units * (config.dim + n_units)))
    return windows, [
        np.arange(first, min(first + size, len(windows))) for first in range(0, len(windows), size)
    ]
