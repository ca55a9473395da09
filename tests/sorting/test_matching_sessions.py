"""The same neurons found twice: units of two recordings from one probe."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from spikeinterface.core import NumpySorting

from neuroloom.cli import main
from neuroloom.errors import DataError, MissingFile
from neuroloom.simulation.recordings import inject
from neuroloom.sorting.export import write_sorting
from neuroloom.sorting.matching_sessions import match_units
from neuroloom.sorting.quality import analyze
from neuroloom.sorting.sorter import sort

DAY_S = 12.0
AMPLITUDES_UV = [240.0, 200.0, 160.0, 130.0]


def firing(n_units: int, duration_s: float, *, seed: int) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    trains = []
    for _ in range(n_units):
        times = np.sort(random.uniform(0.01, duration_s - 0.01, int(12 * duration_s)))
        trains.append(times[np.insert(np.diff(times) > 0.004, 0, True)])
    return trains


def days(*, probe: str = "tetrode", seed: int = 4):
    """The same cells twice: one long recording, cut in two, so that spikes and noise differ."""
    trains = firing(len(AMPLITUDES_UV), 2 * DAY_S, seed=seed)
    recording, truth = inject(
        trains, probe=probe, duration_s=2 * DAY_S, amplitudes_uv=AMPLITUDES_UV, noise_uv=8.0, seed=seed
    )
    half = recording.get_num_samples(0) // 2
    spans = (0, half), (half, 2 * half)
    return [(recording.frame_slice(*span), truth.frame_slice(*span)) for span in spans]


@pytest.fixture(scope="module")
def two_days():
    return days()


def truly(recording, truth, *, names=None):
    """An analyzer of the true units, under other names if wanted."""
    named = {
        unit if names is None else names[unit]: truth.get_unit_spike_train(unit_id=unit)
        for unit in truth.unit_ids
    }
    sorting = NumpySorting.from_unit_dict([named], truth.get_sampling_frequency())
    return analyze(sorting, recording)


def pairs_of(matched) -> dict:
    return dict(zip(matched.pairs["first"], matched.pairs["second"], strict=True))


def test_the_same_cells_are_matched_whatever_they_are_called(two_days):
    names = {0: 12, 1: 10, 2: 13, 3: 11}
    matched = match_units(truly(*two_days[0]), truly(*two_days[1], names=names))
    assert pairs_of(matched) == names
    assert matched.only_first == matched.only_second == []
    assert np.all(matched.pairs["similarity"] > matched.pairs["runner_up"])
    assert matched.pairs["similarity"].is_monotonic_decreasing
    assert matched.pairs["first_violations"].tolist() == [0] * 4
    assert matched.similarity.shape == (4, 4)


def test_what_simsort_finds_twice_is_matched_to_the_same_cells(two_days):
    from neuroloom.sorting.agreement import compare_with_truth

    analyzers, cells = [], []
    for recording, truth in two_days:
        sorting = sort(recording)
        found = compare_with_truth(sorting, truth)["found_unit"]
        cells.append({unit: cell for cell, unit in found.items()})
        analyzers.append(analyze(sorting, recording))
    matched = pairs_of(match_units(*analyzers))
    assert len(matched) == 4
    assert all(cells[0][one] == cells[1][other] for one, other in matched.items())


def test_other_cells_are_not_matched(two_days):
    matched = match_units(truly(*two_days[0]), truly(*days(seed=11)[1]))
    assert len(matched.pairs) == 0
    assert list(matched.pairs.columns) == list(match_units(*map(truly, *zip(*two_days, strict=True))).pairs)
    assert matched.only_first == matched.only_second == [0, 1, 2, 3]


def test_a_cell_that_is_gone_leaves_the_others_their_partners(two_days):
    recording, truth = two_days[1]
    matched = match_units(truly(*two_days[0]), truly(recording, truth.select_units([0, 2, 3])))
    assert pairs_of(matched) == {0: 0, 2: 2, 3: 3}
    assert (matched.only_first, matched.only_second) == ([1], [])


def test_a_channel_that_went_bad_and_another_order_of_channels_do_not_matter(two_days):
    recording, truth = two_days[1]
    fewer = recording.select_channels(np.asarray(recording.channel_ids)[[3, 0, 2]])
    matched = match_units(truly(*two_days[0]), truly(fewer, truth), least=0.7)
    assert pairs_of(matched) == {unit: unit for unit in range(4)}


def test_more_channels_than_a_unit_is_seen_on_do_not_matter():
    first, second = days(probe="columns-32")
    assert pairs_of(match_units(truly(*first), truly(*second))) == {unit: unit for unit in range(4)}


# Refusals


def test_recordings_of_two_probes_are_refused(two_days):
    with pytest.raises(DataError, match="probes of 4 and 32 contacts that share"):
        match_units(truly(*two_days[0]), truly(*days(probe="columns-32")[1]))


def test_two_sampling_rates_are_refused(two_days):
    trains = firing(2, 3.0, seed=0)
    slow = inject(trains, rate_hz=20_000.0, duration_s=3.0)
    with pytest.raises(DataError, match="recordings at 30000 and 20000 Hz"):
        match_units(truly(*two_days[0]), truly(*slow))


def test_a_sorting_without_units_is_refused(two_days, tmp_path):
    recording, truth = two_days[0]
    none = truth.select_units([])
    with pytest.raises(DataError, match="has no units"):
        match_units(truly(recording, truth), truly(recording, none))
    write_sorting(none, tmp_path / "run" / "sorting" / "sorting")
    with pytest.raises(DataError, match=r"run has no units.*neuroloom check"):
        match_units(truly(recording, truth), tmp_path / "run")


def test_folders_that_hold_no_waveforms_are_refused(two_days, tmp_path):
    write_sorting(two_days[0][1], tmp_path / "spikes")
    with pytest.raises(MissingFile, match="holds no waveforms of sorted units"):
        match_units(tmp_path / "spikes", tmp_path / "spikes")
    with pytest.raises(MissingFile, match="absent does not exist"):
        match_units(tmp_path / "absent", tmp_path / "spikes")


def test_a_similarity_that_cannot_be_is_refused(two_days):
    with pytest.raises(DataError, match="least=1; expected between 0 and 1"):
        match_units(tmp := truly(*two_days[0]), tmp, least=1.0)


# The verb and the example


def test_the_verb_prints_and_writes_the_pairs(two_days, tmp_path, capsys):
    import pandas as pd

    for name, (recording, truth) in zip(("monday", "tuesday"), two_days, strict=True):
        analyze(truth, recording, tmp_path / name / "sorting" / "analyzer")
    table = tmp_path / "pairs.csv"
    monday, tuesday = str(tmp_path / "monday"), str(tmp_path / "tuesday")
    assert main(["match", "--first", monday, "--second", tuesday, "--out", str(table)]) == 0
    printed = capsys.readouterr().out
    assert "4 pairs; without a partner: 0 units of the first sorting, 0 of the second" in printed
    assert f"wrote {table}" in printed
    assert pd.read_csv(table)["second"].tolist() == pd.read_csv(table)["first"].tolist()
    assert main(["match", "--first", monday, "--second", str(tmp_path / "friday")]) == 2


@pytest.mark.shared_data
def test_two_trials_of_the_locust_tetrode_have_the_same_units(shared_data, tmp_path):
    path = Path(__file__).resolve().parents[2] / "examples" / "locust_two_trials.py"
    spec = importlib.util.spec_from_file_location("locust_two_trials", path)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    matched = example.match_trials(shared_data / "voltage" / "locust_tetrode", tmp_path)
    assert len(matched.pairs) >= 6
    assert len(matched.only_first) + len(matched.only_second) <= 1
    assert (matched.pairs["similarity"] > matched.pairs["runner_up"] + 0.1).all()
    assert (matched.pairs["first_violations"] <= 0.01 * matched.pairs["first_spikes"]).all()
    assert (matched.pairs["second_violations"] <= 0.01 * matched.pairs["second_spikes"]).all()
    # Each cell fires about as often in both.
    ratio = matched.pairs["second_spikes"] / matched.pairs["first_spikes"]
    assert ratio.between(0.5, 2).all()
    assert (tmp_path / "pairs.csv").exists()
