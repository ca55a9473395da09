"""Log-likelihoods and smoothed states agree with the reference libraries, where those are installed."""

import numpy as np
import pytest

from neuroloom.dynamics import kalman
from neuroloom.dynamics.trajectories import pack
from neuroloom.seeds import stream
from neuroloom.simulation.linear_systems import LinearSystem, random_system, simulate_mixture

TOLERANCE = 1e-8


@pytest.fixture(scope="module")
def system() -> LinearSystem:
    rng = stream(0, "tests", "peers")
    base = random_system(state_dim=3, input_dim=2, output_dim=4, rng=rng)
    roots = 0.5 * rng.standard_normal((4, 4)), 0.3 * rng.standard_normal((3, 3))
    return LinearSystem(
        base.A,
        base.B,
        base.C,
        base.D,
        roots[1] @ roots[1].T + 0.1 * np.eye(3),
        roots[0] @ roots[0].T + 0.2 * np.eye(4),
        rng.standard_normal(3),
        base.P0,
    )


@pytest.fixture(scope="module")
def data(system):
    sample = simulate_mixture([system], n_trajectories=3, n_steps=40, seed=0)
    return sample.outputs, sample.inputs


@pytest.mark.filterwarnings("ignore")
def test_dynamax_finds_the_same_log_likelihood_and_smoothed_means(system, data):
    jax = pytest.importorskip("jax")
    inference = pytest.importorskip("dynamax.linear_gaussian_ssm.inference")
    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy
    n, m, p = 3, 2, 4
    # Its states are driven by u_{t+1}: stack [u_{t-1}; u_t] and switch off half of each input matrix.
    params = inference.ParamsLGSSM(
        initial=inference.ParamsLGSSMInitial(mean=jnp.asarray(system.mu0), cov=jnp.asarray(system.P0)),
        dynamics=inference.ParamsLGSSMDynamics(
            weights=jnp.asarray(system.A),
            bias=jnp.zeros(n),
            input_weights=jnp.asarray(np.hstack([system.B, np.zeros((n, m))])),
            cov=jnp.asarray(system.Q),
        ),
        emissions=inference.ParamsLGSSMEmissions(
            weights=jnp.asarray(system.C),
            bias=jnp.zeros(p),
            input_weights=jnp.asarray(np.hstack([np.zeros((p, m)), system.D])),
            cov=jnp.asarray(system.R),
        ),
    )
    ours = kalman.smooth_states(system, pack(*data))
    for i, (y, u) in enumerate(zip(*data, strict=True)):
        stacked = np.hstack([np.vstack([np.zeros((1, m)), u[:-1]]), u])
        theirs = inference.lgssm_smoother(params, jnp.asarray(y), jnp.asarray(stacked))
        assert ours.log_likelihood[i] == pytest.approx(float(theirs.marginal_loglik), rel=TOLERANCE)
        np.testing.assert_allclose(ours.means[i], theirs.smoothed_means, rtol=TOLERANCE, atol=TOLERANCE)
        np.testing.assert_allclose(
            ours.covariances[i], theirs.smoothed_covariances, rtol=TOLERANCE, atol=TOLERANCE
        )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("missing", [False, True])
def test_pykalman_finds_the_same_log_likelihood_and_smoothed_means(system, data, missing):
    pykalman = pytest.importorskip("pykalman")
    outputs = [y.copy() for y in data[0]]
    if missing:
        # It drops whole samples only.
        outputs[0][5:9] = np.nan
        outputs[1][[0, 20]] = np.nan
    ours = kalman.smooth_states(system, pack(outputs, data[1]))
    for i, (y, u) in enumerate(zip(outputs, data[1], strict=True)):
        peer = pykalman.KalmanFilter(
            transition_matrices=system.A,
            observation_matrices=system.C,
            transition_covariance=system.Q,
            observation_covariance=system.R,
            transition_offsets=(u @ system.B.T)[:-1],
            observation_offsets=u @ system.D.T,
            initial_state_mean=system.mu0,
            initial_state_covariance=system.P0,
        )
        masked = np.ma.masked_invalid(y)
        means, covariances = peer.smooth(masked)
        np.testing.assert_allclose(ours.means[i], means, rtol=TOLERANCE, atol=TOLERANCE)
        np.testing.assert_allclose(ours.covariances[i], covariances, rtol=TOLERANCE, atol=TOLERANCE)
        if not missing:
            # With masked samples pykalman's own log-likelihood counts them at zero error.
            assert ours.log_likelihood[i] == pytest.approx(peer.loglikelihood(masked), rel=TOLERANCE)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("missing", [False, True])
def test_statsmodels_finds_the_same_log_likelihood_and_smoothed_means(system, data, missing):
    mlemodel = pytest.importorskip("statsmodels.tsa.statespace.mlemodel")
    outputs = [y.copy() for y in data[0]]
    if missing:
        rng = stream(0, "tests", "missing")
        for y in outputs:
            y[rng.random(y.shape) < 0.2] = np.nan
        outputs[0][5:9] = np.nan
    ours = kalman.smooth_states(system, pack(outputs, data[1]))
    for i, (y, u) in enumerate(zip(outputs, data[1], strict=True)):
        peer = mlemodel.MLEModel(
            y,
            k_states=3,
            initialization="known",
            **{"initial_state": system.mu0, "initial_state_cov": system.P0},
        )
        peer["design"], peer["transition"], peer["selection"] = system.C, system.A, np.eye(3)
        peer["obs_cov"], peer["state_cov"] = system.R, system.Q
        peer["obs_intercept"], peer["state_intercept"] = (u @ system.D.T).T, (u @ system.B.T).T
        theirs = peer.ssm.smooth()
        assert ours.log_likelihood[i] == pytest.approx(theirs.llf, rel=TOLERANCE)
        np.testing.assert_allclose(ours.means[i], theirs.smoothed_state.T, rtol=TOLERANCE, atol=TOLERANCE)
