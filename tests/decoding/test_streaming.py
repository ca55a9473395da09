"""Streaming equals causal prediction at the same moments, however the spikes arrive."""

import numpy as np
import pytest

from neuroloom.decoding.poyo_decoder import PoyoDecoder
from neuroloom.errors import DataError, UnknownUnit
from neuroloom.sessions.session import Session
from neuroloom.sessions.windows import flatten
from neuroloom.simulation.populations import simulate_reaching

TINY = {"dim": 16, "depth": 1, "dim_head": 8, "latents_per_step": 2, "cross_heads": 1, "self_heads": 2}


@pytest.fixture(scope="module")
def session():
    return Session.from_arrays(**simulate_reaching(0, n_units=6, duration_s=12.0).as_session_arguments())


@pytest.fixture(scope="module")
def decoder(session):
    return PoyoDecoder("velocity", config=TINY, causal=True, steps=2, batch_size=8, quiet=True).fit(session)


def test_a_stream_gives_what_causal_prediction_gives(decoder, session):
    expected = decoder.predict(session)
    flat = flatten(session)
    ids = np.array(flat.unit_ids)[flat.unit]
    stream = decoder.stream(session.id, start_s=0.0)
    ends = expected.t + decoder.bin_s / 2
    done = 0
    for end, truth in zip(ends[:60], expected.values[:60], strict=True):
        upto = np.searchsorted(flat.times_s, end)
        # Newest first: the order of arrival does not matter.
        stream.push(flat.times_s[done:upto][::-1], ids[done:upto][::-1])
        assert np.allclose(stream.predict(end), truth, atol=1e-5)
        done = upto
    assert len(stream.latencies_s) == 60
    assert min(stream.latencies_s) > 0


def test_a_stream_is_the_same_on_a_device_that_runs_the_model_itself(decoder, session):
    outputs = []
    for on_device in (False, True):
        stream = decoder.stream(session.id)
        if on_device:
            stream._network = None
        stream.push([0.3, 0.4, 0.4], [session.unit_ids[each] for each in (0, 5, 2)])
        outputs.append(stream.predict(1.0))
    assert np.allclose(*outputs, atol=1e-5)


def test_silence_is_decoded_too(decoder, session):
    assert np.isfinite(decoder.stream(session.id).predict(100.0)).all()


def test_unknown_units_and_sessions_are_refused_with_the_remedy(decoder, session):
    with pytest.raises(UnknownUnit, match="adapt"):
        decoder.stream("elsewhere")
    with pytest.raises(UnknownUnit, match="ghost"):
        decoder.stream(session.id).push([0.1], ["ghost"])


def test_spikes_that_come_too_late_or_are_no_numbers_are_refused(decoder, session):
    stream = decoder.stream(session.id)
    unit = session.unit_ids[0]
    with pytest.raises(DataError, match="not finite"):
        stream.push([np.nan], [unit])
    with pytest.raises(DataError, match="2 times"):
        stream.push([0.1, 0.2], [unit])
    stream.predict(1.0)
    with pytest.raises(DataError, match="push spikes first"):
        stream.push([0.5], [unit])
    with pytest.raises(DataError, match="order of time"):
        stream.predict(0.5)
