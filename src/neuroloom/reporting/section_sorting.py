"""The page's section about the sorted units."""

from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom.reporting.drawing import thin_evenly
from neuroloom.reporting.figures_recording import Excerpt, traces
from neuroloom.reporting.figures_sorting import UnitCard, agreement_bars, shaded_matrix, unit_card
from neuroloom.reporting.layout import half, small, wide
from neuroloom.reporting.numbers import counted, written
from neuroloom.reporting.page import Block, Figure, Gallery, KeyFigure, Note, Section, Table
from neuroloom.reporting.palette import hue
from neuroloom.reporting.section_recording import EXCERPT_S, middle_excerpt

if TYPE_CHECKING:
    import pandas as pd
    from spikeinterface.comparison import GroundTruthComparison
    from spikeinterface.core import SortingAnalyzer

MAX_CARDS, MAX_SPREAD_SPIKES, FOUND = 40, 5000, 0.8

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
    unit_columns: "pd.DataFrame | None" = None,
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
    unit_columns
        More columns for the table of units, such as a confidence; rows are unit ids.
    lead
        A sentence on how the units were found.
    """
    n_units = 0 if analyzer is None else analyzer.get_num_units()
    key_figures = [KeyFigure(f"{n_units:,}", "sorted units" if n_units != 1 else "sorted unit")]
    blocks: list[Block] = []
    if analyzer is None or not n_units:
        blocks.append(
            Note("No units were found. A quiet recording or a high detection threshold gives this.")
        )
    else:
        units = _Units(analyzer)
        example = _example(units)
        if example is not None:
            blocks.append(example)
        blocks.append(_gallery(units))
        blocks.append(_table(units, unit_columns))
    if agreement is not None:
        agreement_blocks, key_figure = _agreement(agreement)
        blocks += agreement_blocks
        key_figures.append(key_figure)
    return Section(
        "Sorting",
        "sorting",
        lead=" ".join(filter(None, [f"{counted(n_units, 'unit').capitalize()} found.", lead])),
        blocks=blocks,
        key_figures=key_figures,
    )


class _Units:
    """What is known of each unit, read once from an analyzer."""

    def __init__(self, analyzer: "SortingAnalyzer"):
        self.analyzer, self.sorting = analyzer, analyzer.sorting
        self.ids = list(analyzer.unit_ids)
        self.rate_hz = analyzer.sampling_frequency
        self.duration_s = analyzer.get_total_duration()
        self.unit = "µV" if analyzer.return_in_uV else "steps"
        self.locations_um = np.asarray(analyzer.get_channel_locations(), float)
        self.channel_ids = list(analyzer.channel_ids)
        templates = analyzer.get_extension("templates") if analyzer.has_extension("templates") else None
        operators = [] if templates is None else list(templates.params["operators"])
        self.templates = templates.get_templates(operator="average") if "average" in operators else None  # pyright: ignore
        self.spreads = templates.get_templates(operator="std") if "std" in operators else None  # pyright: ignore
        # Several segments are laid end to end, as the reader's clock went.
        lengths = [analyzer.get_num_samples(segment) for segment in range(analyzer.get_num_segments())]
        self.starts_s = np.concatenate([[0], np.cumsum(lengths)[:-1]]) / self.rate_hz
        spikes: Any = self.sorting.to_spike_vector()
        self.times_s = spikes["sample_index"] / self.rate_hz + self.starts_s[spikes["segment_index"]]
        self.index = spikes["unit_index"]
        amplitudes = (
            analyzer.get_extension("spike_amplitudes") if analyzer.has_extension("spike_amplitudes") else None
        )
        self.amplitudes = None if amplitudes is None else np.asarray(amplitudes.get_data())

    def strongest(self, row: int) -> int:
        return int(np.argmax(np.ptp(self.templates[row], axis=0)))  # pyright: ignore

    def amplitude(self, row: int) -> float:
        return float(np.ptp(self.templates[row], axis=0).max()) if self.templates is not None else np.nan

    def spikes(self, row: int) -> np.ndarray:
        return self.times_s[self.index == row]

    def data(self, name: str) -> Any:
        return self.analyzer.get_extension(name).get_data() if self.analyzer.has_extension(name) else None  # pyright: ignore


def _gallery(units: _Units) -> Block:
    if units.templates is None:
        return Note("Waveforms were not computed.")
    counts = np.bincount(units.index, minlength=len(units.ids))
    shown = np.sort(np.argsort(-counts, kind="stable")[:MAX_CARDS])
    cards = [_card(units, int(row)) for row in shown]
    left_out = len(units.ids) - len(cards)
    caption = (
        "From top to bottom: mean waveform on the strongest channel with its standard deviation, and the "
        "mean on the channels around it; autocorrelogram in bins of 1 ms; amplitudes over the recording."
    )
    if left_out:
        caption += f" Drawn are the {len(cards)} units with most spikes; the table has all {len(units.ids)}."
    return Gallery("Units", cards, caption)


def _card(units: _Units, row: int) -> Figure:
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
    return small(
        lambda width_px: unit_card(card, width_px=width_px, color=hue(row)),
        title=f"Unit {units.ids[row]}",
        alt=f"Unit {units.ids[row]}: {counted(int(mine.sum()), 'spike')}, {rate}, {amplitude} peak to peak, "
        f"strongest on channel {channel}.",
        caption=f"{rate}, {amplitude}",
    )


def _table(units: _Units, extra: "pd.DataFrame | None") -> Table:
    metrics, locations = units.data("quality_metrics"), units.data("unit_locations")
    known = {} if metrics is None else {name: _METRICS[name] for name in _METRICS if name in metrics.columns}
    columns = ["Unit", "Spikes", "Rate (Hz)", "ISI < 2 ms (%)", f"Amplitude ({units.unit})", "Channel"]
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


def _example(units: _Units) -> Figure | None:
    """Draw sorted voltage where most units fire close together, spikes coloured by unit."""
    if units.templates is None or not units.analyzer.has_recording() or not len(units.times_s):
        return None
    first = units.times_s[units.times_s < (units.starts_s[1] if len(units.starts_s) > 1 else np.inf)]
    if not len(first):
        return None
    candidates = first[thin_evenly(len(first), max_count=400)]
    stops = np.searchsorted(first, candidates + EXCERPT_S)
    starts = np.searchsorted(first, candidates)
    richest = [len(np.unique(units.index[a:b])) for a, b in zip(starts, stops, strict=True)]
    start_s = float(candidates[int(np.argmax(richest))]) - 0.005
    rows = {int(row) for row in units.index[slice(*np.searchsorted(first, [start_s, start_s + EXCERPT_S]))]}
    wanted = dict.fromkeys(units.channel_ids[units.strongest(row)] for row in sorted(rows))
    channels = list(wanted)[:8] + [channel for channel in units.channel_ids if channel not in wanted]
    excerpt = middle_excerpt(units.analyzer.recording, start_s=start_s, channel_ids=channels[:8])
    columns = {channel: column for column, channel in enumerate(excerpt.channel_ids)}
    spikes = {}
    for row, unit_id in enumerate(units.ids):
        times_s = units.spikes(row)
        inside = times_s[(times_s >= excerpt.times_s[0]) & (times_s <= excerpt.times_s[-1])]
        # Units outside the excerpt keep their place, so that colours agree with the cards.
        spikes[unit_id] = (inside, columns.get(units.channel_ids[units.strongest(row)], 0))
        if units.channel_ids[units.strongest(row)] not in columns:
            spikes[unit_id] = (inside[:0], 0)
    excerpt = Excerpt(excerpt.times_s, excerpt.voltage, excerpt.channel_ids, excerpt.unit, spikes)
    n_spikes = sum(len(times) for times, _ in spikes.values())
    return wide(
        lambda width_px: traces(excerpt, width_px=width_px),
        title="Spikes in the voltage",
        alt=f"Preprocessed voltage on {counted(len(columns), 'channel')} with "
        f"{counted(n_spikes, 'sorted spike')} coloured by unit.",
        caption="A stretch where many units fire, after preprocessing. Each spike is coloured on its unit's "
        "strongest channel, in the colour of the unit's card below.",
    )


def _agreement(agreement: "GroundTruthComparison | pd.DataFrame") -> tuple[list[Block], KeyFigure]:
    scores = None
    if hasattr(agreement, "get_performance"):
        scores = agreement.get_ordered_agreement_scores()  # pyright: ignore
        agreement = agreement.get_performance()  # pyright: ignore
    table: pd.DataFrame = agreement  # pyright: ignore
    accuracy = np.nan_to_num(table["accuracy"].to_numpy(float))
    names = list(table.index)
    mean = float(accuracy.mean()) if len(accuracy) else np.nan
    n_found = int((accuracy >= FOUND).sum())
    blocks: list[Block] = []
    if len(names):
        blocks.append(
            half(
                lambda width_px: agreement_bars(names, accuracy, width_px=width_px),
                title="Agreement with the truth",
                alt=f"Accuracy of each of {counted(len(names), 'true unit')}; mean {mean:.2f}.",
                caption=f"{n_found} of {len(names)} true units were found with an accuracy of {FOUND} or "
                f"more (teal). Mean accuracy {mean:.2f}.",
            )
        )
    if scores is not None and scores.size and max(scores.shape) <= 80:
        matrix = scores
        blocks.append(
            half(
                lambda width_px: shaded_matrix(
                    matrix.to_numpy(float),
                    rows=list(matrix.index),
                    columns=list(matrix.columns),
                    row_title="True unit",
                    column_title="Sorted unit",
                    width_px=width_px,
                ),
                title="Who matches whom",
                alt="Agreement between every true and every sorted unit; a clean sorting shows a diagonal.",
                caption="Share of spikes in common, out of all spikes of either.",
            )
        )
    note = f"{n_found} of {len(names)} true units at {FOUND} or above"
    return blocks, KeyFigure(written(mean), "accuracy against the truth", note)
