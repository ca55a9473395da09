import dataclasses

import numpy as np
import pandas as pd
import pynapple as nap
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroloom import Session
from neuroloom.errors import DataError


def inside(times, support):
    return np.array([((support.start <= t) & (t <= support.end)).any() for t in times], dtype=bool)


@given(data=st.data())
def test_a_session_is_inside_its_time_support_and_shares_it(any_session, data):
    session = data.draw(any_session)
    for train in session.spikes.data.values():
        assert inside(train.t, session.time_support).all()
        assert (np.diff(train.t) > 0).all()
    for series in session.behavior.values():
        assert inside(series.t, session.time_support).all()
        assert np.array_equal(series.time_support.values, session.time_support.values)
    assert np.array_equal(session.spikes.time_support.values, session.time_support.values)
    assert session == session
    assert len(session.unit_ids) == len(set(session.unit_ids)) == len(session.spikes)
    assert repr(session.id) in repr(session)


@given(data=st.data())
def test_restricting_keeps_exactly_what_is_inside(any_session, data):
    session = data.draw(any_session)
    low, high = session.time_support.start[0], session.time_support.end[-1]
    a, b = sorted(data.draw(st.lists(st.floats(low, high), min_size=2, max_size=2, unique=True)))
    window = nap.IntervalSet(a, b)
    if not (np.minimum(session.time_support.end, b) > np.maximum(session.time_support.start, a)).any():
        with pytest.raises(DataError, match="no time inside"):
            session.restrict(window)
        return
    part = session.restrict(window)

    support = part.time_support
    for key, train in session.spikes.data.items():
        assert np.array_equal(part.spikes.data[key].t, train.t[inside(train.t, support)])
    for name, series in session.behavior.items():
        kept = inside(series.t, support)
        assert np.array_equal(
            part.behavior[name].values, series.values[kept], equal_nan=series.values.dtype.kind == "f"
        )
    assert part.spikes.metadata_columns == session.spikes.metadata_columns
    if session.trials is not None:
        whole = (session.trials.start >= a - 3e-6) & (session.trials.end <= b + 3e-6)
        assert len(part.trials) == np.count_nonzero(whole)
        assert part.trials.metadata_columns == session.trials.metadata_columns
    assert part.restrict(window) == part


@given(data=st.data())
def test_any_change_changes_the_fingerprint(any_session, data):
    session = data.draw(any_session)
    changed = [dataclasses.replace(session, id=session.id + "x"), dataclasses.replace(session, trials=None)]
    if session.trials is None:
        changed.pop()
    longer = np.r_[session.time_support.values, [[100.0, 101.0]]]
    changed.append(dataclasses.replace(session, time_support=nap.IntervalSet(longer)))
    assert all(other != session and other.fingerprint() != session.fingerprint() for other in changed)


def test_findings_are_not_part_of_a_sessions_identity():
    clean = Session.from_arrays(id="a", spike_times_s=[[0.25, 0.5]], time_support=(0, 1))
    mended = Session.from_arrays(id="a", spike_times_s=[[0.5, 0.25]], time_support=(0, 1))
    assert mended.findings
    assert clean == mended


def test_a_session_restricted_to_its_trials_keeps_their_borders_apart():
    trials = pd.DataFrame({"start": [0.0, 1.0, 2.0], "end": [1.0, 2.0, 3.0], "side": ["l", "r", "l"]})
    session = Session.from_arrays(
        id="a", spike_times_s=[[0.0, 1.0, 2.0, 3.0]], trials=trials, time_support=(0, 3)
    )
    inside_trials = session.restrict(session.trials)
    assert len(inside_trials.time_support) == 3
    assert inside_trials.spikes[0].t.tolist() == [0.0, 1.0, 2.0, 3.0]
    left = session.restrict(session.trials[session.trials["side"] == "l"])
    assert left.spikes[0].t.tolist() == [0.0, 2.0, 3.0]
    assert left.trials["side"].tolist() == ["l", "l"]


def test_a_trial_cut_by_a_border_is_left_out():
    trials = pd.DataFrame({"start": [0.0, 5.0], "end": [5.0, 9.0]})
    session = Session.from_arrays(id="a", spike_times_s=[[1.0]], trials=trials, time_support=(0, 10))
    assert len(session.restrict((0, 8)).trials) == 1


def test_the_constructor_gives_everything_the_one_support():
    spikes = nap.TsGroup({4: nap.Ts(np.arange(10.0))})
    velocity = nap.Tsd(np.arange(20.0), np.arange(20.0))
    trials = nap.IntervalSet([0, 6], [2, 12])
    session = Session("a", "b", spikes, {"velocity": velocity}, trials, nap.IntervalSet(0, 7))
    assert session.unit_ids == ["a/4"]
    assert session.spikes[4].t.tolist() == list(range(8))
    assert len(session.behavior["velocity"]) == 8
    assert len(session.trials) == 1
    assert "1 of 2 reach outside" in session.findings[0].what


def test_the_constructor_refuses_what_is_no_session():
    spikes = nap.TsGroup({}, time_support=nap.IntervalSet(0, 1))
    support = nap.IntervalSet(0, 1)
    for arguments in [
        ("", "b", spikes, {}, None, support),
        ("a", "b", [[0.1]], {}, None, support),
        ("a", "b", spikes, {"velocity": np.zeros(3)}, None, support),
        ("a", "b", spikes, {}, [[0, 1]], support),
        ("a", "b", spikes, {}, None, nap.IntervalSet([], [])),
    ]:
        with pytest.raises(DataError):
            Session(*arguments)


def test_a_session_cannot_be_changed():
    session = Session.from_arrays(id="a", spike_times_s=[[0.5]], time_support=(0, 1))
    with pytest.raises(dataclasses.FrozenInstanceError):
        session.id = "b"
