"""Figures that hold sorted units and their confidences against the truth."""

from typing import TYPE_CHECKING

import numpy as np

from neuroloom.reporting.drawing import few_values, name_lines, value_label
from neuroloom.reporting.palette import BLUE, GRID, HALF, LINE, MUTED, TEAL, VERMILLION
from neuroloom.reporting.sorting.calibration import Calibration, Groups
from neuroloom.reporting.svg import drawing, new_figure, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_NAMES, _FAR = 8, 0.1


@drawing
def agreement_bars(names: list, accuracy: np.ndarray, *, width_px: float = HALF) -> "Figure":
    """Draw the accuracy with which each true unit was found, best first."""
    accuracy = np.nan_to_num(np.asarray(accuracy, float))
    order = np.argsort(-accuracy, kind="stable")
    figure = new_figure(width_px, 70 + 22 * max(len(order), 2) if len(order) <= 24 else 320)
    axes = figure.subplots()
    rows = np.arange(len(order))
    found = accuracy[order] >= 0.8
    axes.barh(rows[found], accuracy[order][found], height=0.62, color=TEAL)
    axes.barh(
        rows[~found], accuracy[order][~found], height=0.6, color="none", edgecolor=VERMILLION, linewidth=1.6
    )
    if len(order) <= 24:
        axes.set_yticks(rows, [shorten(names[index], 14) for index in order])
        for row, value in zip(rows, accuracy[order], strict=True):
            axes.text(value + 0.012, float(row), f"{value:.2f}", va="center", color=MUTED, fontsize=11)
    else:
        axes.set_yticks([])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlim(0, 1.08)
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.set_xticks([0, 0.5, 0.8, 1])
    axes.grid(axis="x", color=GRID)
    axes.set_xlabel("Accuracy")
    value_label(axes, "True unit")
    return figure


@drawing
def unit_calibration(calibration: Calibration, *, width_px: float = HALF) -> "Figure":
    """Draw the accuracy (dots) and precision (rings) of each unit over its confidence, with the diagonal.

    Units whose precision is far from their confidence are named.
    """
    confidence = np.asarray(calibration.unit_confidence, float)
    accuracy, precision = calibration.unit_accuracy, calibration.unit_precision
    figure = new_figure(width_px, 0.8 * min(width_px, HALF))
    axes = figure.subplots()
    _square(axes, np.concatenate([confidence, accuracy, precision]))
    axes.vlines(confidence, accuracy, precision, color=LINE, linewidth=1)
    axes.scatter(confidence, accuracy, s=38, color=BLUE, linewidths=0, zorder=3)
    axes.scatter(
        confidence, precision, s=52, facecolor="none", edgecolor=VERMILLION, linewidths=1.4, zorder=3
    )
    away = np.nan_to_num(np.abs(confidence - precision))
    for index in np.argsort(-away, kind="stable")[:_MOST_NAMES]:
        if away[index] > _FAR:
            axes.annotate(
                shorten(calibration.unit_ids[index], 8), (confidence[index], precision[index]),
                xytext=(-7, 0), textcoords="offset points", ha="right", va="center", color=MUTED, fontsize=11,
            )  # fmt: skip
    name_lines(axes, ["accuracy (dots)", "precision (rings)"], [BLUE, VERMILLION])
    axes.set_xlabel("Confidence of the unit")
    value_label(axes, "True value")
    return figure


@drawing
def spike_calibration(groups: Groups, *, width_px: float = HALF) -> "Figure":
    """Draw the share of right spikes in groups of rising confidence, with intervals and the diagonal."""
    figure = new_figure(width_px, 0.8 * min(width_px, HALF))
    axes = figure.subplots()
    _square(axes, np.concatenate([groups.confidence, groups.low, groups.high]))
    axes.vlines(groups.confidence, groups.low, groups.high, color=BLUE, linewidth=1.6)
    axes.scatter(groups.confidence, groups.share, s=38, color=BLUE, linewidths=0, zorder=3)
    axes.set_xlabel("Mean confidence of a tenth of the spikes")
    value_label(axes, "Share that is right")
    return figure


def _square(axes: "Axes", values: np.ndarray) -> None:
    """Give both axes the same limits, from below the least value to 1, and draw the diagonal."""
    lowest = float(np.nanmin(values)) if np.isfinite(values).any() else 0.0
    low = max(np.floor(10 * (lowest - 0.02)) / 10, 0.0) if lowest < 0.98 else 0.9
    pad = 0.04 * (1 - low)
    axes.plot([low, 1], [low, 1], color=LINE, linewidth=1.2)
    axes.set_xlim(low - pad, 1 + pad)
    axes.set_ylim(low - pad, 1 + pad)
    few_values(axes.xaxis, 6)
    few_values(axes.yaxis, 6)
    axes.grid(color=GRID)
