"""What a session's constructors do to imperfect times: sort or drop with a count, or refuse."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pynapple as nap

from neuroloom.errors import DataError
from neuroloom.findings import Finding
from neuroloom.sessions.columns import native
from neuroloom.sessions.intervals import inside


def keyed_spikes(spike_times_s: Mapping[Any, Any] | Sequence[Any]) -> dict[int, np.ndarray]:
    """Return unit key -> float64 times, after refusing what is not a time.

    Raises
    ------
    DataError
        If a key is not an integer, an array is not one-dimensional, or a time is NaN or infinite.
    """
    items = spike_times_s.items() if isinstance(spike_times_s, Mapping) else enumerate(spike_times_s)
    units: dict[int, np.ndarray] = {}
    for key, values in items:
        if isinstance(key, bool) or not isinstance(key, int | np.integer) or int(key) in units:
            raise DataError(
                f"unit key {key!r}",
                expected="a different integer for each unit",
                remedy="number the units and keep their names in unit_metadata",
            )
        times = np.asarray(values.t if isinstance(values, nap.Ts) else values, dtype=np.float64)
        if times.ndim != 1:
            raise DataError(
                f"unit {key} has spike times of shape {times.shape}",
                expected="one dimension",
                remedy="pass one array of times in seconds for each unit",
            )
        if not np.isfinite(times).all():
            raise DataError(
                f"unit {key} has {np.count_nonzero(~np.isfinite(times))} NaN or infinite spike times",
                expected="finite times in seconds",
                remedy="find out where they come from, and remove them",
            )
        units[int(key)] = times
    return dict(sorted(units.items()))


def mend_spikes(
    units: Mapping[int, np.ndarray], support: nap.IntervalSet
) -> tuple[dict[int, np.ndarray], list[Finding]]:
    """Return the spikes of each unit sorted, without duplicates, inside `support`, and what that took."""
    clean, unsorted, doubled, negative, outside = {}, {}, {}, {}, {}
    for key, times in units.items():
        gaps = np.diff(times)
        if (gaps < 0).any():
            unsorted[key] = int(np.count_nonzero(gaps < 0))
            times = np.sort(times)
            gaps = np.diff(times)
        if (gaps == 0).any():
            doubled[key] = int(np.count_nonzero(gaps == 0))
            times = times[np.r_[True, gaps > 0]]
        within = inside(times, support)
        if not within.all():
            below = int(np.count_nonzero(~within & (times < 0)))
            beyond = int(np.count_nonzero(~within)) - below
            negative |= {key: below} if below else {}
            outside |= {key: beyond} if beyond else {}
            times = times[within]
        clean[key] = times
    findings = [
        *_counted(unsorted, "spikes came before their predecessor and were sorted", "write times in order"),
        *_counted(doubled, "duplicated spikes were dropped", "look for events detected or written twice"),
        *_counted(negative, "spikes at negative times were dropped", "check the clock they refer to"),
        *_counted(
            outside, "spikes outside the time support were dropped", "check time_support and the clock"
        ),
    ]
    return clean, findings


class Samples(NamedTuple):
    """A behaviour before it is known when the session was observed.

    Attributes
    ----------
    times_s
        Shape (samples,).
    values
        Shape (samples,) or (samples, dimensions).
    columns
        Names of the dimensions; None numbers them.
    """

    times_s: np.ndarray
    values: np.ndarray
    columns: list[Any] | None = None


def behavior_samples(series: Any, *, name: str) -> Samples:
    """Return a behaviour's samples in order of time.

    Parameters
    ----------
    series
        A `Tsd`, a `TsdFrame`, (times, values) or (times, values, names of the dimensions), with values of
        shape (samples,) or (samples, dimensions).

    Raises
    ------
    DataError
        If it is something else, or a time is NaN or infinite.
    """
    columns = None
    if isinstance(series, nap.Tsd | nap.TsdFrame):
        columns = list(series.columns) if isinstance(series, nap.TsdFrame) else None
        times, values = series.t, np.asarray(series.values)
    else:
        try:
            times, values, columns = Samples(*series)
            times, values = np.asarray(times), np.asarray(values)
        except (TypeError, ValueError):
            raise DataError(
                f"behaviour {name!r} is a {type(series).__name__}",
                expected="a pynapple Tsd or TsdFrame, or (times, values)",
                remedy="pass times in seconds, shape (samples,), and values, shape (samples[, dimensions])",
            ) from None
    if (
        times.ndim != 1
        or values.ndim not in (1, 2)
        or len(times) != len(values)
        or values.dtype.kind not in "biuf"
    ):
        raise DataError(
            f"behaviour {name!r} has times {times.shape} and {values.dtype} values {values.shape}",
            expected="numbers of shape (samples,) or (samples, dimensions)",
            remedy="flatten more dimensions, and pass one time for each sample",
        )
    if columns is not None and (values.ndim == 1 or len(columns) != values.shape[1]):
        raise DataError(
            f"behaviour {name!r} has values {values.shape} and {len(columns)} names of dimensions",
            expected="one name for each dimension",
            remedy="pass as many names as columns",
        )
    if not np.isfinite(times.astype(np.float64)).all():
        raise DataError(
            f"behaviour {name!r} has sample times that are NaN or infinite",
            expected="finite times in seconds",
            remedy="remove those samples; a value may be NaN, a time may not",
        )
    values = values.astype(np.uint8) if values.dtype.kind == "b" else native(values)
    # Sorted here because pynapple sorts the times of a series without its values.
    order = np.argsort(times, kind="stable")
    return Samples(times[order].astype(np.float64), values[order], columns)


def mend_behavior(
    samples: Samples, support: nap.IntervalSet, *, name: str
) -> tuple[nap.Tsd | nap.TsdFrame, list[Finding]]:
    """Return a behaviour without repeated times, inside `support`, and what that took."""
    findings = []
    times, values, columns = samples
    keep = np.r_[True, np.diff(times) > 0][: len(times)]
    if not keep.all():
        what = f"{np.count_nonzero(~keep)} samples repeat the time of another and were dropped"
        findings.append(Finding("warning", what, f"behaviour {name!r}", "write each sample once"))
    within = inside(times, support)
    if not within.all():
        what = f"{np.count_nonzero(~within)} of {len(within)} samples outside the time support were dropped"
        remedy = "check time_support and the clock if that is not meant"
        findings.append(Finding("info", what, f"behaviour {name!r}", remedy))
    keep &= within
    if values.ndim == 1:
        return nap.Tsd(times[keep], values[keep], time_support=support), findings
    return nap.TsdFrame(times[keep], values[keep], time_support=support, columns=columns), findings


def hull(times_s: Sequence[np.ndarray], *, spikes_s: Sequence[np.ndarray]) -> nap.IntervalSet:
    """Return the one interval that holds all behaviour, trials and spikes.

    Without behaviour or trials it starts at 0. Negative spike times do not stretch it: they are faults
    unless something else shows that the clock starts below zero.

    Raises
    ------
    DataError
        If nothing has a duration.
    """
    known = [times for times in times_s if len(times)]
    spikes = [times[times >= 0] for times in spikes_s if (times >= 0).any()]
    start = min(times.min() for times in [*known, *spikes]) if known else 0.0
    end = max((times.max() for times in [*known, *spikes]), default=0.0)
    if not end > start:
        raise DataError(
            "a session whose spikes, behaviour and trials span no time",
            expected="some duration",
            remedy="pass time_support=(start, end) in seconds",
        )
    return nap.IntervalSet(start, end)


def _counted(counts: Mapping[int, int], what: str, remedy: str) -> list[Finding]:
    if not counts:
        return []
    shown = ", ".join(str(key) for key in list(counts)[:8]) + (", .." if len(counts) > 8 else "")
    return [
        Finding("warning", f"{sum(counts.values())} {what}", f"unit{'s'[: len(counts) > 1]} {shown}", remedy)
    ]
