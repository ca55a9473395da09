import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from neuroloom import Session
from neuroloom.errors import DataError
from neuroloom.sessions.windows import bin_session

BIN_SIZES_S = [0.05, 0.01, 0.1, 1 / 3, 0.02, 1.0, 0.0001]


@given(
    counts=npst.arrays(
        st.sampled_from(["uint8", "int64", "float32"]),
        st.tuples(st.integers(1, 60), st.integers(0, 5)),
        elements=st.integers(0, 200),
    ),
    bin_size_s=st.sampled_from(BIN_SIZES_S) | st.floats(1e-3, 2),
    start_s=st.sampled_from([0.0, 0.1, -3.3, 5000.7]),
    gap_s=st.sampled_from([0.0, 0.3]),
    data=st.data(),
)
def test_counts_come_back_from_the_spikes_made_of_them(counts, bin_size_s, start_s, gap_s, data):
    n_bins = len(counts)
    lengths = None
    if data.draw(st.booleans()):
        cuts = np.unique([*data.draw(st.lists(st.integers(1, n_bins), max_size=6)), n_bins])
        lengths = np.diff(np.r_[0, cuts])
    session = Session.from_counts(
        counts, bin_size_s=bin_size_s, id="a", start_s=start_s, trial_lengths=lengths, trial_gap_s=gap_s,
        behavior={"v": np.arange(2.0 * n_bins).reshape(n_bins, 2)},
    )  # fmt: skip
    again, centres_s = bin_session(session, bin_size_s)
    assert np.array_equal(again, counts)
    assert np.array_equal(centres_s, session.behavior["v"].t)
    assert len(session.time_support) == (1 if lengths is None else len(lengths))
    assert (session.trials is None) == (lengths is None)
    assert session.findings == ()


def test_a_count_becomes_spikes_spread_evenly_inside_its_bin():
    session = Session.from_counts([[2, 0], [0, 4]], bin_size_s=0.1, id="a")
    assert session.spikes[0].t == pytest.approx([0.025, 0.075])
    assert session.spikes[1].t == pytest.approx([0.1125, 0.1375, 0.1625, 0.1875])


def test_trials_laid_end_to_end_keep_their_labels_and_lengths():
    session = Session.from_counts(
        np.ones((6, 1)),
        bin_size_s=0.5,
        id="a",
        trial_lengths=[1, 2, 3],
        trial_labels={"side": ["l", "r", "l"]},
        trial_gap_s=2.0,
    )
    assert session.trials.start.tolist() == [0.0, 2.5, 5.5]
    assert session.trials.end.tolist() == [0.5, 3.5, 7.0]
    assert session.trials["side"].tolist() == ["l", "r", "l"]
    assert session.duration_s == 3.0


@pytest.mark.parametrize("bad", [-1, 0.5, np.nan, np.inf])
def test_counts_that_are_no_counts_are_refused(bad):
    counts = np.zeros((3, 2))
    counts[1, 1] = bad
    with pytest.raises(DataError, match="bin 1 of unit 1"):
        Session.from_counts(counts, bin_size_s=0.1, id="a")


@pytest.mark.parametrize(
    "wrong",
    [
        {"bin_size_s": 0},
        {"bin_size_s": np.nan},
        {"trial_lengths": [1, 1]},
        {"trial_lengths": [3, 0]},
        {"trial_lengths": [1.5, 1.5]},
        {"trial_labels": {"a": [1]}},
        {"behavior": {"v": np.zeros(2)}},
        {"unit_metadata": {"area": ["a"]}},
        {"trial_gap_s": -1},
    ],
)
def test_shapes_that_do_not_agree_are_refused(wrong):
    with pytest.raises(DataError):
        Session.from_counts(np.zeros((3, 2)), **{"bin_size_s": 0.1, "id": "a", **wrong})


@given(data=st.data())
def test_arrays_in_any_order_make_the_same_session(data):
    trains = data.draw(
        st.lists(st.lists(st.integers(0, 99), unique=True).map(np.array), min_size=1, max_size=4)
    )
    keys = data.draw(st.permutations(range(len(trains))))
    areas = [f"area {key}" for key in keys]
    shuffled = {key: np.random.default_rng(0).permutation(trains[key]) for key in keys}
    a = Session.from_arrays(
        id="a", spike_times_s=shuffled, time_support=(0, 100), unit_metadata={"area": areas}
    )
    b = Session.from_arrays(
        id="a", spike_times_s=[np.sort(train) for train in trains], time_support=(0, 100),
        unit_metadata={"area": sorted(areas)},
    )  # fmt: skip
    assert a == b


def test_by_default_a_session_spans_what_happened_in_it():
    only_spikes = Session.from_arrays(id="a", spike_times_s=[[3.0, 4.0]])
    assert only_spikes.time_support.values.tolist() == [[0.0, 4.0]]
    with_behavior = Session.from_arrays(
        id="a", spike_times_s=[[-2.0, 3.0, 4.0]], behavior={"v": ([-1.0, 6.0], [0.0, 1.0])}
    )
    assert with_behavior.time_support.values.tolist() == [[-1.0, 6.0]]
    assert with_behavior.spikes[0].t.tolist() == [3.0, 4.0]


def test_labels_become_text_numbers_or_truth_values():
    trials = pd.DataFrame(
        {
            "start": [0.0, 1.0],
            "end": [1.0, 2.0],
            "side": ["l", None],
            "contrast": [0.5, None],
            "hit": [True, False],
        }
    )
    session = Session.from_arrays(id="a", spike_times_s=[], trials=trials)
    assert session.trials["side"].tolist() == ["l", ""]
    assert np.array_equal(session.trials["contrast"], [0.5, np.nan], equal_nan=True)
    assert session.trials["hit"].dtype == bool


def test_trials_out_of_order_keep_their_labels_and_mended_ones_are_counted():
    trials = pd.DataFrame(
        {"start": [4.0, 0.0, 2.0, np.nan, 8.0], "end": [6.0, 2.0, 5.0, 7.0, 8.0], "n": [3, 1, 2, 4, 5]}
    )
    session = Session.from_arrays(id="a", spike_times_s=[], trials=trials, time_support=(0, 10))
    assert session.trials["n"].tolist() == [1, 2, 3]
    assert session.trials.end[1] < 4.0
    assert [finding.what.split(" ")[0] for finding in session.findings] == ["2", "1"]


@pytest.mark.parametrize("name", ["start", "rate", "peak to valley", "2nd", "count", ""])
def test_a_label_name_that_pynapple_cannot_hold_is_refused_with_a_better_one(name):
    with pytest.raises(DataError, match="rename it"):
        Session.from_arrays(id="a", spike_times_s=[[0.5]], time_support=(0, 1), unit_metadata={name: [1]})


def test_a_sorting_becomes_a_session_on_its_recordings_clock():
    from spikeinterface.core import NumpySorting, generate_recording

    recording = generate_recording(num_channels=2, durations=[2.0], sampling_frequency=1000.0)
    recording.shift_times(10.0)
    sorting = NumpySorting.from_unit_dict({"u1": np.array([0, 500]), "u2": np.array([], dtype=int)}, 1000.0)
    sorting.register_recording(recording)
    sorting.set_property("snr", [3.0, 4.0])
    sorting.set_property("peak-to-valley", ["a", "b"])
    session = Session.from_sorting(sorting, id="s", behavior={"v": ([10.5, 11.0], [1.0, 2.0])})
    assert session.spikes[0].t == pytest.approx([10.0, 10.5])
    assert session.time_support.values[0] == pytest.approx([10.0, 12.0])
    assert session.spikes["unit_name"].tolist() == ["u1", "u2"]
    assert session.spikes["snr"].tolist() == [3.0, 4.0]
    assert session.spikes["peak_to_valley"].tolist() == ["a", "b"]
    assert session.unit_ids == ["s/0", "s/1"]


def test_a_sorting_without_units_needs_a_time_support():
    from spikeinterface.core import NumpySorting

    sorting = NumpySorting.from_unit_dict({}, 1000.0)
    assert len(Session.from_sorting(sorting, id="s", time_support=(0, 1)).spikes) == 0
    with pytest.raises(DataError, match="time_support"):
        Session.from_sorting(sorting, id="s")


def test_a_sorting_of_several_segments_is_refused():
    from spikeinterface.core import NumpySorting

    sorting = NumpySorting.from_unit_dict([{1: np.array([5])}, {1: np.array([5])}], 1000.0)
    with pytest.raises(DataError, match="2 segments"):
        Session.from_sorting(sorting, id="s")
