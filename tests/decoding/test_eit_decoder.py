import numpy as np
import pynapple as nap
import pytest
import torch

import neuroloom
from neuroloom.decoding.eit import EITConfig
from neuroloom.decoding.eit_decoder import EITDecoder
from neuroloom.decoding.estimator import load_decoder
from neuroloom.errors import DataError, NotFitted, UnknownUnit
from neuroloom.sessions.session import Session
from neuroloom.sessions.splits import split_trials

TINY = {"heads": 2, "dim_head": 8, "individual_depth": 1, "interaction_depth": 1, "interaction_dropout": 0.1}


def decoder(target="direction", *, answer="pooled", **options):
    settings = {"config": {**TINY, "answer": answer}, "bin_s": 0.1, "window_s": 0.3, "steps": 150}
    settings |= {"learning_rate": 0.01, "quiet": True, "device": "cpu"}
    return EITDecoder(target, **(settings | options))


def parts(session):
    train, test = split_trials(session, (0.75, 0.25))
    return session.restrict(train), session.restrict(test)


def halves(session, at_s):
    return session.restrict((0, at_s - 1e-9)), session.restrict((at_s, 1e6))


def probabilities(fitted, session):
    return fitted.predict_probabilities(session).values


def from_counts(counts, *, id="a", labels=None, lengths=None):
    return Session.from_counts(
        counts, bin_size_s=0.1, id=id, trial_lengths=lengths, trial_labels={"direction": np.array(labels)}
    )


def test_it_has_the_face_of_the_other_decoders(tuned_session):
    assert neuroloom.EITDecoder is EITDecoder
    with pytest.raises(NotFitted, match="call fit first"):
        decoder().predict(tuned_session())
    with pytest.raises(NotFitted, match="call fit first"):
        decoder().adapt(tuned_session())


@pytest.mark.parametrize("answer", ["pooled", "concatenated"])
def test_labels_are_told_apart(tuned_session, answer):
    train, test = parts(tuned_session(n_trials=80))
    fitted = decoder(answer=answer, task="classification").fit(train)
    assert fitted.score(test) > 0.85
    np.testing.assert_allclose(probabilities(fitted, test).sum(axis=1), 1, atol=1e-6)


def test_a_behaviour_is_decoded_in_its_own_units(linear_session):
    train, test = halves(linear_session(columns=True), 22)
    fitted = decoder("velocity", bin_s=0.05, window_s=0.2, steps=400).fit(train)
    assert fitted.score(test) > 0.5
    predicted = fitted.predict(test)
    assert isinstance(predicted, nap.TsdFrame)
    assert list(predicted.columns) == ["x", "y"]


@pytest.mark.parametrize("mode", ["head", "bottleneck", "interaction", "full"])
def test_sessions_of_different_size_are_fitted_at_once_and_another_is_adapted_to(
    tuned_session, tmp_path, mode
):
    sessions = [tuned_session(id="a", n_units=5), tuned_session(id="b", n_units=9, seed=5)]
    fitted = decoder(steps=200).fit(sessions)
    assert all(fitted.score(session) > 0.85 for session in sessions)
    train, test = parts(tuned_session(id="c", n_units=12, seed=9, n_trials=80))
    with pytest.raises(UnknownUnit, match="adapt"):
        fitted.predict(train)
    before = [probabilities(fitted, session) for session in sessions]
    rows = fitted.model_.shift_table.weight.detach().clone()
    fitted.adapt(train, mode=mode, steps=200)
    assert fitted.score(test) > 0.8
    assert torch.equal(fitted.model_.shift_table.weight[: len(rows)], rows)
    if mode in ("head", "bottleneck"):
        for session, values in zip(sessions, before, strict=True):
            np.testing.assert_array_equal(probabilities(fitted, session), values)
    loaded = load_decoder(fitted.save(tmp_path / "decoder"))
    for session in [*sessions, test]:
        np.testing.assert_array_equal(probabilities(loaded, session), probabilities(fitted, session))


def test_labels_that_were_not_in_training_are_learned_in_adapting(tuned_session):
    old = tuned_session(id="a", labels=("left", "right", "up"))
    fitted = decoder().fit(old)
    before = fitted.score(old)
    train, test = parts(tuned_session(id="b", labels=("down", "left"), n_trials=80, seed=3))
    fitted.adapt(train, steps=200)
    assert fitted.target_.classes == ("down", "left", "right", "up")
    assert set(fitted.predict(test).values) <= {"down", "left"}
    assert fitted.score(test) > 0.85
    assert fitted.score(old) == before


def test_sessions_with_disjoint_labels_share_a_network(tuned_session):
    sessions = [
        tuned_session(id="a", labels=("left", "right")),
        tuned_session(id="b", labels=("up", "down"), seed=4),
    ]
    fitted = decoder(steps=250).fit(sessions)
    for session, labels in zip(sessions, ({"left", "right"}, {"up", "down"}), strict=True):
        assert fitted.score(session) > 0.85
        assert len(set(fitted.predict(session).values) - labels) == 0


def test_results_repeat_to_the_bit_and_depend_on_the_seed(tuned_session):
    session = tuned_session()
    first, again, other = (
        probabilities(decoder(steps=5, seed=seed, unit_dropout=0.3).fit(session), session)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_training_in_a_folder_is_resumed_there(tuned_session, tmp_path):
    session = tuned_session()
    first = decoder(steps=6).fit(session, folder=tmp_path / "run")
    again = decoder(steps=6).fit(session, folder=tmp_path / "run")
    assert again.training_.records == first.training_.records


def test_predictions_do_not_depend_on_the_batch_and_trials_do_not_reach_into_each_other(
    tuned_session, monkeypatch
):
    session = tuned_session()
    fitted = decoder(steps=5).fit(session)
    expected = fitted.predict_probabilities(session)
    monkeypatch.setattr("neuroloom.decoding.eit_predict.AT_ONCE", 1)
    np.testing.assert_allclose(probabilities(fitted, session), expected.values, atol=1e-5)
    assert session.trials is not None
    alone = session.restrict(session.trials[10])
    within = expected.restrict(alone.time_support)
    assert within is not None
    np.testing.assert_allclose(probabilities(fitted, alone), within.values, atol=1e-5)


def test_attention_between_units_sums_to_one(tuned_session):
    session = tuned_session(n_units=4)
    weights = decoder(steps=2).fit(session).attention(session)
    assert weights.shape == (1, 2, 4, 4)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)


def test_one_unit_one_bin_and_constant_units_are_enough():
    random = np.random.default_rng(0)
    counts = np.column_stack([random.poisson(3, 40), np.zeros(40, int), np.full(40, 2)])
    labels = ["a", "b"] * 20
    for n_units in (1, 3):
        session = from_counts(counts[:, :n_units], labels=labels, lengths=[1] * 40)
        fitted = decoder(window_s=0.1, steps=3).fit(session)
        assert np.isfinite(probabilities(fitted, session)).all()


@pytest.mark.parametrize("answer", ["pooled", "concatenated"])
def test_two_thousand_units_are_fitted_beside_one(answer):
    random = np.random.default_rng(0)
    wide = from_counts(random.poisson(0.2, (8, 2000)), labels=["a", "b"] * 2, lengths=[2] * 4)
    narrow = from_counts(random.poisson(2, (8, 1)), labels=["a", "b"] * 2, lengths=[2] * 4, id="b")
    fitted = decoder(answer=answer, window_s=0.2, steps=1, batch_size=4).fit([wide, narrow])
    for session in (wide, narrow):
        assert np.isfinite(probabilities(fitted, session)).all()


def test_a_trial_shorter_than_a_bin_has_no_prediction_and_one_without_spikes_has():
    counts = np.random.default_rng(0).poisson(2.0, (30, 3))
    counts[9:12] = 0
    session = from_counts(counts, labels=["a", "b"] * 5, lengths=[3] * 10)
    fitted = decoder(steps=3).fit(session)
    assert len(fitted.predict(session)) == 30
    trials = session.trials
    assert trials is not None
    ends = np.asarray(trials.end).copy()
    ends[0] = trials.start[0] + 0.05
    short = Session.from_arrays(
        id="a",
        spike_times_s=[session.spikes[key].t for key in session.spikes.index],
        trials=nap.IntervalSet(trials.start, ends, metadata={"direction": ["a", "b"] * 5}),
        time_support=session.time_support,
    )
    assert len(fitted.predict(short)) == 27
    assert np.isfinite(probabilities(fitted, short)).all()


def test_a_target_without_any_known_value_is_refused():
    session = from_counts(np.ones((6, 2), int), labels=[1.0, 2.0, 1.0], lengths=[2] * 3)
    bare = from_counts(np.ones((6, 2), int), labels=[np.nan] * 3, lengths=[2] * 3, id="b")
    with pytest.raises(DataError, match="no bin with a known"):
        decoder().fit([session, bare])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"task": "regression"}, "is for classification"),
        ({"window_s": 0.05}, "window_s=0.05"),
        ({"unit_dropout": 1.0}, "unit_dropout 1.0"),
        ({"config": EITConfig(answer="pair")}, "EITClassifier"),
        ({"config": "small"}, "EITConfig"),
        ({"config": {"width": 3}}, "'width'.*individual_depth"),
    ],
)
def test_impossible_settings_are_refused_at_fit(options, named, tuned_session):
    with pytest.raises(DataError, match=named):
        decoder(**options).fit(tuned_session())


def test_an_unknown_mode_and_a_bottleneck_without_rows_are_refused(tuned_session):
    fitted = decoder(steps=1, config={**TINY, "identity": False}).fit(tuned_session())
    with pytest.raises(DataError, match="'head', 'bottleneck', 'interaction', 'full'"):
        fitted.adapt(tuned_session(id="b"), mode="units")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="exchangeable"):
        fitted.adapt(tuned_session(id="b"), mode="bottleneck")
    for mode in ("interaction", "head"):
        new = tuned_session(id=mode)
        assert np.isfinite(probabilities(fitted.adapt(new, mode=mode, steps=1), new)).all()


def unlabelled(session):
    """Return a session without trials."""
    return Session.from_arrays(
        id=session.id,
        spike_times_s={key: session.spikes[key].t for key in session.spikes.index},
        time_support=session.time_support,
    )


def test_hidden_bins_are_filled_in_before_any_label_is_known():
    # Two units follow each other, so that one tells the other's hidden bins; S can see it, T cannot.
    random = np.random.default_rng(0)
    wave = np.repeat(random.poisson(5.0, (400, 1)), 4, axis=1)
    session = Session.from_counts(wave, bin_size_s=0.1, id="a")
    fitted = decoder(steps=200, learning_rate=0.01).pretrain(session)
    records = [row["validation_loss"] for row in fitted.training_.records if "validation_loss" in row]
    # T says the mean, an error of half the variance each (counts are scaled by a pooled spread).
    assert records[-1] < 0.6 * records[0]


def test_pretraining_is_where_the_next_fit_starts(tuned_session):
    session = tuned_session()
    rested = decoder(steps=1).pretrain(unlabelled(session), steps=3)
    found, rested.learning_rate = rested.pretrained_, 1e-12
    rested.fit([tuned_session(id="b", n_units=3), session])
    assert torch.allclose(rested.model_.embed.weight, found.weights["embed.weight"], atol=1e-6)
    here, there = rested.rows_[session.unit_ids[2]], found.rows[session.unit_ids[2]]
    assert here != there
    table = rested.model_.shift_table.weight
    assert torch.allclose(table[here], found.weights["shift_table.weight"][there], atol=1e-6)
    again = decoder(steps=1, learning_rate=1e-12).fit(session)
    assert not torch.allclose(again.model_.embed.weight, found.weights["embed.weight"], atol=1e-6)


def test_pretraining_refuses_what_hides_nothing_and_another_size(tuned_session):
    with pytest.raises(DataError, match=r"masked_fraction 0\.0"):
        decoder().pretrain(tuned_session(), masked_fraction=0.0)
    fitted = decoder(steps=1).pretrain(tuned_session())
    fitted.config = {**TINY, "dim": 8}
    with pytest.raises(DataError, match="call pretrain again"):
        fitted.fit(tuned_session())
