"""SpikeInterface's own checks of a sorter (its wheel ships no tests), and what its launchers do with ours."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from neuroloom.errors import DataError
from neuroloom.simulation.recordings import inject
from neuroloom.sorting.details import read_details
from neuroloom.sorting.folders import write_recording
from neuroloom.sorting.plugin import SimSortSorter, register
from neuroloom.sorting.sorter import sort
from neuroloom.sorting.spikeinterface_runs import quiet


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Four channels of SpikeInterface's own simulation, in a folder."""
    from spikeinterface.generation import generate_ground_truth_recording

    with quiet():
        recording, _ = generate_ground_truth_recording(num_channels=4, durations=[12.0], num_units=4, seed=0)
        return recording.save(folder=tmp_path_factory.mktemp("plugin") / "recording", format="binary")


@pytest.fixture(scope="module")
def sorter_folder(saved, tmp_path_factory):
    from spikeinterface.sorters import run_sorter

    folder = tmp_path_factory.mktemp("run") / "simsort"
    run_sorter("simsort", saved, folder=folder, with_output=False)
    return folder


@pytest.fixture
def in_folder(array_recording, tmp_path):
    """Save a recording from an array (samples, channels), as SpikeInterface's launchers need it."""

    def save(name: str, traces: np.ndarray, *, rate_hz: float = 30_000.0, probe: str | None = "tetrode"):
        with quiet():
            return array_recording(traces, rate_hz=rate_hz, probe=probe).save(folder=tmp_path / f"{name}.rec")

    return save


def trains(sorting) -> list[list[int]]:
    return [sorting.get_unit_spike_train(unit_id=unit).tolist() for unit in sorting.unit_ids]


# SorterCommonTestSuite


def test_it_runs_with_its_default_parameters_and_deletes_its_output_alone(saved, tmp_path):
    from spikeinterface.sorters import run_sorter

    sorting = run_sorter(
        "simsort",
        saved,
        folder=tmp_path / "run",
        remove_existing_folder=True,
        delete_output_folder=True,
        verbose=False,
        raise_error=True,
        **SimSortSorter.default_params(),
    )
    assert len(sorting.unit_ids) >= 3
    assert sorting.sorting_info.keys() >= {"recording", "params", "log"}
    assert not (tmp_path / "run" / "sorter_output").exists()
    for name in ("recording", "params", "log"):
        assert (tmp_path / "run" / f"spikeinterface_{name}.json").is_file()


def test_it_has_a_version():
    import neuroloom

    assert SimSortSorter.get_sorter_version() == neuroloom.__version__


# Its place in SpikeInterface


def test_spikeinterface_lists_it_once_however_often_it_is_registered():
    from spikeinterface.sorters import available_sorters, installed_sorters

    register()
    register()
    assert available_sorters().count("simsort") == 1
    assert installed_sorters().count("simsort") == 1


def test_every_parameter_is_described_and_plain():
    from spikeinterface.sorters import (
        get_default_sorter_params,
        get_sorter_description,
        get_sorter_params_description,
    )

    defaults, told = get_default_sorter_params("simsort"), get_sorter_params_description("simsort")
    assert json.loads(json.dumps(defaults)) == defaults
    assert defaults.keys() == told.keys()
    assert all(len(text.split()) > 2 for text in told.values()), told
    assert "simulated" in get_sorter_description("simsort")


def test_changing_the_defaults_that_it_hands_out_changes_nothing():
    SimSortSorter.default_params()["job_kwargs"]["n_jobs"] = 7
    assert SimSortSorter.default_params()["job_kwargs"] == {}


FIRST_SORT = """
import neuroloom as nl
try:
    nl.sort(None, sorter="none of them")
except nl.NeuroloomError:
    pass
"""


@pytest.mark.parametrize("first", ["import neuroloom.sorting.plugin", FIRST_SORT])
def test_one_import_or_one_sort_is_enough_in_a_new_process(first, sorter_folder):
    program = f"""
import warnings; warnings.simplefilter("ignore")
{first}
from spikeinterface.sorters import read_sorter_folder
print(len(read_sorter_folder({str(sorter_folder)!r}).unit_ids))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) >= 3


# Its results


def test_the_result_is_read_by_spikeinterface_alone(sorter_folder):
    program = f"""
import warnings; warnings.simplefilter("ignore")
import spikeinterface
sorting = spikeinterface.load({str(sorter_folder / "sorter_output" / "sorting")!r})
print(len(sorting.unit_ids), sorting.get_property("confidence").min() > 0.5)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split()[1] == "True"


def test_it_finds_what_sort_finds(saved, sorter_folder):
    from spikeinterface.sorters import read_sorter_folder

    read, ours = read_sorter_folder(sorter_folder), sort(saved, sorter="simsort")
    assert trains(read) == trains(ours)
    assert np.array_equal(read.get_property("confidence"), ours.get_property("confidence"))
    details = read_details(sorter_folder / "sorter_output")
    assert np.array_equal(details.spike_sample, read.to_spike_vector()["sample_index"])
    assert np.array_equal(details.spike_unit, read.to_spike_vector()["unit_index"])


def test_nothing_in_its_folder_is_a_pickle(sorter_folder):
    assert [
        path for path in sorter_folder.rglob("*") if "pickle" in path.suffix or path.suffix == ".pkl"
    ] == []


def test_without_output_nothing_is_returned(saved, tmp_path):
    from spikeinterface.sorters import run_sorter_local

    given = run_sorter_local("simsort", saved, folder=tmp_path / "run", with_output=False)
    assert given is None
    assert (tmp_path / "run" / "sorter_output" / "sorting").is_dir()


def test_it_is_silent_unless_asked(saved, tmp_path, capfd):
    from spikeinterface.sorters import run_sorter

    run_sorter("simsort", saved, folder=tmp_path / "silent", verbose=False)
    assert capfd.readouterr() == ("", "")
    run_sorter("simsort", saved, folder=tmp_path / "verbose", verbose=True)
    assert "units" in capfd.readouterr().out


def test_a_recording_without_spikes_has_no_units(tmp_path, in_folder):
    from spikeinterface.sorters import read_sorter_folder, run_sorter

    for name, level_uv in (("noise", 8.0), ("silence", 0.0)):
        traces = np.random.default_rng(0).normal(0, level_uv, (60_000, 4)).astype(np.float32)
        run_sorter("simsort", in_folder(name, traces), folder=tmp_path / name)
        assert len(read_sorter_folder(tmp_path / name).unit_ids) == 0
        assert len(read_details(tmp_path / name / "sorter_output").unit_ids) == 0


def test_a_recording_without_a_probe_is_sorted_as_neighbours(saved, tmp_path, in_folder):
    from spikeinterface.sorters import run_sorter

    traces = saved.get_traces(return_in_uV=True)
    recording = in_folder("raw", traces, rate_hz=saved.get_sampling_frequency(), probe=None)
    assert len(run_sorter("simsort", recording, folder=tmp_path / "run").unit_ids) >= 3
    with pytest.raises(DataError, match="a recording without a probe and apply_preprocessing=False"):
        run_sorter("simsort", recording, folder=tmp_path / "asis", apply_preprocessing=False)


def test_a_prepared_recording_is_taken_as_it_is(saved, sorter_folder, tmp_path):
    from spikeinterface.sorters import read_sorter_folder, run_sorter

    from neuroloom.sorting.preprocessing import prepare

    prepared = write_recording(prepare(saved).recording, tmp_path / "prepared")
    found = run_sorter("simsort", prepared, folder=tmp_path / "run", apply_preprocessing=False)
    assert trains(found) == trains(read_sorter_folder(sorter_folder))


# Parameters


def test_parameters_reach_the_sorter(saved, tmp_path):
    from spikeinterface.sorters import run_sorter

    fewest = run_sorter("simsort", saved, folder=tmp_path / "run", fewest_spikes=10**6)
    assert len(fewest.unit_ids) == 0


def test_an_unknown_parameter_is_refused_by_spikeinterface(saved, tmp_path):
    from spikeinterface.sorters import run_sorter

    with pytest.raises(ValueError, match=r"Invalid parameters: \['sensitivity'\]"):
        run_sorter("simsort", saved, folder=tmp_path / "run", sensitivity=3)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"threshold": "high"}, "threshold='high'; expected float"),
        ({"threshold": True}, "threshold=True; expected float"),
        ({"rounds": 1.5}, "rounds=1.5; expected int"),
        ({"peeler": 3}, "peeler=3; expected str"),
        ({"seed": None}, "seed=None; expected such as 0"),
        ({"device": "tpu"}, "device 'tpu'; expected one of auto, cpu, cuda"),
        ({"motion": "dredge"}, "motion 'dredge' for 4 channels"),
        ({"job_kwargs": {"n_cores": 4}}, "n_cores"),
    ],
)
def test_a_wrong_value_is_refused_before_work_starts(saved, tmp_path, wrong, said):
    from spikeinterface.sorters import run_sorter

    with pytest.raises(DataError, match=said):
        run_sorter("simsort", saved, folder=tmp_path / "run", **wrong)


def test_whole_numbers_do_where_fractions_are_expected(saved, tmp_path):
    from spikeinterface.sorters import run_sorter

    assert len(run_sorter("simsort", saved, folder=tmp_path / "run", threshold=5).unit_ids) >= 3


def test_a_failure_is_told_as_spikeinterface_tells_it(tmp_path, in_folder):
    from spikeinterface.sorters import read_sorter_folder, run_sorter
    from spikeinterface.sorters.utils import SpikeSortingError

    short = in_folder("short", np.zeros((300, 4), np.float32))
    with pytest.raises(SpikeSortingError, match="too short to filter"):
        run_sorter("simsort", short, folder=tmp_path / "run")
    assert read_sorter_folder(tmp_path / "run", raise_error=False) is None
    run_sorter("simsort", short, folder=tmp_path / "more", raise_error=False, with_output=False)


def test_there_is_no_container_of_it(saved, tmp_path, monkeypatch):
    from spikeinterface.sorters import run_sorter, runsorter

    for name in ("has_docker", "has_docker_python"):
        monkeypatch.setattr(runsorter, name, lambda: True)
    with pytest.raises(ValueError, match="sorter simsort not in SORTER_DOCKER_MAP"):
        run_sorter("simsort", saved, folder=tmp_path / "run", docker_image=True)


# Launchers


@pytest.fixture(scope="module")
def two_tetrodes(tmp_path_factory):
    """Two tetrodes, 500 um apart, in two groups; one of them sees no cell."""
    from probeinterface import ProbeGroup

    from neuroloom.simulation.probes import make_probe

    group = ProbeGroup()
    for number in range(2):
        probe = make_probe("tetrode")
        probe.move([500.0 * number, 0.0])
        probe.set_device_channel_indices(np.arange(4) + 4 * number)
        group.add_probe(probe)
    train = np.arange(0.05, 5.9, 0.05)
    traces = [inject(t, duration_s=6.0, amplitudes_uv=[200.0])[0].get_traces() for t in ([train], [])]
    from spikeinterface.core import NumpyRecording

    recording = NumpyRecording([np.concatenate(traces, axis=1)], 30_000.0)
    recording.set_channel_gains(1.0)
    recording.set_channel_offsets(0.0)
    recording.set_probegroup(group)
    return write_recording(recording, tmp_path_factory.mktemp("groups") / "recording")


def test_it_is_run_by_property(two_tetrodes, tmp_path):
    from spikeinterface.sorters import run_sorter_by_property

    found = run_sorter_by_property(
        "simsort", two_tetrodes, grouping_property="group", folder=tmp_path / "groups"
    )
    assert found.get_property("group").tolist() == [0]
    assert found.get_property("confidence")[0] > 0.9
    assert abs(found.count_total_num_spikes() - 117) <= 4


@pytest.mark.parametrize("engine", ["loop", "joblib"])
def test_it_is_run_in_jobs_of_the_same_process(two_tetrodes, tmp_path, engine):
    from spikeinterface.sorters import run_sorter_jobs

    parts = two_tetrodes.split_by("group")
    jobs = [
        {"sorter_name": "simsort", "recording": part, "folder": tmp_path / str(name)}
        for name, part in parts.items()
    ]
    options = {"n_jobs": 2, "backend": "threading"} if engine == "joblib" else {}
    found = run_sorter_jobs(jobs, engine=engine, engine_kwargs=options, return_output=True)
    assert [len(one.unit_ids) for one in found] == [1, 0]


def test_it_is_run_on_a_dictionary_of_recordings(two_tetrodes, tmp_path):
    from spikeinterface.sorters import run_sorter

    found = run_sorter("simsort", two_tetrodes.split_by("group"), folder=tmp_path / "groups")
    assert {name: len(one.unit_ids) for name, one in found.items()} == {0: 1, 1: 0}


def test_its_folder_may_be_relative(two_tetrodes, tmp_path, monkeypatch):
    from spikeinterface.sorters import run_sorter

    monkeypatch.chdir(tmp_path)
    found = run_sorter("simsort", two_tetrodes)
    assert len(found.unit_ids) == 1
    assert os.listdir(tmp_path) == ["simsort_output"]
