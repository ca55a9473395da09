"""Spike trains of simulated cells: their own intervals, as long as wanted, and which spike comes when."""

import numpy as np

from neuroloom.simulation.library import Cell

_PIECE = 12  # consecutive intervals that are kept together, so that bursts stay bursts


def own_train(
    cell: Cell, *, duration_s: float, rate_hz: float | None = None, random: np.random.Generator
) -> np.ndarray:
    """Return a long spike train with the intervals of a cell's own simulated run.

    Runs of consecutive intervals are drawn again and again, so that bursts and adaptation stay; pauses
    between them bring the mean rate down to what is wanted.

    Parameters
    ----------
    cell
        Whose intervals are used.
    duration_s
        Length of the train.
    rate_hz
        Mean rate; ``None``, or a rate above the cell's own, is the cell's own.
    random
        Source of randomness.

    Returns
    -------
    ndarray
        Sorted times in s, shape ``(spikes,)``.
    """
    intervals_s = np.diff(cell.spike_times_ms) / 1000
    # The run's silent ends belong to its rate too.
    own_hz = min(1 / intervals_s.mean(), cell.rate_hz)
    wanted_hz = min(rate_hz or own_hz, own_hz)
    length = min(_PIECE, len(intervals_s))
    pause_s = length * (1 / wanted_hz - intervals_s.mean())
    n_pieces = int(np.ceil(1.5 * duration_s * wanted_hz / length)) + 8
    start = random.integers(len(intervals_s), size=n_pieces)
    drawn = intervals_s[(start[:, None] + np.arange(length)) % len(intervals_s)]
    drawn *= np.exp(random.normal(0, 0.05, drawn.shape))
    drawn[:, 0] += random.exponential(1.0, n_pieces) * pause_s
    times = np.cumsum(drawn.reshape(-1)) - random.uniform(0, 1) * drawn[0, 0]
    return times[(times >= 0) & (times < duration_s)]


def poisson_train(*, duration_s: float, rate_hz: float, random: np.random.Generator) -> np.ndarray:
    """Return sorted times in s of a Poisson process, shape ``(spikes,)``."""
    return np.sort(random.uniform(0, duration_s, random.poisson(rate_hz * duration_s)))


def kept_spikes(cell: Cell, n_shapes: int) -> np.ndarray:
    """Return which of a cell's spikes stand for all: evenly over its intervals, the shortest among them.

    Returns
    -------
    ndarray
        Indices into ``cell.courses``, by rising interval, shape ``(at most n_shapes,)``.
    """
    by_interval = np.argsort(cell.interval_ms, kind="stable")
    return by_interval[np.unique(np.linspace(0, len(by_interval) - 1, n_shapes).round().astype(int))]


def spike_for_interval(
    times_s: np.ndarray, kept_ms: np.ndarray, *, random: np.random.Generator
) -> np.ndarray:
    """Return for every spike of a train the kept spike whose own interval is like its interval.

    So a spike soon after another has the smaller, broader shape that the simulated cell had so soon.

    Parameters
    ----------
    times_s
        Sorted spike times, shape ``(spikes,)``.
    kept_ms
        Intervals of the kept spikes, rising; inf for a cell's first spike, shape ``(kept,)``.

    Returns
    -------
    ndarray
        Indices into `kept_ms`, shape ``(spikes,)``. Intervals are compared in logarithm, with a scatter of
        a quarter, so that spikes after similar intervals are not all alike.
    """
    interval_ms = np.diff(times_s, prepend=-np.inf) * 1000
    with np.errstate(divide="ignore"):
        wanted = np.log(np.clip(interval_ms, 0.5, 1e4)) + random.normal(0, 0.25, len(times_s))
        known = np.log(np.clip(kept_ms, 0.5, 1e4))
    between = (known[1:] + known[:-1]) / 2
    return np.searchsorted(between, wanted)
