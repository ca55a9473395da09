import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from neuroloom.errors import DataError
from neuroloom.simulation.recordings import inject
from neuroloom.sorting import other_sorters
from neuroloom.sorting import simsort as simsort_module
from neuroloom.sorting import sorter as sorter_module
from neuroloom.sorting.export import read_sorting
from neuroloom.sorting.folders import write_recording
from neuroloom.sorting.simsort import SimSortOptions
from neuroloom.sorting.sorter import SortingFailed, choose_device, sort
from neuroloom.sorting.stages import StageCache


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
    assert read.get_annotation("sorter") == "simsort"
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
    monkeypatch.setattr(other_sorters, "_WHITENED", broken)
    with pytest.raises(SortingFailed, match="unknown clustering method none of them"):
        sort(tetrode[0], sorter="simple", folder=tmp_path / "sorting")
    assert list(tmp_path.iterdir()) == []


def test_other_sorters_of_spikeinterface_can_be_named(tetrode):
    sorting = sort(tetrode[0], sorter="simple")
    assert len(sorting.unit_ids) >= 2
    assert sorting.get_annotation("sorter") == "simple"


def test_quality_is_measured_when_asked_and_kept(tetrode, tmp_path):
    from neuroloom.sorting.quality import METRICS, analyze, unit_table

    sorting = sort(tetrode[0], sorter="simsort", quality=True, folder=tmp_path / "sorting")
    table = unit_table(analyze(sorting, tetrode[0]))
    read = read_sorting(tmp_path / "sorting")
    assert set(METRICS) - {"isi_violation"} < set(read.get_property_keys())
    for name in table.columns:
        np.testing.assert_array_equal(read.get_property(name), table[name].to_numpy(float))
    assert "snr" not in sort(tetrode[0], sorter="simsort").get_property_keys()


def test_options_change_what_simsort_finds_and_are_refused_for_others(tetrode):
    none = sort(tetrode[0], sorter="simsort", options=SimSortOptions(fewest_spikes=10**6))
    assert len(none.unit_ids) == 0
    with pytest.raises(DataError, match="options for the sorter lupin"):
        sort(tetrode[0], sorter="lupin", options=SimSortOptions())


def test_a_folder_of_someone_else_is_refused_before_work_starts(tetrode, tmp_path, monkeypatch):
    (tmp_path / "thesis.txt").write_text("all of it")
    monkeypatch.setattr(sorter_module, "prepare", None)
    for folder in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(DataError, match="exists and is not ours to replace"):
            sort(tetrode[0], folder=folder)


# Devices


def test_a_gpu_is_taken_where_there_is_one(monkeypatch):
    import torch

    for there, chosen in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert choose_device("auto") == chosen
        assert choose_device("cpu") == "cpu"


def test_a_device_that_is_not_there_is_refused(tetrode, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DataError, match="device 'cuda' where torch finds no GPU"):
        sort(tetrode[0], sorter="simsort", device="cuda")
    with pytest.raises(DataError, match="device 'tpu'; expected one of auto, cpu, cuda"):
        sort(tetrode[0], sorter="simsort", device="tpu")


def test_networks_are_loaded_onto_the_device(tetrode, monkeypatch):
    from neuroloom.sorting import pretrained

    devices = []
    real = pretrained.load_weights

    def load_weights(folder, *, device):
        devices.append((folder.name, device))
        return real(folder, device="cpu")

    monkeypatch.setattr(pretrained, "load_weights", load_weights)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    sort(tetrode[0], sorter="simsort", device="auto")
    assert devices == [("extractor", "cuda"), ("detector", "cuda")]


# Stages


@pytest.fixture
def staged(monkeypatch):
    """Make simsort a sorter of two stages that fails after as many as it is told; return what it did."""
    did: list[str] = []
    fails_after = ["first"]

    def simsort(recording, scratch, *, cache: StageCache, **_):
        for name in ("first", "second"):
            if cache.get(name) is None:
                cache.put(name, {"sample": np.arange(100, 2100, 100)})
                did.append(name)
            if name in fails_after:
                raise ZeroDivisionError
        sample = cache.get("second")["sample"]
        one = np.ones(len(sample))
        spikes = SimpleNamespace(
            sample=sample, unit=np.zeros(len(sample), int), amplitude=one, confidence=one
        )
        return SimpleNamespace(spikes=spikes, confidence=np.ones(1))

    monkeypatch.setattr(simsort_module, "simsort", simsort)
    return did, fails_after


def test_a_sorting_that_was_stopped_goes_on_and_leaves_the_sorting_alone(tetrode, tmp_path, staged):
    did, fails_after = staged
    with pytest.raises(ZeroDivisionError):
        sort(tetrode[0], sorter="simsort", folder=tmp_path / "sorting")
    assert [path.name for path in tmp_path.iterdir()] == ["sorting.partial"]
    fails_after.clear()
    assert len(sort(tetrode[0], sorter="simsort", folder=tmp_path / "sorting").unit_ids) == 1
    assert did == ["first", "second"]
    assert [path.name for path in tmp_path.iterdir()] == ["sorting"]


@pytest.mark.parametrize("change", ["seed", "options", "recording", "sorter"])
def test_stages_of_another_sorting_are_not_taken(tetrode, tmp_path, staged, change, monkeypatch):
    did, fails_after = staged
    with pytest.raises(ZeroDivisionError):
        sort(tetrode[0], sorter="simsort", folder=tmp_path / "sorting")
    fails_after.clear()
    recording = tetrode[0].frame_slice(0, 300_000) if change == "recording" else tetrode[0]
    if change == "sorter":
        monkeypatch.setattr(sorter_module, "sorter_fingerprint", lambda: "of the next version")
    sort(
        recording,
        sorter="simsort",
        folder=tmp_path / "sorting",
        seed=1 if change == "seed" else 0,
        options=SimSortOptions(threshold=6.0) if change == "options" else None,
    )
    assert did == ["first", "first", "second"]


def test_stages_are_kept_where_they_are_wanted(tetrode, tmp_path, staged):
    with pytest.raises(ZeroDivisionError):
        sort(tetrode[0], sorter="simsort", work_folder=tmp_path / "work")
    assert (tmp_path / "work" / "first").is_dir()


def test_without_a_folder_no_stage_is_kept(tetrode, staged):
    with pytest.raises(TypeError, match="cache"):
        sort(tetrode[0], sorter="simsort")


KILLED = """
import os, sys, time
from neuroloom.sorting.folders import read_binary_folder
from neuroloom.sorting.sorter import sort
from neuroloom.sorting.stages import StageCache
from pathlib import Path
real = StageCache.put
def put(*args):
    real(*args)
    os.write(1, b"now\\n")  # sys.stdout is kept quiet
    time.sleep(600)
StageCache.put = put
sort(read_binary_folder(Path(sys.argv[1])), sorter="simsort", folder=sys.argv[2])
"""


def test_a_killed_simsort_goes_on_to_what_it_would_have_found(tetrode, tmp_path, monkeypatch):
    recording = write_recording(tetrode[0], tmp_path / "recording")
    folder, made = tmp_path / "sorting", []
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", KILLED, str(tmp_path / "recording"), str(folder)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "now\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not folder.exists()
    left = {path.name for path in (tmp_path / "sorting.partial").iterdir() if path.is_dir()}
    real_put, real_file = StageCache.put, StageCache.file

    def put(self, name, arrays):
        made.append(name)
        return real_put(self, name, arrays)

    def file(self, name, make, **options):
        return real_file(self, name, lambda path: (made.append(name), make(path)), **options)

    monkeypatch.setattr(StageCache, "put", put)
    monkeypatch.setattr(StageCache, "file", file)
    resumed = sort(recording, sorter="simsort", folder=folder)
    assert left
    assert not left & set(made)
    assert spikes(resumed) == spikes(sort(recording, sorter="simsort"))
    assert not (tmp_path / "sorting.partial").exists()


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
