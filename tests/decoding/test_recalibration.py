import numpy as np
import pytest

import neuroloom as nl
from neuroloom.decoding.recalibration import KNOWN_BINS
from neuroloom.errors import DataError, UnknownUnit

BIN_S = 0.1


def recording(first: int, n_bins: int, *, drift: float = 0.0, n_units: int = 12) -> nl.Session:
    """A part of one recording: units follow a behaviour; those that like it fire more by `drift`."""
    random = np.random.default_rng(first)
    speed = np.sin(np.arange(first, first + n_bins) / 7) + random.normal(0, 0.3, n_bins)
    gain = np.linspace(-2, 2, n_units)
    rate = 4 + drift * (gain > 0) + speed[:, None] * gain
    return nl.Session.from_counts(
        random.poisson(np.maximum(rate, 0.1)),
        bin_size_s=BIN_S,
        id="day",
        behavior={"speed": speed},
        trial_lengths=[10] * (n_bins // 10),
        trial_labels={"side": np.where(speed.reshape(-1, 10).mean(axis=1) > 0, "up", "down")},
    )


DECODERS = {
    "wiener": nl.WienerDecoder("speed", bin_s=BIN_S, past_bins=2),
    "logistic": nl.WienerDecoder("side", bin_s=BIN_S, past_bins=2),
    "gru": nl.GRUDecoder("speed", bin_s=BIN_S, steps=60, width=16, hidden=16, warmup_s=0.2, quiet=True),
    "eit": nl.EITDecoder("speed", bin_s=BIN_S, window_s=0.3, steps=60, batch_size=16, quiet=True),
}


@pytest.fixture(params=DECODERS)
def decoder(request):
    return DECODERS[request.param].fit(recording(0, 600))


def test_rates_that_drifted_are_followed_without_a_target(decoder):
    later = recording(1000, 600, drift=6.0)
    drifted = decoder.score(later)
    followed = decoder.recalibrate(later).score(later)
    assert followed > drifted + 0.1
    # A twentieth of the drift is left, and what fires more scatters more.
    assert followed > decoder.fit(recording(0, 600)).score(recording(1000, 600)) - 0.25


def test_where_nothing_drifted_nothing_changes(decoder):
    same = recording(0, 600)
    before = np.asarray(
        decoder.predict_probabilities(same) if decoder.target == "side" else decoder.predict(same)
    )
    decoder.recalibrate(same)
    after = np.asarray(
        decoder.predict_probabilities(same) if decoder.target == "side" else decoder.predict(same)
    )
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_the_target_is_not_looked_at():
    decoder = nl.WienerDecoder("speed", bin_s=BIN_S).fit(recording(0, 600))
    later = recording(1000, 200, drift=3.0)
    counts = np.random.default_rng(0).poisson(3, size=(200, 12))
    blind = nl.Session.from_counts(counts, bin_size_s=BIN_S, id="day")
    decoder.recalibrate(blind)
    assert np.isfinite(np.asarray(decoder.predict(later))).all()


def test_a_short_part_counts_less():
    decoder = nl.WienerDecoder("speed", bin_s=BIN_S).fit(recording(0, 600))
    old, later = decoder.unit_scales_["day"], recording(1000, KNOWN_BINS, drift=3.0)
    mean = np.array([len(later.spikes[unit]) for unit in later.spikes.index]) / KNOWN_BINS
    new = decoder.recalibrate(later).unit_scales_["day"]
    np.testing.assert_allclose(new.mean, (old.mean + mean) / 2, atol=0.02)
    assert new.ids == old.ids


def test_a_lost_unit_keeps_its_scale():
    decoder = nl.WienerDecoder("speed", bin_s=BIN_S).fit(recording(0, 600))
    old = decoder.unit_scales_["day"]
    counts = np.random.default_rng(0).poisson(9, size=(300, 5))
    kept = nl.Session.from_counts(counts, bin_size_s=BIN_S, id="day")
    assert kept.unit_ids == decoder.units_["day"][:5]
    new = decoder.recalibrate(kept).unit_scales_["day"]
    np.testing.assert_array_equal(new.mean[5:], old.mean[5:])
    np.testing.assert_array_equal(new.spread[5:], old.spread[5:])
    assert (new.mean[:5] != old.mean[:5]).all()


def test_what_was_measured_is_saved(tmp_path, decoder):
    later = recording(1000, 600, drift=6.0)
    decoder.recalibrate(later)
    loaded = nl.load_decoder(decoder.save(tmp_path / "decoder"))
    assert loaded.score(later) == pytest.approx(decoder.score(later))
    assert loaded.data_fingerprint_ == decoder.data_fingerprint_


def test_other_units_are_refused_and_nothing_changes():
    decoder = nl.WienerDecoder("speed", bin_s=BIN_S).fit(recording(0, 600))
    before = decoder.unit_scales_["day"]
    with pytest.raises(UnknownUnit, match="adapt"):
        decoder.recalibrate([recording(1000, 300), recording(2000, 300, n_units=14)])
    assert decoder.unit_scales_["day"] is before


def test_a_decoder_of_spikes_says_what_to_do_instead():
    decoder = nl.PoyoDecoder("speed", steps=1, batch_size=2, quiet=True).fit(recording(0, 600))
    with pytest.raises(DataError, match="adapt"):
        decoder.recalibrate(recording(1000, 300))
