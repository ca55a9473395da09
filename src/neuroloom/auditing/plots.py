"""Figures of an audit."""

from typing import TYPE_CHECKING

import numpy as np

from neuroloom.auditing.arms import NO_BOTTLENECK
from neuroloom.auditing.results import AuditCurve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe-Ito, safe for colour-blind readers; grey for arms that see no brain.
COLOURS = {
    "brain": "#0072B2",
    "random": "#7f7f7f",
    "shuffled": "#E69F00",
    "mean": "#333333",
    "ceiling": "#009E73",
}


def plot_curve(audit: AuditCurve) -> "Figure":
    """Return one panel per metric: score against bottleneck size; arms without a bottleneck are lines."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(audit.metrics), 3.4), layout="constrained")
    panels = np.atleast_1d(np.asarray(figure.subplots(1, len(audit.metrics)), dtype=object))
    for panel, metric in zip(panels, audit.metrics, strict=True):
        for arm in audit.arms:
            points = audit.curve(arm, metric)
            family, _, variant = arm.partition("_")
            colour = COLOURS.get(family, "#CC79A7")
            if points[-1].size == NO_BOTTLENECK:
                panel.axhline(points[0].score, color=colour, linestyle=":", label=arm)
                panel.axhspan(points[0].low, points[0].high, color=colour, alpha=0.1, linewidth=0)
                continue
            sizes, style = [point.size for point in points], "--" if variant else "-"
            scores, low, high = zip(*((point.score, point.low, point.high) for point in points), strict=True)
            panel.plot(sizes, scores, style, color=colour, marker="o", markersize=3, label=arm)
            panel.fill_between(sizes, low, high, color=colour, alpha=0.15, linewidth=0)
        panel.set(xscale="log", xlabel="dimensions of the brain", ylabel=metric)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False, fontsize=8)
    return figure
