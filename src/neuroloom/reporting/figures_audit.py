"""Figures of an audit: how well one does with ever fewer numbers from the brain, beside the controls."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from neuroloom.reporting.drawing import end_labels
from neuroloom.reporting.palette import BLUE, GOLD, GRID, HALF, MUTED, PURPLE, TEAL, VERMILLION, hue
from neuroloom.reporting.svg import drawing, new_figure, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from neuroloom.auditing.results import Score

# Arm -> colour and dash; a variant such as "brain_restored" keeps the colour. Others take the next hue.
ARMS = {
    "brain": (BLUE, "-"),
    "ceiling": (TEAL, (0, (6, 3))),
    "random": (VERMILLION, (0, (1.5, 2))),
    "shuffled": (PURPLE, (0, (4, 2, 1, 2))),
    "mean": (GOLD, (0, (3, 2))),
}
VARIANT_DASH = (0, (3, 1.5))
LABEL_PX = 92


@drawing
def audit_curve(arms: Mapping[str, Sequence["Score"]], *, metric: str, width_px: float = HALF) -> "Figure":
    """Draw score against bottleneck size, one line with its interval per arm.

    Parameters
    ----------
    arms
        Arm -> its rows by growing size. A single row, or size 0, does not depend on the bottleneck and is
        drawn across.
    metric
        What the scores are.
    """
    figure = new_figure(width_px, 330)
    axes = figure.subplots()
    sizes = np.array(sorted({row.size for rows in arms.values() for row in rows if row.size > 0}), float)
    left, right = (sizes[0], sizes[-1]) if len(sizes) else (1.0, 2.0)
    if left == right:
        left, right = left / 2, right * 2
    heights, names, colors = [], [], []
    for index, (arm, rows) in enumerate(arms.items()):
        family, _, variant = arm.partition("_")
        color, dash = ARMS.get(family, (hue(index), "-"))
        dash = VARIANT_DASH if variant else dash
        x, score, low, high = np.array([(row.size, row.score, row.low, row.high) for row in rows], float).T
        if len(x) == 1 or x[0] <= 0:
            x, score, low, high = np.array([left, right]), *(np.repeat(v[-1], 2) for v in (score, low, high))
        axes.fill_between(x, low, high, color=color, alpha=0.14, linewidth=0)
        axes.plot(x, score, color=color, linestyle=dash, linewidth=2 if dash == "-" else 1.6)
        if dash == "-":
            axes.scatter(x, score, s=20, color=color, linewidths=0, zorder=3)
        if np.isfinite(score).any():
            heights.append(float(score[np.isfinite(score)][-1]))
            names.append(shorten(arm.replace("_", " "), 16))
            colors.append(color)
    axes.set_xscale("log")
    axes.set_xlim(left / 1.06, right * 1.06)
    _size_ticks(axes, sizes, width_px)
    axes.grid(axis="y", color=GRID)
    axes.set_xlabel("Bottleneck size")
    axes.set_title(shorten(metric, 40), color=MUTED, fontweight="normal")
    axes.margins(y=0.08)
    # The labels stand outside the axes, where the layout cannot see them; their places need the final size.
    figure.get_layout_engine().set(rect=(0, 0, 1 - LABEL_PX / width_px, 1))  # pyright: ignore
    figure.draw_without_rendering()
    end_labels(axes, right * 1.06, heights, names, colors)
    return figure


def _size_ticks(axes: "Axes", sizes: np.ndarray, width_px: float) -> None:
    """Name the sizes that were measured, leaving out those too close to the one before."""
    span = np.log(sizes[-1] / sizes[0]) if len(sizes) > 1 else 1.0
    least = span * 34 / (width_px - LABEL_PX - 60)
    shown: list[float] = []
    for size in sizes[::-1]:
        if not shown or np.log(shown[-1] / size) >= least:
            shown.append(float(size))
    axes.set_xticks(shown, [f"{size:g}" for size in shown])
    axes.minorticks_off()
