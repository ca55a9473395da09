"""A trained POYO over a whole recording: overlapping windows averaged, or one window per output, causally."""

import numpy as np
import torch

from neuroloom.decoding.poyo import Poyo, PoyoInputs
from neuroloom.decoding.poyo_data import PoyoData
from neuroloom.decoding.tokens import Windows, tokenize

# Windows in one forward pass; more fall out of the processor's cache.
PIECE = 16


def predict_overlapping(model: Poyo, data: PoyoData, *, classes: bool) -> np.ndarray:
    """Average the predictions of windows a quarter of a context apart.

    Parameters
    ----------
    model
        In evaluation mode.
    data
        One recording.
    classes
        Whether to average probabilities of classes.

    Returns
    -------
    ndarray
        Shape (outputs, dimensions or classes).
    """
    windows = data.windows(step_s=data.context_s / 4)
    total = np.zeros((len(data.outputs[0].times_s), model.readout.out_features))
    seen = np.zeros(len(total))
    for start in range(0, len(windows), PIECE):
        prepared = data.prepare(windows.take(slice(start, start + PIECE)))
        values, inside = run(model, prepared.inputs, classes=classes), prepared.output >= 0
        np.add.at(total, prepared.output[inside], values[inside])
        np.add.at(seen, prepared.output[inside], 1.0)
    return total / seen[:, None]


def predict_causally(model: Poyo, data: PoyoData, *, bin_s: float, classes: bool) -> np.ndarray:
    """Predict every output at the end of a window of its own; see `predict_overlapping`.

    The window ends with the output's bin, so nothing later is read.
    """
    outputs, context_s = data.outputs[0], data.context_s
    starts = outputs.times_s + bin_s / 2 - context_s
    bounds = outputs.bounds_s[outputs.stretch]
    windows = Windows(np.zeros(len(starts), dtype=np.int64), starts, bounds[:, 0], bounds[:, 1])
    queries = np.full((len(starts), 1), context_s - bin_s / 2)
    values = []
    for start in range(0, len(starts), PIECE):
        piece = slice(start, start + PIECE)
        inputs = tokenize(data.trains, windows.take(piece), queries[piece], context_s=context_s)
        values.append(run(model, inputs, classes=classes)[:, 0])
    return np.concatenate(values)


def run(model: Poyo, inputs: PoyoInputs, *, classes: bool) -> np.ndarray:
    """Return the network's outputs (B, Q, dimensions), or probabilities (B, Q, classes), float64."""
    with torch.inference_mode():
        values = model(inputs.to(model.readout.weight.device)).float()
        if classes:
            values = values.softmax(-1)
    return values.cpu().numpy().astype(np.float64)
