"""Figures of a decoder of individuals: its accuracy over the time of a trial."""

from typing import TYPE_CHECKING

import numpy as np

from neuroloom.reporting.drawing import few_values, value_label
from neuroloom.reporting.palette import BLUE, GRID, HALF, MUTED
from neuroloom.reporting.svg import drawing, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@drawing
def accuracy_over_time(
    times_s: np.ndarray, accuracy: np.ndarray, *, chance: float | None = None, width_px: float = HALF
) -> "Figure":
    """Draw the accuracy of each time bin of a trial.

    Parameters
    ----------
    times_s, accuracy
        (bins,): middle of the bin from the start of the trial, and share of right labels; NaN where unknown.
    chance
        Accuracy without knowledge, where it is known.
    """
    figure = new_figure(width_px, width_px * 0.6)
    axes = figure.subplots()
    axes.plot(times_s, accuracy, color=BLUE, linewidth=1.6, marker="o", markersize=4)
    if chance is not None:
        axes.axhline(chance, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        axes.annotate("chance", (1, chance), xycoords=("axes fraction", "data"), xytext=(-2, 3),
                      textcoords="offset points", ha="right", color=MUTED, fontsize=11)  # fmt: skip
    axes.set_ylim(0, 1.02)
    axes.set_xlim(left=0)
    axes.grid(axis="y", color=GRID)
    few_values(axes.xaxis, 6)
    axes.set_xlabel("Time in the trial (s)")
    value_label(axes, "Accuracy")
    return figure
