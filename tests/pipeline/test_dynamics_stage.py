"""The trials of a run are modelled where they can be; where they cannot, the run goes on and says so."""

import json
from pathlib import Path

import numpy as np
import pynapple as nap
import pytest

from neuroloom.pipeline.chain import RunConfig
from neuroloom.pipeline.dynamics_stage import FEWEST_TRIALS, dynamics_stage, has_dynamics
from neuroloom.pipeline.run_folder import RunFolder
from neuroloom.reporting.section_files import read_section
from neuroloom.sessions.session import Session


def session(n_trials: int, *, trial_s: float = 1.0) -> Session:
    """Four units at 20 Hz, a velocity in two dimensions, and trials one after the other."""
    random, duration_s = np.random.default_rng(0), float(max(n_trials, 2))
    spikes = {
        k: nap.Ts(np.sort(random.uniform(0, duration_s, random.poisson(20 * duration_s)))) for k in range(4)
    }
    times_s = np.arange(0, duration_s, 0.02)
    velocity = nap.TsdFrame(times_s, np.sin(times_s[:, None] * np.array([3.0, 5.0])), columns=["x", "y"])
    start = np.arange(n_trials, dtype=float)
    trials = nap.IntervalSet(start, start + trial_s * 0.999)
    support = nap.IntervalSet(0, duration_s)
    return Session(
        id="trials",
        subject="simulation",
        spikes=nap.TsGroup(spikes, time_support=support),
        behavior={"velocity": velocity},
        trials=trials,
        time_support=support,
    )


def left_by(folder: Path, each: Session) -> tuple[Path, dict]:
    stage = dynamics_stage(RunFolder(folder), each, "velocity", key="a", config=RunConfig())
    return stage, json.loads((stage / "stage.json").read_text())["summary"]


def test_trials_are_modelled_as_driven_by_what_is_decoded(tmp_path):
    stage, summary = left_by(tmp_path / "run", session(40))
    assert summary["n_components"] >= 1
    assert np.isfinite(summary["held_out"])
    assert "driven by velocity" in summary["lead"]
    assert any("Impulse responses" in str(block) for block in read_section(stage / "section").blocks)


def test_trials_too_short_for_a_model_leave_a_finding(tmp_path):
    stage, summary = left_by(tmp_path / "run", session(40, trial_s=0.05))
    (finding,) = summary["findings"]
    assert finding["level"] == "warning"
    assert "not modelled" in finding["what"]
    assert not (stage / "section").exists()


@pytest.mark.parametrize("n_trials", [FEWEST_TRIALS - 1, FEWEST_TRIALS])
def test_a_few_trials_are_not_enough(n_trials):
    assert has_dynamics(session(n_trials)) == (n_trials >= FEWEST_TRIALS)
