"""Figures of a recording: where the contacts are, and what they record."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from neuroloom.reporting.drawing import bare, round_length, scale_bar, thin_envelope
from neuroloom.reporting.palette import BLUE, GRID, HALF, INK, MUTED, VERMILLION, WIDE, hue
from neuroloom.reporting.svg import drawing, new_figure, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
        Unit's name -> (its spike times in s inside the excerpt, the column of its strongest channel).
    """

    times_s: np.ndarray
    voltage: np.ndarray
    channel_ids: Sequence[object]
    unit: str = "µV"
    spikes: dict[object, tuple[np.ndarray, int]] = field(default_factory=dict)


@drawing
def probe_layout(
    locations_um: np.ndarray,
    *,
    channel_ids: Sequence[object],
    bad_channel_ids: Collection[object] = (),
    width_px: float = HALF,
) -> "Figure":
    """Draw the contacts of a probe as seen from the front.

    Parameters
    ----------
    locations_um
        (channels, 2 or 3) positions in µm; the first and last columns are drawn for three.
    channel_ids
        One name per contact, written beside it where there is room.
    bad_channel_ids
        Channels that were left out; drawn as crosses.
    """
    xy = np.asarray(locations_um, float)[:, [0, -1]]
    spread = np.ptp(xy, axis=0)
    figure = new_figure(width_px, 320)
    axes = figure.subplots()
    bad = np.array([channel in bad_channel_ids for channel in channel_ids], bool)
    room = len(xy) <= 40
    size = 110 if room else 24
    axes.scatter(*xy[~bad].T, s=size, color=BLUE, alpha=0.9, linewidths=0)
    if bad.any():
        axes.scatter(*xy[bad].T, s=size, color=VERMILLION, marker="X", linewidths=0)
    if room:
        for (x, y), channel, is_bad in zip(xy, channel_ids, bad, strict=True):
            axes.annotate(
                shorten(channel, 8), (x, y), xytext=(8, 0), textcoords="offset points", va="center",
                fontsize=11, color=VERMILLION if is_bad else MUTED,
            )  # fmt: skip
    # A long thin shank drawn to scale would be a line: only moderate shapes keep their proportions.
    if spread.max() <= 5 * max(spread.min(), 20.0):
        axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.25 if room else 0.1)
    axes.set_xlabel("Across the probe (µm)")
    axes.set_title("Along the probe (µm)", color=MUTED, fontweight="normal")
    return figure


@drawing
def traces(excerpt: Excerpt, *, width_px: float = WIDE, color: str = INK) -> "Figure":
    """Draw channels above one another; spikes of known units stand out in colour.

    Every channel has the same scale, so a quiet channel looks quiet.
    """
    voltage = np.asarray(excerpt.voltage, float)
    n_samples, n_channels = voltage.shape
    voltage = voltage - np.nanmedian(voltage, axis=0) if n_samples else voltage
    # Peaks may cross into the neighbour's lane; the bulk of the trace may not.
    lane = 1.5 * float(np.nanpercentile(np.abs(voltage), 99.7)) if voltage.size else 1.0
    lane = lane if np.isfinite(lane) and lane > 0 else 1.0
    offsets = -np.arange(n_channels) * lane
    figure = new_figure(width_px, 70 + 42 * n_channels)
    axes = figure.subplots()
    bare(axes)
    milliseconds = (excerpt.times_s - excerpt.times_s[0]) * 1e3 if n_samples else np.array([])
    max_points = int(2 * width_px)
    for column in range(n_channels):
        line = thin_envelope(milliseconds, voltage[:, column] + offsets[column], max_points=max_points)
        axes.plot(*line, color=color, linewidth=0.8)
    for index, (times_s, column) in enumerate(excerpt.spikes.values()):
        for time_s in times_s:
            near = np.abs(excerpt.times_s - time_s) < 1e-3
            axes.plot(
                milliseconds[near], voltage[near, column] + offsets[column], color=hue(index), linewidth=1.8
            )
    axes.set_yticks(offsets, [shorten(channel, 8) for channel in excerpt.channel_ids])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-(n_channels - 0.3) * lane, 0.9 * lane)
    if n_samples:
        axes.set_xlim(0, milliseconds[-1])
        axes.xaxis.set_major_locator(_few_ticks(width_px))
        axes.spines["bottom"].set_visible(True)
        axes.set_xlabel(f"Time from {excerpt.times_s[0]:.3f} s (ms)")
    axes.grid(axis="x", color=GRID)
    bar = round_length(lane)
    scale_bar(axes, bar, f"{bar:g} {excerpt.unit}")
    return figure


def _few_ticks(width_px: float):
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=max(3, int(width_px // 110)), steps=[1, 2, 5, 10])
