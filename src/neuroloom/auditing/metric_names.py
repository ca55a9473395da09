"""Metrics by name."""

from collections.abc import Sequence

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
