"""The scripts that turn published recordings into sessions, run on the real files."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from neuroloom import Session
from neuroloom.sessions.checks import check_session
from neuroloom.sessions.columns import label_values
from neuroloom.sessions.windows import bin_session, bin_starts

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def read(script, path):
    spec = importlib.util.spec_from_file_location(script, EXAMPLES / f"{script}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.read(path)


@pytest.mark.parametrize(
    "name", ["chewie_2013-10-03_100ms", "chewie_2013-10-03_50ms", "mihi_2014-03-03_100ms"]
)
def test_reaching_sessions_hold_the_counts_and_labels_of_the_file(shared_data, name):
    path = shared_data / "reaching" / f"{name}.npz"
    session = read("reaching_sessions", path)
    with np.load(path) as data:
        bin_size_s = float(data["bin_size_s"])
        counts, centres_s = bin_session(session, bin_size_s)
        assert np.array_equal(counts, data["spike_counts"])
        assert np.array_equal(session.behavior["velocity"].values, data["velocity"])
        assert np.array_equal(session.behavior["velocity"].t, centres_s)
        trial = bin_starts(session, bin_size_s)[1]
        expected = np.repeat(data["target"], data["trial_lengths"])
        assert np.array_equal(label_values(session.trials, "direction")[trial], expected)
    assert ("position" in session.behavior) == name.startswith("chewie")
    assert all(finding.level == "info" for finding in check_session(session, target="direction"))


def test_continuous_reaching_sessions_hold_the_counts_of_the_file(shared_data):
    path = shared_data / "continuous_reaching" / "m1_stevenson.npz"
    session = read("continuous_reaching_sessions", path)
    with np.load(path) as data:
        assert np.array_equal(bin_session(session, 0.05)[0], data["spike_counts"])
        assert np.array_equal(session.behavior["velocity"].values, data["hand_velocity"])


def test_the_maze_session_holds_every_spike(shared_data):
    session = read("maze_session", shared_data / "maze_running" / "linear-track.npz")
    assert (len(session.spikes), sum(len(train) for train in session.spikes.data.values())) == (31, 28_829)
    speed = session.behavior["speed"].values
    assert np.nanmedian(speed) < np.nanpercentile(speed, 95) / 5


def test_the_lever_session_keeps_spikes_with_their_trials(shared_data):
    path = shared_data / "lever_press" / "motor_ctx_data.npz"
    session = read("lever_press_session", path)
    with np.load(path) as data:
        trial, neuron, times_ms = data["trial_ids"], data["neuron_ids"], data["spiketimes"]
    file_trial = label_values(session.trials, "file_trial")
    assert abs(np.corrcoef(file_trial, session.trials.start)[0, 1]) < 0.1
    for position in (0, 500, 1265):
        start = session.trials.start[position]
        for key in (0, 17, 29):
            train = session.spikes[key].t
            inside = train[(train >= start) & (train < start + 2.0)] - start
            expected = np.sort(times_ms[(trial == file_trial[position]) & (neuron == key)]) / 1e3
            assert inside == pytest.approx(expected)
    behavior = session.behavior["time_from_tap1"]
    at_first_tap = np.searchsorted(
        behavior.t, session.trials.start + label_values(session.trials, "tap1_s") - 1e-6
    )
    assert behavior.values[at_first_tap] == pytest.approx(0.0, abs=1e-6)


def test_visual_decision_sessions_hold_areas_and_sides(shared_data):
    path = shared_data / "visual_decision" / "session03_cori.npz"
    session = read("visual_decision_sessions", path)
    with np.load(path) as data:
        counts = bin_session(session, 0.01)[0].reshape(data["spike_counts"].shape[0], 40, -1)
        assert np.array_equal(counts.transpose(0, 2, 1), data["spike_counts"])
        assert label_values(session.spikes, "brain_area").tolist() == data["brain_area"].tolist()
        left, right = data["contrast_left"], data["contrast_right"]
    side = label_values(session.trials, "stimulus")
    assert set(side[left > right]) == {"left"}
    assert set(side[left == right]) == {""}


def test_a_script_says_what_it_wrote_and_what_comes_next(shared_data, tmp_path):
    def run(data):
        command = [sys.executable, str(EXAMPLES / "maze_session.py"), str(data), "--out", str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = run(shared_data / "maze_running")
    assert done.returncode == 0, done.stderr
    assert "wrote" in done.stdout
    assert "neuroloom decode fit --session" in done.stdout
    assert len(Session.load(tmp_path / "linear-track.session").spikes) == 31
    failed = run(tmp_path / "nowhere")
    assert failed.returncode == 2
    assert "pass the folder that holds it" in failed.stderr
    assert "Traceback" not in failed.stderr
