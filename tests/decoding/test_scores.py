import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from neuroloom.decoding import scores
from neuroloom.errors import DataError


@given(seed=st.integers(0, 100), n=st.integers(2, 30), dims=st.integers(1, 3))
def test_r2_is_scikit_learns(seed, n, dims):
    rng = np.random.default_rng(seed)
    true, predicted = rng.normal(size=(2, n, dims))
    expected = metrics.r2_score(true, predicted, multioutput="raw_values")
    np.testing.assert_allclose(scores.r2_per_dimension(true, predicted), expected)
    assert scores.r2(true, predicted) == pytest.approx(expected.mean())


@given(seed=st.integers(0, 100), n=st.integers(4, 40))
def test_accuracies_are_scikit_learns(seed, n):
    rng = np.random.default_rng(seed)
    true, predicted = rng.integers(3, size=(2, n))
    true[:3] = 0, 1, 2
    predicted[:3] = 0, 1, 2
    assert scores.accuracy(true, predicted) == pytest.approx(metrics.accuracy_score(true, predicted))
    assert scores.balanced_accuracy(true, predicted) == pytest.approx(
        metrics.balanced_accuracy_score(true, predicted)
    )


def test_a_constant_truth_has_no_score():
    assert np.isnan(scores.r2(np.full(10, 0.1), np.arange(10.0)))
    assert np.isnan(scores.accuracy(np.zeros(5), np.zeros(5)))
    assert np.isnan(scores.balanced_accuracy(np.zeros(5), np.zeros(5)))


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_samples_have_no_score(n):
    assert np.isnan(scores.r2(np.zeros(n), np.zeros(n)))
    assert np.isnan(scores.accuracy(np.zeros(n), np.zeros(n)))


def test_unknown_samples_are_left_out_of_their_dimension_only():
    true = np.array([[1.0, 1.0], [np.nan, 2.0], [3.0, 3.0]])
    predicted = np.array([[1.0, 1.0], [9.0, 2.0], [3.0, 0.0]])
    np.testing.assert_allclose(scores.r2_per_dimension(true, predicted), [1.0, -3.5])


def test_the_mean_is_over_the_dimensions_that_have_a_score():
    true = np.array([[1.0, 7.0], [2.0, 7.0], [3.0, 7.0]])
    assert scores.r2(true, true) == 1.0


def test_different_shapes_are_refused():
    with pytest.raises(DataError, match=r"shape \(3,\) for a truth of shape \(4,\)"):
        scores.r2(np.zeros(4), np.zeros(3))
