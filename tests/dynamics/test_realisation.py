import numpy as np
import pytest

from neuroloom.dynamics.realisation import (
    ho_kalman,
    noise_from_lags,
    realise_impulse_response,
    realise_predictor,
)
from neuroloom.errors import DataError
from neuroloom.seeds import stream
from neuroloom.simulation.linear_systems import random_system, simulate_mixture


def _system(**changes):
    sizes = {"state_dim": 3, "input_dim": 2, "output_dim": 2} | changes
    return random_system(rng=stream(0, "tests", "realise"), **sizes)


@pytest.mark.parametrize("sizes", [(1, 1, 1), (2, 1, 1), (3, 2, 2), (4, 2, 6)])
def test_an_exact_impulse_response_is_realised_exactly(sizes):
    n, m, p = sizes
    system = _system(state_dim=n, input_dim=m, output_dim=p)
    A, B, C, D = ho_kalman(system.markov_parameters(2 * n + 2), n)
    state, response = B, [D]
    for _ in range(15):
        response.append(C @ state)
        state = A @ state
    np.testing.assert_allclose(np.array(response), system.markov_parameters(16), atol=1e-6)


def test_a_short_lag_is_refused():
    with pytest.raises(DataError, match="longer lag"):
        ho_kalman(np.zeros((3, 1, 1)), 2)


def test_exact_lag_covariances_give_back_the_noise():
    system = _system(state_dim=2, input_dim=0, output_dim=2)
    state = system.stationary_covariance()
    lags, power = [], np.eye(2)
    for l in range(5):
        lags.append(system.C @ power @ state @ system.C.T + (system.R if l == 0 else 0))
        power = power @ system.A
    Q, R = noise_from_lags(system.A, system.C, lags)
    np.testing.assert_allclose(Q, system.Q, atol=0.15)
    np.testing.assert_allclose(R, system.R, atol=0.15 * np.trace(lags[0]))


@pytest.mark.parametrize(
    ("realise", "lag", "error"), [(realise_impulse_response, 8, 0.1), (realise_predictor, 5, 0.25)]
)
def test_simulated_data_are_realised_closely_with_valid_covariances(realise, lag, error):
    system = _system()
    sample = simulate_mixture([system], n_trajectories=100, n_steps=60, seed=0)
    sample.outputs[0][5] = np.nan
    found = realise(sample.outputs, sample.inputs, state_dim=3, lag=lag)
    truth = system.markov_parameters(10)
    assert np.linalg.norm(found.markov_parameters(10) - truth) < error * np.linalg.norm(truth)
    for covariance in (found.Q, found.R, found.P0):
        assert np.linalg.eigvalsh(covariance).min() > 0
    assert found.spectral_radius < 1


def test_a_system_without_inputs_is_realised_from_its_own_past():
    system = _system(state_dim=2, input_dim=0, output_dim=3, snr_db=20)
    sample = simulate_mixture([system], n_trajectories=200, n_steps=60, input_kind="none")
    found = realise_predictor(sample.outputs, sample.inputs, state_dim=2, lag=4)
    poles = [np.sort_complex(np.linalg.eigvals(s.A)) for s in (found, system)]
    np.testing.assert_allclose(poles[0], poles[1], atol=0.1)
