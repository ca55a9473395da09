"""Blocks about all units together: their spikes in the voltage, their waveforms on the probe, their map."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neuroloom.reporting.drawing import thin_evenly
from neuroloom.reporting.layout import half, wide
from neuroloom.reporting.numbers import counted, written
from neuroloom.reporting.page import Figure
from neuroloom.reporting.recording.figures import Excerpt, traces
from neuroloom.reporting.recording.section import EXCERPT_S, MAX_CHANNELS, middle_excerpt
from neuroloom.reporting.sorting.figures_overview import MOST_POINTS, VISIBLE, embedding_map, units_on_probe
from neuroloom.reporting.sorting.units import Units


@dataclass(frozen=True)
class Embedding:
    """Spikes on the two leading axes of what a sorter learned of their shapes.

    Attributes
    ----------
    places
        (points, 2), no unit.
    unit
        (points,) index into `unit_ids`, or -1 for spikes of no unit.
    unit_ids
        Names of the units.
    """

    places: np.ndarray
    unit: np.ndarray
    unit_ids: Sequence[object]


def example(units: Units) -> Figure | None:
    """Draw sorted voltage where the strongest units fire close together, spikes coloured by unit."""
    analyzer = units.analyzer
    if not (analyzer.has_recording() or analyzer.has_temporary_recording()):
        return None
    if units.templates is None or not len(units.times_s):
        return None
    first = units.times_s[units.times_s < (units.starts_s[1] if len(units.starts_s) > 1 else np.inf)]
    if not len(first):
        return None
    start_s = _richest(units, first)
    rows = np.unique(units.index[slice(*np.searchsorted(first, [start_s, start_s + EXCERPT_S]))])
    rows = sorted(rows.tolist(), key=lambda row: -units.amplitude(row))
    excerpt = middle_excerpt(analyzer.recording, start_s=start_s, channel_ids=_channels_around(units, rows))
    columns = {channel: column for column, channel in enumerate(excerpt.channel_ids)}
    spikes = {}
    for row, unit_id in enumerate(units.ids):
        seen = [columns[channel] for channel in _seen_on(units, row) if channel in columns]
        times_s = units.spikes(row)
        inside = times_s[(times_s >= excerpt.times_s[0]) & (times_s <= excerpt.times_s[-1])]
        # Units outside the excerpt keep their place, so that colours agree with the cards.
        spikes[unit_id] = (inside if seen else inside[:0], seen or [0])
    excerpt = Excerpt(excerpt.times_s, excerpt.voltage, excerpt.channel_ids, excerpt.unit, spikes)
    n_units = sum(len(times) > 0 for times, _ in spikes.values())
    n_spikes = sum(len(times) for times, _ in spikes.values())
    return wide(
        lambda width_px: traces(excerpt, width_px=width_px),
        title="Spikes in the voltage",
        alt=f"Preprocessed voltage on {counted(len(columns), 'channel')} over {EXCERPT_S * 1e3:.0f} "
        f"milliseconds with {counted(n_spikes, 'sorted spike')} of {counted(n_units, 'unit')}, marked and "
        "coloured by unit.",
        caption="A stretch where the strongest units fire, after preprocessing. Each spike is coloured on "
        "the channels where its unit is large, boldest on the strongest, in the colour of the unit's card; "
        "the rows below the voltage mark the spikes of each unit.",
    )


def _richest(units: Units, first: np.ndarray) -> float:
    """Return where the units that fire within one excerpt have the largest amplitudes together."""
    candidates = first[thin_evenly(len(first), max_count=400)]
    starts, stops = np.searchsorted(first, candidates), np.searchsorted(first, candidates + EXCERPT_S - 0.01)
    amplitudes = np.array([units.amplitude(row) for row in range(len(units.ids))])
    richness = [amplitudes[np.unique(units.index[a:b])].sum() for a, b in zip(starts, stops, strict=True)]
    return float(candidates[int(np.argmax(richness))]) - 0.005


def _channels_around(units: Units, rows: list[int]) -> list[object]:
    """Return the strongest channel of each unit, the largest unit first, then those next to them."""
    wanted = dict.fromkeys(units.channel_ids[units.strongest(row)] for row in rows)
    chosen = units.locations_um[[units.channel_ids.index(channel) for channel in wanted]]
    apart = np.linalg.norm(units.locations_um[:, None] - chosen, axis=-1).min(axis=1)
    near = [units.channel_ids[index] for index in np.argsort(apart, kind="stable")]
    return list(dict.fromkeys([*wanted, *near]))[:MAX_CHANNELS]


def _seen_on(units: Units, row: int) -> list[object]:
    """Return the channels on which a unit is at least half as large as on its strongest, that one first."""
    size = np.ptp(units.templates[row], axis=0)  # pyright: ignore[reportOptionalSubscript]
    order = np.argsort(-size, kind="stable")
    return [units.channel_ids[index] for index in order if size[index] >= 0.5 * size.max()]


def on_probe(units: Units) -> Figure | None:
    """Draw the mean waveforms of all units where their contacts are."""
    if units.templates is None or not len(units.ids):
        return None
    templates, n_channels = units.templates, len(units.channel_ids)
    sizes = [units.amplitude(row) for row in range(len(units.ids))]
    length_ms = templates.shape[1] / units.rate_hz * 1e3
    where = (
        ""
        if n_channels <= 8
        else f" where they are at least {VISIBLE:.0%} of their largest".replace("%", " %")
    )
    return half(
        lambda width_px: units_on_probe(
            templates,
            units.locations_um,
            names=units.ids,
            channel_ids=units.channel_ids,
            unit=units.unit,
            width_px=width_px,
        ),
        title="Waveforms on the probe",
        alt=f"Mean waveforms of {counted(len(units.ids), 'unit')} at the places of "
        f"{counted(n_channels, 'contact')}; from {written(min(sizes), 0)} to "
        f"{written(max(sizes), 0, unit=units.unit)} peak to peak.",
        caption=f"Mean waveforms of {length_ms:.3g} ms at their contacts' places, seen from the front, all "
        f"to one scale{where}. Numbers name units above the contact where they are largest.",
    )


def embedding(units_embedding: Embedding, ids: Sequence[object]) -> Figure | None:
    """Draw the map of spikes, in the colours that `ids`, the order of the cards, give the units."""
    row = {unit_id: index for index, unit_id in enumerate(ids)}
    lookup = np.array([row.get(unit_id, -1) for unit_id in units_embedding.unit_ids] + [-1])
    unit = lookup[np.asarray(units_embedding.unit, int)]
    n_points = len(unit)
    if not n_points:
        return None
    n_shown, n_units = min(n_points, MOST_POINTS), len(np.unique(unit[unit >= 0]))
    free = int((unit < 0).sum())
    return half(
        lambda width_px: embedding_map(units_embedding.places, unit, names=list(ids), width_px=width_px),
        title="Map of the spikes",
        alt=f"Embeddings of {counted(n_points, 'spike')} of {counted(n_units, 'unit')} on two axes, coloured "
        "by unit; units that are told apart well are clouds of their own.",
        caption=f"{n_shown:,} spikes by the shape that the sorter sees, on the two leading axes: alike "
        "spikes lie close together. Names stand at the middle of each unit; units that overlap here may be "
        "apart on further axes." + (f" Grey: {counted(free, 'spike')} of no unit." if free else ""),
    )
