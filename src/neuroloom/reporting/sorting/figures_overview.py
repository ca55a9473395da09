"""Figures of all units together: on the probe, and where the embedding puts their spikes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from neuroloom.reporting.drawing import bare, points, round_length, scale_bar, thin_envelope, thin_evenly
from neuroloom.reporting.palette import GRID, HALF, INK, LINE, MUTED, SURFACE, hue
from neuroloom.reporting.svg import drawing, new_figure, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# A contact shows a unit that is there at least this large, relative to where it is largest.
VISIBLE = 0.3
MOST_POINTS, _MOST_LABELS = 3000, 40
_LEAST_ROW_PX = 20


@drawing
def units_on_probe(
    templates: np.ndarray,
    locations_um: np.ndarray,
    *,
    names: Sequence[object],
    channel_ids: Sequence[object],
    unit: str = "µV",
    width_px: float = HALF,
) -> "Figure":
    """Draw the mean waveforms of all units where their contacts are on the probe, all to one scale.

    Parameters
    ----------
    templates
        (units, samples, channels).
    locations_um
        (channels, 2 or 3); the first and last columns are drawn.
    names
        One per unit, written in its colour at its largest waveform.
    channel_ids
        One per channel, written beside it where there is room.
    unit
        Of the templates.
    """
    xy = np.asarray(locations_um, float)[:, [0, -1]]
    pitch_um = contact_pitch(xy)
    # From here on in columns and rows of contacts.
    places = (xy - xy.min(axis=0)) / pitch_um
    n_columns, n_rows = places.max(axis=0) + 1
    row_px = float(np.clip(400 / n_rows, _LEAST_ROW_PX, 130))
    height_px = min(60 + n_rows * row_px, 900.0)
    row_px = (height_px - 60) / n_rows
    sizes = np.ptp(templates, axis=1)
    strongest = sizes.argmax(axis=1)
    shown = sizes > (0 if len(xy) <= 8 else VISIBLE) * sizes.max(axis=1, keepdims=True)
    if row_px < _LEAST_ROW_PX:
        # Neighbours would lie on one another: each unit only where it is largest.
        shown &= np.arange(len(xy)) == strongest[:, None]
    rows_tall = max(0.75, 34 / row_px)
    largest = float(sizes.max(initial=0)) or 1.0
    figure = new_figure(width_px, height_px)
    axes = figure.subplots()
    bare(axes)
    reach = min(0.42, 75 * n_columns / width_px)
    across = np.linspace(-reach, reach, templates.shape[1])
    points(axes, *places.T, color=LINE, diameter=3 if row_px < _LEAST_ROW_PX else 5, alpha=1)
    # The largest last: small waveforms of other units would hide its peak.
    for index in np.argsort(-sizes.max(axis=1, initial=0), kind="stable"):
        for channel in np.flatnonzero(shown[index]):
            x, y = places[channel]
            line = (x + across, y + templates[index, :, channel] * rows_tall / largest)
            axes.plot(
                *thin_envelope(*line, max_points=80), color=hue(int(index)),
                linewidth=1.7 if channel == strongest[index] else 0.9,
            )  # fmt: skip
    axes.set_xlim(-0.5, n_columns - 0.5)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -0.5), max(high, n_rows - 1 + max(0.45, 22 / row_px)))
    bar = round_length(0.6 * largest * max(1.0, 30 / (rows_tall * row_px)))
    scale_bar(axes, bar * rows_tall / largest, f"{bar:g} {unit}")
    corners = np.add(places, [-reach, max(0.27, 4 / row_px)])
    _name_units(axes, corners, strongest, names, channel_ids=channel_ids if len(xy) <= 8 else None)
    return figure


def contact_pitch(xy: np.ndarray) -> np.ndarray:
    """Return the distances in µm between neighbouring columns and rows of contacts.

    Contacts that stray by little from a common line stand on it.

    Examples
    --------
    >>> contact_pitch(np.array([[0.0, 0], [0, 25], [40, 0], [40, 25]]))
    array([40., 25.])
    """
    apart = np.hypot(*(xy[:, None] - xy).transpose(2, 0, 1))
    nearest = float(apart[apart > 0].min(initial=np.inf))
    if not np.isfinite(nearest):
        return np.array([20.0, 20.0])
    steps = np.abs(xy[:, None] - xy).reshape(-1, 2).T
    found = [float(step[step > 0.3 * nearest].min(initial=np.inf)) for step in steps]
    return np.array([step if np.isfinite(step) else nearest for step in found])


def _name_units(
    axes: "Axes",
    corners: np.ndarray,
    strongest: np.ndarray,
    names: Sequence[object],
    *,
    channel_ids: Sequence[object] | None,
) -> None:
    """Write names side by side above the contact where their units are largest, after the channel's own."""
    words = [[(f"channel {shorten(channel, 8)}", MUTED)] for channel in channel_ids or []]
    words = words or [[] for _ in corners]
    for index, channel in enumerate(strongest):
        words[channel].append((shorten(names[index], 6), hue(index)))
    for (x, y), texts in zip(corners.tolist(), words, strict=True):
        along_px = 0.0
        for text, color in texts:
            axes.annotate(
                text, (x, y), xytext=(along_px, 0), textcoords="offset points", color=color,
                fontsize=11, fontweight="normal" if color == MUTED else "bold", annotation_clip=False,
            )  # fmt: skip
            along_px += 7 * len(text) + 7


@drawing
def embedding_map(
    places: np.ndarray, unit: np.ndarray, *, names: Sequence[object], width_px: float = HALF
) -> "Figure":
    """Draw spikes where their embeddings lie on two axes, coloured by unit, names at the units' centres.

    Parameters
    ----------
    places
        (points, 2).
    unit
        (points,) index into `names`, or -1 for spikes of no unit, which are grey.
    names
        One per unit.
    """
    height_px = 0.75 * min(width_px, HALF)
    figure = new_figure(width_px, height_px)
    axes = figure.subplots()
    bare(axes)
    kept = np.flatnonzero(np.isfinite(places).all(axis=1))
    kept = kept[thin_evenly(len(kept), max_count=int(MOST_POINTS * min(width_px / HALF, 1)))]
    drawn, owner = np.asarray(places, float)[kept], np.asarray(unit)[kept]
    if len(drawn):
        # Both axes to one scale, since distance means likeness.
        low, high = drawn.min(axis=0), drawn.max(axis=0)
        shape = np.array([1.0, height_px / width_px])
        middle, reach = (low + high) / 2, 0.54 * float(((high - low) / shape).max()) or 1.0
        axes.set_xlim(*(middle[0] + reach * shape[0] * np.array([-1, 1])).tolist())
        axes.set_ylim(*(middle[1] + reach * shape[1] * np.array([-1, 1])).tolist())
    points(axes, *drawn[owner < 0].T, color=LINE, diameter=2.6, alpha=0.8)
    for index in range(len(names)):
        mine = drawn[owner == index]
        if len(mine):
            points(axes, *mine.T, color=hue(index), diameter=3, alpha=0.5)
    axes.add_patch(_frame(axes))
    counts = np.bincount(owner[owner >= 0], minlength=len(names))
    labelled = np.sort(np.argsort(-counts, kind="stable")[:_MOST_LABELS])
    labelled = [int(index) for index in labelled if counts[index]]
    centres = np.array([np.median(drawn[owner == index], axis=0) for index in labelled]).reshape(-1, 2)
    _place_labels(axes, centres, [shorten(names[index], 8) for index in labelled], [hue(i) for i in labelled])
    return figure


def _frame(axes: "Axes"):
    from matplotlib.patches import Rectangle

    return Rectangle((0, 0), 1, 1, transform=axes.transAxes, facecolor="none", edgecolor=GRID, linewidth=1)


def _place_labels(axes: "Axes", centres: np.ndarray, texts: list[str], colors: list[str]) -> None:
    """Write labels on a plate at their centres, pushed apart up and down where they would overlap."""
    axes.figure.draw_without_rendering()  # pyright: ignore[reportAttributeAccessIssue]
    places = axes.transData.transform(centres) if len(centres) else np.zeros((0, 2))
    moved = separated(places, np.array([[7.5 * len(text) + 9, 17.0] for text in texts]).reshape(-1, 2))
    for text, color, centre, offset in zip(texts, colors, centres.tolist(), moved - places, strict=True):
        far = abs(offset[1]) > 10
        axes.annotate(
            text, tuple(centre), xytext=tuple(offset.tolist()), textcoords="offset points",
            ha="center", va="center", color=color, fontsize=12, fontweight="bold", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": INK, "linewidth": 0.8, "shrinkB": 0} if far else None,
            bbox={"boxstyle": "round,pad=0.25", "facecolor": SURFACE, "alpha": 0.9, "linewidth": 0},
        )  # fmt: skip


def separated(centres: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the centres of boxes moved up and down until no two overlap.

    Parameters
    ----------
    centres, sizes
        (boxes, 2), in the same unit.

    Examples
    --------
    >>> separated(np.array([[0.0, 0.0], [1.0, 0.0]]), np.full((2, 2), 4.0)).tolist()
    [[0.0, -2.0], [1.0, 2.0]]
    """
    placed = np.array(centres, float)
    order = np.argsort(placed[:, 1], kind="stable")
    for _ in range(200):
        rested = True
        for rank, one in enumerate(order):
            for other in order[rank + 1 :]:
                wanted = (sizes[one] + sizes[other]) / 2
                apart = placed[other] - placed[one]
                lack = wanted[1] - apart[1]
                if abs(apart[0]) < wanted[0] and lack > 1e-6:
                    placed[one, 1] -= lack / 2
                    placed[other, 1] += lack / 2
                    rested = False
        if rested:
            break
    return placed
