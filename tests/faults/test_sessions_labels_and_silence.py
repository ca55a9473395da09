"""Faults 20 to 22: windows without spikes, labels that define no score, repeats on both sides of a split."""

import numpy as np
import pandas as pd
import pytest

from neuroloom import Session
from neuroloom.errors import DataError, LeakySplit
from neuroloom.findings import refuse_errors
from neuroloom.sessions.checks import check_session
from neuroloom.sessions.leaks import refuse_leak
from neuroloom.sessions.splits import grouped_folds, split_trials
from neuroloom.sessions.windows import count_windows, flatten, spike_windows

TIMES_S = np.arange(40) / 10


def session_of(values, labels):
    trials = pd.DataFrame({"start": np.arange(4.0), "end": np.arange(4) + 1.0, "side": labels})
    return Session.from_arrays(
        id="a", spike_times_s=[TIMES_S], trials=trials, behavior={"v": (TIMES_S[: len(values)], values)},
        time_support=(0, 4),
    )  # fmt: skip


def test_a_window_without_spikes_is_empty_and_counts_zero():
    flat = flatten(Session.from_arrays(id="a", spike_times_s=[[0.5], [9.5]], time_support=(0, 10)))
    starts = np.array([2.0, 0.0, 5.0, -4.0, 100.0])
    batch = spike_windows(flat, starts, 1.0)
    assert np.diff(batch.offsets).tolist() == [0, 1, 0, 0, 0]
    counts = count_windows(flat, starts, window_s=1.0, bin_s=0.25)
    assert counts.sum(axis=(1, 2)).tolist() == [0, 1, 0, 0, 0]


def test_nan_labels_are_masked_and_counted():
    values = np.arange(40.0)
    values[:7] = np.nan
    session = session_of(values, ["l", "", "r", "r"])
    (behavior,) = [f for f in check_session(session, target="v") if "'v'" in f.where]
    assert (behavior.level, behavior.what[:7]) == ("warning", "7 of 40")
    told = [f.what for f in check_session(session, target="side") if "side" in f.where]
    assert "1 of 4 are missing" in told[0]


@pytest.mark.parametrize("values", [np.ones(40), np.full(40, np.nan), np.ones(1), np.zeros(0)])
def test_a_behaviour_that_defines_no_score_is_refused(values):
    with pytest.raises(DataError, match=r"undefined|no score is defined"):
        refuse_errors(check_session(session_of(values, ["l", "r", "l", "r"]), target="v"))


@pytest.mark.parametrize("labels", [["l"] * 4, [""] * 4, ["l", "", "", ""], [np.nan, 1.0, 1.0, np.nan]])
def test_a_label_of_fewer_than_two_classes_is_refused(labels):
    with pytest.raises(DataError, match="at least two classes"):
        refuse_errors(check_session(session_of(np.arange(40.0), labels), target="side"))


def test_repeats_of_a_stimulus_cannot_be_on_both_sides():
    images = np.arange(60) % 15
    trials = pd.DataFrame({"start": np.arange(60.0), "end": np.arange(60) + 0.5, "image": images})
    session = Session.from_arrays(id="a", spike_times_s=[], trials=trials)
    with pytest.raises(LeakySplit):
        split_trials(session, groups="image")
    careless = split_trials(session)
    with pytest.raises(LeakySplit):
        refuse_leak(careless[0], careless[2], groups="image")
    train, _, test = split_trials(session, order="shuffled", groups="image")
    refuse_leak(train, test, groups="image")
    for train_index, test_index in grouped_folds(images, 5):
        assert not set(images[train_index]) & set(images[test_index])
