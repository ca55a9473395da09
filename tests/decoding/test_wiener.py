import numpy as np
import pytest

from neuroloom.decoding.wiener import WienerDecoder
from neuroloom.errors import DataError
from neuroloom.sessions.session import Session
from neuroloom.sessions.splits import split_trials


def halves(session, at_s):
    return session.restrict((0, at_s - 1e-9)), session.restrict((at_s, 1e6))


def test_a_linear_code_is_decoded_up_to_its_noise(linear_session):
    train, test = halves(linear_session(n_bins=2000, noise=1.0), 80)
    decoder = WienerDecoder("velocity", past_bins=2).fit(train)
    variance = np.var(test.behavior["velocity"].values, axis=0)
    assert decoder.score(test) == pytest.approx(np.mean(1 - 1.0 / variance), abs=0.02)


def test_the_penalty_grows_with_the_noise(linear_session):
    quiet, noisy = linear_session(noise=0.01), linear_session(noise=60.0)
    chosen = [WienerDecoder("velocity", past_bins=3).fit(each).alpha_["a"] for each in (quiet, noisy)]
    assert max(chosen[0]) < min(chosen[1])


def test_a_causal_filter_knows_nothing_of_the_future(linear_session):
    train, test = halves(linear_session(), 20)
    decoder = WienerDecoder("velocity", past_bins=4).fit(train)
    early = test.restrict((20, 25 - 1e-9))
    np.testing.assert_allclose(decoder.predict(early).values, decoder.predict(test).values[:100], atol=1e-6)


def test_future_bins_see_what_comes(linear_session):
    counts = np.random.default_rng(0).poisson(2, size=(500, 3))
    ahead = np.r_[counts[2:, 0], [np.nan, np.nan]]  # nothing comes after the last bins
    session = Session.from_counts(counts, bin_size_s=0.05, id="a", behavior={"x": ahead})
    assert WienerDecoder("x", past_bins=1, future_bins=2).fit(session).score(session) > 0.99
    assert WienerDecoder("x", past_bins=3).fit(session).score(session) < 0.1


def test_trials_do_not_reach_into_each_other(tuned_session):
    session = tuned_session()
    decoder = WienerDecoder("direction", bin_s=0.1, past_bins=5).fit(session)
    alone = session.restrict(session.trials[10])
    within = decoder.predict_probabilities(session).restrict(alone.time_support)
    np.testing.assert_allclose(decoder.predict_probabilities(alone).values, within.values, atol=1e-6)


@pytest.mark.parametrize("labels", [("left", "right"), ("left", "right", "up"), (1, 2, 5), (False, True)])
def test_labels_are_told_apart(tuned_session, labels):
    session = tuned_session(n_trials=80, labels=labels)
    train, test = split_trials(session, (0.75, 0.25))
    decoder = WienerDecoder("direction", bin_s=0.1, past_bins=3).fit(session.restrict(train))
    assert decoder.score(session.restrict(test)) > 0.85
    shuffled = tuned_session(n_trials=80, labels=labels, gain=0.0)
    chance = (
        WienerDecoder("direction", bin_s=0.1).fit(shuffled.restrict(train)).score(shuffled.restrict(test))
    )
    assert chance < 1 / len(labels) + 0.25


def test_results_repeat_to_the_bit(tuned_session):
    session = tuned_session()
    first, second = (WienerDecoder("direction", bin_s=0.1).fit(session) for _ in range(2))
    np.testing.assert_array_equal(
        first.predict_probabilities(session).values, second.predict_probabilities(session).values
    )


def test_chunks_change_nothing(linear_session, monkeypatch):
    session = linear_session()
    whole = WienerDecoder("velocity").fit(session)
    monkeypatch.setattr("neuroloom.decoding.wiener._CHUNK_VALUES", 1)
    parts = WienerDecoder("velocity").fit(session)
    np.testing.assert_allclose(parts.predict(session).values, whole.predict(session).values, atol=1e-6)


def test_little_data_uses_a_fixed_penalty_and_says_so(linear_session):
    decoder = WienerDecoder("velocity").fit(linear_session(n_bins=40))
    assert decoder.alpha_ == {"a": [0.1, 0.1]}
    assert "too little data" in str(decoder.findings_[0])


def test_a_given_penalty_is_used(linear_session, tuned_session):
    assert WienerDecoder("velocity", alpha=3.0).fit(linear_session()).alpha_ == {"a": [3.0, 3.0]}
    assert WienerDecoder("direction", bin_s=0.1, alpha=5.0).fit(tuned_session()).alpha_ == {"a": [5.0]}


@pytest.mark.parametrize(
    "options", [{"past_bins": 0}, {"past_bins": -1}, {"future_bins": -1}, {"alpha": 0.0}, {"alpha": "best"}]
)
def test_impossible_settings_are_refused_at_fit(options, linear_session):
    with pytest.raises(DataError):
        WienerDecoder("velocity", **options).fit(linear_session())


def test_an_unknown_target_everywhere_is_refused():
    session = Session.from_counts(
        np.ones((50, 2), dtype=int), bin_size_s=0.1, id="a", behavior={"x": np.full(50, np.nan)}
    )
    with pytest.raises(DataError, match="no bin with a known 'x'"):
        WienerDecoder("x", bin_s=0.1).fit(session)


def continuous_reaching(path):
    with np.load(path) as data:
        counts, velocity, bin_s = data["spike_counts"], data["hand_velocity"], float(data["bin_size_s"])
    session = Session.from_counts(counts, bin_size_s=bin_s, id=path.stem, behavior={"velocity": velocity})
    return halves(session, round(0.85 * len(counts)) * bin_s)


@pytest.mark.shared_data
@pytest.mark.parametrize(("name", "expected"), [("m1_stevenson", 0.75), ("m1_contdata95", 0.73)])
def test_continuous_reaching_is_decoded_as_well_as_the_reference(shared_data, name, expected):
    train, test = continuous_reaching(shared_data / "continuous_reaching" / f"{name}.npz")
    assert WienerDecoder("velocity").fit(train).score(test) >= expected


@pytest.mark.shared_data
def test_reaching_directions_are_decoded_as_well_as_the_reference(shared_data):
    with np.load(shared_data / "reaching" / "chewie_2013-10-03_100ms.npz") as data:
        session = Session.from_counts(
            data["spike_counts"],
            bin_size_s=float(data["bin_size_s"]),
            id="chewie",
            trial_lengths=data["trial_lengths"],
            trial_labels={"direction": data["target"]},
        )
    train, test = (session.restrict(part) for part in split_trials(session, (0.8, 0.2)))
    assert WienerDecoder("direction", bin_s=0.1).fit(train).score(test) >= 0.68
