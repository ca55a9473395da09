"""The card of one sorted unit (waveform, footprint, autocorrelogram, amplitudes), and how sure all are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from neuroloom.reporting.drawing import bare, points, round_length, thin_envelope, thin_evenly, value_label
from neuroloom.reporting.palette import BLUE, GRID, LINE, MUTED, SMALL, VERMILLION, WIDE
from neuroloom.reporting.svg import drawing, new_figure, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class UnitCard:
    """What one unit's card shows.

    Attributes
    ----------
    template
        (samples, channels) mean waveform.
    spread
        (samples, channels) standard deviation, or None.
    rate_hz
        Sampling rate.
    strongest
        Column of the strongest channel.
    locations_um
        (channels, 2) contacts.
    spike_times_s
        (spikes,).
    amplitudes
        (spikes,), or None.
    duration_s
        Of the recording.
    unit
        Of the voltage.
    """

    template: np.ndarray
    spread: np.ndarray | None
    rate_hz: float
    strongest: int
    locations_um: np.ndarray
    spike_times_s: np.ndarray
    amplitudes: np.ndarray | None
    duration_s: float
    unit: str = "µV"


@drawing
def unit_card(card: UnitCard, *, width_px: float = SMALL, color: str = BLUE) -> "Figure":
    """Draw waveform, footprint on the probe, autocorrelogram and amplitudes over time of one unit."""
    has_amplitudes = card.amplitudes is not None and len(card.amplitudes) > 0
    height = 262 if has_amplitudes else 192
    figure = new_figure(width_px, height, constrained=False)

    def panel(left: float, top: float, width: float, tall: float):
        return figure.add_axes((left / width_px, 1 - (top + tall) / height, width / width_px, tall / height))

    _waveform(panel(4, 4, width_px * 0.62, 98), card, color)
    _footprint(panel(width_px * 0.7, 4, width_px * 0.28, 98), card, color)
    _autocorrelogram(panel(4, 116, width_px - 8, 48), card.spike_times_s, color)
    if has_amplitudes:
        _amplitudes(panel(4, 200, width_px - 8, 40), card, color)
    return figure


@drawing
def confidence_dots(
    names: Sequence[object], confidence: np.ndarray, *, sure: float, width_px: float = WIDE
) -> "Figure":
    """Draw how far each unit is to be trusted, the surest first; rings, with their names, are below `sure`.

    Parameters
    ----------
    names
        One per unit.
    confidence
        (units,) 0 to 1.
    sure
        Where the line is.
    """
    confidence = np.asarray(confidence, float)
    order = np.argsort(-confidence, kind="stable")
    values, rows = confidence[order], np.arange(len(order))
    figure = new_figure(width_px, 170)
    axes = figure.subplots()
    low = values < sure
    axes.axhline(sure, color=LINE, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.vlines(rows, 0, values, color=GRID, linewidth=2)
    axes.scatter(rows[~low], values[~low], s=34, color=BLUE, linewidths=0, zorder=3)
    axes.scatter(
        rows[low], values[low], s=38, facecolor="none", edgecolor=VERMILLION, linewidths=1.6, zorder=3
    )
    axes.set_xlim(-0.7, len(rows) - 0.3)
    axes.set_ylim(0, 1.06)
    axes.set_yticks([0, 0.5, sure, 1])
    step = max(1, int(np.ceil(len(rows) * 26 / width_px)))
    named = sorted({*range(0, len(rows), step)})
    axes.set_xticks(named, [shorten(names[order[row]], 6) for row in named])
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel("Unit")
    value_label(axes, "Confidence")
    return figure


def autocorrelogram(times_s: np.ndarray, *, window_s: float = 0.03, bin_s: float = 0.001) -> np.ndarray:
    """Count the intervals between all pairs of spikes closer than `window_s`.

    Returns
    -------
    numpy.ndarray
        (bins,) counts of positive lags, the first bin starting at 0.

    Examples
    --------
    >>> autocorrelogram(np.array([0.0, 0.0025, 0.0045]), window_s=0.005)
    array([0, 0, 2, 0, 1])
    """
    times_s = np.sort(np.asarray(times_s, float))
    n_bins = round(window_s / bin_s)
    counts = np.zeros(n_bins, int)
    for step in range(1, len(times_s)):
        lags = times_s[step:] - times_s[:-step]
        lags = lags[lags < window_s]
        if not len(lags):
            break
        # A hair above keeps an interval of exactly k bins in bin k in spite of rounding.
        counts += np.bincount(np.minimum((lags / bin_s + 1e-9).astype(int), n_bins - 1), minlength=n_bins)
    return counts


def _waveform(axes, card: UnitCard, color: str) -> None:
    bare(axes)
    mean = card.template[:, card.strongest]
    milliseconds = (np.arange(len(mean)) - int(np.argmax(np.abs(mean)))) / card.rate_hz * 1e3
    axes.axhline(0, color=GRID, linewidth=1)
    if card.spread is not None:
        spread = card.spread[:, card.strongest]
        axes.fill_between(milliseconds, mean - spread, mean + spread, color=color, alpha=0.2, linewidth=0)
    axes.plot(milliseconds, mean, color=color, linewidth=1.8)
    axes.margins(0.02, 0.08)
    # One bar of 1 ms and one of a round voltage, with their meaning written out.
    low, high = axes.get_ylim()
    left, right = axes.get_xlim()
    bar = round_length((high - low) * 0.4)
    x = right - 0.02 * (right - left)
    base = low + 0.04 * (high - low)
    axes.plot([x, x, x - 1], [base + bar, base, base], color=LINE, linewidth=1.2)
    axes.text(x - 0.06 * (right - left), base + bar * 0.75, f"{bar:g} {card.unit}", ha="right", va="center",
              fontsize=10.5, color=MUTED)  # fmt: skip
    axes.text(x - 1.1, base, "1 ms", ha="right", va="center", fontsize=10.5, color=MUTED)


def _footprint(axes, card: UnitCard, color: str) -> None:
    """Mean waveforms where their contacts are, the nearest eight channels."""
    bare(axes)
    xy = np.asarray(card.locations_um, float)[:, [0, -1]]
    size = np.ptp(card.template, axis=0)
    around = np.hypot(*(xy - xy[card.strongest]).T)
    shown = sorted(np.argsort(around, kind="stable")[:8])
    steps = np.array(
        [np.min(d[d > 0], initial=np.inf) for d in np.abs(xy[shown][:, None] - xy[shown]).T.reshape(2, -1)]
    )
    steps[~np.isfinite(steps)] = 20.0
    milliseconds = np.linspace(-0.45, 0.45, len(card.template)) * steps[0]
    scale = 0.8 * steps[1] / max(float(size.max()), 1e-12)
    for column in shown:
        strong = column == card.strongest
        x, y = xy[column]
        line = thin_envelope(x + milliseconds, y + card.template[:, column] * scale, max_points=60)
        axes.plot(
            *line, linewidth=1.3 if strong else 0.8,
            color=color if strong else MUTED,
        )  # fmt: skip
    axes.margins(0.06, 0.06)


def _autocorrelogram(axes, times_s: np.ndarray, color: str) -> None:
    # Enough spikes for the shape; all pairs of a long recording would take long and look the same.
    counts = autocorrelogram(np.sort(times_s)[:20_000])
    both = np.concatenate([counts[::-1], counts])
    edges = np.arange(-len(counts), len(counts) + 1)
    bare(axes)
    axes.stairs(both, edges.astype(float), color=color, fill=True, alpha=0.75, linewidth=0)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, max(float(both.max()), 1.0) * 1.05)
    axes.spines["bottom"].set_visible(True)
    axes.set_xticks([-20, 0, 20], ["−20", "0", "20 ms"])
    axes.tick_params(labelsize=10.5, length=3, pad=2)


def _amplitudes(axes, card: UnitCard, color: str) -> None:
    amplitudes = np.abs(np.asarray(card.amplitudes, float))
    shown = thin_evenly(len(amplitudes), max_count=250)
    bare(axes)
    points(axes, card.spike_times_s[shown] / 60, amplitudes[shown], color=color, diameter=2, alpha=0.6)
    top = float(np.nanpercentile(amplitudes, 99.5)) * 1.15 or 1.0
    axes.set_ylim(0, top)
    minutes = max(card.duration_s / 60, 1e-9)
    axes.set_xlim(0, minutes)
    axes.spines["bottom"].set_visible(True)
    axes.set_xticks([0, minutes], ["0", f"{minutes:.1f} min" if minutes >= 1 else f"{minutes * 60:.0f} s"])
    for tick, side in zip(axes.get_xticklabels(), ("left", "right"), strict=True):
        tick.set_horizontalalignment(side)
    axes.tick_params(labelsize=10.5, length=3, pad=2)
    axes.text(0, 1.06, f"0 to {top:.0f} {card.unit}", transform=axes.transAxes, fontsize=10.5, color=MUTED)
