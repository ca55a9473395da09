"""Spikes into a stream one after the other, outputs out at even steps: a recording as if it were live."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from neuroloom.decoding.streaming import SpikeStream
from neuroloom.errors import DataError
from neuroloom.sessions.session import Session
from neuroloom.sessions.windows import flatten


def replay(
    stream: SpikeStream,
    spikes: Iterable[tuple[float, str]],
    *,
    step_s: float,
    start_s: float = 0.0,
    end_s: float = np.inf,
    real_time: bool = False,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[tuple[float, np.ndarray]]:
    """Yield (time, output) every `step_s`, each from the spikes before that time alone.

    Parameters
    ----------
    stream
        From `PoyoDecoder.stream`.
    spikes
        (time in seconds, unit id), ascending in time; may be endless, as a pipe is. An output is made as soon
        as a spike at or after its time has come.
    step_s
        Time from one output to the next; the first is at ``start_s + step_s``.
    start_s, end_s
        The part to decode. Without `end_s` the last spike ends it.
    real_time
        Whether to wait until each moment has come, counted from the first one; else as fast as it goes.
    clock, sleep
        How to tell the time, and how to wait.

    Raises
    ------
    DataError
        If `step_s` is not positive, or as `SpikeStream.push`.
    UnknownUnit
        If a spike is of a unit that the session does not have.
    """
    if not step_s > 0:
        raise DataError(f"step_s is {step_s}", expected="a positive time", remedy="pass for example 0.02")
    began, n_made = clock(), 0
    times: list[float] = []
    units: list[str] = []

    def outputs_until(now_s: float) -> Iterator[tuple[float, np.ndarray]]:
        nonlocal n_made
        # Counted, not summed, so that hours of steps stay on their grid.
        while (due_s := start_s + (n_made + 1) * step_s) <= min(now_s, end_s + 1e-9):
            if real_time:
                sleep(max(0.0, began + due_s - start_s - clock()))
            stream.push(times, units)
            times.clear()
            units.clear()
            n_made += 1
            yield due_s, stream.predict(due_s)

    for time_s, unit in spikes:
        if time_s >= end_s:
            break
        yield from outputs_until(time_s)
        if time_s >= start_s:
            times.append(time_s)
            units.append(unit)
    yield from outputs_until(end_s if np.isfinite(end_s) else max(times, default=-np.inf))


def spikes_of(session: Session) -> Iterator[tuple[float, str]]:
    """Yield (time, unit id) of every spike of a session, ascending in time."""
    flat = flatten(session)
    for time_s, unit in zip(flat.times_s.tolist(), flat.unit.tolist(), strict=True):
        yield time_s, flat.unit_ids[unit]


def spikes_in_lines(lines: Iterable[str]) -> Iterator[tuple[float, str]]:
    """Yield (time, unit id) of every line ``time_s,unit``; a heading and empty lines are passed over.

    Raises
    ------
    DataError
        If a line is neither.

    Examples
    --------
    >>> list(spikes_in_lines(["time_s,unit", "0.5,monday/3"]))
    [(0.5, 'monday/3')]
    """
    for number, line in enumerate(lines):
        when, _, unit = (part.strip() for part in line.strip().partition(","))
        if not line.strip() or (number == 0 and when == "time_s"):
            continue
        try:
            time_s = float(when)
        except ValueError:
            time_s = np.nan
        if not np.isfinite(time_s):
            raise DataError(
                f"line {number + 1} is {line.strip()[:60]!r}",
                expected="a time in seconds, a comma and a unit's id",
                remedy="correct the line",
            )
        yield time_s, unit


def latency_summary(latencies_s: Sequence[float]) -> dict[str, float]:
    """Return the median, the 95th percentile and the maximum in milliseconds; NaN of nothing.

    Examples
    --------
    >>> latency_summary([0.001, 0.002, 0.003])["median ms"]
    2.0
    """
    ms = 1e3 * np.asarray(latencies_s, dtype=np.float64)
    if not len(ms):
        return dict.fromkeys(("median ms", "95 % ms", "longest ms"), float("nan"))
    return {
        "median ms": float(np.median(ms)),
        "95 % ms": float(np.percentile(ms, 95)),
        "longest ms": float(ms.max()),
    }
