import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroloom.dynamics import kalman
from neuroloom.dynamics.trajectories import pack
from neuroloom.seeds import stream
from neuroloom.simulation.linear_systems import simulate_mixture

SIZES = [(1, 0, 1), (2, 1, 1), (3, 2, 4), (4, 1, 2), (2, 0, 7), (5, 3, 5)]


def _data(system, lengths, *, missing, seed=3):
    sample = simulate_mixture([system], n_trajectories=len(lengths), n_steps=lengths, seed=seed)
    rng = stream(seed, "tests", "missing")
    for i, y in enumerate(sample.outputs):
        if missing and i % 2:
            y[rng.random(y.shape) < 0.3] = np.nan
            y[rng.random(len(y)) < 0.2] = np.nan
    return sample.outputs, sample.inputs


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("sizes", SIZES)
def test_the_smoother_equals_the_dense_gaussian_posterior(sizes, missing, make_system, dense_gaussian):
    system = make_system(*sizes)
    outputs, inputs = _data(system, [14, 9, 14, 1, 2, 14, 7], missing=missing)
    estimates = kalman.smooth_states(system, pack(outputs, inputs))
    for i, (y, u) in enumerate(zip(outputs, inputs, strict=True)):
        log_likelihood, means, covariances, lagged = dense_gaussian(system, y, u)
        np.testing.assert_allclose(estimates.log_likelihood[i], log_likelihood, rtol=1e-10)
        np.testing.assert_allclose(estimates.means[i], means, atol=1e-9)
        np.testing.assert_allclose(estimates.covariances[i], covariances, atol=1e-10)
        np.testing.assert_allclose(estimates.lagged_covariances[i], lagged, atol=1e-10)


def test_the_filter_equals_the_smoother_of_the_past_alone(make_system, dense_gaussian):
    system = make_system(3, 2, 2)
    outputs, inputs = _data(system, [8, 6], missing=True)
    estimates = kalman.filter_states(system, pack(outputs, inputs))
    for i, (y, u) in enumerate(zip(outputs, inputs, strict=True)):
        for t in range(len(y)):
            _, means, covariances, _ = dense_gaussian(system, y[: t + 1], u[: t + 1])
            np.testing.assert_allclose(estimates.means[i][t], means[-1], atol=1e-9)
            np.testing.assert_allclose(estimates.covariances[i][t], covariances[-1], atol=1e-10)


def test_steady_state_shortcuts_change_nothing(make_system, monkeypatch):
    system = make_system(4, 2, 3)
    trajectories = pack(*_data(system, [300] * 3 + [120, 299], missing=False))
    fast = kalman.smooth_states(system, trajectories)
    sums = kalman.smoothed_sums(
        kalman.run(system, trajectories.groups[0], smooth=True, keep_means=False), 300
    )
    monkeypatch.setattr(kalman, "STEADY_TOLERANCE", -1.0)
    slow = kalman.smooth_states(system, trajectories)
    slow_sums = kalman.smoothed_sums(
        kalman.run(system, trajectories.groups[0], smooth=True, keep_means=False), 300
    )
    np.testing.assert_allclose(fast.log_likelihood, slow.log_likelihood, rtol=1e-12)
    np.testing.assert_allclose(fast.means[0], slow.means[0], atol=1e-11)
    for short, long in zip(sums[:4], slow_sums[:4], strict=True):
        np.testing.assert_allclose(short, long, rtol=1e-10, atol=1e-10)


def test_a_change_of_state_coordinates_changes_no_likelihood(make_system):
    system = make_system(3, 2, 4)
    trajectories = pack(*_data(system, [30] * 4, missing=True))
    turned = system.in_coordinates(stream(0, "tests", "turn").standard_normal((3, 3)))
    np.testing.assert_allclose(
        kalman.log_likelihood(system, trajectories), kalman.log_likelihood(turned, trajectories), rtol=1e-9
    )


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.tuples(st.integers(1, 4), st.integers(0, 2), st.integers(1, 5)),
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=12),
    seed=st.integers(0, 100),
)
def test_packing_many_equals_one_at_a_time(make_system, sizes, lengths, seed):
    system = make_system(*sizes, seed=seed)
    outputs, inputs = _data(system, lengths, missing=True, seed=seed)
    together = kalman.log_likelihood(system, pack(outputs, inputs))
    alone = [kalman.log_likelihood(system, pack([y], [u]))[0] for y, u in zip(outputs, inputs, strict=True)]
    np.testing.assert_allclose(together, alone, rtol=1e-10, atol=1e-10)


def test_nothing_observed_gives_the_prior(make_system):
    system = make_system(2, 1, 3)
    estimates = kalman.smooth_states(system, pack([np.full((5, 3), np.nan)], [np.zeros((5, 1))]))
    assert estimates.log_likelihood[0] == 0.0
    np.testing.assert_allclose(estimates.means[0][1], system.A @ system.mu0)


def test_a_nearly_noiseless_system_stays_finite_and_exact(make_system, dense_gaussian):
    base = make_system(3, 1, 2)
    from dataclasses import replace

    system = replace(base, R=1e-8 * np.eye(2), Q=1e-8 * np.eye(3))
    outputs, inputs = _data(system, [10], missing=False)
    value = kalman.log_likelihood(system, pack(outputs, inputs))[0]
    np.testing.assert_allclose(value, dense_gaussian(system, outputs[0], inputs[0])[0], rtol=1e-5)
