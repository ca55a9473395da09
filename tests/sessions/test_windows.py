import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroloom import Session
from neuroloom.errors import DataError
from neuroloom.sessions.windows import (
    bin_session,
    bin_starts,
    count_windows,
    flatten,
    spike_windows,
    window_starts,
)

TICK_S = 1 / 1024


@given(data=st.data())
def test_flattening_keeps_every_spike_with_its_unit(any_session, data):
    session = data.draw(any_session)
    flat = flatten(session)
    assert (np.diff(flat.times_s) >= 0).all()
    assert flat.n_units == len(session.spikes)
    for position, key in enumerate(session.spikes.index):
        assert np.array_equal(flat.times_s[flat.unit == position], session.spikes.data[key].t)


@given(data=st.data())
def test_windows_hold_what_a_loop_over_units_finds(any_session, data):
    session = data.draw(any_session)
    # Ticks, so that many windows start or end exactly on a spike.
    starts = np.array(data.draw(st.lists(st.integers(-3_000, 21_000), max_size=8))) * TICK_S
    window_s = data.draw(st.integers(1, 4_000)) * TICK_S
    batch = spike_windows(flatten(session), starts, window_s)
    assert len(batch) == len(starts)
    for w, start in enumerate(starts):
        expected = [
            (t - start, position)
            for position, key in enumerate(session.spikes.index)
            for t in session.spikes.data[key].t
            if start <= t < start + window_s
        ]
        mine = slice(batch.offsets[w], batch.offsets[w + 1])
        assert sorted(zip(batch.times_s[mine], batch.unit[mine], strict=True)) == sorted(expected)
        assert (np.diff(batch.times_s[mine]) >= 0).all()


@given(data=st.data())
def test_binned_windows_count_what_a_loop_over_bins_finds(any_session, data):
    session = data.draw(any_session)
    starts = np.array(data.draw(st.lists(st.integers(-3_000, 21_000), max_size=6))) * TICK_S
    bin_s, n_bins = data.draw(st.integers(1, 500)) * TICK_S, data.draw(st.integers(1, 6))
    counts = count_windows(flatten(session), starts, window_s=n_bins * bin_s, bin_s=bin_s)
    assert counts.shape == (len(starts), n_bins, len(session.spikes))
    for w, start in enumerate(starts):
        for b in range(n_bins):
            for position, key in enumerate(session.spikes.index):
                times = session.spikes.data[key].t
                low, high = start + b * bin_s, start + (b + 1) * bin_s
                assert counts[w, b, position] == np.count_nonzero((times >= low) & (times < high))


@given(data=st.data(), bin_s=st.sampled_from([TICK_S, 5 * TICK_S, 64 * TICK_S]))
def test_bins_fill_each_support_interval_and_never_reach_into_the_next(any_session, data, bin_s):
    session = data.draw(any_session)
    support = session.time_support
    n_expected = [int((end - start) // bin_s) for start, end in support.values]
    if not sum(n_expected):
        with pytest.raises(DataError, match="shorter window"):
            bin_session(session, bin_s)
        return
    counts, centres_s = bin_session(session, bin_s)
    starts_s, interval = bin_starts(session, bin_s)
    assert np.bincount(interval, minlength=len(support)).tolist() == n_expected
    assert (starts_s >= support.start[interval]).all()
    assert (starts_s + bin_s <= support.end[interval]).all()
    assert np.array_equal(centres_s, starts_s + bin_s / 2)
    for position, key in enumerate(session.spikes.index):
        times = session.spikes.data[key].t
        covered = ((times[:, None] >= starts_s) & (times[:, None] < starts_s + bin_s)).any(axis=1)
        assert counts[:, position].sum() == np.count_nonzero(covered)


def test_neighbouring_windows_share_no_spike_and_lose_none():
    session = Session.from_arrays(id="a", spike_times_s=[np.arange(101) / 10], time_support=(0, 10.5))
    batch = spike_windows(flatten(session), np.arange(10.0), 1.0)
    assert np.diff(batch.offsets).tolist() == [10] * 10
    assert batch.times_s.min() == 0.0
    assert batch.times_s.max() < 1.0


def test_an_interval_cut_by_a_microsecond_keeps_its_last_bin():
    # pynapple cuts this much where intervals touch.
    session = Session.from_arrays(id="a", spike_times_s=[[0.5]], time_support=[(0, 1 - 1e-6), (1, 2)])
    assert len(bin_session(session, 0.1)[0]) == 20


def test_windows_overlap_where_the_step_is_shorter():
    session = Session.from_arrays(id="a", spike_times_s=[], time_support=[(0, 2), (5, 6)])
    starts_s, interval = window_starts(session, window_s=1.0, step_s=0.5)
    assert starts_s.tolist() == [0.0, 0.5, 1.0, 5.0]
    assert interval.tolist() == [0, 0, 0, 1]


def test_no_windows_and_no_units_make_empty_arrays():
    session = Session.from_arrays(id="a", spike_times_s=[], time_support=(0, 2))
    flat = flatten(session)
    assert len(spike_windows(flat, np.zeros(0), 1.0)) == 0
    assert count_windows(flat, np.zeros(0), window_s=1.0, bin_s=0.5).shape == (0, 2, 0)
    assert bin_session(session, 0.5)[0].shape == (4, 0)


@pytest.mark.parametrize(
    "call",
    [
        lambda flat: spike_windows(flat, np.array([np.nan]), 1.0),
        lambda flat: spike_windows(flat, np.zeros((2, 2)), 1.0),
        lambda flat: spike_windows(flat, np.zeros(1), 0.0),
        lambda flat: count_windows(flat, np.zeros(1), window_s=1.0, bin_s=0.3),
        lambda flat: count_windows(flat, np.zeros(1), window_s=1.0, bin_s=0.0),
        lambda flat: window_starts(flat, window_s=1.0, step_s=0.0),
        lambda flat: bin_session(flat, 3.0),
    ],
)
def test_windows_that_make_no_sense_are_refused(call):
    session = Session.from_arrays(id="a", spike_times_s=[[0.5]], time_support=(0, 2))
    with pytest.raises(DataError):
        call(flatten(session))
