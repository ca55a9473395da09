import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from spikeinterface.core import load

from neuroloom.errors import DataError, MissingDependency
from neuroloom.simulation import writing
from neuroloom.simulation.biophysical import biophysical_recording
from neuroloom.simulation.corpora import draw_scenario, read_corpus, write_corpus
from neuroloom.simulation.library import DEFAULT_CELLS, CellLibrary
from neuroloom.simulation.scenario import Scenario
from neuroloom.simulation.workers import workers
from neuroloom.simulation.writing import describe_config, read_about, write_simulation

SCENARIO = Scenario(duration_s=3.0, units=3, distant_units=3)


@pytest.fixture(scope="module")
def library() -> CellLibrary:
    return CellLibrary.load(DEFAULT_CELLS)


@pytest.fixture(scope="module")
def made(library):
    return biophysical_recording(library, scenario=SCENARIO)


def write(made, folder, library, *, seed=0, **changes):
    config = describe_config(SCENARIO, probe="tetrode", library=library, library_name="default", seed=seed)
    return write_simulation(lambda: made, folder, config=config, quiet=True, **changes)


def test_spikeinterface_reads_what_was_written(made, library, tmp_path):
    folder = write(made, tmp_path / "out", library)
    recording, truth = load(folder / "recording"), load(folder / "truth")
    np.testing.assert_array_equal(recording.get_traces(), made.recording.get_traces())
    np.testing.assert_array_equal(recording.get_channel_locations(), made.recording.get_channel_locations())
    for unit in made.sorting.unit_ids:
        np.testing.assert_array_equal(
            truth.get_unit_spike_train(unit_id=unit), made.sorting.get_unit_spike_train(unit_id=unit)
        )
    about = read_about(folder)
    assert [unit["cell"] for unit in about["units"]] == [placed.cell.name for placed in made.placed]
    assert about["config"]["scenario"]["units"] == 3
    assert sorted(path.name for path in folder.iterdir()) == ["about", "recording", "truth"]


def test_a_raw_file_of_integers_is_half_as_large_and_as_good_as_a_converter(made, library, tmp_path):
    folder = write(made, tmp_path / "out", library, dtype="int16", raw=True)
    values = np.fromfile(folder / "traces.raw", dtype=np.int16).reshape(-1, 4)
    np.testing.assert_allclose(values * 0.195, made.recording.get_traces(), atol=0.0977)
    assert (folder / "probe.json").exists()
    integers = write(made, tmp_path / "folder", library, dtype="int16") / "recording"
    np.testing.assert_allclose(load(integers).get_traces(return_in_uV=True), values * 0.195, rtol=1e-5)


def test_a_stopped_run_goes_on_at_its_last_whole_chunk(made, library, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "_CHUNK_BYTES", 2**16)
    whole = (write(made, tmp_path / "whole", library) / "recording" / writing._TRACES).read_bytes()
    asked = []

    def counted(recording, start, end, dtype):
        asked.append(start)
        if len(asked) == 8:
            raise KeyboardInterrupt
        return original(recording, start, end, dtype)

    original = writing._chunk
    monkeypatch.setattr(writing, "_chunk", counted)
    with pytest.raises(KeyboardInterrupt):
        write(made, tmp_path / "out", library)
    partial = tmp_path / "out" / ".partial" / writing._TRACES
    partial.write_bytes(partial.read_bytes() + b"half a chunk")
    resumed_at = len(asked) - 1
    folder = write(made, tmp_path / "out", library)
    assert asked[8] == resumed_at * (2**16 // 16)
    assert (folder / "recording" / writing._TRACES).read_bytes() == whole


def test_what_is_there_is_not_made_again(made, library, tmp_path):
    folder = write(made, tmp_path / "out", library)
    config = describe_config(SCENARIO, probe="tetrode", library=library, library_name="default", seed=0)
    write_simulation(lambda: pytest.fail("made again"), folder, config=config, quiet=True)


def test_other_recordings_and_other_files_are_not_overwritten(made, library, tmp_path):
    write(made, tmp_path / "out", library)
    with pytest.raises(DataError, match="another simulated recording"):
        write(made, tmp_path / "out", library, seed=1)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("text")
    with pytest.raises(DataError, match="other files"):
        write(made, tmp_path / "mine", library)
    (tmp_path / "begun" / ".partial").mkdir(parents=True)
    write(made, tmp_path / "begun", library)  # killed before it could say what it was
    shutil.rmtree(tmp_path / "begun" / "about")
    (tmp_path / "begun" / ".partial").mkdir()
    (tmp_path / "begun" / ".partial" / "identity.json").write_text(json.dumps("x"))
    with pytest.raises(DataError, match="the beginning of another"):
        write(made, tmp_path / "begun", library)


def test_an_unknown_sample_type_is_refused(made, library, tmp_path):
    with pytest.raises(DataError, match="float64"):
        write(made, tmp_path / "out", library, dtype="float64")


def corpus(library, folder, n=3, **changes):
    settings = {"duration_s": 1.0, "probes": ("tetrode", "linear-4"), "quiet": True}
    return write_corpus(library, folder, n_recordings=n, **(settings | changes))


def test_a_corpus_is_resumed_and_enlarged_with_the_same_recordings(library, tmp_path):
    whole = corpus(library, tmp_path / "whole")
    assert [row["probe"] for row in read_corpus(whole)] == ["tetrode", "linear-4", "tetrode"]
    part = corpus(library, tmp_path / "part", n=2)
    shutil.rmtree(part / "0001")
    corpus(library, part, n=3)
    for row in read_corpus(whole):
        ours, theirs = (
            (folder / row["name"] / "recording" / writing._TRACES).read_bytes() for folder in (part, whole)
        )
        assert ours == theirs
    assert read_corpus(part) == read_corpus(whole)


def test_a_killed_corpus_goes_on(library, tmp_path):
    script = (
        "from neuroloom.cli import main; main(['simulate', 'corpus', '--out', "
        f"{str(tmp_path / 'killed')!r}, '--recordings', '3', '--duration-s', '20', '--probe', 'tetrode'])"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (tmp_path / "killed" / "0001").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "index").exists()
    settings = {"duration_s": 20.0, "probes": ("tetrode",)}
    corpus(library, tmp_path / "killed", **settings)
    corpus(library, tmp_path / "whole", **settings)
    for name in ("0000", "0001", "0002"):
        ours, theirs = (
            (tmp_path / kind / name / "recording" / writing._TRACES).read_bytes()
            for kind in ("killed", "whole")
        )
        assert ours == theirs


def test_scenarios_of_a_corpus_differ_and_some_drift():
    drawn = [draw_scenario(i, n_contacts=32, duration_s=10.0) for i in range(60)]
    assert drawn[3] == draw_scenario(3, n_contacts=32, duration_s=10.0)
    assert len({scenario.noise_uv for scenario in drawn}) == 60
    assert 0.15 < np.mean([scenario.drift_um > 0 for scenario in drawn]) < 0.5
    assert 0.1 < np.mean([scenario.hum_uv > 0 for scenario in drawn]) < 0.45


def test_a_corpus_refuses_foreign_folders_and_nothing_to_do(library, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("text")
    with pytest.raises(DataError, match=r"thesis\.txt"):
        corpus(library, tmp_path / "mine")
    with pytest.raises(DataError, match="0 recordings"):
        corpus(library, tmp_path / "new", n=0)
    with pytest.raises(DataError, match="no built-in probe"):
        corpus(library, tmp_path / "new", probes=("hexode",))
    assert not (tmp_path / "new").exists()


def test_dask_needs_distributed_and_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingDependency, match=r"neuroloom\[dask\]"), workers(dask="tcp://127.0.0.1:8786"):
        pass


def test_jobs_are_a_positive_number_or_all():
    from joblib import effective_n_jobs

    with workers(2):
        assert effective_n_jobs(None) == 2
    assert effective_n_jobs(None) == 1
    for wrong in (0, -2):
        with pytest.raises(DataError, match=f"{wrong} jobs"), workers(wrong):
            pass


@pytest.mark.slow
def test_a_dask_cluster_writes_the_same(made, library, tmp_path):
    distributed = pytest.importorskip("distributed")
    alone = write(made, tmp_path / "alone", library)
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster,
        workers(dask=cluster.scheduler_address),
    ):
        shared = write(made, tmp_path / "shared", library)
    np.testing.assert_array_equal(
        load(alone / "recording").get_traces(), load(shared / "recording").get_traces()
    )
