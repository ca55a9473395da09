"""What recordings bring along: silence, one unit, thousands of them, holes, other rates, other labels."""

import numpy as np
import pytest

from neuroloom.decoding import poyo_predict
from neuroloom.decoding.poyo_data import PoyoData
from neuroloom.decoding.poyo_decoder import PoyoDecoder
from neuroloom.errors import DataError, UnknownTarget, UnknownUnit
from neuroloom.sessions.session import Session

TINY = {
    "dim": 16, "depth": 1, "dim_head": 8, "latents_per_step": 2, "cross_heads": 1, "self_heads": 2,
    "ffn_dropout": 0.0, "linear_dropout": 0.0,
}  # fmt: skip


def decoder(target="velocity", **changes):
    settings = {"config": TINY, "steps": 3, "batch_size": 8, "quiet": True, "device": "cpu"}
    return PoyoDecoder(target, **(settings | changes))


def make(*, id="a", n_units=3, rate_hz=20.0, duration_s=10.0, seed=0, behavior=None, spikes=None):
    random = np.random.default_rng(seed)
    if spikes is None:
        n = random.poisson(rate_hz * duration_s, n_units)
        spikes = [np.sort(random.uniform(0, duration_s, each)) for each in n]
    times = np.arange(0, duration_s, 0.02) + 0.01
    wave = np.column_stack([np.sin(times), np.cos(times)])
    return Session.from_arrays(
        id=id,
        spike_times_s=spikes,
        behavior={"velocity": (times, wave)} if behavior is None else behavior,
        time_support=(0, duration_s),
    )


def assert_finite(fitted, session):
    assert np.isfinite(fitted.predict(session).values).all()


def test_seconds_without_a_spike_are_decoded():
    spikes = [np.array([0.5, 0.6, 9.5]), np.array([9.6])]
    session = make(spikes=spikes)
    assert_finite(decoder().fit(session), session)


def test_one_unit_is_enough():
    session = make(n_units=1)
    assert_finite(decoder().fit(session), session)


def test_a_unit_without_any_spike_is_a_unit():
    session = make(spikes=[np.array([1.0, 2.0]), np.zeros(0)])
    fitted = decoder().fit(session)
    assert len(fitted.rows_) == 2
    assert_finite(fitted, session)


def test_five_thousand_units_are_fitted_and_decoded():
    session = make(n_units=5000, rate_hz=0.5, duration_s=4.0)
    fitted = decoder(steps=1, batch_size=2).fit(session)
    assert fitted.model_.unit_embedding.num_embeddings == 5000
    assert_finite(fitted, session.restrict((0, 2)))


def test_ten_thousand_spikes_in_every_window_are_fitted_and_decoded():
    session = make(n_units=20, rate_hz=500.0, duration_s=4.0)
    assert_finite(decoder(steps=1, batch_size=2).fit(session), session)


def test_duplicate_spikes_are_dropped_with_a_finding_and_change_nothing():
    once = np.arange(0.1, 10, 0.1)
    single, double = make(spikes=[once]), make(spikes=[np.repeat(once, 2)])
    assert any("twice" in finding.what or "duplicate" in finding.what for finding in double.findings)
    fitted = decoder().fit(double)
    assert np.array_equal(fitted.predict(double).values, fitted.predict(single).values)


def test_targets_outside_the_session_are_not_learned():
    times = np.arange(-5, 15, 0.02) + 0.01
    inside = (times > 0) & (times < 10)
    wild = np.where(inside, np.sin(times), 1e6)
    spikes = [np.arange(0.1, 10, 0.1)]
    longer = make(spikes=spikes, behavior={"velocity": (times, wild)})
    session = make(spikes=spikes, behavior={"velocity": (times[inside], wild[inside])})
    predicted = [decoder().fit(each).predict(session).values for each in (longer, session)]
    assert np.array_equal(*predicted)


def test_a_target_that_is_nowhere_known_is_refused():
    times = np.arange(0, 10, 0.02)
    with pytest.raises(DataError, match="unknown everywhere"):
        decoder().fit(make(behavior={"velocity": (times, np.full(len(times), np.nan))}))


def test_a_session_without_behaviour_is_refused_by_name():
    with pytest.raises(UnknownTarget, match=r"'mute'.*velocity"):
        decoder().fit([make(), make(id="mute", behavior={})])


def test_an_unseen_unit_of_a_known_session_is_refused_with_the_remedy():
    fitted = decoder().fit(make(n_units=2))
    with pytest.raises(UnknownUnit, match=r"a/2.*adapt"):
        fitted.predict(make(n_units=3))


def test_a_recording_shorter_than_the_context_is_decoded():
    session = make(duration_s=5.0)
    fitted = decoder().fit(session)
    assert len(fitted.predict(session.restrict((1.0, 1.5)))) == 10


def test_predictions_are_the_same_whatever_the_batch(monkeypatch):
    session = make()
    fitted = decoder().fit(session)
    expected = fitted.predict(session).values
    for piece in (1, 7, 1000):
        monkeypatch.setattr(poyo_predict, "PIECE", piece)
        assert np.allclose(fitted.predict(session).values, expected, atol=1e-5)


def test_a_step_is_the_same_however_the_batch_is_cut(monkeypatch):
    fitted = []
    for piece in (1, 8):
        monkeypatch.setattr("neuroloom.decoding.poyo_decoder.PIECE", piece)
        fitted.append(decoder(batch_size=8, unit_dropout=None).fit(make()))
    losses = [[row["loss"] for row in each.curve_] for each in fitted]
    # The windows of a batch are drawn piece by piece; the batch holds the same examples.
    assert np.allclose(*losses, rtol=0.3)


def test_labels_that_only_some_sessions_have_are_told_apart(tuned_session):
    first = tuned_session(id="a", labels=("left", "right"))
    second = tuned_session(id="b", labels=("right", "up"), seed=1)
    fitted = decoder("direction", steps=60, bin_s=0.1).fit([first, second])
    assert list(fitted.target_.classes) == ["left", "right", "up"]
    assert fitted.predict_probabilities(first).shape[1] == 3
    assert fitted.score(first) > 0.6
    assert fitted.score(second) > 0.6


def test_several_behaviours_at_their_own_rates_are_decoded_at_once():
    fast, slow = np.arange(0, 10, 0.005), np.arange(0, 10, 0.2)
    behavior = {
        "velocity": (fast, np.column_stack([np.sin(fast), np.cos(fast)])),
        "pupil": (slow, np.where(slow < 5, slow, np.nan)),
        "weight": (slow, (slow < 8).astype(float)),
    }
    session = make(behavior=behavior)
    fitted = decoder(["velocity", "pupil"], bin_s=0.025, weights="weight").fit(session)
    predicted = fitted.predict(session)
    assert list(predicted.columns) == ["velocity 0", "velocity 1", "pupil"]
    assert np.allclose(np.diff(predicted.t), 0.025)
    assert set(fitted.evaluate(session).parts) == {"velocity 0", "velocity 1", "pupil"}
    with pytest.raises(UnknownTarget, match="velocity"):
        decoder("velocity+smell").fit(session)


def test_intervals_without_weight_leave_no_trace():
    times = np.arange(0, 10, 0.02) + 0.01
    early = times < 6

    def session(late):
        return make(
            behavior={
                "level": (times, np.where(early, np.sin(times), late)),
                "weight": (times, early.astype(float)),
            }
        )

    one, other = (decoder("level", weights="weight").fit(session(late)) for late in (0.5, 1e6))
    assert np.array_equal(one.predict(session(0)).values, other.predict(session(0)).values)


def test_training_stops_early_when_nothing_improves():
    random = np.random.default_rng(0)
    times = np.arange(0, 10, 0.02)
    noise = make(behavior={"velocity": (times, random.normal(size=len(times)))})
    fitted = decoder(steps=200, patience=2, learning_rate=0.03).fit(noise)
    assert fitted.training_.stopped_early
    assert fitted.training_.step < 200


def test_a_stopped_fit_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    session = make()
    settings = {"steps": 20, "unit_dropout": (1, 2, 3), "jitter_s": 0.01}
    whole = decoder(**settings).fit(session, folder=tmp_path / "whole")
    loss, calls = PoyoData.loss, iter(range(10**9))

    def stopping(self, model, prepared):
        if model.training and next(calls) == 11:
            raise KeyboardInterrupt
        return loss(self, model, prepared)

    monkeypatch.setattr(PoyoData, "loss", stopping)
    with pytest.raises(KeyboardInterrupt):
        decoder(**settings).fit(session, folder=tmp_path / "stopped")
    resumed = decoder(**settings).fit(session, folder=tmp_path / "stopped")
    assert np.array_equal(resumed.predict(session).values, whole.predict(session).values)


def test_the_learning_curve_says_what_was_learned_when():
    session = make()
    fitted = decoder(steps=40).fit(session)
    assert {row["stage"] for row in fitted.curve_} == {"all"}
    assert fitted.curve_[-1]["step"] == 40
    assert all(row["r2"] <= 1 for row in fitted.curve_ if row["r2"] is not None)
    fitted.adapt(make(id="b", seed=1), mode="gradual", steps=5)
    assert [row["stage"] for row in fitted.curve_][:: len(fitted.curve_) // 3][:3] == [
        "units",
        "borders",
        "all",
    ]
    assert [row["step"] for row in fitted.curve_] == sorted(row["step"] for row in fitted.curve_)


def test_half_precision_learns_too_where_the_processor_has_it():
    session = make()
    fitted = decoder(steps=10, precision="bfloat16").fit(session)
    assert fitted.curve_[-1]["loss"] < 2
    assert_finite(fitted, session)
