"""Row 19 of the fault table: units are matched by id, whatever their order and number in a later session."""

import numpy as np
import pytest

from neuroloom.decoding.gru import GRUDecoder
from neuroloom.decoding.wiener import WienerDecoder
from neuroloom.sessions.session import Session

DECODERS = {
    "wiener": lambda: WienerDecoder("x"),
    "gru": lambda: GRUDecoder("x", width=4, hidden=4, steps=2, batch_size=4, device="cpu", quiet=True),
}


def session(order):
    counts = np.random.default_rng(0).poisson(2, size=(200, 4))
    whole = Session.from_counts(counts, bin_size_s=0.05, id="a", behavior={"x": counts[:, 0] * 1.0})
    trains = {int(key): whole.spikes[key].t for key in order}
    return Session.from_arrays(
        id="a", spike_times_s=trains, behavior=whole.behavior, time_support=whole.time_support
    )


@pytest.mark.parametrize("make", DECODERS.values(), ids=DECODERS)
def test_another_order_gives_the_same_and_a_lost_unit_is_told(make):
    decoder = make().fit(session([0, 1, 2, 3]))
    expected = decoder.predict(session([0, 1, 2, 3])).values
    np.testing.assert_array_equal(decoder.predict(session([3, 1, 0, 2])).values, expected)
    fewer = decoder.evaluate(session([2, 0, 1]))
    assert np.isfinite(decoder.predict(session([2, 0, 1])).values).all()
    assert any("a/3" in str(finding) for finding in fewer.findings)
