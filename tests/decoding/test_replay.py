"""A recording fed to a stream as if it were live."""

import numpy as np
import pytest

from neuroloom.decoding.poyo_decoder import PoyoDecoder
from neuroloom.decoding.replay import latency_summary, replay, spikes_in_lines, spikes_of
from neuroloom.errors import DataError, UnknownUnit
from neuroloom.sessions.session import Session
from neuroloom.simulation.populations import simulate_reaching

TINY = {"dim": 16, "depth": 1, "dim_head": 8, "latents_per_step": 2, "cross_heads": 1, "self_heads": 2}


class Clock:
    """Time that passes only while one waits."""

    def __init__(self):
        self.now_s = 100.0

    def sleep(self, seconds):
        self.now_s += seconds

    def __call__(self):
        return self.now_s


@pytest.fixture(scope="module")
def session():
    return Session.from_arrays(**simulate_reaching(0, n_units=6, duration_s=12.0).as_session_arguments())


@pytest.fixture(scope="module")
def decoder(session):
    return PoyoDecoder("velocity", config=TINY, causal=True, steps=2, batch_size=8, quiet=True).fit(session)


def test_a_replayed_session_gives_what_causal_prediction_gives(decoder, session):
    made = list(
        replay(decoder.stream(session.id, start_s=0.0), spikes_of(session), step_s=decoder.bin_s, end_s=12.0)
    )
    expected = decoder.predict(session)
    assert np.allclose([time for time, _ in made], expected.t + decoder.bin_s / 2)
    assert np.allclose(np.array([values for _, values in made]), expected.values, atol=1e-4)


def test_outputs_come_when_their_moment_has_come(decoder, session):
    clock, moments = Clock(), []
    stream = decoder.stream(session.id)
    made = replay(
        stream, spikes_of(session), step_s=0.1, end_s=1.0, real_time=True, clock=clock, sleep=clock.sleep
    )
    for time_s, _ in made:
        moments.append((clock.now_s - 100.0, time_s))
    assert len(moments) == 10
    assert all(there == pytest.approx(due) for there, due in moments)


def test_a_pipe_without_an_end_is_decoded_as_far_as_its_spikes_go(decoder, session):
    unit = session.unit_ids[0]
    lines = (f"{number * 0.03:.2f},{unit}\n" for number in range(1, 12))
    made = list(replay(decoder.stream(session.id), spikes_in_lines(lines), step_s=0.1))
    assert [time for time, _ in made] == pytest.approx([0.1, 0.2, 0.3])


def test_what_is_no_spike_is_refused(decoder, session):
    with pytest.raises(DataError, match="line 2"):
        list(spikes_in_lines(["time_s,unit", "soon,a/0"]))
    with pytest.raises(UnknownUnit, match="ghost"):
        list(replay(decoder.stream(session.id), [(0.05, "ghost"), (0.2, "ghost")], step_s=0.1))
    with pytest.raises(DataError, match="step_s"):
        list(replay(decoder.stream(session.id), [], step_s=0.0))


def test_nothing_has_no_latency():
    assert np.isnan(latency_summary([])["median ms"])
