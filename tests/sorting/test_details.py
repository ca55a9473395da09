from types import SimpleNamespace

import numpy as np
import pytest

from neuroloom.errors import CorruptArtifact, DataError, MissingFile
from neuroloom.sorting import simsort as simsort_module
from neuroloom.sorting.details import SortingDetails, read_details, write_details
from neuroloom.sorting.export import read_sorting, write_sorting
from neuroloom.sorting.sorter import sort, sort_with_details

DETAILS = SortingDetails(
    unit_ids=np.array([0, 1]),
    unit_confidence=np.array([0.9, 0.8]),
    spike_sample=np.array([3, 5, 5]),
    spike_unit=np.array([0, 0, 1]),
    spike_confidence=np.array([1.0, 0.7, 0.4]),
    spike_amplitude=np.array([1.1, 0.9, 1.0]),
    map_sample=np.array([3, 8]),
    map_unit=np.array([0, -1]),
    map_points=np.array([[0.5, 1.5], [2.0, 0.0]], np.float32),
    events={"events": 12},
)


def columns(details: SortingDetails) -> dict:
    return {name: np.asarray(value).tolist() for name, value in vars(details).items() if name != "events"}


@pytest.fixture(scope="module")
def sorted_with_details(tetrode):
    return sort_with_details(tetrode[0])


@pytest.fixture
def given(monkeypatch):
    """Make simsort find what a test says it finds."""

    def give(**found):
        monkeypatch.setattr(simsort_module, "simsort", lambda *args, **kwargs: SimpleNamespace(**found))

    return give


def test_details_are_read_back_equal(tmp_path):
    write_details(DETAILS, tmp_path / "details")
    for folder in (tmp_path, tmp_path / "details"):
        read = read_details(folder)
        assert columns(read) == columns(DETAILS)
        assert read.events == {"events": 12}
        assert read.map_points.dtype == np.float32


def test_a_map_and_counts_are_optional(tmp_path):
    write_details(SortingDetails.empty(), tmp_path / "details")
    read = read_details(tmp_path)
    assert read.map_points.shape == (0, 2)
    assert read.events == {}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"spike_confidence": np.zeros(2)}, "details of different lengths"),
        ({"unit_confidence": np.zeros(3)}, "details of different lengths"),
        ({"map_points": np.zeros((2, 3))}, r"a map of shape \(2, 3\)"),
        ({"spike_unit": np.array([0, 0, 2])}, "spike_unit goes from 0 to 2; expected 0 to 1"),
        ({"spike_unit": np.array([-1, 0, 1])}, "spike_unit goes from -1 to 1; expected 0 to 1"),
        ({"map_unit": np.array([-2, 0])}, "map_unit goes from -2 to 0; expected -1 to 1"),
    ],
)
def test_details_that_do_not_agree_are_refused(wrong, said):
    with pytest.raises(DataError, match=said):
        SortingDetails(**(vars(DETAILS) | wrong))


def test_damaged_and_foreign_details_are_refused(tmp_path, sorted_with_details):
    write_details(DETAILS, tmp_path / "details")
    path = tmp_path / "details" / "arrays.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    with pytest.raises(CorruptArtifact, match="was altered after writing"):
        read_details(tmp_path)
    write_sorting(sorted_with_details[0], tmp_path / "other" / "details")
    with pytest.raises(CorruptArtifact, match="holds a 'sorting'"):
        read_details(tmp_path / "other")


def test_a_sorting_of_another_sorter_has_no_details(tetrode, sorted_tetrode, tmp_path):
    sort(tetrode[0], sorter="simple", folder=tmp_path / "simple")
    with pytest.raises(MissingFile, match="details does not exist"):
        read_details(tmp_path / "simple")
    write_sorting(sorted_tetrode, tmp_path / "sorting")
    with pytest.raises(MissingFile, match="details does not exist"):
        read_details(tmp_path / "sorting")


def test_every_spike_and_unit_of_simsort_has_its_details(sorted_with_details):
    sorting, details = sorted_with_details
    spikes = sorting.to_spike_vector()
    assert np.array_equal(details.spike_sample, spikes["sample_index"])
    assert np.array_equal(details.spike_unit, spikes["unit_index"])
    assert np.array_equal(details.unit_ids, sorting.unit_ids)
    assert np.array_equal(details.unit_confidence, sorting.get_property("confidence"))
    assert details.spike_amplitude.mean() == pytest.approx(1, abs=0.1)
    for values in (details.unit_confidence, details.spike_confidence):
        assert np.all((values >= 0) & (values <= 1))


def test_what_is_kept_on_disk_is_what_is_returned(tetrode, sorted_with_details, tmp_path):
    _, details = sorted_with_details
    sort(tetrode[0], sorter="simsort", folder=tmp_path / "sorting")
    assert [path.name for path in tmp_path.iterdir()] == ["sorting"]
    read = read_sorting(tmp_path / "sorting")
    assert columns(read_details(tmp_path / "sorting")) == columns(details)
    assert np.array_equal(read.get_property("confidence"), details.unit_confidence)
    # The order of spikes survives the way through the file.
    assert np.array_equal(read.to_spike_vector()["sample_index"], details.spike_sample)
    assert np.array_equal(read.to_spike_vector()["unit_index"], details.spike_unit)


def test_details_follow_units_that_are_renumbered_dropped_and_cleaned(tetrode, given):
    # Unit 0 has few spikes, 1 too few to be kept, 2 most; some spikes are outside, repeated, or coincide.
    sample = np.array([-5, 100, 100, 100, 100, 200, 300, 400, 500, 10**9])
    unit = np.array([2, 0, 2, 2, 3, 0, 2, 2, 2, 2])
    confidence = np.arange(10) / 10
    given(
        spikes=SimpleNamespace(sample=sample, unit=unit, amplitude=1 + confidence, confidence=confidence),
        confidence=np.array([0.5, 0.6, 0.7, 0.8]),
        templates=np.zeros((4, 128, 4)),
        map=(np.array([100, 7, 300]), np.array([0, -1, 2]), np.array([[1.0, 2], [3, 4], [5, 6]])),
        events={"first": 99},
    )
    sorting, details = sort_with_details(tetrode[0])
    trains = [sorting.get_unit_spike_train(unit_id=one).tolist() for one in sorting.unit_ids]
    assert trains == [[100, 300, 400, 500], [100, 200], [100]]
    assert details.unit_confidence.tolist() == [0.7, 0.5, 0.8]
    assert details.spike_sample.tolist() == [100, 100, 100, 200, 300, 400, 500]
    assert details.spike_unit.tolist() == [0, 1, 2, 1, 0, 0, 0]
    assert details.spike_confidence.tolist() == [0.2, 0.1, 0.4, 0.5, 0.6, 0.7, 0.8]
    assert details.spike_amplitude.tolist() == [1.2, 1.1, 1.4, 1.5, 1.6, 1.7, 1.8]
    assert details.map_unit.tolist() == [1, -1, 0]
    assert details.map_sample.tolist() == [100, 7, 300]
    assert details.map_points.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert details.events == {"first": 99}


def test_a_sorting_without_units_has_empty_details(array_recording, tmp_path):
    silence = array_recording(np.zeros((60_000, 4), np.float32))
    noise = array_recording(np.random.default_rng(0).normal(0, 8, (60_000, 4)).astype(np.float32))
    for name, recording in (("silence", silence), ("noise", noise)):
        sort(recording, folder=tmp_path / name)
        sorting, details = sort_with_details(recording)
        assert len(sorting.unit_ids) == len(details.unit_ids) == len(details.spike_sample) == 0
        assert len(read_details(tmp_path / name).unit_ids) == 0
        assert len(read_sorting(tmp_path / name).unit_ids) == 0
