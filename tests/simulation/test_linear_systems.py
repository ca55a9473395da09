import numpy as np
import pytest

from neuroloom.errors import DataError
from neuroloom.seeds import stream
from neuroloom.simulation.linear_systems import (
    LinearSystem,
    draw_inputs,
    random_system,
    simulate_mixture,
    simulate_system,
)


def _system(**changes):
    return random_system(
        rng=stream(0, "tests", "system"), **{"state_dim": 3, "input_dim": 2, "output_dim": 2, **changes}
    )


def test_the_impulse_response_is_what_a_noiseless_simulation_shows():
    system = _system()
    quiet = LinearSystem(
        system.A,
        system.B,
        system.C,
        system.D,
        np.zeros((3, 3)),
        np.zeros((2, 2)),
        np.zeros(3),
        np.zeros((3, 3)),
    )
    for column in range(2):
        inputs = np.zeros((1, 6, 2))
        inputs[0, 0, column] = 1.0
        outputs, _ = simulate_system(quiet, inputs, rng=stream(0, "tests"))
        np.testing.assert_allclose(outputs[0], system.markov_parameters(6)[:, :, column], atol=1e-12)


def test_markov_parameters_do_not_depend_on_coordinates():
    system = _system()
    turned = system.in_coordinates(stream(1, "tests").standard_normal((3, 3)))
    np.testing.assert_allclose(system.markov_parameters(8), turned.markov_parameters(8), atol=1e-9)


def test_random_systems_are_stable_with_the_signal_to_noise_ratio_asked_for():
    system = _system(snr_db=3.0)
    assert 0.4 <= system.spectral_radius <= 0.85
    inputs = draw_inputs("white", n_trajectories=200, n_steps=300, input_dim=2, rng=stream(0, "tests", "u"))
    noisy, _ = simulate_system(system, inputs, rng=stream(0, "tests"))
    driven_only = LinearSystem(
        system.A, system.B, system.C, system.D, 0 * system.Q, 0 * system.R, system.mu0, 0 * system.P0
    )
    clean, _ = simulate_system(driven_only, inputs, rng=stream(0, "tests"))
    late = slice(60, None)
    ratio = 10 * np.log10(
        clean[:, late].var(axis=(0, 1)).sum() / (noisy - clean)[:, late].var(axis=(0, 1)).sum()
    )
    assert ratio == pytest.approx(3.0, abs=0.3)


def test_the_first_state_is_stationary():
    system = _system()
    inputs = draw_inputs("white", n_trajectories=20000, n_steps=12, input_dim=2, rng=stream(0, "tests", "u"))
    _, states = simulate_system(system, inputs, rng=stream(0, "tests"))
    np.testing.assert_allclose(np.cov(states[:, 0].T), np.cov(states[:, -1].T), rtol=0.1, atol=0.1)


@pytest.mark.parametrize("kind", ["white", "ar", "binary"])
def test_inputs_have_unit_variance(kind):
    inputs = draw_inputs(kind, n_trajectories=400, n_steps=50, input_dim=2, rng=stream(0, "tests"))
    assert inputs.var() == pytest.approx(1.0, abs=0.05)
    correlation = np.mean(inputs[:, 1:] * inputs[:, :-1])
    assert correlation == pytest.approx(0.5 if kind == "ar" else 0.0, abs=0.05)


def test_a_mixture_is_the_same_again_for_the_same_seed_and_ragged_when_asked():
    systems = [_system(), _system(snr_db=0.0)]
    first = simulate_mixture(systems, n_trajectories=5, n_steps=[3, 4, 5, 6, 7], seed=4)
    again = simulate_mixture(systems, n_trajectories=5, n_steps=[3, 4, 5, 6, 7], seed=4)
    assert [len(y) for y in first.outputs] == [3, 4, 5, 6, 7]
    for a, b in zip(first.outputs, again.outputs, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_system_without_inputs_runs_on_its_noise():
    sample = simulate_mixture([_system(input_dim=0)], n_trajectories=3, n_steps=20, input_kind="none")
    assert sample.inputs[0].shape == (20, 0)
    assert np.isfinite(sample.outputs[0]).all()


def test_wrong_weights_lengths_and_shapes_are_refused():
    system = _system()
    with pytest.raises(DataError, match="sum to 1"):
        simulate_mixture([system], n_trajectories=2, n_steps=3, weights=[0.5])
    with pytest.raises(DataError, match="at least 1 step"):
        simulate_mixture([system], n_trajectories=2, n_steps=0)
    with pytest.raises(DataError, match="input_dim=0"):
        simulate_mixture([system], n_trajectories=2, n_steps=3, input_kind="none")
    with pytest.raises(DataError, match="B has shape"):
        LinearSystem(
            np.eye(2),
            np.ones((3, 1)),
            np.ones((1, 2)),
            np.ones((1, 1)),
            np.eye(2),
            np.eye(1),
            np.ones(2),
            np.eye(2),
        )
