"""Figures of what a decoder learns about units: its learning curve, and the map of their embeddings."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from neuroloom.reporting.drawing import few_values, name_lines, points, value_label
from neuroloom.reporting.palette import GRID, HALF, HUES, LINE, MUTED, dash, hue
from neuroloom.reporting.svg import drawing, new_figure, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Directions are told apart by sixths of a turn, as many as there are hues.
SECTORS = ("0°", "60°", "120°", "180°", "240°", "300°")
MAX_SESSIONS = 6


@drawing
def learning_curve(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]], *, metric: str = "R²", width_px: float = HALF
) -> "Figure":
    """Draw a score over the steps of learning.

    Parameters
    ----------
    curves
        Name -> (steps (n,), scores (n,)), e.g. a stage of fine-tuning after unit identification.
    metric
        What the score is.
    """
    figure = new_figure(width_px, width_px * 0.6)
    axes = figure.subplots()
    for index, (steps, scores) in enumerate(curves.values()):
        axes.plot(
            steps, scores, color=hue(index), linestyle=dash(index), linewidth=1.6, marker="o", markersize=3.5
        )
    everything = np.concatenate([np.asarray(scores, float) for _, scores in curves.values()])
    low = float(np.nanmin(everything)) if np.isfinite(everything).any() else 0.0
    axes.set_ylim(min(0.0, max(low, -1.0)) - 0.02, 1.0)
    axes.set_xlim(left=0)
    axes.grid(axis="y", color=GRID)
    few_values(axes.xaxis, 6, whole=True)
    axes.set_xlabel("Step")
    value_label(axes, metric)
    if len(curves) > 1:
        names, order = [shorten(name, 20) for name in curves], range(len(curves))
        name_lines(axes, names, [hue(i) for i in order], dashes=[dash(i) for i in order])
    return figure


@drawing
def unit_points(
    places: np.ndarray,
    *,
    direction_rad: np.ndarray,
    groups: Sequence[str],
    shares: Sequence[float],
    width_px: float = HALF,
) -> "Figure":
    """Draw units as points: with a stroke along their preferred direction where it is known, else by session.

    Parameters
    ----------
    places
        (units, 2).
    direction_rad
        (units,); NaN where unknown.
    groups
        (units,) names of sessions; six are coloured, the others grey.
    shares
        Share of the variance on either axis.
    """
    figure = new_figure(width_px, width_px * 0.8)
    axes = figure.subplots()
    known = np.isfinite(direction_rad)
    if known.any():
        points(axes, *places[~known].T, color=LINE, diameter=4, alpha=0.7)
        sector = np.round(direction_rad[known] / (np.pi / 3)).astype(int) % len(HUES)
        stroke = 0.035 * max(float(np.ptp(places)), 1e-12)
        for index, color in enumerate(HUES):
            chosen = places[known][sector == index]
            angle = direction_rad[known][sector == index]
            ends = chosen + stroke * np.column_stack([np.cos(angle), np.sin(angle)])
            lines = np.stack([chosen, ends, np.full_like(ends, np.nan)], axis=1).reshape(-1, 2)
            axes.plot(*lines.T, color=color, linewidth=1.4)
            points(axes, *chosen.T, color=color, diameter=4.5, alpha=0.9)
        name_lines(axes, SECTORS, HUES)
    else:
        names = list(dict.fromkeys(groups))
        for index, name in enumerate(names):
            chosen = places[np.array([group == name for group in groups], dtype=bool)]
            color = hue(index) if index < MAX_SESSIONS else LINE
            points(axes, *chosen.T, color=color, diameter=4.5, alpha=0.8)
            if len(names) > 1 and index < MAX_SESSIONS:
                # A name in the middle of its points, so that colours are not all there is.
                middle = tuple(np.median(chosen, axis=0).tolist())
                axes.annotate(
                    shorten(name, 16), middle, color=color, fontsize=11, fontweight="bold", ha="center"
                )
    axes.set_aspect("equal", adjustable="datalim")
    few_values(axes.xaxis, 4)
    few_values(axes.yaxis, 4)
    axes.set_xlabel(f"First axis ({100 * shares[0]:.0f} % of the variance)")
    axes.set_title(f"Second axis ({100 * shares[1]:.0f} %)", color=MUTED, fontweight="normal", pad=22)
    axes.axhline(0, color=GRID, linewidth=1, zorder=0)
    axes.axvline(0, color=GRID, linewidth=1, zorder=0)
    return figure
