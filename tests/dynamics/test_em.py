from dataclasses import replace

import numpy as np
import pytest

from neuroloom.dynamics.em import Mixture, expect, expectation_maximisation, step
from neuroloom.dynamics.maximisation import Constraints
from neuroloom.dynamics.trajectories import pack
from neuroloom.seeds import stream
from neuroloom.simulation.linear_systems import simulate_mixture


@pytest.fixture(scope="module")
def problem(make_system):
    """Two systems, 40 trajectories of mixed lengths with gaps, and a poor start."""
    systems = [make_system(2, 1, 3, seed=k) for k in range(2)]
    lengths = [20] * 30 + list(range(5, 15))
    sample = simulate_mixture(systems, n_trajectories=40, n_steps=lengths, seed=1)
    rng = stream(0, "tests", "gaps")
    sample.outputs[0][rng.random(sample.outputs[0].shape) < 0.2] = np.nan
    for y in sample.outputs[6:9]:
        y[3:5] = np.nan
    trajectories = pack(sample.outputs, sample.inputs)
    poor = [replace(s, A=0.5 * s.A, C=s.C + 0.3, Q=3 * s.Q, R=np.diag(np.diag(s.R)) * 3) for s in systems]
    variance = np.nanvar(np.concatenate(sample.outputs), axis=0)
    return trajectories, Mixture(poor, np.array([0.3, 0.7])), Constraints(variance)


def _log_likelihood(mixture, trajectories, constraints):
    return expect(mixture, trajectories, constraints, smooth=False).log_likelihood


@pytest.mark.parametrize("accelerate", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"frozen": frozenset({"D", "Q"})},
        {"shared": frozenset({"C", "R"})},
        {"shared": frozenset({"A", "C", "D"}), "frozen": frozenset({"B"})},
        {"ridge": 2.0},
        {"diagonal_noise": True},
    ],
    ids=["plain", "frozen", "shared C and R", "shared A, C, D", "ridge", "diagonal"],
)
def test_the_objective_never_falls(problem, changes, accelerate):
    trajectories, start, constraints = problem
    if "shared" in changes:
        common = {name: getattr(start.systems[0], name) for name in changes["shared"]}
        start = Mixture([replace(s, **common) for s in start.systems], start.weights)
    constraints = replace(constraints, **changes)
    fit = expectation_maximisation(
        start, trajectories, constraints, max_iter=25, tolerance=0.0, accelerate=accelerate
    )
    assert len(fit.trace) > 10
    assert (np.diff(fit.trace) >= 0).all()
    assert np.isfinite(fit.responsibilities).all()
    # Without the guard, too: the very next plain step ascends as well, up to rounding.
    ahead = step(fit.mixture, expect(fit.mixture, trajectories, constraints), constraints)
    gain = expect(ahead, trajectories, constraints).objective - fit.trace[-1]
    assert gain > -1e-8 * abs(fit.trace[-1])


def test_frozen_parameters_keep_their_values_and_shared_ones_stay_equal(problem):
    trajectories, start, constraints = problem
    frozen = replace(constraints, frozen=frozenset({"A", "D", "P0", "weights"}))
    fit = expectation_maximisation(start, trajectories, frozen, max_iter=12)
    for before, after in zip(start.systems, fit.mixture.systems, strict=True):
        for name in ("A", "D", "P0"):
            np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
        assert not np.allclose(before.C, after.C)
    np.testing.assert_array_equal(fit.mixture.weights, start.weights)
    shared = replace(constraints, shared=frozenset({"C", "R"}))
    a, b = expectation_maximisation(start, trajectories, shared, max_iter=12).mixture.systems
    np.testing.assert_allclose(a.C, b.C, rtol=1e-12)
    np.testing.assert_allclose(a.R, b.R, rtol=1e-12)


def test_the_m_step_is_a_stationary_point_of_the_expected_likelihood(problem):
    # Fisher's identity: at a fixed point of EM the gradient of the likelihood itself vanishes.
    trajectories, start, constraints = problem
    fit = expectation_maximisation(start, trajectories, constraints, max_iter=400, tolerance=1e-11)
    best = _log_likelihood(fit.mixture, trajectories, constraints)
    rng = stream(0, "tests", "directions")
    for name in ("A", "B", "C", "D", "mu0"):
        direction = rng.standard_normal(getattr(fit.mixture.systems[0], name).shape)
        values = []
        for size in (-1e-4, 1e-4):
            first = fit.mixture.systems[0]
            moved = replace(first, **{name: getattr(first, name) + size * direction})
            values.append(
                _log_likelihood(
                    Mixture([moved, *fit.mixture.systems[1:]], fit.mixture.weights), trajectories, constraints
                )
            )
        slope = (values[1] - values[0]) / 2e-4
        assert abs(slope) < 0.5
        assert max(values) < best + 1e-4


def test_acceleration_gets_further_with_as_many_steps(problem):
    trajectories, start, constraints = problem
    plain, accelerated = (
        expectation_maximisation(
            start, trajectories, constraints, max_iter=120, tolerance=0.0, accelerate=accelerate
        )
        for accelerate in (False, True)
    )
    assert accelerated.n_iter <= plain.n_iter
    assert accelerated.log_likelihood > plain.log_likelihood


def test_missing_channels_are_completed_exactly(make_system):
    # One EM step on data with missing channels must equal the step on its definition: the gradient of the
    # likelihood with respect to R vanishes only if E[yy'] is right. Compare with a numerical optimum of R.
    system = make_system(1, 0, 2, seed=5)
    sample = simulate_mixture([system], n_trajectories=60, n_steps=5, input_kind="none", seed=2)
    rng = stream(0, "tests", "channels")
    for y in sample.outputs:
        y[rng.integers(5, size=2), 1] = np.nan
    trajectories = pack(sample.outputs)
    constraints = Constraints(np.ones(2), frozen=frozenset({"A", "Q", "C", "mu0", "P0"}))
    fit = expectation_maximisation(
        Mixture([system], np.ones(1)), trajectories, constraints, max_iter=300, tolerance=1e-11
    )
    R = fit.mixture.systems[0].R
    best = fit.log_likelihood
    for direction in (np.diag([1.0, 0.0]), np.diag([0.0, 1.0]), np.array([[0.0, 1.0], [1.0, 0.0]])):
        for size in (-1e-3, 1e-3):
            moved = replace(system, R=R + size * direction)
            assert _log_likelihood(Mixture([moved], np.ones(1)), trajectories, constraints) < best


def test_a_component_without_trajectories_keeps_its_parameters(problem):
    trajectories, start, constraints = problem
    far = replace(start.systems[1], R=1e6 * np.eye(3), C=0 * start.systems[1].C)
    fit = expectation_maximisation(
        Mixture([start.systems[0], far], np.array([1.0 - 1e-12, 1e-12])),
        trajectories,
        constraints,
        max_iter=5,
    )
    assert np.isfinite(fit.log_likelihood)
    np.testing.assert_array_equal(fit.mixture.systems[1].R, far.R)


def test_trajectories_of_one_step_leave_the_dynamics_alone(make_system):
    system = make_system(2, 1, 2)
    sample = simulate_mixture([system], n_trajectories=30, n_steps=1, seed=0)
    trajectories = pack(sample.outputs, sample.inputs)
    fit = expectation_maximisation(
        Mixture([system], np.ones(1)), trajectories, Constraints(np.ones(2)), max_iter=20
    )
    np.testing.assert_array_equal(fit.mixture.systems[0].A, system.A)
    assert np.isfinite(fit.log_likelihood)


def test_a_start_beyond_the_range_of_numbers_is_given_back_at_once(problem):
    trajectories, start, constraints = problem
    wild = replace(start.systems[0], A=1e200 * np.eye(2))
    fit = expectation_maximisation(
        Mixture([wild, start.systems[1]], start.weights), trajectories, constraints
    )
    assert fit.n_iter == 1
    assert not fit.converged
    assert not np.isfinite(fit.log_likelihood)
