"""Metrics against independent implementations, and their weights against repetition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import r2_score

from neuroloom.auditing.metric_names import METRICS, find_metrics
from neuroloom.errors import DataError


def plain(name, truth, guess, groups=None):
    groups = np.arange(len(truth)) if groups is None else groups
    metric = METRICS[name]
    statistic = metric.statistic(metric.describe(truth), metric.describe(guess), groups=groups)
    return statistic(np.ones((1, len(truth))))[0]


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    truth = rng.uniform(size=(30, 4, 5))
    return truth, truth + 0.3 * rng.normal(size=truth.shape)


def test_r2_is_that_of_scikit_learn(pair):
    truth, guess = pair
    expected = r2_score(truth.reshape(30, -1), guess.reshape(30, -1))
    assert plain("r2", truth, guess) == pytest.approx(expected)


def test_correlation_and_pixcorr_are_pearson_over_stimuli_and_over_pixels(pair):
    truth, guess = (values.reshape(30, -1) for values in pair)
    over_stimuli = np.mean([np.corrcoef(truth[:, k], guess[:, k])[0, 1] for k in range(truth.shape[1])])
    over_pixels = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(truth, guess, strict=True)])
    assert plain("correlation", truth, guess) == pytest.approx(over_stimuli)
    assert plain("pixcorr", truth, guess) == pytest.approx(over_pixels)


def test_two_way_counts_pairs_by_hand(pair):
    truth, guess = (values.reshape(30, -1) for values in pair)
    wins = []
    for i in range(30):
        own = np.corrcoef(guess[i], truth[i])[0, 1]
        wins += [own > np.corrcoef(guess[i], truth[j])[0, 1] for j in range(30) if j != i]
    assert plain("two_way", truth, guess) == pytest.approx(np.mean(wins))


def test_the_same_guess_for_all_is_at_chance(pair):
    truth, _ = pair
    same = np.broadcast_to(truth.mean(0), truth.shape)
    assert plain("two_way", truth, same) == pytest.approx(0.5)
    assert plain("correlation", truth, same) == 0
    assert plain("r2", truth, same) == pytest.approx(0)


def test_repeats_of_one_stimulus_are_not_told_apart(pair):
    truth, guess = pair
    twice, groups = np.repeat(truth, 2, axis=0), np.repeat(np.arange(30), 2)
    guesses = np.repeat(guess, 2, axis=0)
    assert plain("two_way", twice, guesses, groups) == pytest.approx(plain("two_way", truth, guess))


@pytest.mark.parametrize("name", ["r2", "correlation", "pixcorr"])
@given(
    counts=st.lists(st.integers(0, 3), min_size=12, max_size=12).filter(lambda c: sum(n > 0 for n in c) > 2)
)
def test_weights_mean_the_same_as_repetition(name, counts):
    rng = np.random.default_rng(1)
    truth, noise = rng.normal(size=(2, 12, 3))
    guess = truth + noise
    weighted = METRICS[name].statistic(truth, guess, groups=np.arange(12))(np.array([counts], dtype=float))[0]
    repeated = plain(name, np.repeat(truth, counts, axis=0), np.repeat(guess, counts, axis=0))
    assert weighted == pytest.approx(repeated, rel=1e-7, abs=1e-9)


def test_a_target_without_variance_is_undefined_never_a_number():
    truth = np.ones((5, 1))
    assert np.isnan(plain("r2", truth, truth))
    assert np.isnan(plain("correlation", truth, truth))
    assert np.isnan(plain("pixcorr", np.ones((5, 4)), np.ones((5, 4))))


def test_an_unknown_metric_is_refused_with_the_known_ones():
    with pytest.raises(DataError, match="pixcorr"):
        find_metrics(["pixcor"])
