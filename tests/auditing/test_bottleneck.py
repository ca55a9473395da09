"""Reduced-rank ridge against closed forms and brute force."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from neuroloom.auditing.bottleneck import PCABottleneck, ReducedRankRidge
from neuroloom.auditing.joint_bottleneck import Head, JointLinear
from neuroloom.auditing.spectrum import Scaling, Spectrum
from neuroloom.errors import DataError, NotFitted


def linear_data(n=120, units=12, targets=6, *, rank=3, noise=0.5, seed=0):
    rng = np.random.default_rng(seed)
    brain = rng.normal(size=(n, units)) * rng.uniform(0.5, 3, size=units) + rng.normal(size=units)
    weights = rng.normal(size=(units, rank)) @ rng.normal(size=(rank, targets))
    return brain, brain @ weights + noise * rng.normal(size=(n, targets))


@pytest.mark.parametrize("units", [12, 300], ids=["primal", "kernel"])
def test_at_full_rank_it_is_ridge_regression(units):
    brain, targets = linear_data(units=units)
    fitted = ReducedRankRidge(ridge=0.3).fit(brain, targets)
    scaled = (brain - brain.mean(0)) / brain.std(0)
    alpha = 0.3 * Spectrum.of(scaled).scale
    expected = Ridge(alpha=alpha).fit(scaled, targets).predict(scaled)
    np.testing.assert_allclose(fitted.predict(brain, size=fitted.rank), expected, atol=1e-8)


@pytest.mark.parametrize("units", [12, 300], ids=["primal", "kernel"])
def test_each_size_is_the_best_low_rank_approximation_of_the_ridge_fit(units):
    brain, targets = linear_data(units=units)
    fitted = ReducedRankRidge(ridge=0.1).fit(brain, targets)
    scaled = (brain - brain.mean(0)) / brain.std(0)
    alpha = 0.1 * Spectrum.of(scaled).scale
    weights = Ridge(alpha=alpha).fit(scaled, targets).coef_.T  # (units, targets)
    # Eckart-Young on the augmented fit: rows of sqrt(alpha) I below the data.
    augmented = np.concatenate([scaled, np.sqrt(alpha) * np.eye(units)]) @ weights
    _, _, directions = np.linalg.svd(augmented, full_matrices=False)
    for size in (1, 2, 4):
        projection = directions[:size].T @ directions[:size]
        expected = scaled @ weights @ projection + targets.mean(0)
        np.testing.assert_allclose(fitted.predict(brain, size=size), expected, atol=1e-7)


@given(st.integers(0, 10_000), st.integers(3, 40), st.integers(1, 30), st.integers(1, 8))
def test_training_error_never_grows_with_size(seed, n, units, targets):
    rng = np.random.default_rng(seed)
    brain, goals = rng.normal(size=(n, units)), rng.normal(size=(n, targets))
    fitted = ReducedRankRidge(ridge=1e-8).fit(brain, goals)
    errors = [np.square(goals - fitted.predict(brain, size=size)).sum() for size in range(1, fitted.rank + 1)]
    assert all(later <= earlier + 1e-6 for earlier, later in itertools.pairwise(errors))


def test_a_map_of_rank_three_needs_three_dimensions():
    brain, targets = linear_data(rank=3, noise=0.0)
    fitted = ReducedRankRidge(ridge=1e-9).fit(brain, targets)
    error = [np.abs(targets - fitted.predict(brain, size=size)).max() for size in (2, 3)]
    assert error[0] > 0.1
    assert error[1] < 1e-5


def test_fitting_many_targets_at_once_changes_nothing():
    brain, targets = linear_data()
    shuffled = targets[::-1]
    together = ReducedRankRidge().fit_many(brain, [targets, shuffled])
    apart = [ReducedRankRidge().fit(brain, goal) for goal in (targets, shuffled)]
    for one, other in zip(together, apart, strict=True):
        assert one.ridge_ == other.ridge_
        np.testing.assert_array_equal(one.predict(brain, size=2), other.predict(brain, size=2))


def test_noise_gets_a_strong_ridge_and_signal_a_weak_one():
    rng = np.random.default_rng(0)
    brain, targets = linear_data(n=200)
    signal, noise = ReducedRankRidge().fit_many(brain, [targets, rng.normal(size=targets.shape)])
    assert signal.ridge_ <= 0.1
    assert noise.ridge_ >= 10


def test_the_encoder_and_its_input_weights_agree():
    brain, targets = linear_data()
    fitted = ReducedRankRidge().fit(brain, targets)
    by_weights = (brain - brain.mean(0)) @ fitted.input_weights(size=3)
    np.testing.assert_allclose(fitted.encode(brain, size=3), by_weights, atol=1e-9)


def test_constant_units_and_targets_carry_nothing():
    brain, targets = linear_data()
    brain[:, 4], targets[:, 1] = 0.1, 7.0
    fitted = ReducedRankRidge(unit_variance=True).fit(brain, targets)
    assert np.all(fitted.input_weights(size=2)[4] == 0)
    np.testing.assert_allclose(fitted.predict(brain, size=2)[:, 1], 7.0)


def test_scaling_undoes_itself():
    values = np.random.default_rng(0).normal(size=(10, 3))
    scaling = Scaling.of(values, unit_variance=True)
    np.testing.assert_allclose(scaling.undo(scaling.apply(values)), values)


def test_shapes_that_disagree_are_refused():
    with pytest.raises(DataError, match=r"shape \(5, 2\).*\(4, 1\)"):
        ReducedRankRidge().fit(np.ones((5, 2)), np.ones((4, 1)))
    with pytest.raises(DataError, match="at least 2"):
        ReducedRankRidge().fit(np.ones((1, 2)), np.ones((1, 1)))


def test_predicting_before_fitting_is_refused():
    with pytest.raises(NotFitted):
        ReducedRankRidge().predict(np.ones((5, 2)), size=1)


@pytest.mark.parametrize("units", [12, 300], ids=["primal", "kernel"])
def test_pca_regresses_on_the_leading_components(units):
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LinearRegression

    brain, targets = linear_data(units=units)
    [fitted] = PCABottleneck(ridge=0.0).fit_many(brain, [targets])
    scaled = (brain - brain.mean(0)) / brain.std(0)
    for size in (1, 4):
        components = PCA(size, svd_solver="full").fit_transform(scaled)
        expected = LinearRegression().fit(components, targets).predict(components)
        np.testing.assert_allclose(fitted.predict(brain, size=size), expected, atol=1e-8)


@pytest.mark.parametrize(
    "bottleneck",
    [ReducedRankRidge(), PCABottleneck(), JointLinear(epochs=20)],
    ids=lambda bottleneck: type(bottleneck).__name__,
)
def test_every_bottleneck_has_the_one_face(bottleneck):
    brain, targets = linear_data()
    [fitted] = bottleneck.fit_many(brain, [targets], groups=np.arange(120) // 2)
    code = fitted.encode(brain, size=2)
    weights = fitted.input_weights(size=2)
    assert code.shape == (120, 2)
    assert weights.shape == (12, 2)
    moved = (brain - brain.mean(0)) @ weights
    np.testing.assert_allclose(code - code.mean(0), moved - moved.mean(0), atol=1e-4)
    assert fitted.predict(brain, size=2).shape == (120, 6)
    assert fitted.rank >= 6


def test_the_joint_bottleneck_learns_and_its_heads_are_weighted():
    brain, targets = linear_data(n=300, noise=0.1)
    targets = (targets - targets.mean(0)) / targets.std(0)
    plain, first = (
        JointLinear(epochs=60, heads=heads).fit_many(brain, [targets])[0]
        for heads in (None, (Head(2, weight=1.0), Head(4, weight=0.0)))
    )
    errors = [np.square(model.predict(brain, size=2) - targets).mean(0) for model in (plain, first)]
    assert errors[0].mean() < 0.4
    assert errors[1][:2].mean() < errors[0][:2].mean()
    with pytest.raises(DataError, match="add up"):
        JointLinear(heads=(Head(2),)).fit_many(brain, [targets])
