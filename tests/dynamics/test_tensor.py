import numpy as np
import pytest

from neuroloom.dynamics.moments import (
    WhitenedMoments,
    block_moments,
    impulse_features,
    lagged_inputs,
    pooled_moments,
)
from neuroloom.dynamics.tensor import components_of, simultaneous_diagonalisation, tensor_power_method
from neuroloom.errors import DataError
from neuroloom.seeds import stream


@pytest.mark.parametrize("solve", [simultaneous_diagonalisation, tensor_power_method])
@pytest.mark.parametrize("k", [1, 2, 3, 6])
def test_an_exact_tensor_is_decomposed_exactly(solve, k):
    rng = stream(k, "tests", "tensor")
    directions = np.linalg.qr(rng.standard_normal((k, k)))[0]
    strengths = rng.uniform(1.0, 3.0, size=k)
    tensor = np.einsum("a,ia,ja,ka->ijk", strengths, directions, directions, directions)
    found, columns = solve(tensor, rng=rng)
    overlap = np.abs(columns.T @ directions)
    np.testing.assert_allclose(np.sort(np.abs(found)), np.sort(strengths), rtol=1e-8)
    np.testing.assert_allclose(overlap.max(axis=0), 1.0, atol=1e-8)


@pytest.mark.parametrize("decomposition", ["smd", "rtpm"])
def test_exact_moments_give_back_weights_and_means(decomposition):
    rng = stream(0, "tests", "moments")
    weights, means = np.array([0.5, 0.3, 0.2]), rng.standard_normal((3, 7))
    second = np.einsum("k,ki,kj->ij", weights, means, means)
    values, vectors = np.linalg.eigh(second)
    top, basis = values[-3:], vectors[:, -3:]
    z = means @ (basis / np.sqrt(top))
    moments = WhitenedMoments(
        np.einsum("k,ki,kj,kl->ijl", weights, z, z, z), basis * np.sqrt(top), values[::-1]
    )
    found, g, mass = components_of(moments, decomposition=decomposition, rng=rng)
    order = np.argsort(-found)
    np.testing.assert_allclose(found[order], weights, rtol=1e-8)
    np.testing.assert_allclose(g[order], means, atol=1e-7)
    assert mass == pytest.approx(1.0)


def _regressions(n, rows, means, labels, rng, noise=1.0):
    regressors = [rng.standard_normal((rows, means.shape[1])) for _ in range(n)]
    targets = [
        (v @ means[k])[:, None] + noise * rng.standard_normal((rows, 1))
        for v, k in zip(regressors, labels, strict=True)
    ]
    return regressors, targets


def test_block_moments_have_no_noise_bias():
    rng = stream(0, "tests", "blocks")
    means = np.array([[1.0, 0.0, 1.0], [0.0, 1.5, -0.5]])
    labels = rng.choice(2, size=6000, p=[0.7, 0.3])
    regressors, targets = _regressions(6000, 24, means, labels, rng, noise=2.0)
    features, used = impulse_features(regressors, targets, n_blocks=3, gap=0, ridge=1e-9)
    assert len(used) == 6000
    moments = block_moments(features, 2)
    weights, g, mass = components_of(moments, rng=rng)
    order = np.argsort(-weights)
    assert mass == pytest.approx(1.0, abs=0.1)
    np.testing.assert_allclose(weights[order], [0.7, 0.3], atol=0.05)
    np.testing.assert_allclose(g[order], means, atol=0.15)


def test_pooled_moments_recover_strongly_separated_components():
    rng = stream(1, "tests", "pooled")
    means = np.array([[2.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0]])
    labels = rng.choice(2, size=4000)
    regressors, targets = _regressions(4000, 50, means, labels, rng, noise=0.1)
    moments = pooled_moments(regressors, [y[:, 0] for y in targets], 2)
    _, g, _ = components_of(moments, rng=rng)
    cosine = np.abs((g / np.linalg.norm(g, axis=1, keepdims=True)) @ (means / 2.0).T)
    assert (cosine.max(axis=1) > 0.95).all()


def test_ragged_and_equal_trajectories_give_the_same_features():
    rng = stream(0, "tests", "ragged")
    regressors, targets = _regressions(5, 20, np.ones((1, 2)), np.zeros(5, int), rng)
    equal, _ = impulse_features(regressors, targets, n_blocks=2, gap=2, ridge=0.1)
    one_more = [*regressors, regressors[0][:1]], [*targets, targets[0][:1]]
    ragged, used = impulse_features(*one_more, n_blocks=2, gap=2, ridge=0.1)
    np.testing.assert_array_equal(used, np.arange(5))
    np.testing.assert_allclose(equal, ragged, rtol=1e-10)


def test_lagged_inputs_line_up_with_the_outputs():
    u = np.arange(10.0).reshape(5, 2)
    np.testing.assert_array_equal(lagged_inputs(u, 2)[0], [4, 5, 2, 3, 0, 1])
    assert lagged_inputs(u, 4).shape == (1, 10)


def test_too_few_blocks_or_coefficients_are_refused():
    with pytest.raises(DataError, match="at least 3 blocks"):
        block_moments(np.zeros((10, 2, 5)), 3)
    with pytest.raises(DataError, match="3 trajectories"):
        block_moments(np.zeros((10, 3, 2)), 3)
