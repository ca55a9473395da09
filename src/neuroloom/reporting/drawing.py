"""Marks that many figures share: points, ticks, bands, scale bars, and honest thinning of long data."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom.reporting.palette import INK, MUTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis


def thin_envelope(
    times_s: np.ndarray, values: np.ndarray, *, max_points: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return a shorter line that keeps the least and the greatest value of every stretch.

    Parameters
    ----------
    times_s
        (n,) rising.
    values
        (n,); NaN stays NaN where a whole stretch is.
    max_points
        Longest result.

    Examples
    --------
    >>> thin_envelope(np.arange(6.0), np.array([0.0, 9, 0, 0, -9, 0]), max_points=4)[1]
    array([ 0.,  9.,  0., -9.])
    """
    if len(values) <= max_points:
        return times_s, values
    edges = np.linspace(0, len(values), max(1, max_points // 2) + 1).astype(int)
    kept = []
    for start, stop in pairwise(edges):
        stretch = values[start:stop]
        if np.isnan(stretch).all():
            kept += [start, start]
        else:
            kept += sorted((start + int(np.nanargmin(stretch)), start + int(np.nanargmax(stretch))))
    return times_s[kept], values[kept]


def thin_evenly(count: int, *, max_count: int) -> np.ndarray:
    """Return at most `max_count` indices spread evenly over ``range(count)``.

    Examples
    --------
    >>> thin_evenly(10, max_count=4)
    array([0, 3, 6, 9])
    """
    if count <= max_count:
        return np.arange(count)
    return np.round(np.linspace(0, count - 1, max_count)).astype(int)


def ticks(
    axes: "Axes",
    times_s: np.ndarray,
    rows: np.ndarray,
    *,
    height: float = 0.8,
    color: str = INK,
    width: float = 1,
) -> None:
    """Draw one short upright stroke per spike as a single path."""
    x = np.repeat(np.asarray(times_s, float), 3)
    y = np.repeat(np.asarray(rows, float), 3)
    y[0::3] -= height / 2
    y[1::3] += height / 2
    y[2::3] = np.nan
    axes.plot(x, y, color=color, linewidth=width, solid_capstyle="butt")


def points(
    axes: "Axes", x: np.ndarray, y: np.ndarray, *, color: str, diameter: float = 3, alpha: float = 0.5
) -> None:
    """Draw round points as a single path of strokes without length; far smaller than markers in SVG."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    nudge = (np.ptp(x[np.isfinite(x)]) if np.isfinite(x).any() else 0) * 1e-6 or 1e-9
    x, y = np.repeat(x, 3), np.repeat(y, 3)
    x[1::3] += nudge
    y[2::3] = np.nan
    axes.plot(x, y, color=color, linewidth=diameter, alpha=alpha, solid_capstyle="round")


def value_label(axes: "Axes", text: str) -> None:
    """Write what the y axis shows, upright, above it."""
    axes.set_title(text, color=MUTED, fontweight="normal", fontsize=12, pad=8)


def bare(axes: "Axes") -> None:
    """Take away frame, ticks and labels."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def scale_bar(axes: "Axes", length: float, text: str) -> None:
    """Draw an upright bar of `length` data units just right of the axes, with its label."""
    transform = axes.get_yaxis_transform()
    bottom = axes.get_ylim()[0]
    bar = axes.plot([1.012, 1.012], [bottom, bottom + length], color=INK, linewidth=1.5, transform=transform)
    bar[0].set_clip_on(False)
    axes.text(1.022, bottom + length / 2, text, transform=transform, va="center", color=MUTED, fontsize=11.5)


def round_length(about: float) -> float:
    """Return the 1, 2 or 5 times a power of ten nearest below `about`.

    Examples
    --------
    >>> round_length(73.0)
    50.0
    """
    if not np.isfinite(about) or about <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(about))
    return float(max(step for step in (1, 2, 5) if step * power <= about * (1 + 1e-9)) * power)


def end_labels(axes: "Axes", x: float, heights: list[float], names: list[str], colors: list[str]) -> None:
    """Label lines at their right ends, pushed apart where they would overlap."""
    low, high = axes.get_ylim()
    size = axes.get_window_extent().height or 200.0
    gap = 15 * (high - low) / size
    order = np.argsort(heights)
    placed = np.array(heights, float)[order]
    for _ in range(100):
        close = np.diff(placed) < gap * 0.999
        if not close.any():
            break
        for index in np.flatnonzero(close):
            middle = placed[index : index + 2].mean()
            placed[index : index + 2] = middle - gap / 2, middle + gap / 2
    for rank, index in enumerate(order):
        axes.annotate(
            names[index], (x, placed[rank]), xytext=(8, 0), textcoords="offset points", va="center",
            color=colors[index], fontsize=12, fontweight="bold", annotation_clip=False,
        )  # fmt: skip


def name_lines(
    axes: "Axes", names: Sequence[str], colors: Sequence[str], *, dashes: Sequence[Any] | None = None
) -> None:
    """Write the names of lines in their colours above the axes, at the right, in place of a legend.

    Parameters
    ----------
    dashes
        Line style of each, of which a piece is drawn before the name; None for marks that are no lines.
    """
    from matplotlib.lines import Line2D
    from matplotlib.offsetbox import AnchoredOffsetbox, DrawingArea, HPacker, TextArea

    words = []
    for index, (name, color) in enumerate(zip(names, colors, strict=True)):
        word = TextArea(name, textprops={"color": color, "fontsize": 12, "fontweight": "bold"})
        if dashes is not None:
            sample = DrawingArea(22, 10)
            sample.add_artist(Line2D([1, 21], [4, 4], color=color, linewidth=1.8, linestyle=dashes[index]))
            word = HPacker(children=[sample, word], pad=0, sep=4, align="center")
        words.append(word)
    row = HPacker(children=[*words], pad=0, sep=10)
    axes.add_artist(
        AnchoredOffsetbox(
            "lower right", child=row, pad=0, borderpad=0.3, frameon=False, bbox_to_anchor=(1, 1),
            bbox_transform=axes.transAxes,
        )
    )  # fmt: skip


def few_values(axis: "Axis", most: int, *, whole: bool = False) -> None:
    """Let an axis name at most about `most` round values."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=most, steps=[1, 2, 5, 10], integer=whole))
