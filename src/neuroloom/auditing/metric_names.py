"""Metrics by name."""

from collections.abc import Sequence

import numpy as np

from neuroloom.auditing.image_metrics import IMAGE_METRICS
from neuroloom.auditing.metrics import VALUE_METRICS, Metric
from neuroloom.auditing.text_metrics import TEXT_METRICS
from neuroloom.errors import DataError

METRICS: dict[str, Metric] = {
    metric.name: metric for metric in (*VALUE_METRICS, *IMAGE_METRICS, *TEXT_METRICS)
}


def find_metrics(wanted: Sequence[str | Metric]) -> list[Metric]:
    """Return the metrics named, passing ready-made ones through.

    Raises
    ------
    DataError
        If a name is not known; the message lists those that are.
    """
    found = []
    for metric in wanted:
        if isinstance(metric, str) and metric not in METRICS:
            raise DataError(
                f"there is no metric {metric!r}",
                expected=f"one of {', '.join(METRICS)}",
                remedy="correct the name or pass a Metric object",
            )
        found.append(METRICS[metric] if isinstance(metric, str) else metric)
    return found


def require_fitting(metrics: Sequence[Metric], stimuli: np.ndarray) -> None:
    """Refuse metrics that are not made for such stimuli.

    Parameters
    ----------
    metrics
        From `find_metrics`.
    stimuli
        Numbers (stimuli, ..) or text, as `neuroloom.auditing.inputs.check_stimuli` returns them.

    Raises
    ------
    DataError
        For metrics of text, images or labels on other stimuli, and for metrics of images on values out of
        0..1, for which their networks and constants are made.
    """
    text = stimuli.dtype.kind == "O"
    images = not text and stimuli.ndim in (3, 4) and stimuli.shape[3:] in ((), (3,))
    fitting = {"text"} if text else {"numbers", "images"} if images else {"numbers"}
    wrong = [metric for metric in metrics if getattr(metric, "of", None) not in {None, *fitting}]
    if wrong:
        known = [name for name, metric in METRICS.items() if getattr(metric, "of", None) in fitting]
        raise DataError(
            f"{', '.join(metric.name for metric in wrong)} of stimuli of shape {stimuli.shape}",
            expected=f"for these stimuli one of {', '.join(known)}",
            remedy="choose other metrics",
        )
    named = [metric.name for metric in metrics if getattr(metric, "of", None) == "images"]
    if named and (stimuli.min() < 0 or stimuli.max() > 1):
        raise DataError(
            f"image values range from {stimuli.min():.3g} to {stimuli.max():.3g}",
            expected=f"0..1, which {', '.join(named)} are made for",
            remedy="divide by the largest possible value (255 for uint8)",
        )


def spelled(metric: str) -> str:
    """Return a metric's name as people write it."""
    return {"r2": "R²"}.get(metric, metric)
