import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from neuroloom import Session
from neuroloom.errors import DataError, LeakySplit, UnknownTarget
from neuroloom.sessions.leaks import refuse_leak
from neuroloom.sessions.splits import grouped_folds, split_time, split_trials
from neuroloom.sessions.windows import bin_session

FRACTIONS = st.lists(st.integers(1, 10), min_size=1, max_size=4).map(lambda each: np.array(each) / sum(each))


def with_trials(n, **labels):
    """n trials of one second, touching each other."""
    trials = pd.DataFrame({"start": np.arange(n) * 1.0, "end": np.arange(n) + 1.0, **labels})
    return Session.from_arrays(id="a", spike_times_s=[], trials=trials)


@given(data=st.data(), fractions=FRACTIONS, gap_s=st.sampled_from([0.0, 0.01, 1.0]))
def test_parts_in_time_are_in_order_apart_and_inside_the_support(any_session, data, fractions, gap_s):
    session = data.draw(any_session)
    try:
        parts = split_time(session, fractions, gap_s=gap_s)
    except DataError as error:
        assert "is empty" in error.found  # noqa: PT017
        return
    assert len(parts) == len(fractions)
    for earlier, later in itertools.pairwise(parts):
        assert later.start[0] - earlier.end[-1] >= gap_s - 1e-9
        assert later.start[0] > earlier.end[-1]
        refuse_leak(earlier, later, gap_s=max(gap_s - 1e-9, 0))
    for part in parts:
        assert session.restrict(part).duration_s == pytest.approx(part.tot_length())
    lengths = np.array([part.tot_length() for part in parts])
    total = session.duration_s
    assert lengths == pytest.approx(fractions * total, abs=gap_s * len(parts) + 1e-6)
    if not gap_s:
        assert lengths.sum() == pytest.approx(total)


@given(
    data=st.data(), fractions=FRACTIONS, gap_s=st.sampled_from([0.0, 0.3]), bin_s=st.sampled_from([0.1, 0.25])
)
def test_parts_cut_on_bins_have_the_bins_of_the_whole(any_session, data, fractions, gap_s, bin_s):
    session = data.draw(any_session)
    try:
        parts = split_time(session, fractions, gap_s=gap_s, bin_s=bin_s)
        whole, centres_s = bin_session(session, bin_s)
        binned = [bin_session(session.restrict(part), bin_s) for part in parts]
    except DataError:
        return
    for (earlier, _), (later, _) in itertools.pairwise(zip(parts, binned, strict=True)):
        refuse_leak(earlier, later, gap_s=max(gap_s - 1e-9, 0))
    for counts, part_centres_s in binned:
        at = np.searchsorted(centres_s, part_centres_s - 1e-9)
        assert centres_s[at] == pytest.approx(part_centres_s)
        # A spike on a border may fall to either side of it by one rounding.
        assert np.abs(counts.cumsum(axis=0) - whole[at].cumsum(axis=0)).max(initial=0) <= 1
    if not gap_s:
        assert sum(len(counts) for counts, _ in binned) == len(whole)


@given(
    n=st.integers(1, 40),
    fractions=FRACTIONS,
    order=st.sampled_from(["chronological", "shuffled"]),
    seed=st.integers(0, 5),
    gap_s=st.sampled_from([0.0, 0.5, 1.5]),
)
def test_every_trial_is_on_one_side_with_its_labels(n, fractions, order, seed, gap_s):
    session = with_trials(n, number=np.arange(n))
    try:
        parts = split_trials(session, fractions, order=order, seed=seed, gap_s=gap_s)
    except DataError as error:
        assert "parts of" in error.found  # noqa: PT017
        return
    numbers = np.concatenate([part["number"] for part in parts])
    assert len(set(numbers)) == len(numbers)
    for part in parts:
        assert np.array_equal(part["number"], np.floor(part.start))
    for one, other in itertools.combinations(parts, 2):
        distance = np.maximum(one.start[:, None] - other.end, other.start - one.end[:, None]).min()
        assert distance >= gap_s - 1e-9
    if not gap_s:
        assert len(numbers) == n
        sizes = np.array([len(part) for part in parts])
        # Shares of less than a trial still get one, at the cost of the others.
        most = 1 if (fractions * n >= 1).all() else len(parts)
        assert np.abs(sizes - fractions * n).max() <= most + 1e-9
    if order == "chronological":
        assert (np.diff(numbers) > 0).all()


@given(
    groups=st.lists(st.integers(0, 8), min_size=4, max_size=60), fractions=FRACTIONS, seed=st.integers(0, 5)
)
def test_groups_never_straddle_a_split_of_trials(groups, fractions, seed):
    assume(len(set(groups)) >= len(fractions))
    session = with_trials(len(groups), image=groups)
    parts = split_trials(session, fractions, order="shuffled", seed=seed, groups="image")
    assert sum(len(part) for part in parts) == len(groups)
    for one, other in itertools.combinations(parts, 2):
        assert not set(one["image"]) & set(other["image"])
        refuse_leak(one, other, groups="image")


@given(groups=st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=60), data=st.data())
def test_grouped_folds_keep_groups_together_and_test_every_item_once(groups, data):
    n_groups = len(set(groups))
    assume(n_groups >= 2)
    n_folds = data.draw(st.integers(2, n_groups))
    folds = grouped_folds(groups, n_folds, seed=data.draw(st.integers(0, 3)))
    assert len(folds) == n_folds
    labels = np.array(groups)
    for train, test in folds:
        assert len(train)
        assert len(test)
        assert not set(labels[train]) & set(labels[test])
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(len(groups)))


def test_folds_without_groups_are_of_equal_size():
    sizes = [len(test) for _, test in grouped_folds(range(103), 5)]
    assert max(sizes) - min(sizes) <= 1


def test_a_split_belongs_to_its_seed():
    session = with_trials(50)
    once, again = (split_trials(session, (0.5, 0.5), order="shuffled", seed=1)[0].start for _ in range(2))
    other = split_trials(session, (0.5, 0.5), order="shuffled", seed=2)[0].start
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)


def test_a_chronological_cut_through_a_group_is_refused():
    session = with_trials(6, image=[1, 2, 3, 1, 2, 3])
    with pytest.raises(LeakySplit, match="3 of 3 values of image"):
        split_trials(session, (0.5, 0.5), groups="image")
    sorted_by_image = with_trials(6, image=[1, 1, 2, 2, 3, 3])
    train, test = split_trials(sorted_by_image, (2 / 3, 1 / 3), groups="image")
    assert (len(train), len(test)) == (4, 2)


def test_a_leak_is_named():
    session = with_trials(6, image=[1, 2, 3, 1, 2, 3])
    early, late = session.trials[:3], session.trials[3:]
    with pytest.raises(LeakySplit, match="values of 'image'"):
        refuse_leak(early, late, groups="image")
    with pytest.raises(LeakySplit, match="no moment on both sides"):
        refuse_leak(session.trials[:4], late)
    with pytest.raises(LeakySplit, match="within 1 s"):
        refuse_leak(early, late, gap_s=1.0)
    refuse_leak(early, late)


@pytest.mark.parametrize("fractions", [(0.5, 0.6), (1.5, -0.5), (), (0.5, np.nan), ((0.5,), (0.5,))])
def test_fractions_that_are_no_shares_are_refused(fractions):
    with pytest.raises(DataError, match="sum to 1"):
        split_time((0, 1), fractions)


def test_a_split_that_leaves_nothing_is_refused():
    with pytest.raises(DataError, match="part 2"):
        split_time((0, 1), (0.5, 0.5), gap_s=2.0)
    with pytest.raises(DataError, match="at least one trial"):
        split_trials(with_trials(2), (0.4, 0.3, 0.3))
    with pytest.raises(DataError, match="has no trials"):
        split_trials(Session.from_arrays(id="a", spike_times_s=[], time_support=(0, 1)))
    with pytest.raises(DataError, match="3 folds for 2 groups"):
        grouped_folds([1, 1, 2], 3)
    with pytest.raises(DataError, match="gap in seconds"):
        split_time((0, 1), gap_s=-1)
    with pytest.raises(UnknownTarget, match="'number'"):
        split_trials(with_trials(3, number=[1, 2, 3]), groups="image")
    with pytest.raises(DataError, match="one value per trial"):
        split_trials(with_trials(3), groups=[1, 2])
