"""Figures of a decoder: predicted beside true, errors by class, scores by session, and how training went."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from neuroloom.reporting.drawing import (
    few_values,
    name_lines,
    points,
    thin_envelope,
    thin_evenly,
    value_label,
)
from neuroloom.reporting.numbers import written
from neuroloom.reporting.palette import BLUE, GRID, HALF, INK, LINE, MUTED, VERMILLION, WIDE, dash
from neuroloom.reporting.svg import drawing, new_figure, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuroloom.reporting.decoding.conditions import Grouping

LOSS_COLORS = (BLUE, VERMILLION, INK)


@drawing
def predicted_over_true(
    times_s: np.ndarray,
    true: np.ndarray,
    predicted: np.ndarray,
    *,
    names: Sequence[str],
    width_px: float = WIDE,
) -> "Figure":
    """Draw true and predicted values over time, one panel per dimension.

    Parameters
    ----------
    times_s
        (n,).
    true, predicted
        (n, dims); NaN leaves a gap.
    names
        One per dimension.
    """
    n_dims = true.shape[1]
    figure = new_figure(width_px, 66 + 124 * n_dims)
    panels = figure.subplots(n_dims, 1, sharex=True, squeeze=False)[:, 0]
    max_points = int(1.5 * width_px)
    for column, axes in enumerate(panels):
        # The truth is a broad band under a thin line: they differ without colour too.
        line = thin_envelope(times_s, true[:, column], max_points=max_points)
        axes.plot(*line, color=MUTED, alpha=0.7, linewidth=4.5)
        line = thin_envelope(times_s, predicted[:, column], max_points=max_points)
        axes.plot(*line, color=VERMILLION, linewidth=1.4)
        few_values(axes.yaxis, 4)
        axes.grid(axis="y", color=GRID)
        value_label(axes, shorten(names[column], 40))
    name_lines(panels[0], ["true (broad)", "predicted (thin)"], [MUTED, VERMILLION])
    panels[-1].set_xlim(times_s[0], times_s[-1])
    few_values(panels[-1].xaxis, int(width_px // 90))
    panels[-1].set_xlabel("Time (s)")
    return figure


@drawing
def predicted_against_true(
    true: np.ndarray, predicted: np.ndarray, *, name: str, score: str = "", width_px: float = HALF
) -> "Figure":
    """Draw predicted against true values of one dimension, with the line of perfect agreement."""
    finite = np.flatnonzero(np.isfinite(true) & np.isfinite(predicted))
    shown = finite[thin_evenly(len(finite), max_count=1500)]
    figure = new_figure(width_px, width_px * 0.7)
    axes = figure.subplots()
    both = np.concatenate([true[shown], predicted[shown]])
    low, high = (float(both.min()), float(both.max())) if len(both) else (0.0, 1.0)
    pad = 0.04 * (high - low) or 1.0
    axes.plot([low - pad, high + pad], [low - pad, high + pad], color=LINE, linewidth=1.2)
    points(axes, true[shown], predicted[shown], color=BLUE, diameter=3.4, alpha=0.45)
    axes.set_xlim(low - pad, high + pad)
    axes.set_ylim(low - pad, high + pad)
    few_values(axes.xaxis, 5)
    few_values(axes.yaxis, 5)
    axes.set_xlabel("True")
    axes.set_title("Predicted", color=MUTED, fontweight="normal")
    words = "\n".join(filter(None, [shorten(name, 30), score]))
    axes.text(0.03, 0.97, words, transform=axes.transAxes, va="top", fontweight="bold", linespacing=1.4)
    return figure


@drawing
def score_dots(
    scores: Mapping[str, float], *, metric: str, chance: float | None = None, width_px: float = HALF
) -> "Figure":
    """Draw one score per session, or per anything, as a dot on a line, with chance where it is known."""
    names = [str(name) for name in scores]
    values = np.array(list(scores.values()), float)
    figure = new_figure(width_px, min(70 + 26 * max(len(names), 2), 420))
    axes = figure.subplots()
    rows = np.arange(len(names))
    start = 0.0 if chance is None else chance
    axes.hlines(rows, start, values, color=BLUE, linewidth=1.4, alpha=0.5)
    axes.scatter(values, rows, s=52, color=BLUE, linewidths=0, zorder=3)
    for row, value in zip(rows, values, strict=True):
        text = written(value) if np.isfinite(value) else "undefined"
        side = -1 if value < start else 1
        axes.annotate(text, (value if np.isfinite(value) else start, row), xytext=(9 * side, 0), va="center",
                      ha="right" if side < 0 else "left", textcoords="offset points", color=MUTED,
                      fontsize=11)  # fmt: skip
    axes.set_yticks(rows, [shorten(name, 28) for name in names])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.axvline(start, color=LINE, linewidth=1)
    lowest = float(np.nanmin([*values, start, 0.0]))
    # A value below the line is written at its left.
    axes.set_xlim(lowest - (0.15 * (1.1 - lowest) if (values < start).any() else 0.02), 1.1)
    few_values(axes.xaxis, 6)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="x", color=GRID)
    name = metric[:1].upper() + metric[1:]
    axes.set_xlabel(name if chance is None else f"{name} (line: chance, {chance:.2f})")
    return figure


@drawing
def training_loss(steps: np.ndarray, losses: Mapping[str, np.ndarray], *, width_px: float = HALF) -> "Figure":
    """Draw the loss over training steps; NaN where one was not measured.

    Parameters
    ----------
    steps
        (n,).
    losses
        Name (``"training"``, ``"validation"``) -> (n,).
    """
    figure = new_figure(width_px, width_px * 0.6)
    axes = figure.subplots()
    for index, values in enumerate(losses.values()):
        values = np.asarray(values, float)
        known = np.isfinite(values)
        x, y = thin_envelope(np.asarray(steps, float)[known], values[known], max_points=600)
        axes.plot(
            x,
            y,
            color=LOSS_COLORS[index % 3],
            linestyle=dash(index),
            linewidth=1.6,
            marker="o" if len(x) == 1 else "",
        )
    everything = np.concatenate([np.asarray(values, float) for values in losses.values()])
    everything = everything[np.isfinite(everything)]
    if len(everything) and everything.min() > 0 and everything.max() / everything.min() > 20:
        axes.set_yscale("log")
        axes.minorticks_off()
    axes.grid(axis="y", color=GRID)
    axes.set_xlabel("Training step")
    few_values(axes.xaxis, 6, whole=True)
    name_lines(
        axes,
        [shorten(name, 14) for name in losses],
        [LOSS_COLORS[i % 3] for i in range(len(losses))],
        dashes=[dash(i) for i in range(len(losses))],
    )
    value_label(axes, "Loss")
    return figure


@drawing
def condition_errors(grouping: "Grouping", *, width_px: float = HALF) -> "Figure":
    """Draw the error in each condition as a dot with its interval, and a stroke where a guess would be.

    Parameters
    ----------
    grouping
        From `neuroloom.reporting.decoding.conditions.errors_by_condition`.
    """
    conditions = grouping.conditions
    error, low, high, guess = np.array([(c.error, c.low, c.high, c.guess) for c in conditions]).T
    figure = new_figure(width_px, 76 + 24 * len(conditions))
    axes = figure.subplots()
    rows = np.arange(len(conditions))
    axes.hlines(rows, low, high, color=BLUE, linewidth=5, alpha=0.3)
    axes.scatter(error, rows, s=44, color=BLUE, linewidths=0, zorder=3)
    axes.vlines(guess, rows - 0.32, rows + 0.32, color=VERMILLION, linewidth=1.8)
    axes.set_yticks(rows, [shorten(c.name, 18) for c in conditions])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_ylim(len(conditions) - 0.4, -0.6)
    axes.set_xlim(0, 1.06 * float(np.nanmax([*error, *high, *guess])) or 1.0)
    few_values(axes.xaxis, 5)
    axes.grid(axis="x", color=GRID)
    axes.set_xlabel(grouping.measure.capitalize())
    value_label(axes, shorten(grouping.name, 40))
    return figure
