"""Fault 9: zero units, one unit, a unit without spikes."""

import numpy as np
import pandas as pd
import pytest

from neuroloom import Session
from neuroloom.sessions.checks import check_session
from neuroloom.sessions.splits import split_time, split_trials
from neuroloom.sessions.windows import bin_session, count_windows, flatten, spike_windows

TRAINS = {
    "no units": [],
    "one unit": [[0.5, 1.5]],
    "a silent unit": [[0.5, 1.5], []],
    "only silence": [[], []],
}


@pytest.mark.parametrize("trains", TRAINS.values(), ids=TRAINS)
def test_a_session_with_hardly_any_units_goes_all_the_way(trains, tmp_path):
    trials = pd.DataFrame({"start": [0.0, 1.0, 2.0], "end": [1.0, 2.0, 3.0], "side": ["l", "r", "l"]})
    session = Session.from_arrays(
        id="few",
        spike_times_s=trains,
        trials=trials,
        time_support=(0, 3),
        behavior={"v": ([0.1, 2.9], [1.0, 2.0])},
    )
    assert Session.load(session.to_nwb(tmp_path / "a.nwb")) == session
    assert Session.load(session.save(tmp_path / "a.session")) == session
    flat = flatten(session)
    assert spike_windows(flat, np.arange(3.0), 1.0).offsets[-1] == sum(map(len, trains))
    assert count_windows(flat, np.arange(3.0), window_s=1.0, bin_s=0.5).shape == (3, 2, len(trains))
    assert bin_session(session, 0.5)[0].sum() == sum(map(len, trains))
    assert session.restrict(split_time(session)[0]).unit_ids == session.unit_ids
    assert session.restrict(split_trials(session, (0.7, 0.3))[1]).unit_ids == session.unit_ids
    assert all(finding.level != "error" for finding in check_session(session))
    assert repr(session)


def test_missing_units_and_spikes_are_found():
    def words(trains):
        return " ".join(
            f.what
            for f in check_session(Session.from_arrays(id="a", spike_times_s=trains, time_support=(0, 3)))
        )

    assert "no units" in words([])
    assert "none of its 2 units has a spike" in words([[], []])
    assert "1 of 2 have no spikes" in words([[0.5, 1.2, 2.0, 2.7], []])
