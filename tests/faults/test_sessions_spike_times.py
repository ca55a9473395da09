"""Fault 10: non-monotonic, duplicated, negative, past-the-end or NaN spike times."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroloom import Session
from neuroloom.errors import DataError
from neuroloom.sessions.checks import check_session


@given(times=st.lists(st.integers(-20, 120)))
def test_spike_times_are_sorted_or_dropped_and_every_one_is_counted(times):
    session = Session.from_arrays(id="a", spike_times_s=[np.array(times) / 10], time_support=(0, 10))
    kept = sorted({t for t in times if 0 <= t <= 100})
    assert np.array_equal(session.spikes[0].t, np.array(kept) / 10)
    told = {}
    for finding in session.findings:
        assert (finding.level, finding.where) == ("warning", "unit 0")
        count, what = finding.what.split(" ", 1)
        told[what] = int(count)
    disorder = sum(b < a for a, b in itertools.pairwise(times))
    assert told.get("spikes came before their predecessor and were sorted", 0) == disorder
    dropped = sum(count for what, count in told.items() if what.endswith("dropped"))
    assert dropped == len(times) - len(kept)
    assert told.get("spikes at negative times were dropped", 0) == len({t for t in times if t < 0})


def test_the_counts_are_part_of_what_the_check_says():
    session = Session.from_arrays(
        id="a", spike_times_s={3: [0.5, 0.2], 8: [0.1, 0.1, 99.0, -1.0]}, time_support=(0, 1)
    )
    told = [(f.where, f.what) for f in check_session(session) if f.level == "warning"]
    assert told == [
        ("units 3, 8", "2 spikes came before their predecessor and were sorted"),
        ("unit 8", "1 duplicated spikes were dropped"),
        ("unit 8", "1 spikes at negative times were dropped"),
        ("unit 8", "1 spikes outside the time support were dropped"),
    ]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_spike_times_that_are_no_numbers_are_refused(bad):
    with pytest.raises(DataError, match="unit 1 has 1 NaN or infinite") as caught:
        Session.from_arrays(id="a", spike_times_s=[[0.5], [0.1, bad]], time_support=(0, 1))
    assert caught.value.remedy


def test_a_sorting_with_negative_and_late_samples_is_mended():
    from spikeinterface.core import NumpySorting, generate_recording

    sorting = NumpySorting.from_unit_dict({0: np.array([-5, 100, 200, 5000])}, 1000.0)
    recording = generate_recording(num_channels=1, durations=[1.0], sampling_frequency=1000.0)
    sorting.register_recording(recording, check_spike_frames=False)
    session = Session.from_sorting(sorting, id="a")
    assert session.spikes[0].t.tolist() == [0.1, 0.2]
    assert len(session.findings) == 2
