"""A known truth: read, compared with a sorting, kept beside the run, shown on its page."""

import json
import re
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spikeinterface.core import NumpySorting

from neuroloom.cli.main import main
from neuroloom.errors import DataError, MissingFile
from neuroloom.pipeline.pages import write_report
from neuroloom.pipeline.truth import (
    calibrate,
    compare,
    in_common,
    keep_agreement,
    read_agreement,
    read_truth,
)
from neuroloom.simulation.recordings import inject
from neuroloom.sorting.details import SortingDetails, read_details
from neuroloom.sorting.export import read_sorting, write_sorting
from neuroloom.sorting.reading import read_recording

RATE_HZ = 30_000.0
TRAINS = {"a": np.arange(300, 30_000, 900), "b": np.arange(700, 30_000, 1300)}


def sorting_of(trains, rate_hz=RATE_HZ):
    return NumpySorting.from_unit_dict([trains], sampling_frequency=rate_hz)


def save(extractor, folder, **options):
    """Save as SpikeInterface does; that it cannot describe what is in memory alone is none of our concern."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        extractor.save(folder=folder, **options)


@pytest.fixture(scope="module")
def voltage():
    """One second of silence, to which the truth may belong."""
    return inject([], duration_s=1.0)[0]


def trains_of(sorting):
    return {str(unit): sorting.get_unit_spike_train(unit).tolist() for unit in sorting.unit_ids}


@pytest.mark.parametrize("kind", ["numpy_folder", "npz_folder", "npz", "neuroloom"])
def test_the_truth_is_read_in_every_format_it_is_saved_in(kind, voltage, tmp_path):
    truth, path = sorting_of(TRAINS), tmp_path / "truth"
    if kind == "neuroloom":
        write_sorting(truth, path)
    else:
        save(truth, path, format="npz_folder" if kind == "npz" else kind)
    if kind == "npz":
        path = path / "sorting_cached.npz"
    assert trains_of(read_truth(path, voltage)) == {name: train.tolist() for name, train in TRAINS.items()}


def test_a_truth_of_another_recording_is_refused(voltage, tmp_path):
    save(sorting_of(TRAINS, rate_hz=20_000.0), tmp_path / "slow")
    save(sorting_of({"a": np.array([5, 30_000])}), tmp_path / "long")
    with pytest.raises(DataError, match="20000 Hz"):
        read_truth(tmp_path / "slow", voltage)
    with pytest.raises(DataError, match="samples 5 to 30000"):
        read_truth(tmp_path / "long", voltage)


def test_what_is_no_sorting_is_refused_and_nothing_is_unpickled(voltage, tmp_path):
    with pytest.raises(MissingFile):
        read_truth(tmp_path / "absent", voltage)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="cannot be read as a sorting"):
        read_truth(tmp_path / "empty", voltage)
    np.savez(tmp_path / "pickled.npz", unit_ids=np.array([{}], object))
    with pytest.raises(DataError, match="cannot be read as a sorting"):
        read_truth(tmp_path / "pickled.npz", voltage)
    save(sorting_of(TRAINS), tmp_path / "segments")
    info = tmp_path / "segments" / "numpysorting_info.json"
    info.write_text(json.dumps(json.loads(info.read_text()) | {"num_segments": 2}))
    with pytest.raises(DataError, match="2 segments"):
        read_truth(tmp_path / "segments", voltage)
    info.write_text(json.dumps(json.loads(info.read_text()) | {"num_segments": 1, "unit_ids": ["a"]}))
    with pytest.raises(DataError, match="units 0 to 1 of 1"):
        read_truth(tmp_path / "segments", voltage)


@given(
    st.lists(st.integers(0, 60), max_size=12), st.lists(st.integers(0, 60), max_size=12), st.integers(0, 5)
)
def test_as_many_spikes_are_in_common_as_can_be_paired(ones, others, reach):
    from scipy.optimize import linear_sum_assignment

    ones, others = np.sort(np.array(ones, int)), np.sort(np.array(others, int))
    close = np.abs(ones[:, None] - others) <= reach
    rows, columns = linear_sum_assignment(-close.astype(float))
    shared = in_common(ones, others, reach)
    assert shared.sum() == close[rows, columns].sum()
    assert not (shared & ~close.any(axis=1)).any()


def test_right_spikes_are_those_of_the_partner_and_units_without_one_have_none():
    truth = sorting_of(TRAINS)
    foreign = np.arange(450, 30_000, 4500)
    found = sorting_of({
        0: TRAINS["b"] + 3, 1: np.sort(np.concatenate([TRAINS["a"][::2], foreign])), 2: TRAINS["b"][:9] + 1,
    })  # fmt: skip
    agreement = compare(found, truth)
    n_b, n_a, n_foreign = len(TRAINS["b"]), len(TRAINS["a"][::2]), len(foreign)
    assert agreement.precision.tolist() == pytest.approx([1.0, n_a / (n_a + n_foreign), 0.0])
    assert agreement.accuracy.tolist() == pytest.approx([1.0, n_a / (len(TRAINS["a"]) + n_foreign), 0.0])
    assert agreement.right[:n_b].all()
    assert agreement.right[n_b : n_b + n_a + n_foreign].sum() == n_a
    assert not agreement.right[n_b + n_a + n_foreign :].any()
    # Partners share a place, the best first.
    assert agreement.matches.index.tolist() == ["b", "a"]
    assert agreement.matches.columns.tolist() == [0, 1, 2]
    assert agreement.table.loc["b", "accuracy"] == pytest.approx(1.0)


def test_sortings_without_units_agree_with_nothing(tmp_path):
    nothing, truth = sorting_of({}), sorting_of(TRAINS)
    for found, true in ((nothing, truth), (truth, nothing), (nothing, nothing)):
        agreement = compare(found, true)
        keep_agreement(agreement, found, tmp_path / "kept")
        kept = read_agreement(tmp_path / "kept", found)
        assert kept.matches.shape == (len(true.unit_ids), len(found.unit_ids))
        assert not kept.right.any()


def test_a_kept_agreement_is_that_of_its_sorting_alone(tmp_path):
    truth, found = sorting_of(TRAINS), sorting_of({0: TRAINS["a"], 1: TRAINS["b"][:5]})
    agreement = compare(found, truth)
    keep_agreement(agreement, found, tmp_path / "kept")
    kept = read_agreement(tmp_path / "kept", found)
    np.testing.assert_array_equal(kept.right, agreement.right)
    assert kept.matches.equals(agreement.matches)
    assert kept.table["accuracy"].tolist() == agreement.table["accuracy"].tolist()
    assert kept.table.index.tolist() == ["a", "b"]
    assert read_agreement(tmp_path / "kept", sorting_of({0: TRAINS["a"]})) is None
    assert read_agreement(tmp_path / "absent", found) is None


def test_each_confidence_meets_the_truth_of_its_own_spike():
    truth, found = (
        sorting_of({"t": np.array([100, 300])}),
        sorting_of({0: np.array([100, 200, 300]), 1: np.array([100, 250])}),
    )
    details = SortingDetails(
        unit_ids=np.array([0, 1]), unit_confidence=np.array([0.9, 0.1]),
        spike_sample=np.array([100, 100, 200, 250, 300]), spike_unit=np.array([1, 0, 0, 1, 0]),
        spike_confidence=np.array([0.15, 0.91, 0.2, 0.12, 0.93]), spike_amplitude=np.ones(5),
    )  # fmt: skip
    calibration = calibrate(compare(found, truth), details)
    pairs = dict(zip(calibration.spike_confidence.tolist(), calibration.spike_right.tolist(), strict=True))
    assert pairs == {0.91: True, 0.2: False, 0.93: True, 0.15: False, 0.12: False}


@pytest.fixture(scope="module")
def sorted_folder(tmp_path_factory):
    """Ten seconds of tetrode on disk, with its truth, sorted by simsort from the command line."""
    folder = tmp_path_factory.mktemp("sort")
    rng = np.random.default_rng(0)
    trains = [np.sort(rng.uniform(0.05, 9.9, 80)) for _ in range(4)]
    trains = [times[np.diff(times, prepend=-1) > 0.004] for times in trains]
    recording, truth = inject(trains, duration_s=10.0, noise_uv=8.0, amplitudes_uv=(80.0, 200.0), seed=2)
    save(recording, folder / "voltage", progress_bar=False, n_jobs=1)
    save(truth, folder / "truth")
    arguments = ["sort", "--recording", str(folder / "voltage"), "--out", str(folder / "run"),
                 "--sorter", "simsort", "--no-phy"]  # fmt: skip
    assert main(arguments) == 0
    return folder, arguments


def headings(folder):
    return re.findall(r"<h3[^>]*>([^<]*)", (folder / "run" / "report.html").read_text())


def test_sort_says_what_it_wrote_and_compares_with_a_truth_that_comes_later(sorted_folder, capsys):
    folder, arguments = sorted_folder
    assert "Agreement with the truth" not in headings(folder)
    assert {"Spikes in the voltage", "Map of the spikes", "Waveforms on the probe"} <= set(headings(folder))
    assert main([*arguments, "--truth", str(folder / "truth")]) == 0
    said = capsys.readouterr().out
    assert "sorting: kept from before" in said
    assert "of the 4 true units were found" in said
    assert f"wrote {folder / 'run' / 'report.html'}" in said
    assert f"wrote {folder / 'run' / 'sorting' / 'sorting'}" in said
    assert "params.py" not in said
    # The run that follows goes on from this sorting, instead of sorting anew.
    following = (
        f"next: neuroloom run --recording {folder / 'voltage'} --sorter simsort --no-phy --behavior FILE"
    )
    assert said.strip().splitlines()[-1].startswith(following)
    expected = {"Agreement with the truth", "Who matches whom", "Confidence of units and the truth",
                "Confidence of spikes and the truth"}  # fmt: skip
    assert expected <= set(headings(folder))
    # A later report of the folder alone shows the same.
    page = (folder / "run" / "report.html").read_bytes()
    assert write_report(folder / "run").read_bytes() == page


def test_motion_that_cannot_be_followed_is_refused_and_nothing_is_lost(sorted_folder, capsys):
    folder, arguments = sorted_folder
    before = (folder / "run" / "sorting" / "manifest.json").read_bytes()
    assert main([*arguments, "--motion", "dredge_fast"]) == 2
    assert "place spikes along the probe" in capsys.readouterr().err
    assert (folder / "run" / "sorting" / "manifest.json").read_bytes() == before


def test_the_pages_numbers_are_those_of_the_sorting(sorted_folder):
    folder, _ = sorted_folder
    recording = read_recording(folder / "voltage")
    write_report(folder / "run", truth=read_truth(folder / "truth", recording))
    stage = folder / "run" / "sorting" / "sorting"
    found, details = read_sorting(stage), read_details(stage)
    page = (folder / "run" / "report.html").read_text()
    for value in details.unit_confidence:
        assert f"confidence {value:.2f}" in page
    agreement = read_agreement(folder / "run" / "page" / "truth", found)
    assert f"{agreement.right.sum():,} of {len(agreement.right):,} spikes are right" in page


def test_a_truth_that_cannot_be_read_stops_before_the_work(tmp_path, sorted_folder, capsys):
    folder, _ = sorted_folder
    code = main(["sort", "--recording", str(folder / "voltage"), "--out", str(tmp_path / "run"),
                 "--truth", str(tmp_path / "absent")])  # fmt: skip
    assert code == 2
    assert "absent does not exist" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_sort_without_units_suggests_to_check_the_recording(tmp_path, capsys):
    np.zeros((60_000, 4), np.int16).tofile(tmp_path / "my voltage.raw")
    code = main(["sort", "--recording", str(tmp_path / "my voltage.raw"), "--dtype", "int16",
                 "--channels", "4", "--rate-hz", "20000", "--gain-to-uv", "0.2", "--sorter", "simsort",
                 "--seed", "3", "--out", str(tmp_path / "run")])  # fmt: skip
    said = capsys.readouterr()
    assert code == 0, said.err
    assert "simsort found no units in 3 s." in said.out
    expected = (
        f"next: neuroloom check --recording '{tmp_path / 'my voltage.raw'}' --dtype int16 --channels 4 "
    )
    assert said.out.strip().splitlines()[-1] == expected + "--rate-hz 20000.0"
