"""What a run came to: read from its folder, and said alike on the page and in the terminal."""

import html
import json
import re

import numpy as np
import pytest

from neuroloom import artifacts
from neuroloom.cli.chain import finish
from neuroloom.pipeline.outcome import read_outcome
from neuroloom.pipeline.pages import read_about, write_report
from neuroloom.pipeline.run_folder import RunFolder
from neuroloom.reporting.summary import points
from neuroloom.sessions.session import Session

FINDING = {"level": "warning", "what": "2 samples are NaN", "where": "channel 3", "remedy": "look at it"}


def decoded(folder, *, metric, true, predicted, classes=None, comparison=None):
    """Leave what the stage of decoding leaves."""

    def make(draft):
        arrays = {"times_s": np.arange(len(true)) * 0.1, "predicted": predicted, "true": true}
        document = {"columns": ["x", "y"], "classes": classes}
        artifacts.save_artifact(draft / "predictions", kind="predictions", arrays=arrays, document=document)
        return {
            "target": "velocity", "model": "poyo", "metric": metric, "score": 0.6,
            "dimension_scores": {"x": 0.5, "y": 0.7}, "comparison": comparison or {"sorted units": 0.6},
            "lead": "POYO decodes velocity: 0.60.", "findings": [FINDING],
        }  # fmt: skip

    folder.stage("decoding", make, key="a")


@pytest.fixture
def run(tmp_path):
    """A run of two units without its voltage."""
    folder = RunFolder(tmp_path / "run")
    about = {
        "config": {"seed": 0}, "findings": [], "command": "neuroloom run", "source": "a.raw",
        "target": "velocity", "session_id": "monday", "data_fingerprint": "ab",
    }  # fmt: skip
    artifacts.write_text(folder.path / "run.json", json.dumps(about))
    session = Session.from_arrays(
        id="monday",
        spike_times_s=[np.arange(0, 10, 0.5), np.arange(0, 10, 0.3)],
        behavior={"velocity": (np.arange(0, 10, 0.1), np.ones((100, 2)))},
        time_support=(0, 10),
    )

    def join(draft):
        session.save(draft / "session.session")
        return {"n_units": 2, "findings": []}

    folder.stage("session", join, key="a")
    return folder


def test_the_page_and_the_terminal_say_the_same(run, capsys):
    rng = np.random.default_rng(0)
    true = rng.normal(size=(100, 2))
    decoded(
        run, metric="R²", true=true, predicted=true * 0.8,
        comparison={"sorted units": 0.6, "true units": 0.7, "sorted units, wiener": 0.65},
    )  # fmt: skip
    page = html.unescape(write_report(run.path).read_text())
    finish(run.path)
    printed = capsys.readouterr().out
    words = " ".join(printed.split())
    outcome = read_outcome(run.path, read_about(run.path))
    assert (outcome.chance, outcome.baseline_score, outcome.true_unit_score) == (0.0, 0.65, 0.7)
    for point in points(outcome):
        assert point.text in page
        assert " ".join(point.text.split()) in words
    assert "1 warning. channel 3: 2 samples are NaN." in words
    assert f"--session {run.path}/session/session.session --target velocity --model wiener" in printed
    # The page does not know where it lies.
    assert str(run.path) not in page


def test_chance_of_labels_is_the_share_of_the_most_frequent(run):
    true = np.array([0] * 70 + [1] * 30)
    decoded(run, metric="accuracy", true=true, predicted=true, classes=["left", "right"])
    assert read_outcome(run.path, read_about(run.path)).chance == pytest.approx(0.7)


def test_a_run_without_decoding_asks_for_nothing_it_cannot_know(run):
    page = write_report(run.path).read_text()
    assert re.search(r"<dt>(<a [^>]*>)?Findings", page)
    assert "Cost of sorting" not in page
