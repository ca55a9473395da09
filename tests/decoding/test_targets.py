import numpy as np
import pandas as pd
import pytest

from neuroloom.decoding.targets import behavior_at, class_codes, find_target, known, trial_labels
from neuroloom.errors import DataError, UnknownTarget
from neuroloom.sessions.session import Session


def session_with(times, values, *, support=(0.0, 10.0), **more):
    return Session.from_arrays(
        id="a", spike_times_s=[[0.1]], behavior={"x": (times, values)}, time_support=support, **more
    )


def test_samples_at_the_centres_are_used_as_they_are():
    centres = np.arange(100) * 0.05 + 0.025
    values = np.random.default_rng(0).normal(size=(100, 2))
    values[[3, 50]] = np.nan
    session = session_with(centres, values)
    # Also when the centres differ in the last bits: a NaN beside must not spread.
    found, _ = behavior_at(session, "x", centres + 1e-12, width_s=0.05)
    np.testing.assert_array_equal(found, values)


def test_dense_samples_are_averaged_within_their_bin():
    times = np.arange(1000) * 0.001 + 0.0005
    found, columns = behavior_at(session_with(times, times), "x", np.array([0.05, 0.15]), width_s=0.1)
    np.testing.assert_allclose(found[:, 0], [0.05, 0.15])
    assert columns == ("x",)


def test_the_mean_of_a_bin_is_that_of_its_known_samples():
    times = np.arange(100) * 0.01 + 0.005
    values = np.ones(100)
    values[:9] = np.nan
    values[10:20] = np.nan
    found, _ = behavior_at(session_with(times, values), "x", np.array([0.05, 0.15]), width_s=0.1)
    assert found[0, 0] == 1.0
    assert np.isnan(found[1, 0])


def test_sparse_samples_are_joined_by_lines():
    times = np.arange(0, 10.1, 0.5)
    centres = np.arange(200) * 0.05 + 0.025
    found, _ = behavior_at(session_with(times, 3 * times), "x", centres, width_s=0.05)
    np.testing.assert_allclose(found[:, 0], 3 * centres)


def test_no_line_crosses_a_hole_or_a_border_of_the_support():
    times = np.r_[np.arange(0, 2, 0.1), np.arange(5, 7, 0.1)]
    centres = np.array([1.55, 3.5, 5.55])
    found, _ = behavior_at(session_with(times, times), "x", centres, width_s=0.05)
    np.testing.assert_allclose(found[[0, 2], 0], [1.55, 5.55])
    assert np.isnan(found[1, 0])
    # Close in time, yet in two intervals: each side takes its own nearest sample.
    times = np.r_[np.arange(0.5, 10), np.arange(10.5, 20)]
    session = session_with(times, np.r_[np.zeros(10), np.ones(10)], support=[(0, 10), (10.001, 20)])
    found, _ = behavior_at(session, "x", np.array([9.9, 10.1]), width_s=0.1)
    np.testing.assert_array_equal(found[:, 0], [0.0, 1.0])


def test_a_behaviour_without_samples_is_unknown_everywhere():
    session = session_with(np.zeros(0), np.zeros(0))
    assert np.isnan(behavior_at(session, "x", np.array([1.0]), width_s=0.1)[0]).all()


def trials(**labels):
    table = pd.DataFrame({"start": [0.0, 1.0, 2.0], "end": [0.9, 1.9, 2.9], **labels})
    return session_with([0.0], [1.0], trials=table)


def test_a_name_means_a_behaviour_or_a_trial_label():
    session = trials(side=["left", "right", "left"], contrast=[0.5, np.nan, 1.0])
    assert find_target([session], "x").task == "regression"
    assert find_target([session], "side").classes == ("left", "right")
    assert find_target([session], "contrast").classes == (0.5, 1.0)


def test_an_unknown_name_is_refused_with_those_there_are():
    with pytest.raises(UnknownTarget, match=r"behaviours \(x\) or trial labels \(side\)"):
        find_target([trials(side=["l", "r", "l"])], "speed")
    with pytest.raises(UnknownTarget, match="it has no trials"):
        find_target([session_with([0.0], [1.0])], "speed")


def test_one_class_is_refused():
    with pytest.raises(DataError, match="at least two classes"):
        find_target([trials(side=["l", "l", "l"])], "side")


def test_sessions_must_agree_on_the_form_of_a_target():
    flat = session_with([0.0, 1.0], [1.0, 2.0])
    deep = session_with([0.0, 1.0], np.ones((2, 3)))
    with pytest.raises(DataError, match="columns 0, 1, 2"):
        find_target([flat, deep], "x")


def test_missing_labels_have_no_code():
    assert known(np.array(["a", "", "b"])).tolist() == [True, False, True]
    assert class_codes(np.array([1.0, np.nan, 2.0]), (1.0, 2.0)).tolist() == [0, -1, 1]


def test_a_missing_text_is_no_class():
    session = Session.from_counts(
        np.ones((6, 2), int), bin_size_s=0.1, id="a", trial_lengths=[2, 2, 2],
        trial_labels={"side": np.array(["left", "", "right"])},
    )  # fmt: skip
    assert find_target([session], "side").classes == ("left", "right")
    assert known(trial_labels(session, "side")).tolist() == [True, False, True]
