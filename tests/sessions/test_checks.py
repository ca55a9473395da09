import numpy as np
import pandas as pd
import pynapple as nap
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroloom import Session
from neuroloom.errors import DataError, UnknownTarget
from neuroloom.findings import refuse_errors
from neuroloom.sessions.checks import check_session, missing, target_kind


def session_of(**behavior):
    trials = pd.DataFrame(
        {"start": [0.0, 1.0, 2.0, 3.0], "end": [1.0, 2.0, 3.0, 4.0], "side": ["l", "r", "l", "r"]}
    )
    times = np.arange(40) / 10
    return Session.from_arrays(
        id="a",
        spike_times_s=[np.arange(40) / 10 + 0.05],
        trials=trials,
        behavior={name: (times, values) for name, values in behavior.items()},
        time_support=(0, 4),
    )


def about(session, target, word):
    return [finding for finding in check_session(session, target=target) if word in finding.what]


def test_a_clean_session_has_no_findings():
    session = session_of(velocity=np.random.default_rng(0).normal(size=(40, 2)))
    assert check_session(session) == []
    assert check_session(session, target="velocity") == []
    assert check_session(session, target="side") == []


@given(data=st.data())
def test_any_session_can_be_checked(any_session, data):
    session = data.draw(any_session)
    levels = [finding.level for finding in check_session(session)]
    assert levels == sorted(levels, key=["error", "warning", "info"].index)
    assert "error" not in levels


def test_a_target_that_is_not_there_is_refused_with_what_is():
    session = session_of(velocity=np.zeros(40))
    with pytest.raises(UnknownTarget, match=r"a behaviour \(velocity\) or a trial label \(side\)"):
        check_session(session, target="force")


def test_a_session_without_trials_cannot_be_classified():
    session = Session.from_arrays(id="a", spike_times_s=[[0.5]], time_support=(0, 1))
    with pytest.raises(UnknownTarget, match="the session has no trials"):
        check_session(session, target="side")


def test_a_behaviour_is_regressed_and_a_label_classified():
    session = session_of(side=np.arange(40.0), speed=np.arange(40.0))
    assert target_kind(session, "speed") == "regression"
    assert target_kind(session, "side") == "regression"
    assert about(session, "side", "names a behaviour and a trial label")
    assert target_kind(session_of(), "side") == "classification"


def test_spikes_that_stand_twice_in_a_hand_made_session_are_counted():
    support = nap.IntervalSet(0, 1)
    spikes = nap.TsGroup({0: nap.Ts(np.array([0.2, 0.2, 0.5]), time_support=support)}, time_support=support)
    findings = check_session(Session("a", "b", spikes, {}, None, support))
    assert "1 spikes stand twice" in findings[0].what


def test_silences_of_all_units_are_measured_inside_the_support_only():
    session = Session.from_arrays(id="a", spike_times_s=[[0.5, 4.0, 20.5]], time_support=[(0, 5), (20, 21)])
    (finding,) = check_session(session)
    assert "4.5 s of 6.0 s" in finding.what
    assert "up to 3.5 s" in finding.what
    assert finding.level == "info"


def test_what_forbids_work_on_a_target_is_worth_knowing_otherwise():
    session = session_of(flat=np.ones(40))
    assert [finding.level for finding in check_session(session)] == ["info"]
    with pytest.raises(DataError, match="R2 is undefined"):
        refuse_errors(check_session(session, target="flat"))


def test_one_constant_dimension_of_several_is_a_warning():
    values = np.random.default_rng(0).normal(size=(40, 2))
    values[:, 1] = 3.0
    (finding,) = check_session(session_of(v=values), target="v")
    assert (finding.level, "dimensions 1 are constant" in finding.what) == ("warning", True)


def test_labels_that_look_continuous_or_are_alone_are_told():
    trials = pd.DataFrame(
        {"start": np.arange(8.0), "end": np.arange(8) + 1.0, "x": np.arange(8), "y": [0] * 7 + [1]}
    )
    session = Session.from_arrays(id="a", spike_times_s=[np.arange(80) / 10], trials=trials)
    assert about(session, "x", "looks continuous")
    assert about(session, "y", "1 of 2 classes have one trial")


def test_missing_means_not_a_number_or_no_text():
    assert missing(np.array([1.0, np.nan, np.inf])).tolist() == [False, True, True]
    assert missing(np.array([[1.0, 2.0], [np.nan, 2.0]])).tolist() == [False, True]
    assert missing(np.array(["a", ""])).tolist() == [False, True]
    assert missing(np.array([0, 1])).tolist() == [False, False]
    assert missing(np.zeros((0, 2))).tolist() == []
