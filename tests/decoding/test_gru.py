import numpy as np
import pytest

from neuroloom.decoding.estimator import load_decoder
from neuroloom.decoding.gru import GRUDecoder
from neuroloom.errors import DataError, UnknownUnit
from neuroloom.sessions.session import Session
from neuroloom.sessions.splits import split_trials

SMALL = {"hidden": 32, "width": 16, "dropout": 0.1, "steps": 120, "window_s": 1.0, "warmup_s": 0.25}
SMALL |= {"quiet": True, "device": "cpu"}


def halves(session, at_s):
    return session.restrict((0, at_s - 1e-9)), session.restrict((at_s, 1e6))


def small(target="velocity", **options):
    return GRUDecoder(target, **(SMALL | options))


@pytest.fixture(scope="module")
def rectified():
    """A session whose behaviour no linear filter can follow."""
    counts = np.random.default_rng(0).poisson(2.0, size=(2400, 5))
    x = np.abs(counts[:, 0] - counts[:, 1]).astype(float)
    return Session.from_counts(counts, bin_size_s=0.05, id="r", behavior={"x": x})


def test_what_is_not_linear_is_learned(rectified):
    train, test = halves(rectified, 100)
    decoder = small("x", steps=300, learning_rate=0.01).fit(train)
    assert decoder.score(test) > 0.8
    assert decoder.training_.best_loss < 0.3


def test_labels_are_told_apart(tuned_session):
    session = tuned_session(n_trials=80)
    train, test = split_trials(session, (0.75, 0.25))
    decoder = small("direction", bin_s=0.1).fit(session.restrict(train))
    assert decoder.score(session.restrict(test)) > 0.85
    assert set(decoder.predict(session.restrict(test)).values) <= {"left", "right", "up"}


def test_many_sessions_share_one_network_and_a_new_one_is_adapted_to(linear_session, tmp_path):
    sessions = [linear_session(id="a"), linear_session(id="b", seed=5, n_units=9)]
    decoder = small(steps=300, learning_rate=0.01).fit(sessions)
    assert all(decoder.score(session) > 0.7 for session in sessions)
    new = linear_session(id="c", seed=9, n_units=4)
    with pytest.raises(UnknownUnit, match="adapt"):
        decoder.predict(new)
    before = [decoder.predict(session).values for session in sessions]
    train, test = halves(new, 22)
    decoder.adapt(train)
    assert decoder.score(test) > 0.7
    for session, values in zip(sessions, before, strict=True):
        np.testing.assert_array_equal(decoder.predict(session).values, values)
    loaded = load_decoder(decoder.save(tmp_path / "decoder"))
    for session in [*sessions, test]:
        np.testing.assert_array_equal(loaded.predict(session).values, decoder.predict(session).values)


def test_a_saved_classifier_is_the_same(tuned_session, tmp_path):
    session = tuned_session()
    decoder = small("direction", bin_s=0.1, steps=10).fit(session)
    loaded = load_decoder(decoder.save(tmp_path / "decoder"))
    assert repr(loaded) == repr(decoder)
    np.testing.assert_array_equal(loaded.predict(session).values, decoder.predict(session).values)


def test_results_repeat_to_the_bit_and_depend_on_the_seed(linear_session):
    session = linear_session()
    first, again, other = (
        small(steps=20, seed=seed).fit(session).predict(session).values for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_it_knows_nothing_of_the_future(linear_session):
    session = linear_session()
    decoder = small(steps=20).fit(session)
    early = session.restrict((0, 10 - 1e-9))
    np.testing.assert_allclose(
        decoder.predict(early).values, decoder.predict(session).values[:200], atol=1e-5
    )


def test_trials_do_not_reach_into_each_other(tuned_session):
    session = tuned_session()
    decoder = small("direction", bin_s=0.1, steps=10).fit(session)
    alone = session.restrict(session.trials[10])
    within = decoder.predict_probabilities(session).restrict(alone.time_support)
    np.testing.assert_allclose(decoder.predict_probabilities(alone).values, within.values, atol=1e-5)


def test_training_in_a_folder_is_resumed_there(linear_session, tmp_path):
    session = linear_session()
    first = small(steps=20).fit(session, folder=tmp_path / "run")
    again = small(steps=20).fit(session, folder=tmp_path / "run")
    assert again.training_.records == first.training_.records
    np.testing.assert_array_equal(again.predict(session).values, first.predict(session).values)
    with pytest.raises(DataError, match="data_fingerprint"):
        small(steps=20).fit(linear_session(seed=3), folder=tmp_path / "run")


def test_unknown_and_constant_targets_and_silence_are_survived():
    counts = np.random.default_rng(0).poisson(2.0, size=(300, 3))
    counts[:, 1] = 0
    x = np.c_[counts[:, 0] * 1.0, np.full(300, 4.0)]
    x[50:90, 0] = np.nan
    session = Session.from_counts(counts, bin_size_s=0.05, id="a", behavior={"x": x})
    decoder = small("x", steps=60, learning_rate=0.01).fit(session)
    assert "40 of 300 bins" in str(decoder.findings_[0])
    predicted = decoder.predict(session).values
    assert np.isfinite(predicted).all()
    np.testing.assert_allclose(predicted[:, 1], 4.0, atol=1.5)
    assert np.isnan(decoder.evaluate(session).parts["1"])


@pytest.mark.parametrize("n_bins", [1, 5])
def test_the_shortest_sessions_are_survived(n_bins):
    session = Session.from_counts(
        np.ones((n_bins, 2), dtype=int), bin_size_s=0.05, id="a", behavior={"x": np.arange(n_bins) * 1.0}
    )
    assert np.isfinite(small("x", steps=3).fit(session).predict(session).values).all()


@pytest.mark.parametrize("options", [{"warmup_s": 1.0}, {"warmup_s": -1.0}, {"bin_s": 10.0}])
def test_impossible_settings_are_refused_at_fit(options, linear_session):
    with pytest.raises(DataError, match="warm-up"):
        small(**options).fit(linear_session())


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.parametrize(("name", "linear"), [("m1_stevenson", 0.785), ("m1_contdata95", 0.739)])
def test_continuous_reaching_is_decoded_better_than_by_the_linear_filter(shared_data, name, linear):
    with np.load(shared_data / "continuous_reaching" / f"{name}.npz") as data:
        counts, velocity, bin_s = data["spike_counts"], data["hand_velocity"], float(data["bin_size_s"])
    session = Session.from_counts(counts, bin_size_s=bin_s, id=name, behavior={"velocity": velocity})
    train, test = halves(session, round(0.85 * len(counts)) * bin_s)
    assert GRUDecoder("velocity", quiet=True).fit(train).score(test) > linear + 0.05
