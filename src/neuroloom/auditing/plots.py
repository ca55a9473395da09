"""Figures of an audit."""

from typing import TYPE_CHECKING

import numpy as np

from neuroloom.auditing.arms import BRAIN, NO_BOTTLENECK
from neuroloom.auditing.results import AuditCurve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuroloom.auditing.decodability import Decodability

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


def plot_examples(audit: AuditCurve, *, n_examples: int = 6, n_sizes: int = 5) -> "Figure | None":
    """Return reconstructed images in rows: truth, ceiling, the brain by size, random; None without images.

    Parameters
    ----------
    audit
        A curve whose stimuli were images.
    n_examples
        Images shown, one a column.
    n_sizes
        Bottleneck sizes shown, spread over those audited.
    """
    from matplotlib.figure import Figure

    truth = audit.examples.get("truth")
    if truth is None or truth.ndim < 3:
        return None
    sizes = [row.size for row in audit.curve(BRAIN, audit.metrics[0])]
    chosen = [sizes[k] for k in np.unique(np.linspace(0, len(sizes) - 1, n_sizes).round().astype(int))]
    rows = [("truth", "truth"), ("ceiling", f"ceiling/{NO_BOTTLENECK}")]
    rows += [(f"brain, {size}", f"brain/{size}") for size in chosen]
    rows += [(f"noise, {chosen[-1]}", f"random/{chosen[-1]}")]
    rows = [(label, audit.examples[name][:n_examples]) for label, name in rows if name in audit.examples]
    n_columns = len(rows[0][1])
    figure = Figure(figsize=(1.0 + n_columns, len(rows)), layout="constrained")
    panels = np.asarray(figure.subplots(len(rows), n_columns, squeeze=False), dtype=object)
    for line, (label, images) in zip(panels, rows, strict=True):
        for panel, image in zip(line, images, strict=True):
            panel.imshow(np.clip(image, 0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            panel.set(xticks=[], yticks=[])
        line[0].set_ylabel(label, rotation=0, ha="right", va="center")
    return figure


def plot_decodability(found: "Decodability") -> "Figure":
    """Return three panels: read-out by size, effective dimensions by size, and the units that feed them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.4), layout="constrained")
    read, used, units = np.asarray(figure.subplots(1, 3), dtype=object)
    names = list(dict.fromkeys(row.metric for row in found.rows))
    for number, name in enumerate(names):
        for arm, style in ((BRAIN, "-"), ("random", ":")):
            points = sorted(
                (row.size, row.score) for row in found.rows if (row.arm, row.metric) == (arm, name)
            )
            label = name if arm == BRAIN else None
            read.plot(*zip(*points, strict=True), style, color=f"C{number}", marker=".", label=label)
    read.set(xscale="log", xlabel="dimensions of the brain", ylabel="read-out (dotted: noise)")
    read.legend(frameon=False, fontsize=8)
    sizes = sorted(found.effective_dimensions)
    used.plot(sizes, [found.effective_dimensions[size] for size in sizes], marker="o", color=COLOURS["brain"])
    used.plot(sizes, sizes, ":", color=COLOURS["random"])
    used.set(xscale="log", yscale="log", xlabel="dimensions of the brain", ylabel="effective dimensions")
    patterns = np.linalg.norm(found.patterns, axis=1)
    if found.regions:
        regions = np.array(found.regions)
        names = sorted(set(found.regions), key=lambda name: patterns[regions == name].mean())
        units.barh(names, [patterns[regions == name].mean() for name in names], color=COLOURS["brain"])
        units.set(xlabel="mean pattern per unit")
    else:
        units.bar(np.arange(len(patterns)), np.sort(patterns)[::-1], color=COLOURS["brain"])
        units.set(xlabel="units, sorted", ylabel="pattern")
    for panel in (read, used, units):
        panel.spines[["top", "right"]].set_visible(False)
    return figure
