import numpy as np
import pytest

from neuroloom.errors import DataError
from neuroloom.simulation.recordings import inject
from neuroloom.sorting import sorter as sorter_module
from neuroloom.sorting.export import read_sorting
from neuroloom.sorting.sorter import SortingFailed, sort


def spikes(sorting) -> list[list[int]]:
    return [sorting.get_unit_spike_train(unit_id=unit).tolist() for unit in sorting.unit_ids]


def test_simulated_units_are_found(tetrode, sorted_tetrode):
    from spikeinterface.comparison import compare_sorter_to_ground_truth

    from neuroloom.sorting.spikeinterface_runs import quiet

    with quiet():
        comparison = compare_sorter_to_ground_truth(tetrode[1], sorted_tetrode, exhaustive_gt=True)
    accuracy = comparison.get_performance()["accuracy"]
    assert len(sorted_tetrode.unit_ids) == 4
    assert accuracy.min() > 0.9


def test_the_same_seed_gives_the_same_units(tetrode, sorted_tetrode):
    assert spikes(sort(tetrode[0], seed=0)) == spikes(sorted_tetrode)


def test_sorting_leaves_random_numbers_standard_output_and_folders_alone(
    tetrode, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    real, state = np.random.default_rng, np.random.get_state()[1].tolist()  # noqa: NPY002
    sort(tetrode[0])
    assert np.random.default_rng is real
    assert np.random.get_state()[1].tolist() == state  # noqa: NPY002
    assert capsys.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_units_are_numbered_by_their_number_of_spikes(sorted_tetrode):
    counts = [len(train) for train in spikes(sorted_tetrode)]
    assert list(sorted_tetrode.unit_ids) == list(range(len(counts)))
    assert counts == sorted(counts, reverse=True)


def test_a_kept_sorting_is_read_back_equal(tetrode, sorted_tetrode, tmp_path):
    sort(tetrode[0], folder=tmp_path / "sorting")
    read = read_sorting(tmp_path / "sorting")
    assert spikes(read) == spikes(sorted_tetrode)
    assert read.get_annotation("sorter") == "lupin"
    assert [path.name for path in tmp_path.iterdir()] == ["sorting"]


def test_progress_is_shown_on_the_standard_error_when_asked(tetrode, capsys):
    sort(tetrode[0], progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "100%" in shown.err


@pytest.mark.parametrize("probe", ["single", "stereotrode", "linear-3"])
def test_few_channels_are_enough(probe):
    train = np.arange(0.05, 7.9, 0.05)
    recording, _ = inject([train], probe=probe, duration_s=8.0, amplitudes_uv=[200.0])
    (found,) = spikes(sort(recording))
    assert abs(len(found) - len(train)) <= 5


def test_one_second_is_enough_for_large_spikes():
    recording, _ = inject([np.arange(0.02, 0.98, 0.03)], duration_s=1.0, amplitudes_uv=[200.0])
    assert len(spikes(sort(recording))) == 1


def test_noise_alone_has_no_units():
    recording, _ = inject([], duration_s=5.0)
    assert len(sort(recording).unit_ids) == 0


def test_an_unknown_sorter_lists_the_installed_ones(tetrode):
    with pytest.raises(DataError, match=r"auto or one of .*lupin"):
        sort(tetrode[0], sorter="kilosort99")


def test_a_sorter_that_stops_says_so_and_leaves_nothing(tetrode, tmp_path, monkeypatch):
    broken = {"simple": {"apply_preprocessing": False, "clusterer": "none of them"}}
    monkeypatch.setattr(sorter_module, "_WHITENED", broken)
    with pytest.raises(SortingFailed, match="unknown clustering method none of them"):
        sort(tetrode[0], sorter="simple", folder=tmp_path / "sorting")
    assert list(tmp_path.iterdir()) == []


def test_other_sorters_of_spikeinterface_can_be_named(tetrode):
    sorting = sort(tetrode[0], sorter="simple")
    assert len(sorting.unit_ids) >= 2
    assert sorting.get_annotation("sorter") == "simple"


@pytest.mark.shared_data
def test_the_locust_tetrode_has_units_with_clean_refractory_periods(shared_data, tmp_path):
    from neuroloom.sorting.quality import analyze, unit_table
    from neuroloom.sorting.reading import read_recording

    path = shared_data / "voltage" / "locust_tetrode" / "locust_trial_01.raw"
    recording = read_recording(path, dtype="int16", n_channels=4, rate_hz=15_000, probe="tetrode")
    table = unit_table(analyze(sort(recording), recording))
    assert 5 <= len(table) <= 12
    assert (table["snr"] > 3).all()
    assert (table["snr"] > 7).sum() >= 4
    assert (table["isi_violations_count"] <= 1).all()
