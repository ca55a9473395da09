"""Figures of a session: spikes of every unit with the behaviour under them, and how active units are."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from neuroloom.reporting.drawing import few_values, name_lines, thin_envelope, ticks, value_label
from neuroloom.reporting.palette import BLUE, GRID, HALF, INK, WIDE, dash, hue
from neuroloom.reporting.svg import drawing, new_figure, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_DIMENSIONS = 4


class Trace(NamedTuple):
    """A behaviour: times (n,) in s, values (n, dims), and a name per dimension."""

    times_s: np.ndarray
    values: np.ndarray
    names: Sequence[str] = ()


@drawing
def raster(
    spike_times_s: Sequence[np.ndarray],
    *,
    span_s: tuple[float, float],
    behavior: Mapping[str, Trace] | None = None,
    trials_s: np.ndarray | None = None,
    width_px: float = WIDE,
) -> "Figure":
    """Draw a raster, first unit at the top, and under it each behaviour over the same time.

    Parameters
    ----------
    spike_times_s
        One array per unit.
    span_s
        The time that is drawn.
    behavior
        Name -> trace; its first four dimensions are drawn.
    trials_s
        (trials, 2) starts and ends, shaded.
    """
    start_s, stop_s = span_s
    n_units, behavior = len(spike_times_s), dict(behavior or {})
    raster_px = float(np.clip(5 * n_units, 60, 340))
    figure = new_figure(width_px, 70 + raster_px + 95 * len(behavior))
    panels = figure.subplots(
        1 + len(behavior), 1, sharex=True, squeeze=False, height_ratios=[raster_px, *[80] * len(behavior)]
    )[:, 0]
    for axes in panels:
        for low, high in np.empty((0, 2)) if trials_s is None else trials_s:
            if high > start_s and low < stop_s:
                axes.axvspan(
                    max(low, start_s), min(high, stop_s), color=GRID, alpha=0.55, linewidth=0, zorder=-1
                )
    axes = panels[0]
    inside = [np.asarray(t)[(np.asarray(t) >= start_s) & (np.asarray(t) <= stop_s)] for t in spike_times_s]
    rows = np.repeat(np.arange(n_units), [len(t) for t in inside])
    ticks(axes, np.concatenate([*inside, np.array([])]), rows, width=1 if n_units < 60 else 0.8)
    axes.set_ylim(n_units - 0.4, -0.6)
    axes.set_yticks([0, n_units - 1] if n_units > 1 else [0] * n_units)
    axes.set_yticklabels([str(1 + int(row)) for row in axes.get_yticks()])
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    value_label(axes, "Unit")
    for axes, (name, trace) in zip(panels[1:], behavior.items(), strict=True):
        _behavior(axes, name, trace, span_s=span_s, max_points=int(1.5 * width_px))
    panels[-1].set_xlim(start_s, stop_s)
    panels[-1].set_xlabel("Time (s)")
    figure.align_ylabels()
    return figure


@drawing
def firing_rates(rates_hz: np.ndarray, *, width_px: float = HALF) -> "Figure":
    """Draw how many units fire how fast, on a logarithmic axis; silent units stand at the left."""
    rates_hz = np.asarray(rates_hz, float)
    figure = new_figure(width_px, 260)
    axes = figure.subplots()
    floor = 0.01
    edges = np.logspace(np.log10(floor), np.log10(max(float(rates_hz.max(initial=0)), 100.0)), 25)
    axes.hist(np.clip(rates_hz, floor, None), bins=edges.tolist(), color=BLUE, rwidth=0.86)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.minorticks_off()
    axes.set_xlabel("Firing rate (Hz)")
    few_values(axes.yaxis, 5, whole=True)
    value_label(axes, "Units")
    return figure


def _behavior(axes: "Axes", name: str, trace: Trace, *, span_s: tuple[float, float], max_points: int) -> None:
    times_s = np.asarray(trace.times_s, float)
    values = np.asarray(trace.values, float).reshape(len(times_s), -1)
    keep = (times_s >= span_s[0]) & (times_s <= span_s[1])
    n_dims = min(values.shape[1], MAX_DIMENSIONS)
    colors = [INK] if n_dims == 1 else [hue(column) for column in range(n_dims)]
    for column, color in enumerate(colors):
        line = thin_envelope(times_s[keep], values[keep, column], max_points=max_points)
        axes.plot(*line, color=color, linestyle=dash(column), linewidth=1.4)
    few_values(axes.yaxis, 3)
    more = f" (first {n_dims} of {values.shape[1]} dimensions)" if values.shape[1] > n_dims else ""
    value_label(axes, shorten(name, 40) + more)
    if n_dims > 1 and trace.names:
        names = [shorten(each, 10) for each in trace.names[:n_dims]]
        name_lines(axes, names, colors, dashes=[dash(column) for column in range(n_dims)])
