"""The beginning of a real session, and voltage made of its spikes."""

import numpy as np
import pandas as pd
import pytest

from neuroloom.errors import DataError
from neuroloom.pipeline.known_recordings import Condition, first_minutes, hybrid
from neuroloom.sessions.session import Session

TRIALS = pd.DataFrame({"start": 10.0 + 3.0 * np.arange(40), "end": 12.0 + 3.0 * np.arange(40), "label": "a"})


def session(*, trials: bool = True) -> Session:
    random = np.random.default_rng(0)
    rates_hz = (2, 5, 9, 14, 60)
    support = TRIALS[["start", "end"]].to_numpy() if trials else (10.0, 130.0)
    times_s = np.arange(10.0, 129.99, 0.02)
    return Session.from_arrays(
        id="real",
        spike_times_s={
            7 + key: np.sort(random.uniform(10, 130, rate * 120)) for key, rate in enumerate(rates_hz)
        },
        behavior={"lever": (times_s, np.sin(times_s))},
        trials=TRIALS if trials else None,
        time_support=support,
    )


def test_the_first_minutes_end_with_a_whole_trial_and_begin_at_zero():
    part = first_minutes(session(), 1.0)
    assert part.trials is not None
    assert len(part.trials) == 20
    assert (float(part.trials.start[0]), float(part.trials.end[-1])) == (0.0, 59.0)
    assert list(part.trials.get_info("label")) == ["a"] * 20


def test_the_busiest_single_neurons_are_kept_with_their_times():
    real = session()
    part = first_minutes(real, 1.0, n_units=2, highest_hz=20.0)
    assert sorted(part.spikes) == [9, 10]  # 11 fires at 60 Hz, which no single neuron does
    before = real.spikes.data[10].t
    assert part.spikes.data[10].t == pytest.approx(before[before <= 69.0] - 10.0)
    lever = part.behavior["lever"]
    assert lever.values == pytest.approx(np.sin(lever.t + 10.0))


def test_a_session_without_trials_is_cut_in_time():
    assert first_minutes(session(trials=False), 0.5).duration_s == pytest.approx(30.0)


@pytest.mark.parametrize(("minutes", "highest_hz"), [(0.01, 20.0), (1.0, 0.5)])
def test_nothing_left_is_refused(minutes, highest_hz):
    with pytest.raises(DataError, match="at least one trial|no unit that fires"):
        first_minutes(session(), minutes, highest_hz=highest_hz)


def test_a_hybrid_has_the_spikes_of_the_session_and_its_behaviour():
    part = first_minutes(session(), 0.2, n_units=2)
    known = hybrid(Condition("hybrid", 5.0, 0.0, 0), part, probe="tetrode")
    assert known.recording.get_num_channels() == 4
    for key in part.spikes:
        found_s = known.truth.get_unit_spike_train(unit_id=key, return_times=True)
        assert found_s == pytest.approx(part.spikes.data[key].t, abs=1e-4)
    again = known.session_of(known.truth)
    assert list(again.behavior) == ["lever"]
    assert again.time_support.values == pytest.approx(part.time_support.values)


def test_conditions_have_names_that_tell_them_apart():
    assert Condition("hybrid", 12.5, 0.0, 3).name == "hybrid-12.5uv-still-seed3"
    assert Condition("simulated", 30.0, 20.0, 0).name == "simulated-30uv-drift20um-seed0"
