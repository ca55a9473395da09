"""The page's section about a session: spikes, behaviour, trials."""

from typing import TYPE_CHECKING

import numpy as np

from neuroloom.reporting.drawing import thin_evenly
from neuroloom.reporting.layout import half, wide
from neuroloom.reporting.numbers import counted, spoken_duration, written
from neuroloom.reporting.page import Block, Facts, Note, Section, Table
from neuroloom.reporting.session.figures import Trace, firing_rates, raster

if TYPE_CHECKING:
    from neuroloom.sessions.session import Session

MAX_UNITS, MAX_SPIKES, MAX_S, MAX_BEHAVIORS = 100, 6000, 20.0, 3


def session_section(session: "Session", *, span_s: tuple[float, float] | None = None) -> Section:
    """Show some seconds of spikes with the behaviour under them, rates, and trials.

    Parameters
    ----------
    session
        Any session; units, behaviour and trials may each be absent.
    span_s
        The time to draw; by default up to 20 s from the middle, less where there are very many spikes.
    """
    times_s = [np.asarray(session.spikes[key].t, float) for key in session.spikes.index]
    support = np.asarray(session.time_support.values, float).reshape(-1, 2)
    duration_s = float(np.diff(support, axis=1).sum())
    n_units, n_spikes = len(times_s), sum(map(len, times_s))
    n_trials = 0 if session.trials is None else len(session.trials)
    facts = [
        ("Session", session.id),
        ("Subject", session.subject),
        ("Units", f"{n_units:,}"),
        ("Spikes", f"{n_spikes:,}"),
        ("Time covered", spoken_duration(duration_s)),
        ("Behaviour", ", ".join(session.behavior) or "none"),
        ("Trials", f"{n_trials:,}"),
    ]
    blocks: list[Block] = [Facts(facts)]
    if n_units == 0:
        blocks.append(Note("No units, so there are no spikes to draw."))
    rows = thin_evenly(n_units, max_count=MAX_UNITS)
    shown = [times_s[row] for row in rows]
    behavior = {
        name: Trace(
            np.asarray(values.t, float),
            np.asarray(values.values, float),
            [str(column) for column in getattr(values, "columns", [])],
        )
        for name, values in list(session.behavior.items())[:MAX_BEHAVIORS]
    }
    span_s = span_s or _span(support, shown)
    if (n_units or behavior) and span_s is not None:
        start_s, stop_s = span_s
        trials_s = None if session.trials is None else np.asarray(session.trials.values, float).reshape(-1, 2)
        which = (
            f"{len(rows)} of {n_units} units, evenly chosen"
            if len(rows) < n_units
            else counted(n_units, "unit")
        )
        blocks.append(
            wide(
                lambda width_px: raster(
                    shown,
                    span_s=(start_s, stop_s if width_px > 500 else start_s + (stop_s - start_s) / 2),
                    behavior=behavior,
                    trials_s=trials_s,
                    width_px=width_px,
                ),
                title="Spikes and behaviour",
                alt=f"Spike raster of {which} from {start_s:.1f} to {stop_s:.1f} seconds"
                + (f", above {', '.join(behavior)}." if behavior else "."),
                caption=f"One row per unit ({which}), one stroke per spike."
                + (" Shading marks trials." if n_trials else "")
                + ("" if behavior else " The session has no behaviour."),
            )
        )
    if n_units and duration_s > 0:
        rates_hz = np.array([len(times) for times in times_s]) / duration_s
        low, middle, high = np.percentile(rates_hz, [5, 50, 95])
        blocks.append(
            half(
                lambda width_px: firing_rates(rates_hz, width_px=width_px),
                title="Firing rates",
                alt=f"Histogram of firing rates; median {middle:.2g} spikes per second.",
                caption=f"Median {middle:.2g} Hz, nine units in ten between {low:.2g} and {high:.2g} Hz.",
            )
        )
    if n_trials:
        blocks.append(_trials(session))
    lead = f"{counted(n_units, 'unit').capitalize()}, {counted(n_spikes, 'spike')}"
    lead += f", {counted(n_trials, 'trial')}." if n_trials else f", over {spoken_duration(duration_s)}."
    return Section("Session", "session", lead=lead, blocks=blocks)


def _span(support: np.ndarray, times_s: list[np.ndarray]) -> tuple[float, float] | None:
    """Return a stretch from the middle of the longest covered interval with a drawable number of spikes."""
    if not len(support):
        return None
    start_s, stop_s = support[np.argmax(np.diff(support, axis=1)[:, 0])]
    middle = (start_s + stop_s) / 2
    all_s = np.sort(np.concatenate([*times_s, np.array([])]))
    length_s = min(MAX_S, stop_s - start_s)
    while True:
        span = (max(middle - length_s / 2, start_s), min(middle + length_s / 2, stop_s))
        if np.diff(np.searchsorted(all_s, span))[0] <= MAX_SPIKES or length_s < 0.1:
            return (float(span[0]), float(span[1])) if span[1] > span[0] else None
        length_s /= 2


def _trials(session: "Session") -> Table:
    """Count trials by label, or name the range where a label has many values."""
    frame = session.trials.as_dataframe()  # pyright: ignore[reportOptionalMemberAccess]
    lengths_s = (frame["end"] - frame["start"]).to_numpy(float)
    shortest, middle, longest = map(written, np.percentile(lengths_s, [0, 50, 100]))
    rows = [
        [
            "length (s)",
            f"{shortest} to {longest}, median {middle}",
        ]
    ]
    for label in frame.columns.drop(["start", "end"]):
        counts = frame[label].value_counts(dropna=False).sort_index(key=lambda index: index.astype(str))
        if len(counts) <= 12:
            text = ", ".join(f"{value} ({count})" for value, count in counts.items())
        else:
            text = f"{len(counts)} different values"
        rows.append([str(label), text])
    return Table(["Property", "Values (count)"], rows, title=f"{len(frame):,} trials", size="half")
