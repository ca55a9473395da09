"""Faults 18 to 21 as a decoder meets them: unseen or reordered units, silence, NaN and constant labels."""

import numpy as np
import pytest

from neuroloom.decoding.wiener import WienerDecoder
from neuroloom.errors import DataError, UnknownUnit
from neuroloom.sessions.session import Session


def session_of(values, *, counts=None, id="a", bins=200, units=4):
    rng = np.random.default_rng(0)
    counts = rng.poisson(2, size=(bins, units)) if counts is None else counts
    return Session.from_counts(counts, bin_size_s=0.05, id=id, behavior={"x": values})


@pytest.fixture
def counts():
    return np.random.default_rng(0).poisson(2, size=(200, 4))


def test_unseen_units_are_named_and_adapt_is_the_remedy(counts):
    decoder = WienerDecoder("x").fit(session_of(counts[:, 0] * 1.0, counts=counts))
    with pytest.raises(UnknownUnit, match=r"b/0, b/1, b/2, b/3.*adapt\(session\)"):
        decoder.predict(session_of(counts[:, 0] * 1.0, counts=counts, id="b"))


def test_nan_labels_are_masked_and_counted_in_training_and_scoring(counts):
    x = counts[:, 0] * 1.0
    x[20:50] = np.nan
    session = session_of(x, counts=counts)
    decoder = WienerDecoder("x", past_bins=1, alpha=1e-4).fit(session)
    assert "30 of 200 bins have no known target" in str(decoder.findings_[0])
    result = decoder.evaluate(session)
    assert (result.n_scored, result.n_masked) == (170, 30)
    assert result.value > 0.99


def test_missing_trial_labels_are_masked_and_counted():
    rng = np.random.default_rng(0)
    labels = np.tile([0.0, 1.0, np.nan], 20)
    counts = rng.poisson(1 + 5 * np.repeat(np.nan_to_num(labels), 4)[:, None], size=(240, 3))
    session = Session.from_counts(
        counts, bin_size_s=0.1, id="a", trial_lengths=np.full(60, 4), trial_labels={"side": labels}
    )
    decoder = WienerDecoder("side", bin_s=0.1).fit(session)
    assert "80 of 240 bins" in str(decoder.findings_[0])
    result = decoder.evaluate(session)
    assert (result.n_scored, result.n_masked) == (160, 80)
    assert result.value > 0.9


def test_a_constant_truth_is_undefined_and_says_so(counts):
    decoder = WienerDecoder("x").fit(session_of(counts[:, 0] * 1.0, counts=counts))
    result = decoder.evaluate(session_of(np.full(200, 3.0), counts=counts))
    assert np.isnan(result.value)
    assert "undefined for x: the truth is constant" in str(result.findings[-1])


def test_training_on_a_constant_predicts_it(counts):
    decoder = WienerDecoder("x").fit(session_of(np.full(200, 3.0), counts=counts))
    predicted = decoder.predict(session_of(np.full(200, 3.0), counts=counts))
    np.testing.assert_allclose(predicted.values, 3.0)


def test_one_bin_is_undefined(counts):
    decoder = WienerDecoder("x").fit(session_of(counts[:, 0] * 1.0, counts=counts))
    assert np.isnan(decoder.score(session_of(np.ones(1), counts=counts[:1])))


def test_one_training_bin_is_survived(counts):
    session = session_of(np.ones(1), counts=counts[:1])
    assert np.isfinite(WienerDecoder("x").fit(session).predict(session).values).all()


def test_silence_is_decoded_to_finite_numbers(counts):
    decoder = WienerDecoder("x").fit(session_of(counts[:, 0] * 1.0, counts=counts))
    silent = session_of(np.arange(200.0), counts=np.zeros_like(counts))
    assert np.isfinite(decoder.predict(silent).values).all()
    trained_on_silence = WienerDecoder("x").fit(silent)
    assert np.isfinite(trained_on_silence.predict(silent).values).all()


def test_one_unit_and_a_unit_without_spikes_work(counts):
    one = session_of(counts[:, 0] * 1.0, counts=counts[:, :1])
    assert WienerDecoder("x", past_bins=1, alpha=1e-4).fit(one).score(one) > 0.99
    counts[:, 2] = 0
    quiet = session_of(counts[:, 0] * 1.0, counts=counts)
    assert WienerDecoder("x", past_bins=1, alpha=1e-4).fit(quiet).score(quiet) > 0.99


def test_bins_longer_than_the_session_are_refused(counts):
    with pytest.raises(DataError, match="shorter window"):
        WienerDecoder("x", bin_s=60.0).fit(session_of(counts[:, 0] * 1.0, counts=counts))
