"""Every section's builder, also with nothing to show."""

import re

import numpy as np
import pandas as pd
import pynapple as nap
import pytest
import spikeinterface.core as si

from neuroloom.errors import DataError
from neuroloom.reporting.page import Facts, Figure, Gallery, Note, Table
from neuroloom.reporting.sections import (
    decoding_section,
    recording_section,
    session_section,
    sorting_section,
)  # fmt: skip
from neuroloom.reporting.session.section import MAX_SPIKES
from neuroloom.reporting.sorting.overview import Embedding, embedding, example
from neuroloom.reporting.sorting.units import Units
from neuroloom.sessions.session import Session


def blocks(section, kind):
    return [block for block in section.blocks if isinstance(block, kind)]


def titles(section):
    return [block.title for block in section.blocks if hasattr(block, "title")]


def array_recording(voltage, rate_hz=10_000.0):
    return si.NumpyRecording([np.asarray(voltage, "float32")], rate_hz)


# Recording


def test_a_recording_is_described_and_drawn(simulated):
    section = recording_section(simulated[0])
    facts = dict(blocks(section, Facts)[0].items)
    assert facts["Channels"] == "4"
    assert facts["Sampling rate"].replace("\N{NO-BREAK SPACE}", " ") == "20 kHz"
    assert titles(section) == ["Probe and noise", "As stored", "As recorded"]


def test_bad_channels_are_named_and_crossed_out(simulated):
    section = recording_section(simulated[0], bad_channel_ids=[simulated[0].channel_ids[1]])
    assert dict(blocks(section, Facts)[0].items)["Channels left out"] == str(simulated[0].channel_ids[1])
    assert "Crosses" in blocks(section, Figure)[0].caption


def test_a_recording_without_probe_or_gain_says_so():
    section = recording_section(array_recording(np.random.default_rng(0).normal(size=(2000, 3))))
    assert "no probe" in blocks(section, Note)[0].text
    assert "unknown" in dict(blocks(section, Facts)[0].items)["Gain"]


@pytest.mark.parametrize("samples", [0, 1, 5])
def test_a_recording_of_hardly_any_samples_is_no_error(samples):
    section = recording_section(array_recording(np.zeros((samples, 2))))
    assert bool(blocks(section, Figure)) == (samples > 0)


def test_silence_and_nan_are_drawn_without_warnings():
    voltage = np.zeros((3000, 3))
    voltage[:, 1] = np.nan
    voltage[1400:1500, 2] = np.inf
    assert len(blocks(recording_section(array_recording(voltage)), Figure)) == 1


def test_of_many_channels_the_most_active_are_drawn_in_order_of_depth():
    recording, _ = si.generate_ground_truth_recording(durations=[0.5], num_channels=16, num_units=3, seed=0)
    figure = blocks(recording_section(recording), Figure)[-1]
    assert "8 channels with the largest swings" in figure.caption


# Sorting


@pytest.fixture(scope="module")
def sorted_section(simulated):
    extra = pd.DataFrame({"Confidence": [0.5]}, index=simulated[2].unit_ids[:1])
    return sorting_section(simulated[2], unit_columns=extra)


def test_every_unit_has_a_card_and_a_row(simulated, sorted_section):
    section = sorted_section
    gallery, table = blocks(section, Gallery)[0], blocks(section, Table)[0]
    assert [figure.title for figure in gallery.figures] == [f"Unit {unit}" for unit in simulated[2].unit_ids]
    assert [row[0] for row in table.rows] == [str(unit) for unit in simulated[2].unit_ids]
    assert {"SNR", "Rate (Hz)", "ISI < 2 ms (%)", "Along (µm)"} <= set(table.columns)
    assert section.key_figures[0].value == "4"


def test_rates_in_the_table_are_those_of_the_spikes(simulated, sorted_section):
    truth = simulated[1]
    rows = blocks(sorted_section, Table)[0].rows
    for unit, row in zip(truth.unit_ids, rows, strict=True):
        assert float(row[2]) == pytest.approx(len(truth.get_unit_spike_train(unit)) / 8.0, abs=0.051)


def test_no_units_are_a_page_not_a_crash():
    section = sorting_section(None)
    assert "No units" in blocks(section, Note)[0].text
    assert section.key_figures[0].value == "0"


def test_a_sorting_without_any_extension_keeps_its_table(simulated):
    recording, truth, _ = simulated
    analyzer = si.create_sorting_analyzer(truth, recording, format="memory", sparse=False)
    section = sorting_section(analyzer)
    assert blocks(section, Note)[0].text == "Waveforms were not computed."
    assert len(blocks(section, Table)[0].rows) == 4


def test_a_unit_without_spikes_and_a_single_unit_are_drawn(simulated):
    recording = simulated[0]
    train = np.arange(200, 150_000, 997)
    for trains in ({"a": train}, {"a": train, "b": np.array([], int)}):
        sorting = si.NumpySorting.from_unit_dict([trains], 20_000.0)
        analyzer = si.create_sorting_analyzer(sorting, recording, format="memory", sparse=False)
        analyzer.compute(["random_spikes", "templates"], verbose=False, progress_bar=False, n_jobs=1)
        section = sorting_section(analyzer)
        assert len(blocks(section, Gallery)[0].figures) == len(trains)


def test_agreement_counts_the_units_that_were_found():
    performance = pd.DataFrame({"accuracy": [0.99, 0.81, 0.79, np.nan]}, index=list("abcd"))
    section = sorting_section(None, agreement=performance)
    assert section.key_figures[1].value == "0.65"
    assert section.key_figures[1].note.startswith("2 of 4")


def test_a_comparison_brings_its_matrix(simulated):
    from spikeinterface.comparison import compare_sorter_to_ground_truth

    truth = simulated[1]
    section = sorting_section(None, agreement=compare_sorter_to_ground_truth(truth, truth))
    assert titles(section)[-2:] == ["Agreement with the truth", "Who matches whom"]
    assert section.key_figures[1].value == "1.00"


def test_a_table_of_agreement_may_bring_its_matrix_too():
    performance = pd.DataFrame({"accuracy": [0.9]}, index=["a"])
    matches = pd.DataFrame([[0.9, 0.0]], index=["a"], columns=["x", "y"])
    section = sorting_section(None, agreement=performance, matches=matches)
    assert titles(section)[-1] == "Who matches whom"
    assert ">.90<" in blocks(section, Figure)[-1].svg


def test_more_columns_join_the_table_by_unit(sorted_section):
    table = blocks(sorted_section, Table)[0]
    assert table.columns[-1] == "Confidence"
    assert [row[-1] for row in table.rows] == ["0.50", "–", "–", "–"]


def test_a_sorting_without_confidences_shows_none(sorted_section):
    assert titles(sorted_section) == [
        "Spikes in the voltage", "Waveforms on the probe", "Units", "Quality of every unit",
    ]  # fmt: skip
    assert "confidence" not in blocks(sorted_section, Gallery)[0].figures[0].caption


def test_confidences_stand_in_the_table_on_the_cards_and_beside_the_truth(sections):
    section = sections[1]
    assert titles(section) == [
        "Spikes in the voltage", "Waveforms on the probe", "Map of the spikes", "How sure each unit is",
        "Units", "Quality of every unit", "Agreement with the truth", "Confidence of units and the truth",
        "Confidence of spikes and the truth",
    ]  # fmt: skip
    sure = next(block for block in blocks(section, Figure) if block.title == "How sure each unit is")
    assert "median 0.80, lowest 0.30" in sure.alt
    assert "2 units below 0.8" in sure.alt
    table = blocks(section, Table)[0]
    assert table.columns[:2] == ["Unit", "Confidence"]
    assert [row[1] for row in table.rows] == ["0.99", "0.90", "0.70", "0.30"]
    card = blocks(section, Gallery)[0].figures[2]
    assert card.caption.endswith("confidence 0.70")
    assert "confidence 0.70" in card.alt


def test_the_calibration_error_is_told_in_words(sections):
    spikes = blocks(sections[1], Figure)[-1]
    # As many are right as the confidences say, up to chance.
    error = float(re.search(r"Expected calibration error (0\.\d+)", spikes.caption)[1])
    assert error < 0.08
    assert f"{error:.3f}" in spikes.alt
    assert "10 groups" in spikes.alt
    assert "differ by 0.12 on average" in blocks(sections[1], Figure)[-2].alt


def test_a_unit_that_was_left_out_keeps_no_colour_on_the_map():
    places = np.arange(8.0).reshape(4, 2)
    figure = embedding(Embedding(places, np.array([0, 1, 2, -1]), ["gone", "b", "c"]), ["b", "c"])
    assert "2 units" in figure.alt
    assert "2 spikes of no unit" in figure.caption
    assert embedding(Embedding(np.zeros((0, 2)), np.zeros(0, int), ["b"]), ["b"]) is None


def test_the_example_shows_channels_around_the_strongest_units_and_counts_their_spikes():
    recording, truth = si.generate_ground_truth_recording(
        durations=[4.0], num_channels=16, num_units=6, seed=3, sampling_frequency=20_000.0
    )
    analyzer = si.create_sorting_analyzer(truth, recording, format="memory", sparse=False)
    analyzer.compute(["random_spikes", "templates"], verbose=False, progress_bar=False, n_jobs=1)
    units = Units(analyzer)
    drawn = example(units)
    n_spikes, n_units = map(int, re.search(r"with (\d+) sorted spikes of (\d+) units", drawn.alt).groups())
    assert n_spikes >= n_units >= 3
    assert set(re.findall(r">unit (\d)<", drawn.svg)) <= {str(unit) for unit in units.ids}
    assert len(re.findall(r">unit \d<", drawn.svg)) == n_units
    largest = max(range(6), key=units.amplitude)
    assert f">{units.channel_ids[units.strongest(largest)]}<" in drawn.svg


def test_a_measure_that_no_unit_has_is_no_column(simulated):
    analyzer = simulated[2].copy()
    metrics = analyzer.get_extension("quality_metrics").data["metrics"]
    assert "snr" in metrics
    metrics["presence_ratio"] = np.nan
    columns = blocks(sorting_section(analyzer), Table)[0].columns
    assert "SNR" in columns
    assert "Presence" not in columns


def test_an_earlier_drawing_stands_in_where_the_voltage_is_gone(simulated):
    analyzer = simulated[2].copy()
    analyzer._recording = None
    kept = Figure('<svg viewBox="0 0 9 9"></svg>', "kept", "Spikes in the voltage")
    assert blocks(sorting_section(analyzer, drawn_example=kept), Figure)[0] is kept
    assert titles(sorting_section(analyzer))[0] == "Waveforms on the probe"


def test_hostile_unit_names_are_drawn(simulated):
    sorting = simulated[1].rename_units(["$x_{$", "<b>", "a" * 500, "\u202eb"])
    analyzer = si.create_sorting_analyzer(sorting, simulated[0], format="memory", sparse=False)
    analyzer.compute(["random_spikes", "templates"], verbose=False, progress_bar=False, n_jobs=1)
    performance = pd.DataFrame({"accuracy": [1.0, 1, 1, 1]}, index=sorting.unit_ids)
    section = sorting_section(analyzer, agreement=performance)
    assert "Unit <b>" in [figure.title for figure in blocks(section, Gallery)[0].figures]


# Session


def test_a_session_shows_spikes_behaviour_rates_and_trials(session):
    section = session_section(session)
    assert titles(section)[1:] == ["Spikes and behaviour", "Firing rates", "10 trials"]
    assert blocks(section, Table)[0].rows[1] == ["target", "0 (5), 1 (5)"]


@pytest.mark.parametrize(
    "parts",
    [
        {"spike_times_s": []},
        {"spike_times_s": [[]]},
        {"spike_times_s": [[0.5]]},
        {"spike_times_s": [], "behavior": {"x": (np.arange(0, 1, 0.1), np.zeros(10))}},
        {"spike_times_s": [[0.1, 0.2]], "behavior": {"x": (np.arange(0, 1, 0.1), np.full((10, 3), np.nan))}},
        {"spike_times_s": [[0.1]], "trials": pd.DataFrame({"start": [], "end": []}, dtype=float)},
    ],
    ids=["no units", "a silent unit", "one spike", "only behaviour", "NaN behaviour", "empty trials"],
)
def test_sessions_that_lack_something_are_described(parts):
    section = session_section(Session.from_arrays(id="a", time_support=(0, 1), **parts))
    assert dict(blocks(section, Facts)[0].items)["Units"] == str(len(parts["spike_times_s"]))


def test_dense_sessions_show_a_shorter_stretch():
    rng = np.random.default_rng(0)
    trains = [np.sort(rng.uniform(0, 60, 6000)) for _ in range(150)]
    section = session_section(Session.from_arrays(id="a", spike_times_s=trains, time_support=(0, 60)))
    raster = blocks(section, Figure)[0]
    assert "100 of 150 units" in raster.caption
    assert len(raster.svg) < 40 * MAX_SPIKES


# Decoding


def test_predictions_of_two_dimensions_are_drawn_over_time_and_against_the_truth(session):
    velocity = session.behavior["velocity"]
    section = decoding_section(velocity, velocity, target="velocity", model="Wiener", metric="R²", score=1.0)
    assert len(blocks(section, Figure)) == 5
    assert titles(section)[0] == "Predicted and true over time"
    assert "Error by direction of velocity" in titles(section)
    assert section.key_figures[0].value == "1.00"


def test_labels_give_a_confusion_matrix_with_the_right_shares():
    section = decoding_section(
        np.array(["a", "b", "b", "b"]), np.array(["a", "a", "b", "b"]), target="side", model="GRU",
        metric="accuracy", score=0.75,
    )  # fmt: skip
    assert "a 0.50, b 1.00" in blocks(section, Figure)[0].alt


def test_labels_may_come_as_pynapple_series():
    series = nap.Tsd(t=np.arange(4.0), d=np.array([0, 1, 1, 0]))
    section = decoding_section(series, series, target="side", model="GRU", metric="accuracy", score=1.0)
    assert titles(section) == ["Confusion"]


def test_an_undefined_score_is_called_undefined():
    section = decoding_section(
        np.zeros(5), np.full(5, np.nan), target="x", model="m", metric="R²", score=np.nan
    )
    assert section.key_figures[0].value == "undefined"


def test_nothing_held_out_is_said():
    section = decoding_section(
        np.zeros((0, 2)), np.zeros((0, 2)), target="x", model="m", metric="R²", score=np.nan
    )
    assert "nothing to score" in blocks(section, Note)[0].text


def test_predictions_and_truth_of_different_length_are_refused():
    with pytest.raises(DataError, match="4 predictions"):
        decoding_section(np.zeros(4), np.zeros(5), target="x", model="m", metric="R²", score=0.0)


def test_long_predictions_stay_small():
    values = np.random.default_rng(0).normal(size=(200_000, 2))
    truth = nap.TsdFrame(t=np.arange(200_000) * 0.001, d=values)
    section = decoding_section(truth, truth, target="x", model="m", metric="R²", score=1.0)
    assert sum(len(figure.svg) + len(figure.narrow_svg) for figure in blocks(section, Figure)) < 400_000
