"""One command from a recording to a report: nothing finished is lost, nothing is made twice."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from neuroloom.cli import main
from neuroloom.decoding.estimator import load_decoder
from neuroloom.errors import DataError, UnknownTarget
from neuroloom.pipeline.chain import RunConfig, choose_target, run
from neuroloom.pipeline.demo import run_demo
from neuroloom.sessions.session import Session

OPTIONS = {"probe": "tetrode", "minutes": 0.6, "seed": 3}


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    """A finished run of the demonstration on a tetrode."""
    return run_demo(tmp_path_factory.mktemp("run") / "demo", **OPTIONS)


@pytest.fixture
def finished(demo, tmp_path) -> Path:
    """A copy of it that a test may damage."""
    return Path(shutil.copytree(demo, tmp_path / "demo"))


def events(folder: Path) -> list[tuple[str, str]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [(line["stage"], line["event"]) for line in lines]


def arrays(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in contents(folder).items() if name.endswith(".safetensors")}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_demo_leaves_every_stage_and_a_page(demo):
    assert [stage for stage, event in events(demo) if event == "done"] == [
        "sorting", "session", "decoding", "dynamics", "audit", "report",
    ]  # fmt: skip
    page = (demo / "report.html").read_text()
    for heading in ("Recording", "Sorting", "Session", "Decoding", "Dynamics", "Audit", "Findings"):
        assert f">{heading}</h2>" in page


def test_the_page_of_a_known_truth_shows_who_matches_whom_and_whether_confidence_holds(demo):
    page = (demo / "report.html").read_text()
    for title in (
        "Agreement with the truth",
        "Who matches whom",
        "Confidence of units and the truth",
        "Confidence of spikes and the truth",
    ):
        assert title in page
    assert "Expected calibration error" in page


def test_the_sorted_units_decode_nearly_as_well_as_the_true_ones(demo):
    decoding = json.loads((demo / "decoding" / "stage.json").read_text())["summary"]
    assert decoding["metric"] == "R²"
    assert decoding["comparison"]["true units"] > 0.3
    assert decoding["comparison"]["sorted units"] <= decoding["comparison"]["true units"] + 0.1


def test_the_bundled_decoder_meets_the_sorted_units_and_is_compared_with_a_wiener_filter(demo):
    decoding = json.loads((demo / "decoding" / "stage.json").read_text())["summary"]
    assert decoding["model"] == "poyo"
    assert decoding["comparison"]["sorted units"] > decoding["comparison"]["sorted units, wiener"]
    decoder = load_decoder(demo / "decoding" / "decoder")
    session = Session.load(demo / "session" / "session.session")
    assert list(decoder.predict(session).columns) == ["x", "y"]


def test_the_session_of_a_run_can_be_read_alone(demo):
    session = Session.load(demo / "session" / "session.session")
    assert set(session.behavior) == {"position", "velocity"}
    assert session.trials is not None
    assert "direction" in session.trials.metadata_columns
    assert Session.from_nwb(demo / "session" / "session.nwb") == session


def test_a_rerun_makes_nothing_again(finished):
    before = contents(finished / "sorting") | contents(finished / "decoding")
    run_demo(finished, **OPTIONS)
    assert [event for _, event in events(finished)[-6:]] == ["kept"] * 5 + ["done"]
    assert contents(finished / "sorting") | contents(finished / "decoding") == before


def test_only_what_depends_on_a_lost_stage_is_made_again(finished):
    lost = (
        "session",
        "dynamics",
    )  # all others are made of the first, and none of the second
    before = {stage: arrays(finished / stage) for stage in lost}
    for stage in lost:
        shutil.rmtree(finished / stage)
    run_demo(finished, **OPTIONS)
    assert events(finished)[-8:] == [
        ("sorting", "kept"), ("session", "start"), ("session", "done"), ("decoding", "kept"),
        ("dynamics", "start"), ("dynamics", "done"), ("audit", "kept"), ("report", "done"),
    ]  # fmt: skip
    assert {stage: arrays(finished / stage) for stage in lost} == before


def test_the_report_is_written_again_from_the_folder_alone(finished, capsys):
    before = (finished / "report.html").read_text()
    (finished / "report.html").unlink()
    assert main(["report", str(finished)]) == 0
    assert (finished / "report.html").read_text() == before
    assert "wrote" in capsys.readouterr().out


def test_a_damaged_stage_stops_the_report(finished, capsys):
    (finished / "decoding" / "decoder" / "arrays.safetensors").write_bytes(b"")
    assert main(["report", str(finished)]) == 2
    assert "arrays.safetensors" in capsys.readouterr().err


def test_what_is_no_run_has_no_report(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert "not a neuroloom run" in capsys.readouterr().err


def test_kill_minus_nine_then_the_same_command_ends_as_if_undisturbed(demo, tmp_path):
    folder = tmp_path / "demo"
    command = [
        sys.executable, "-m", "neuroloom.cli", "demo", "--out", str(folder), "--probe", OPTIONS["probe"],
        "--minutes", str(OPTIONS["minutes"]), "--seed", str(OPTIONS["seed"]),
    ]  # fmt: skip
    # The order of a network's sums, and so its last digits, depends on the number of threads.
    environment = os.environ | {"NEUROLOOM_THREADS": str(torch.get_num_threads())}
    # Once inside the sorting, once as soon as it is finished.
    for reached in (lambda: (folder / "log.jsonl").exists(), lambda: (folder / "sorting").exists()):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
        while not reached() and process.poll() is None:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not (folder / "report.html").exists()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    for stage in ("sorting/sorting", "session/session.session", "decoding/predictions"):
        arrays = (folder / stage / "arrays.safetensors").read_bytes()
        assert arrays == (demo / stage / "arrays.safetensors").read_bytes()
    assert not list(folder.glob(".*.draft"))


def test_a_silent_recording_ends_with_an_empty_sorting_and_a_page(tmp_path):
    from spikeinterface.core import NumpyRecording

    from neuroloom.simulation.probes import make_probe

    recording = NumpyRecording([np.zeros((15_000, 4), np.float32)], sampling_frequency=15_000)
    recording.set_probe(make_probe("tetrode"))
    velocity = Session.from_arrays(
        id="a", spike_times_s=[[0.5]], behavior={"velocity": (np.arange(0, 1, 0.02), np.arange(50.0))}
    )
    folder = run(recording, out=tmp_path / "run", behavior=velocity.behavior)
    assert not (folder / "decoding").exists()
    assert "No units were found" in (folder / "report.html").read_text()


def test_the_target_is_chosen_only_where_there_is_no_doubt():
    velocity, speed = object(), object()
    assert choose_target(None, {}, None) is None
    assert choose_target(None, {"speed": speed}, None) == "speed"
    assert choose_target(None, {"speed": speed, "velocity": velocity}, None) == "velocity"
    assert choose_target("speed", {"speed": speed, "velocity": velocity}, None) == "speed"
    with pytest.raises(DataError, match="no target was chosen"):
        choose_target(None, {"speed": speed, "pupil": velocity}, None)
    with pytest.raises(UnknownTarget, match="'force'.*speed"):
        choose_target("force", {"speed": speed}, None)


def test_a_demo_that_is_too_short_is_refused(tmp_path):
    with pytest.raises(DataError, match="minutes"):
        run_demo(tmp_path / "demo", minutes=0.01)
    assert not (tmp_path / "demo").exists()


def test_every_choice_stands_in_the_run_folder(demo):
    about = json.loads((demo / "run.json").read_text())
    assert set(about["config"]) == set(RunConfig.__dataclass_fields__)
    assert about["data_fingerprint"]
    assert "neuroloom demo" in about["command"]


@pytest.mark.shared_data
def test_a_real_tetrode_ends_with_a_page_whose_units_look_like_neurons(shared_data, tmp_path):
    from neuroloom.sorting.quality import read_analyzer

    raw = shared_data / "voltage" / "locust_tetrode" / "locust_trial_01.raw"
    command = ["run", "--recording", str(raw), "--dtype", "int16", "--channels", "4", "--rate-hz", "15000"]
    assert main([*command, "--probe", "tetrode", "--out", str(tmp_path / "run")]) == 0
    analyzer = read_analyzer(tmp_path / "run" / "sorting" / "analyzer")
    templates = analyzer.get_extension("templates").get_data()
    assert len(templates) >= 3
    for template in templates:
        strongest = template[:, np.abs(template).max(axis=0).argmax()]
        # A spike is a trough near the aligned sample, followed by a smaller peak.
        assert strongest.min() < 0
        assert strongest[strongest.argmin() :].max() < -strongest.min()
