"""Heads that are solved on a resting T, held against scikit-learn on the same numbers."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from neuroloom.decoding import eit_head, logistic
from neuroloom.decoding.eit_decoder import EITDecoder
from neuroloom.decoding.logistic import LogisticChoice
from neuroloom.errors import DataError
from neuroloom.sessions.session import Session
from neuroloom.sessions.splits import split_trials

TINY = {"heads": 2, "dim_head": 8, "individual_depth": 1, "interaction_depth": 1}


def decoder(target="direction", **options):
    settings = {"config": TINY, "bin_s": 0.1, "window_s": 0.2, "steps": 2, "quiet": True, "device": "cpu"}
    return EITDecoder(target, **(settings | options))


def numbers(fitted, session, *, alone=True):
    """Return the numbers of every bin, one window after the other as a head reads them, and the trials."""
    data = fitted._read(session)[1]
    data.known[:] = True
    tokens, bins = eit_head._tokens(fitted.model_, data, 0, fitted._n_bins, alone=alone)
    return tokens, data.sessions[0].stretch[bins]


@pytest.mark.parametrize("n_trials", [12, 120])  # fewer bins than numbers, and more
def test_a_head_is_the_logistic_regression_of_all_numbers_of_t(tuned_session, monkeypatch, n_trials):
    converged = LogisticRegression(class_weight="balanced", max_iter=5000, tol=1e-8)
    monkeypatch.setattr(logistic, "_model", lambda: clone(converged))
    monkeypatch.setattr(
        eit_head, "choose_logistic", lambda *_: LogisticChoice(0.1, sharpness=1.0, shares=False)
    )
    session = tuned_session(id="b", n_units=12, n_trials=n_trials)
    fitted = decoder().fit(tuned_session(id="a", n_units=5)).adapt(session)
    tokens, trial = numbers(fitted, session)
    labels = np.asarray(session.trials["direction"])[np.searchsorted(np.unique(trial), trial)]
    centred = (tokens - tokens.mean(axis=0)).astype(float)
    scale = np.sqrt(16 * np.mean(centred**2))
    reference = clone(converged).set_params(C=0.1).fit(centred / scale, labels)
    head = fitted.heads_["b"]
    odds = tokens @ head.weights.reshape(tokens.shape[1], -1) + head.intercept
    expected = reference.decision_function(centred / scale)
    if expected.ndim == 1:
        odds, expected = odds[:, 1] - odds[:, 0], expected
    else:
        odds, expected = odds - odds.mean(axis=1, keepdims=True), expected - expected.mean(1, keepdims=True)
    np.testing.assert_allclose(odds, expected, atol=0.02)


def test_after_training_each_session_gets_a_head_on_s_unless_told_otherwise(tuned_session):
    sessions = [tuned_session(id="a", n_units=5), tuned_session(id="b", n_units=9, seed=1)]
    solved, trained = (decoder(readout=each).fit(sessions) for each in ("solved", "trained"))
    assert list(solved.heads_) == ["a", "b"]
    assert not trained.heads_
    for name, weight in solved.model_.state_dict().items():
        np.testing.assert_array_equal(weight, trained.model_.state_dict()[name])
    # Two steps teach S next to nothing; what is solved on it can do without.
    for session in sessions:
        assert solved.score(session) > 0.8
        assert trained.score(session) < 0.7
    tokens, _ = numbers(solved, sessions[1], alone=False)
    assert tokens.shape[1] == 9 * 16
    assert "c" not in trained.adapt(tuned_session(id="c"), mode="full", steps=1).heads_
    assert "c" in solved.adapt(tuned_session(id="c"), mode="full", steps=1).heads_


@pytest.mark.parametrize(("answer", "solved"), [("pooled", False), ("concatenated", True)])
def test_where_nothing_is_said_labels_with_pooled_answers_keep_the_trained_readout(
    tuned_session, linear_session, answer, solved
):
    config = {**TINY, "answer": answer}
    assert bool(decoder(config=config).fit(tuned_session(id="a")).heads_) is solved
    assert decoder("velocity", config=config, bin_s=0.05).fit(linear_session(columns=True)).heads_


def test_another_readout_is_refused(tuned_session):
    with pytest.raises(DataError, match="'solved', 'trained', None"):
        decoder(readout="best").fit(tuned_session())


def test_only_the_largest_directions_are_read(tuned_session, monkeypatch):
    session = tuned_session(id="b", n_units=12, n_trials=120)
    fitted = decoder().fit(tuned_session(id="a")).adapt(session)
    all_of_them = fitted.predict_probabilities(session).values
    monkeypatch.setattr(eit_head, "MOST_DIRECTIONS", 100)
    most = fitted.adapt(session).predict_probabilities(session).values
    assert np.abs(most - all_of_them).mean() < 0.02
    monkeypatch.setattr(eit_head, "MOST_DIRECTIONS", 1)
    assert np.abs(fitted.adapt(session).predict_probabilities(session).values - all_of_them).mean() > 0.05


def test_a_behaviour_of_new_units_is_decoded_and_the_rest_stays(linear_session):
    old, new = linear_session(columns=True), linear_session(columns=True, id="b")
    fitted = decoder("velocity", bin_s=0.05, steps=30).fit(old)
    before = fitted.predict(old).values
    learn, test = new.restrict((0, 22 - 1e-9)), new.restrict((22, 1e6))
    assert fitted.adapt(learn).score(test) > 0.5
    np.testing.assert_array_equal(fitted.predict(old).values, before)


def test_a_long_recording_is_thinned(tuned_session, monkeypatch):
    train, test = (
        session.restrict(part)
        for session in [tuned_session(id="b", n_trials=120)]
        for part in split_trials(session, (0.75, 0.25))
    )
    fitted = decoder().fit(tuned_session(id="a"))
    n_rows = len(numbers(fitted.adapt(train), train)[0])
    width = 16 * len(train.unit_ids)
    monkeypatch.setattr(eit_head, "MOST_NUMBERS", n_rows * width // 3)
    assert len(numbers(fitted, train)[0]) <= n_rows / 3 + 4
    assert fitted.adapt(train).score(test) > 0.85


def test_several_sessions_get_heads_of_their_own_at_once(tuned_session):
    fitted = decoder().fit(tuned_session(id="a"))
    sessions = [tuned_session(id="b", n_units=5, seed=1), tuned_session(id="c", n_units=9, seed=2)]
    together = [fitted.adapt(sessions).heads_[each.id] for each in sessions]
    for session, head in zip(sessions, together, strict=True):
        alone = decoder().fit(tuned_session(id="a")).adapt(session).heads_[session.id]
        np.testing.assert_allclose(alone.weights, head.weights, atol=1e-5)


@pytest.mark.parametrize("n_trials", [6, 60])  # fewer bins than numbers, and more
@pytest.mark.parametrize("mode", ["head", "full"])
def test_units_that_never_vary_say_what_classes_are_likely(n_trials, mode):
    def silent(id, n_units):
        labels = np.repeat(["left", "right"], [n_trials // 3, n_trials - n_trials // 3])
        order = np.random.default_rng(0).permutation(labels)
        return Session.from_counts(
            np.ones((n_trials * 2, n_units), int), bin_size_s=0.1, id=id, trial_lengths=[2] * n_trials,
            trial_labels={"direction": order},
        )  # fmt: skip

    config = {**TINY, "answer": "concatenated"}
    fitted = (
        decoder(config=config, window_s=0.1).fit(silent("a", 5)).adapt(silent("b", 7), mode=mode, steps=1)
    )
    chances = fitted.predict_probabilities(silent("b", 7)).values
    assert np.isfinite(chances).all()
    np.testing.assert_allclose(chances, np.broadcast_to(chances[0], chances.shape), atol=1e-6)


def test_a_session_of_one_class_is_refused(tuned_session):
    fitted = decoder().fit(tuned_session(id="a"))
    one, both = tuned_session(id="b"), tuned_session(id="c")
    one = one.restrict(one.trials[np.asarray(one.trials["direction"]) == fitted.target_.classes[0]])
    with pytest.raises(DataError, match="one class only"):
        fitted.adapt([one, both])
