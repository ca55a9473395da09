"""Windows of spikes, many at a time, from a session that was flattened once.

Every window is half-open, [start, start + window_s): neighbouring windows share no spike and lose none.
"""

from dataclasses import dataclass

import numba
import numpy as np
import pynapple as nap

from neuroloom.errors import DataError
from neuroloom.sessions.intervals import TOLERANCE_S, as_support
from neuroloom.sessions.session import Session


@dataclass(frozen=True)
class FlatSpikes:
    """All spikes of a session in order of time.

    Attributes
    ----------
    times_s
        Shape (spikes,), float64, ascending.
    unit
        Shape (spikes,), int32: position of the unit in `unit_ids`.
    n_units
        Number of units, with or without spikes.
    unit_ids
        The session's unit ids.
    support_s
        The session's time support, shape (intervals, 2).
    """

    times_s: np.ndarray
    unit: np.ndarray
    n_units: int
    unit_ids: list[str]
    support_s: np.ndarray


@dataclass(frozen=True)
class SpikeBatch:
    """The spikes of many windows, end to end.

    Attributes
    ----------
    times_s
        Shape (spikes,), seconds since the start of the spike's window, ascending within it.
    unit
        Shape (spikes,), int32.
    offsets
        Shape (windows + 1,): window w owns the spikes from ``offsets[w]`` to ``offsets[w + 1]``.
    window_s
        Length of every window.
    n_units
        Number of units of the session.
    """

    times_s: np.ndarray
    unit: np.ndarray
    offsets: np.ndarray
    window_s: float
    n_units: int

    def __len__(self) -> int:
        return len(self.offsets) - 1


def flatten(session: Session) -> FlatSpikes:
    """Merge the spikes of all units into one array in order of time (of the unit where times are equal).

    Examples
    --------
    >>> session = Session.from_arrays(id="a", spike_times_s=[[0.1, 0.5], [0.2]], time_support=(0, 1))
    >>> flatten(session).unit.tolist()
    [0, 1, 0]
    """
    trains = [session.spikes.data[key].t for key in session.spikes.index]
    unit = np.repeat(np.arange(len(trains), dtype=np.int32), [len(train) for train in trains])
    times = np.concatenate([*trains, np.zeros(0)])
    order = np.argsort(times, kind="stable")
    return FlatSpikes(times[order], unit[order], len(trains), session.unit_ids, session.time_support.values)


def spike_windows(flat: FlatSpikes, starts_s: np.ndarray, window_s: float) -> SpikeBatch:
    """Gather the spikes of windows that may overlap, in any order, inside or outside the time support.

    Parameters
    ----------
    flat
        From `flatten`.
    starts_s
        Shape (windows,), seconds.
    window_s
        Length of every window.

    Raises
    ------
    DataError
        If a start is NaN or the window has no length.
    """
    starts = _checked(starts_s, window_s)
    first = np.searchsorted(flat.times_s, starts, side="left")
    last = np.searchsorted(flat.times_s, starts + window_s, side="left")
    offsets = np.zeros(len(starts) + 1, dtype=np.int64)
    np.cumsum(last - first, out=offsets[1:])
    times = np.empty(offsets[-1], dtype=np.float64)
    unit = np.empty(offsets[-1], dtype=np.int32)
    _gather(flat.times_s, flat.unit, starts, first, offsets, times, unit)
    return SpikeBatch(times, unit, offsets, float(window_s), flat.n_units)


def count_windows(flat: FlatSpikes, starts_s: np.ndarray, *, window_s: float, bin_s: float) -> np.ndarray:
    """Count spikes in the bins of many windows.

    Bin b of a window holds the spikes in [start + b bin_s, start + (b + 1) bin_s).

    Parameters
    ----------
    flat
        From `flatten`.
    starts_s
        Shape (windows,), seconds.
    window_s
        Length of every window; a whole number of bins.
    bin_s
        Bin width in seconds.

    Returns
    -------
    ndarray
        Shape (windows, bins, units), int32.

    Raises
    ------
    DataError
        If the window is not a whole number of bins, or a start is NaN.
    """
    starts = _checked(starts_s, window_s)
    n_bins = round(window_s / bin_s) if bin_s > 0 else 0
    if n_bins < 1 or abs(n_bins * bin_s - window_s) > TOLERANCE_S:
        raise DataError(
            f"a window of {window_s} s in bins of {bin_s} s",
            expected="a whole number of bins, at least one",
            remedy="choose a window that is a multiple of the bin width",
        )
    counts = np.zeros((len(starts), n_bins, flat.n_units), dtype=np.int32)
    _count(flat.times_s, flat.unit, starts, np.searchsorted(flat.times_s, starts), bin_s, counts)
    return counts


def bin_session(session: Session | FlatSpikes, bin_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Count spikes in consecutive bins that never reach from one support interval into the next.

    Each interval is filled with whole bins from its start; what is left at its end, shorter than a bin, is
    not counted. (An interval that lacks less than two microseconds of a bin still has it, since pynapple
    cuts that much where intervals touch.)

    Parameters
    ----------
    session
        A session, or its flat spikes.
    bin_s
        Bin width in seconds.

    Returns
    -------
    counts : ndarray
        Shape (bins, units), int32.
    centres_s : ndarray
        Shape (bins,), centre of each bin.
    """
    flat = flatten(session) if isinstance(session, Session) else session
    starts, _ = bin_starts(flat, bin_s)
    return count_windows(flat, starts, window_s=bin_s, bin_s=bin_s)[:, 0], starts + bin_s / 2


def bin_starts(
    session: Session | FlatSpikes | nap.IntervalSet, bin_s: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return where the bins of `bin_session` start, and the number of the support interval of each.

    Lagged features must not reach over a change of that number.

    Raises
    ------
    DataError
        If the bin is longer than every interval.
    """
    return window_starts(session, window_s=bin_s, step_s=bin_s)


def window_starts(
    session: Session | FlatSpikes | nap.IntervalSet, *, window_s: float, step_s: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the starts of regular windows that lie wholly inside the time support.

    Parameters
    ----------
    session
        A session, its flat spikes, or intervals.
    window_s
        Length of the windows.
    step_s
        From one start to the next; windows overlap where it is shorter than `window_s`.

    Returns
    -------
    starts_s : ndarray
        Shape (windows,), ascending.
    interval : ndarray
        Shape (windows,), number of the support interval that holds the window.

    Raises
    ------
    DataError
        If the window is longer than every interval.
    """
    if isinstance(session, FlatSpikes):
        support = session.support_s
    else:
        support = (session.time_support if isinstance(session, Session) else as_support(session)).values
    if not (np.isfinite(step_s) and step_s > 0):
        raise DataError(f"a step of {step_s} s", expected="a positive number", remedy="give it in seconds")
    _checked(np.zeros(0), window_s)
    lengths = support[:, 1] - support[:, 0]
    slack = np.minimum(TOLERANCE_S, window_s / 8)
    n = np.maximum(np.floor((lengths - window_s + slack) / step_s).astype(np.int64) + 1, 0)
    if not n.sum():
        raise DataError(
            f"windows of {window_s} s in a time support whose longest interval is {lengths.max():g} s",
            expected="room for at least one",
            remedy="choose a shorter window",
        )
    interval = np.repeat(np.arange(len(support)), n)
    within = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)
    return support[interval, 0] + within * step_s, interval


def _checked(starts_s: np.ndarray, window_s: float) -> np.ndarray:
    starts = np.ascontiguousarray(starts_s, dtype=np.float64)
    if starts.ndim != 1 or not np.isfinite(starts).all() or not (np.isfinite(window_s) and window_s > 0):
        raise DataError(
            f"windows of {window_s} s at starts of shape {starts.shape}"
            + ("" if np.isfinite(starts).all() else " with NaN or infinite values"),
            expected="a positive length and finite starts, shape (windows,)",
            remedy="give both in seconds",
        )
    return starts


@numba.njit(cache=True, nogil=True)
def _gather(all_times, all_units, starts, first, offsets, times, unit):  # pragma: no cover (compiled)
    for window in range(len(starts)):
        low, high = offsets[window], offsets[window + 1]
        # Views with indices from 0, whose loop numba turns into vector instructions.
        source = all_times[first[window] : first[window] + high - low]
        target, start = times[low:high], starts[window]
        for spike in range(high - low):
            target[spike] = source[spike] - start
        unit[low:high] = all_units[first[window] : first[window] + high - low]


@numba.njit(cache=True, nogil=True)
def _count(all_times, all_units, starts, first, bin_s, counts):  # pragma: no cover (compiled)
    n_bins = counts.shape[1]
    for window in range(len(starts)):
        start, spike = starts[window], first[window]
        for b in range(n_bins):
            # The same product for every bin's border, so that each spike is in exactly one bin.
            end = start + (b + 1) * bin_s
            while spike < len(all_times) and all_times[spike] < end:
                counts[window, b, all_units[spike]] += 1
                spike += 1
