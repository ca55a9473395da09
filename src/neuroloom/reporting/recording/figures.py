"""Figures of a recording: where the contacts are, and what they record."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from neuroloom.reporting.drawing import (
    bare,
    few_values,
    round_length,
    scale_bar,
    thin_envelope,
    ticks,
    value_label,
)
from neuroloom.reporting.palette import BLUE, GRID, HALF, INK, MUTED, VERMILLION, WIDE, hue
from neuroloom.reporting.svg import drawing, new_figure, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LANE_PX, _ROW_PX, _MOST_ROWS = 42, 16, 16


@dataclass(frozen=True)
class Excerpt:
    """A short stretch of a few channels.

    Attributes
    ----------
    times_s
        (samples,).
    voltage
        (samples, channels), top channel first.
    channel_ids
        One name per channel.
    unit
        Of the voltage, ``"µV"`` or, without gains, ``"steps"`` of the converter.
    spikes
        Unit's name -> (its spike times in s inside the excerpt, the columns to colour, its strongest first).
    """

    times_s: np.ndarray
    voltage: np.ndarray
    channel_ids: Sequence[object]
    unit: str = "µV"
    spikes: dict[object, tuple[np.ndarray, Sequence[int]]] = field(default_factory=dict)


@drawing
def probe_layout(
    locations_um: np.ndarray,
    *,
    channel_ids: Sequence[object],
    bad_channel_ids: Collection[object] = (),
    noise: np.ndarray | None = None,
    noise_unit: str = "µV",
    width_px: float = HALF,
) -> "Figure":
    """Draw the contacts of a probe from the front and, at the same depths, how noisy each channel is.

    Parameters
    ----------
    locations_um
        (channels, 2 or 3) positions in µm; the first and last columns are drawn.
    channel_ids
        One name per contact, written beside it where there is room.
    bad_channel_ids
        Channels that were left out; drawn as crosses.
    noise
        (channels,) or None.
    """
    xy = np.asarray(locations_um, float)[:, [0, -1]]
    across, along = np.ptp(xy, axis=0)
    figure = new_figure(width_px, 340)
    panels = figure.subplots(1, 1 if noise is None else 2, sharey=True, squeeze=False)[0]
    axes = panels[0]
    # A Neuropixels shank to scale would be a hair: past a point its width is exaggerated, and that is said.
    to_scale = max(across, along) <= 25 * max(min(across, along), 10.0)
    gap_px = _nearest(xy) / max(1.3 * across / (0.35 * width_px), 1.12 * along / 250, 40 / 250)
    diameter = float(np.clip(0.65 * gap_px, 2.5, 11))
    bad = np.array([channel in bad_channel_ids for channel in channel_ids], bool)
    axes.scatter(*xy[~bad].T, s=diameter**2, color=BLUE, linewidths=0)
    axes.scatter(*xy[bad].T, s=1.4 * diameter**2, color=VERMILLION, marker="X", linewidths=0)
    if gap_px >= 10 and len(xy) <= 48:
        middle = (xy[:, 0].min() + xy[:, 0].max()) / 2
        for (x, y), channel, is_bad in zip(xy, channel_ids, bad, strict=True):
            side = -1 if x < middle else 1
            axes.annotate(
                shorten(channel, 8), (x, y), xytext=(side * (diameter / 2 + 4), 0),
                textcoords="offset points", va="center", ha="right" if side < 0 else "left", fontsize=10.5,
                color=VERMILLION if is_bad else MUTED,
            )  # fmt: skip
    axes.margins(0.2, 0.06)
    few_values(axes.xaxis, 2)
    axes.set_xlabel("Across (µm)" if to_scale else "Across (µm, widened)")
    value_label(axes, "Along the probe (µm)")
    if noise is not None:
        panels[1].scatter(noise[~bad], xy[~bad, 1], s=26 if len(xy) < 100 else 8, color=BLUE, linewidths=0)
        panels[1].scatter(noise[bad], xy[bad, 1], s=40, color=VERMILLION, marker="X", linewidths=0)
        finite = noise[np.isfinite(noise)]
        panels[1].set_xlim(0, 1.15 * float(finite.max(initial=0)) or 1.0)
        few_values(panels[1].xaxis, 3)
        panels[1].tick_params(axis="y", length=0)
        panels[1].grid(axis="x", color=GRID)
        panels[1].set_xlabel(f"Noise ({noise_unit})")
    if to_scale:
        _draw_to_scale(figure, axes, xy)
    return figure


def _nearest(xy: np.ndarray) -> float:
    """Return the distance between the two closest contacts in µm."""
    distances = np.hypot(*(xy[:, None] - xy).transpose(2, 0, 1))
    return float(distances[distances > 0].min(initial=100.0))


def _draw_to_scale(figure: "Figure", axes: "Axes", xy: np.ndarray) -> None:
    """Give both axes the same µm per pixel, with everything in view (the axes' own way clips shared axes)."""
    figure.draw_without_rendering()
    box = axes.get_window_extent()
    middle = (xy.min(axis=0) + xy.max(axis=0)) / 2
    across, along = np.maximum(np.ptp(xy, axis=0), 40.0)
    um_per_px = max(1.3 * across / box.width, 1.12 * along / box.height)
    axes.set_xlim(*(middle[0] + um_per_px * box.width * np.array([-0.5, 0.5])).tolist())
    axes.set_ylim(*(middle[1] + um_per_px * box.height * np.array([-0.5, 0.5])).tolist())


@drawing
def traces(excerpt: Excerpt, *, width_px: float = WIDE, color: str = INK) -> "Figure":
    """Draw channels above one another; spikes of known units stand out in colour, and are marked below.

    Every channel has the same scale, so a quiet channel looks quiet.
    """
    voltage = np.array(excerpt.voltage, float)
    n_samples, n_channels = voltage.shape
    if width_px < 500:
        # A phone has room for fewer spikes side by side.
        n_samples = int(0.4 * n_samples)
        voltage = voltage[:n_samples]
    sample_times_s = excerpt.times_s[:n_samples]
    for column in range(n_channels):
        known = voltage[np.isfinite(voltage[:, column]), column]
        voltage[:, column] -= np.median(known) if len(known) else 0.0
    known = np.abs(voltage[np.isfinite(voltage)])
    # Peaks may cross into the neighbour's lane; the bulk of the trace may not.
    lane = 1.5 * float(np.percentile(known, 99.7)) if len(known) else 1.0
    lane = lane or 1.0
    offsets = -np.arange(n_channels) * lane
    rows = _rows_of_units(excerpt, until_s=sample_times_s[-1] if n_samples else -np.inf)
    figure = new_figure(width_px, 70 + _LANE_PX * n_channels + _ROW_PX * len(rows))
    axes = figure.subplots()
    bare(axes)
    milliseconds = (sample_times_s - excerpt.times_s[0]) * 1e3 if n_samples else np.array([])
    max_points = int(1.4 * width_px)
    for column in range(n_channels):
        line = thin_envelope(milliseconds, voltage[:, column] + offsets[column], max_points=max_points)
        axes.plot(*line, color=color, linewidth=0.8)
    for index, (times_s, columns) in enumerate(excerpt.spikes.values()):
        for time_s in times_s:
            near = np.abs(sample_times_s - time_s) < 1e-3
            for rank, column in enumerate(columns):
                axes.plot(
                    milliseconds[near], voltage[near, column] + offsets[column], color=hue(index),
                    linewidth=1.8 if rank == 0 else 1.1,
                )  # fmt: skip
    inside = (voltage + offsets)[np.isfinite(voltage)]
    lowest, highest = float(inside.min(initial=offsets[-1])), float(inside.max(initial=0.0))
    lowest, highest = min(lowest, offsets[-1] - 0.4 * lane), max(highest, 0.4 * lane)
    axes.set_ylim(lowest - 0.1 * lane, highest + 0.1 * lane)
    bar = round_length(lane)
    scale_bar(axes, bar, f"{bar:g} {excerpt.unit}")
    axes.set_yticks(offsets, [shorten(channel, 8) for channel in excerpt.channel_ids])
    axes.tick_params(axis="y", length=0)
    if rows:
        _mark_spikes(axes, excerpt, rows, below=lowest, row_height=_ROW_PX / _LANE_PX * lane)
    if n_samples:
        axes.set_xlim(0, milliseconds[-1] + milliseconds[-1] / max(n_samples - 1, 1) or 1.0)
        few_values(axes.xaxis, int(width_px // 90))
        axes.spines["bottom"].set_visible(True)
        axes.set_xlabel(f"Time from {excerpt.times_s[0]:.3f} s (ms)")
    axes.grid(axis="x", color=GRID)
    return figure


def _rows_of_units(excerpt: Excerpt, *, until_s: float) -> dict[int, object]:
    """Return place and name of the units that fire before `until_s`, as many as there is room for."""
    firing = {
        index: name
        for index, (name, (times_s, _)) in enumerate(excerpt.spikes.items())
        if len(times_s) and times_s[0] <= until_s
    }
    return dict(list(firing.items())[:_MOST_ROWS])


def _mark_spikes(
    axes: "Axes", excerpt: Excerpt, rows: dict[int, object], *, below: float, row_height: float
) -> None:
    """Mark the spikes of each unit in a row of its own under the voltage, named at its left."""
    heights = below - row_height * (0.8 + np.arange(len(rows)))
    for height, (index, name) in zip(heights, rows.items(), strict=True):
        times_ms = (excerpt.spikes[name][0] - excerpt.times_s[0]) * 1e3
        at = np.full(len(times_ms), height)
        ticks(axes, times_ms, at, height=0.7 * row_height, color=hue(index), width=2)
    channels = [label.get_text() for label in axes.get_yticklabels()]
    units = [f"unit {shorten(name, 6)}" for name in rows.values()]
    axes.set_yticks([*axes.get_yticks(), *heights], [*channels, *units])
    for label, index in zip(axes.get_yticklabels()[len(channels) :], rows, strict=True):
        label.set_color(hue(index))
    axes.set_ylim(heights[-1] - 0.6 * row_height, axes.get_ylim()[1])
