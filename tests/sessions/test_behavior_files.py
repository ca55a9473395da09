"""Behaviour and trials come from tables as they were written, or are refused by line."""

import numpy as np
import pytest

from neuroloom.errors import DataError, MissingFile
from neuroloom.sessions.behavior_files import read_behavior, read_trials
from neuroloom.sessions.session import Session


def test_a_table_becomes_a_behaviour_called_like_its_file(tmp_path):
    (tmp_path / "velocity.csv").write_text("time_s,x,y\n0.0,1,2\n0.5,3,4\n")
    behavior, trials = read_behavior(tmp_path / "velocity.csv")
    assert list(behavior) == ["velocity"]
    assert list(behavior["velocity"].columns) == ["x", "y"]
    np.testing.assert_array_equal(behavior["velocity"].values, [[1, 2], [3, 4]])
    assert trials is None


def test_a_missing_value_stays_missing(tmp_path):
    (tmp_path / "speed.csv").write_text("time_s,speed\n0.0,1\n0.5,\n1.0,3\n")
    behavior, _ = read_behavior(tmp_path / "speed.csv")
    np.testing.assert_array_equal(behavior["speed"].values, [1, np.nan, 3])


def test_a_session_brings_behaviour_and_trials(tmp_path):
    session = Session.from_counts(
        np.ones((20, 2), int), bin_size_s=0.1, id="a", behavior={"speed": np.arange(20.0)},
        trial_lengths=[10, 10], trial_labels={"direction": [3, 5]},
    )  # fmt: skip
    behavior, trials = read_behavior(session.save(tmp_path / "a.session"))
    np.testing.assert_array_equal(behavior["speed"].values, np.arange(20.0))
    assert trials is not None
    assert list(trials.get_info("direction")) == [3, 5]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("t,x\n0,1\n", "time_s"),
        ("time_s,x\n1,1\n0,2\n", "do not increase"),
        ("time_s,x\n,1\n", "do not increase|missing"),
        ("time_s\n0\n", "0 columns"),
        ("time_s,x\n", "0 rows"),
        ("", "cannot be read"),
        ("time_s,x\n0,fast\n", "fast"),
    ],
)
def test_a_table_that_is_no_behaviour_is_refused(tmp_path, text, complaint):
    (tmp_path / "b.csv").write_text(text)
    with pytest.raises(DataError, match=complaint):
        read_behavior(tmp_path / "b.csv")


def test_an_absent_table_is_missing(tmp_path):
    with pytest.raises(MissingFile, match="absent"):
        read_behavior(tmp_path / "absent.csv")


def test_trials_keep_their_labels_and_come_in_order(tmp_path):
    (tmp_path / "t.csv").write_text("start,end,direction\n2,3,left\n0,1,right\n")
    trials = read_trials(tmp_path / "t.csv")
    np.testing.assert_array_equal(trials.start, [0, 2])
    assert list(trials.get_info("direction")) == ["right", "left"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("start,end\n1,0\n", "runs from 1"), ("start,end\n0,2\n1,3\n", "starts before"), ("start\n0\n", "end")],
)
def test_impossible_trials_are_refused(tmp_path, text, complaint):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=complaint):
        read_trials(tmp_path / "t.csv")
