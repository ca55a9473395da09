"""The page's section about the sorted units."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from neuroloom.reporting.layout import small, wide
from neuroloom.reporting.numbers import counted, written
from neuroloom.reporting.page import Block, Figure, Gallery, KeyFigure, Note, Section, Table
from neuroloom.reporting.palette import hue
from neuroloom.reporting.sorting.calibration import Calibration
from neuroloom.reporting.sorting.figures_cards import UnitCard, confidence_dots, unit_card
from neuroloom.reporting.sorting.overview import Embedding, embedding, example, on_probe
from neuroloom.reporting.sorting.truth import agreement_blocks, calibration_blocks
from neuroloom.reporting.sorting.units import Units

if TYPE_CHECKING:
    import pandas as pd
    from spikeinterface.comparison import GroundTruthComparison
    from spikeinterface.core import SortingAnalyzer

MAX_CARDS = 40
# A unit below it is worth a look before one believes it.
SURE = 0.8

# Column of SpikeInterface's quality metrics -> heading and decimals.
_METRICS = {
    "snr": ("SNR", 1),
    "isi_violations_ratio": ("ISI violations ratio", 2),
    "presence_ratio": ("Presence", 2),
    "amplitude_cutoff": ("Amplitude cut-off", 3),
}


def sorting_section(
    analyzer: "SortingAnalyzer | None",
    *,
    agreement: "GroundTruthComparison | pd.DataFrame | None" = None,
    matches: "pd.DataFrame | None" = None,
    unit_columns: "pd.DataFrame | None" = None,
    unit_confidence: Mapping[object, float] | None = None,
    spike_map: Embedding | None = None,
    calibration: Calibration | None = None,
    drawn_example: Figure | None = None,
    lead: str = "",
) -> Section:
    """Show every unit: waveform, footprint, autocorrelogram, amplitudes, quality; and the truth where known.

    Parameters
    ----------
    analyzer
        Whatever extensions it has are used (``templates``, ``spike_amplitudes``, ``quality_metrics``,
        ``unit_locations``); None stands for a sorting without units.
    agreement
        A comparison with the true units, or its table of performance (rows: true units; column
        ``accuracy``).
    matches
        Agreement of every true (rows) with every sorted unit (columns), where `agreement` is a table.
    unit_columns
        More columns for the table of units; rows are unit ids.
    unit_confidence
        Unit id -> how far the unit is to be trusted, 0 to 1, for the table and the cards.
    spike_map
        Where the sorter's embedding puts spikes.
    calibration
        Confidences beside the truth.
    drawn_example
        The spikes in the voltage from an earlier report, for an analyzer without its recording.
    lead
        A sentence on how the units were found.
    """
    n_units = 0 if analyzer is None else analyzer.get_num_units()
    known = [value for value in (unit_confidence or {}).values() if np.isfinite(value)]
    trust = f"median confidence {written(np.median(known))}" if n_units and known else ""
    key_figures = [KeyFigure(f"{n_units:,}", "sorted units" if n_units != 1 else "sorted unit", trust)]
    blocks: list[Block] = []
    if analyzer is None or not n_units:
        blocks.append(
            Note("No units were found. A quiet recording or a high detection threshold gives this.")
        )
    else:
        units, confidence = Units(analyzer), unit_confidence or {}
        overview = [example(units) or drawn_example, on_probe(units)]
        overview.append(None if spike_map is None else embedding(spike_map, units.ids))
        blocks += [figure for figure in overview if figure is not None]
        if confidence:
            blocks.append(_sureness(units, confidence))
        blocks.append(_gallery(units, confidence))
        blocks.append(_table(units, confidence, unit_columns))
    if agreement is not None:
        compared, key_figure = agreement_blocks(agreement, matches)
        blocks += compared
        key_figures.append(key_figure)
    if calibration is not None:
        blocks += calibration_blocks(calibration)
    return Section(
        "Sorting",
        "sorting",
        lead=" ".join(filter(None, [f"{counted(n_units, 'unit').capitalize()} found.", lead])),
        blocks=blocks,
        key_figures=key_figures,
    )


def _sureness(units: Units, confidence: Mapping[object, float]) -> Block:
    ids = [unit_id for unit_id in units.ids if unit_id in confidence]
    values = np.array([confidence[unit_id] for unit_id in ids], float)
    n_doubtful = int((values < SURE).sum())
    lowest = int(np.nanargmin(values)) if np.isfinite(values).any() else 0
    return wide(
        lambda width_px: confidence_dots(ids, values, sure=SURE, width_px=width_px),
        title="How sure each unit is",
        alt=f"Confidence of {counted(len(ids), 'unit')}: median {written(np.median(values))}, lowest "
        f"{written(values[lowest])} of unit {ids[lowest]}; {counted(n_doubtful, 'unit')} below {SURE:g}.",
        caption="Confidence is the expected share of a unit's spikes that are its own; it does not tell how "
        f"many were missed. Rings: below {SURE:g}, to be looked at before they are believed.",
    )


def _gallery(units: Units, confidence: Mapping[object, float]) -> Block:
    if units.templates is None:
        return Note("Waveforms were not computed.")
    counts = np.bincount(units.index, minlength=len(units.ids))
    shown = np.sort(np.argsort(-counts, kind="stable")[:MAX_CARDS])
    cards = [_card(units, int(row), confidence) for row in shown]
    left_out = len(units.ids) - len(cards)
    caption = (
        "From top to bottom: mean waveform on the strongest channel with its standard deviation, and the "
        "mean on the channels around it; autocorrelogram in bins of 1 ms; amplitudes over the recording."
    )
    if left_out:
        caption += f" Drawn are the {len(cards)} units with most spikes; the table has all {len(units.ids)}."
    return Gallery("Units", cards, caption)


def _card(units: Units, row: int, confidence: Mapping[object, float]) -> Figure:
    mine = units.index == row
    duration_s = max(units.duration_s, 1e-9)
    card = UnitCard(
        template=units.templates[row],  # pyright: ignore
        spread=None if units.spreads is None else units.spreads[row],
        rate_hz=units.rate_hz,
        strongest=units.strongest(row),
        locations_um=units.locations_um,
        spike_times_s=units.times_s[mine],
        amplitudes=None if units.amplitudes is None else units.amplitudes[mine],
        duration_s=units.duration_s,
        unit=units.unit,
    )
    rate, amplitude = (
        written(mine.sum() / duration_s, 1, unit="Hz"),
        written(units.amplitude(row), 0, unit=units.unit),
    )
    channel = units.channel_ids[card.strongest]
    trust = f", confidence {written(confidence[units.ids[row]])}" if units.ids[row] in confidence else ""
    return small(
        lambda width_px: unit_card(card, width_px=width_px, color=hue(row)),
        title=f"Unit {units.ids[row]}",
        alt=f"Unit {units.ids[row]}: {counted(int(mine.sum()), 'spike')}, {rate}, {amplitude} peak to peak, "
        f"strongest on channel {channel}{trust}.",
        caption=f"{rate}, {amplitude}{trust}",
    )


def _table(units: Units, confidence: Mapping[object, float], extra: "pd.DataFrame | None") -> Table:
    metrics, locations = units.data("quality_metrics"), units.data("unit_locations")
    known = {}
    if metrics is not None:
        # What no unit has, as some have not in short recordings, is left out.
        known = {name: _METRICS[name] for name in _METRICS if name in metrics and metrics[name].notna().any()}
    columns = [
        "Unit",
        *(["Confidence"] if confidence else []),
        "Spikes",
        "Rate (Hz)",
        "ISI < 2 ms (%)",
        f"Amplitude ({units.unit})",
        "Channel",
    ]
    columns += [heading for heading, _ in known.values()]
    columns += ["Across (µm)", "Along (µm)"] if locations is not None else []
    columns += [] if extra is None else [str(name) for name in extra.columns]
    rows = []
    for row, unit_id in enumerate(units.ids):
        times_s = units.spikes(row)
        intervals_s = np.diff(np.sort(times_s))
        short = 100 * float(np.mean(intervals_s < 0.002)) if len(intervals_s) else np.nan
        channel = str(units.channel_ids[units.strongest(row)]) if units.templates is not None else "–"
        cells = [
            str(unit_id),
            *([written(confidence.get(unit_id))] if confidence else []),
            f"{len(times_s):,}",
            written(len(times_s) / max(units.duration_s, 1e-9), 1),
            written(short),
            written(units.amplitude(row), 0),
            channel,
        ]
        cells += [written(metrics.loc[unit_id, name], digits) for name, (_, digits) in known.items()]  # pyright: ignore
        if locations is not None:
            cells += [
                written(locations[row][0], 0),
                written(locations[row][-1 if locations.shape[1] == 2 else 1], 0),
            ]
        if extra is not None:
            known_unit = unit_id in extra.index
            cells += [written(extra.loc[unit_id, name]) if known_unit else "–" for name in extra.columns]
        rows.append(cells)
    return Table(columns, rows, title="Quality of every unit")
