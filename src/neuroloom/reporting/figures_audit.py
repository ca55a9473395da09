"""Figures of an audit: how well a decoder does with ever fewer numbers from the brain, beside its controls."""

from typing import TYPE_CHECKING

import numpy as np

from neuroloom.reporting.drawing import end_labels
from neuroloom.reporting.palette import BLUE, GOLD, GRID, HALF, INK, MUTED, PURPLE, TEAL, VERMILLION, hue
from neuroloom.reporting.svg import drawing, new_figure, shorten

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

# Arm -> colour and dash. Others take the next hue.
ARMS = {
    "brain": (BLUE, "-"),
    "full": (TEAL, (0, (6, 3))),
    "ceiling": (INK, (0, (6, 3))),
    "random": (VERMILLION, (0, (1.5, 2))),
    "shuffled": (PURPLE, (0, (4, 2, 1, 2))),
    "mean": (GOLD, (0, (3, 2))),
}


@drawing
def audit_curve(frame: "pd.DataFrame", *, metric: str, width_px: float = HALF) -> "Figure":
    """Draw score against bottleneck size, one line with its interval per arm.

    Parameters
    ----------
    frame
        Columns arm, size, score, low, high of one metric. An arm with one size, or with none (NaN), does not
        depend on it and is drawn across.
    metric
        Its name.
    """
    figure = new_figure(width_px, 330)
    axes = figure.subplots()
    sizes = np.unique(frame["size"].dropna().to_numpy(float))
    sizes = sizes[sizes > 0]
    left, right = (float(sizes.min()), float(sizes.max())) if len(sizes) else (1.0, 2.0)
    if left == right:
        left, right = left / 2, right * 2
    heights, names, colors = [], [], []
    for index, (arm, rows) in enumerate(frame.groupby("arm", sort=False)):
        color, dash = ARMS.get(str(arm), (hue(index), "-"))
        rows = rows.sort_values("size")
        x, score, low, high = (rows[name].to_numpy(float) for name in ("size", "score", "low", "high"))
        if len(rows) == 1:
            x, score, low, high = np.array([left, right]), *(np.repeat(v, 2) for v in (score, low, high))
        axes.fill_between(x, low, high, color=color, alpha=0.16, linewidth=0)
        dots = {"marker": "o", "markersize": 4.5} if dash == "-" and len(rows) > 1 else {}
        axes.plot(x, score, color=color, linestyle=dash, linewidth=2 if dash == "-" else 1.6, **dots)
        known = score[np.isfinite(score)]
        if len(known):
            heights.append(float(known[-1]))
            names.append(shorten(arm, 12))
            colors.append(color)
    axes.set_xscale("log")
    axes.set_xlim(left / 1.06, right * 1.06)
    _size_ticks(axes, sizes, width_px)
    axes.grid(axis="y", color=GRID)
    axes.set_xlabel("Bottleneck size (numbers from the brain)")
    axes.set_title(shorten(metric, 40), color=MUTED, fontweight="normal")
    axes.margins(y=0.08)
    # The labels stand outside the axes, where the layout cannot see them.
    figure.get_layout_engine().set(rect=(0, 0, 1 - 78 / width_px, 1))  # pyright: ignore
    figure.draw_without_rendering()
    end_labels(axes, right * 1.06, heights, names, colors)
    return figure


def _size_ticks(axes, sizes: np.ndarray, width_px: float) -> None:
    """Name sizes that were measured, as many as fit side by side."""
    fit, shown = int(width_px // 60), list(sizes)
    while len(shown) > max(fit, 2):
        shown = shown[::2]
    axes.set_xticks(shown, [f"{size:g}" for size in shown])
    axes.minorticks_off()
