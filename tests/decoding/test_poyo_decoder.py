"""PoyoDecoder on small simulated sessions: it learns, adapts, survives saving, and refuses what it must."""

import warnings

import numpy as np
import pytest

from neuroloom.decoding.estimator import load_decoder
from neuroloom.decoding.poyo_decoder import PoyoDecoder
from neuroloom.errors import DataError, UnknownTarget, UnknownUnit
from neuroloom.sessions.session import Session
from neuroloom.simulation.populations import simulate_reaching

TINY = {
    "dim": 32,
    "depth": 1,
    "dim_head": 16,
    "latents_per_step": 4,
    "ffn_dropout": 0.0,
    "linear_dropout": 0.0,
}
TRAIN, TEST = (0, 50), (50, 60)


def _decoder(target="velocity", **changes):
    settings = {"config": TINY, "steps": 60, "batch_size": 16, "quiet": True, "device": "cpu"}
    return PoyoDecoder(target, **(settings | changes))


def _one_unit_tells(n_trials, seed, n_units=10):
    """Return trials on whose right half the first of the units fires, and on no other."""
    random = np.random.default_rng(seed)
    right = random.permutation(np.arange(n_trials) % 2)
    counts = random.poisson(0.02, (n_trials, 40, n_units))
    counts[:, :, 0] = random.poisson(0.1, (n_trials, 40)) * right[:, None]
    counts[:, 9, 0] += right  # never silent on the right
    return Session.from_counts(
        counts.reshape(-1, n_units),
        bin_size_s=0.01,
        id="told",
        trial_lengths=np.full(n_trials, 40),
        trial_labels={"side": np.where(right, "right", "left")},
        trial_gap_s=1.0,
    )


@pytest.fixture(scope="module")
def sessions():
    simulated = [simulate_reaching(animal, n_units=20, duration_s=60.0) for animal in range(3)]
    return [Session.from_arrays(**each.as_session_arguments()) for each in simulated]


@pytest.fixture(scope="module")
def fitted(sessions):
    return _decoder(steps=150).fit([session.restrict(TRAIN) for session in sessions[:2]])


def test_it_learns_two_sessions_at_once(fitted, sessions):
    scores = [fitted.score(session.restrict(TEST)) for session in sessions[:2]]
    assert min(scores) > 0.3


def test_predictions_come_at_the_rate_that_was_asked(fitted, sessions):
    predicted = fitted.predict(sessions[0].restrict(TEST))
    assert np.allclose(np.diff(predicted.t), 0.05)
    assert predicted.shape == (200, 2)


def test_an_unseen_session_is_refused_with_the_remedy(fitted, sessions):
    with pytest.raises(UnknownUnit, match="adapt"):
        fitted.predict(sessions[2])


def test_unit_identification_learns_a_session_and_leaves_the_others_as_they_were(fitted, sessions, tmp_path):
    decoder = load_decoder(fitted.save(tmp_path / "before"))
    before = decoder.predict(sessions[0].restrict(TEST)).values
    decoder.adapt(sessions[2].restrict(TRAIN), steps=100)
    assert decoder.score(sessions[2].restrict(TEST)) > 0.2
    assert np.array_equal(decoder.predict(sessions[0].restrict(TEST)).values, before)


@pytest.mark.parametrize("mode", ["full", "gradual", "all"])
def test_fine_tuning_moves_everything(fitted, sessions, tmp_path, mode):
    decoder = load_decoder(fitted.save(tmp_path / "before"))
    before = decoder.model_.layers[0][0].to_qkv.weight.detach().clone()
    decoder.adapt(sessions[2].restrict(TRAIN), mode=mode, steps=5)
    assert not np.array_equal(decoder.model_.layers[0][0].to_qkv.weight.detach(), before)
    assert all(weight.requires_grad for weight in decoder.model_.parameters())


def test_a_saved_decoder_predicts_the_same(fitted, sessions, tmp_path):
    loaded = load_decoder(fitted.save(tmp_path / "decoder"))
    session = sessions[0].restrict(TEST)
    assert np.array_equal(loaded.predict(session).values, fitted.predict(session).values)
    assert loaded.settings() == fitted.settings()


def test_units_are_matched_by_id_in_any_order_and_may_be_lost(fitted, sessions):
    session = sessions[0].restrict(TEST)
    keys = list(session.spikes.index)
    fewer = Session(
        session.id, session.subject, session.spikes[keys[5:]], session.behavior, None, session.time_support
    )
    predicted = fitted.predict(fewer)
    assert np.isfinite(predicted.values).all()
    assert any("absent" in finding.what for finding in fitted.evaluate(fewer).findings)


def test_causal_predictions_do_not_know_the_future(sessions):
    session = sessions[0]
    decoder = _decoder(causal=True, steps=3).fit(session.restrict(TRAIN))
    whole = decoder.predict(session.restrict((50, 60)))
    cut = decoder.predict(session.restrict((50, 55)))
    assert np.allclose(whole.values[: len(cut)], cut.values, atol=1e-5)


def test_trial_labels_are_told_apart(sessions):
    decoder = _decoder("direction", steps=150).fit([session.restrict(TRAIN) for session in sessions[:2]])
    assert decoder.score(sessions[0].restrict(TEST)) > 0.3
    probabilities = decoder.predict_probabilities(sessions[0].restrict(TEST))
    assert np.allclose(probabilities.values.sum(1), 1)


def test_a_label_that_one_unit_tells_is_read_from_trials_as_long_as_the_context():
    learn, test = (_one_unit_tells(n_trials, seed) for seed, n_trials in enumerate((120, 60)))
    decoder = _decoder(
        "side", config=TINY | {"context_s": 0.4, "latent_step_s": 0.1}, bin_s=0.4, steps=80, batch_size=32
    ).fit(learn)
    assert decoder.score(test) > 0.95


def test_labels_keep_the_last_weights_and_behaviours_the_best_unless_told_otherwise(sessions):
    learn = sessions[0].restrict((0, 20))
    best = [
        _decoder(target, steps=4, **changes).fit(learn).training_.best_step
        for target, changes in (
            ("velocity", {}),
            ("direction", {}),
            ("direction", {"patience": 5}),
            ("direction", {"validation_fraction": 0.2}),
        )
    ]
    assert [each is not None for each in best] == [True, False, True, True]


def test_embeddings_alone_learn_from_all_of_a_few_minutes(fitted, sessions, tmp_path):
    decoder = load_decoder(fitted.save(tmp_path / "before"))
    decoder.adapt(sessions[2].restrict((0, 20)), mode="units", steps=2)
    assert decoder.training_.best_step is None
    decoder.adapt(sessions[2].restrict((0, 20)), mode="all", steps=2)
    assert decoder.training_.best_step is not None


def test_spikes_that_come_from_counts_are_noticed_unless_the_settings_fit_them(sessions):
    counts = np.random.default_rng(0).poisson(0.3, (1000, 20))
    velocity = np.sin(np.arange(1000) / 10)
    learn = Session.from_counts(counts, bin_size_s=0.01, id="counted", behavior={"velocity": velocity})

    def remedies(session, target, **changes):
        findings = _decoder(target, steps=1, **changes).fit(session).findings_
        return [each.remedy for each in findings if "counts" in each.what]

    assert "jitter_s" in remedies(learn, "velocity")[0]
    assert remedies(learn, "velocity", jitter_s=0.01) == ["try shortest_period_s=0.02 or more"]
    assert remedies(learn, "velocity", jitter_s=0.01, shortest_period_s=0.02) == []
    assert remedies(sessions[0].restrict((0, 20)), "velocity") == []


def test_fitting_twice_gives_the_same_bits(sessions):
    first, second = (
        _decoder(steps=4, unit_dropout=(5, 10, 20), jitter_s=0.01).fit(sessions[0].restrict((0, 20)))
        for _ in range(2)
    )
    session = sessions[0].restrict(TEST)
    assert np.array_equal(first.predict(session).values, second.predict(session).values)


def test_lamb_learns_too(sessions):
    decoder = _decoder(optimizer="lamb", learning_rate=0.01, steps=40).fit(sessions[0].restrict(TRAIN))
    losses = [record["loss"] for record in decoder.training_.records]
    assert losses[-1] < losses[0]
    assert all(float(weight.detach().norm()) > 0 for weight in decoder.model_.layers.parameters())


def test_moments_of_weight_zero_are_not_learned():
    times = np.arange(0, 40, 0.05) + 0.025
    random = np.random.default_rng(0)
    spikes = [np.sort(random.uniform(0, 40, 200)) for _ in range(3)]
    early = times < 20
    session = Session.from_arrays(
        id="a",
        spike_times_s=spikes,
        behavior={"level": (times, np.where(early, 1.0, 5.0)), "weight": (times, early.astype(float))},
        time_support=(0, 40),
    )
    decoder = _decoder("level", weights="weight", steps=2, validation_fraction=0.0).fit(session)
    assert decoder.score(session) is not None
    with pytest.raises(UnknownTarget, match="nonsense"):
        _decoder("level", weights="nonsense", steps=2).fit(session)


def test_nan_targets_are_masked_and_counted(sessions):
    session = sessions[0].restrict((0, 20))
    velocity = session.behavior["velocity"]
    values = np.array(velocity.values)
    values[: len(values) // 2] = np.nan
    holes = Session.from_arrays(
        id="holes",
        spike_times_s=[session.spikes[key].t for key in session.spikes.index],
        behavior={"velocity": (velocity.t, values)},
        time_support=(0, 20),
    )
    decoder = _decoder(steps=3).fit(holes)
    assert any("no known target" in finding.what for finding in decoder.findings_)
    assert np.isfinite(decoder.predict(holes).values).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"bin_s": 0.0},
        {"bin_s": 2.0},
        {"optimizer": "sgd"},
        {"validation_fraction": 1.0},
        {"config": "2B"},
        {"unit_dropout": 0.5},
        {"unit_dropout": (30, 20, 10)},
        {"unit_dropout": (1, 2)},
    ],
)
def test_impossible_settings_are_refused(sessions, wrong):
    with pytest.raises(DataError):
        _decoder(**wrong).fit(sessions[0].restrict(TRAIN))


def test_an_unknown_mode_is_refused(fitted, sessions):
    with pytest.raises(DataError, match="gradual"):
        fitted.adapt(sessions[2], mode="magic")


def test_nothing_warns(sessions):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _decoder(steps=1).fit(sessions[0].restrict((0, 10)))
