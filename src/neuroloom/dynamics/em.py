"""Expectation-maximisation for mixtures of linear dynamical systems, with SQUAREM acceleration."""

from dataclasses import dataclass, replace

import numpy as np

from neuroloom.dynamics.kalman import GroupPass, cholesky, run
from neuroloom.dynamics.maximisation import Constraints, log_prior, maximise
from neuroloom.dynamics.sums import weigh
from neuroloom.dynamics.trajectories import Trajectories
from neuroloom.simulation.linear_systems import LinearSystem

_WORST_CONDITION = 1e12


@dataclass(frozen=True)
class Mixture:
    """Parameters of a mixture: K systems and their probabilities (K,)."""

    systems: list[LinearSystem]
    weights: np.ndarray


@dataclass(frozen=True)
class Expectation:
    """Result of an E step.

    Attributes
    ----------
    log_likelihood
        log p(y | u) of all trajectories, in nats.
    objective
        The same plus the log-prior: what EM ascends.
    joint
        (N, K) log p_k + log p(y_i | u_i, k).
    passes
        For each component, one smoothing pass per group.
    """

    log_likelihood: float
    objective: float
    joint: np.ndarray
    passes: list[list[GroupPass]]

    @property
    def responsibilities(self) -> np.ndarray:
        """(N, K) p(k | y_i, u_i)."""
        return np.exp(self.joint - _log_sum(self.joint)[:, None])


@dataclass(frozen=True)
class Fit:
    """Result of `expectation_maximisation`.

    Attributes
    ----------
    mixture
        The parameters with the highest objective met.
    responsibilities
        (N, K).
    log_likelihood
        log p(y | u) of all trajectories.
    trace
        Objective after each accepted E step; never falls.
    n_iter
        E steps made.
    converged
        Whether the relative gain fell below the tolerance.
    """

    mixture: Mixture
    responsibilities: np.ndarray
    log_likelihood: float
    trace: np.ndarray
    n_iter: int
    converged: bool


def expect(
    mixture: Mixture, trajectories: Trajectories, constraints: Constraints, *, smooth: bool = True
) -> Expectation:
    """E step: smooth (or only filter) every trajectory under every component."""
    joint = np.empty((len(trajectories), len(mixture.systems)))
    passes = []
    with np.errstate(divide="ignore"):
        log_weights = np.log(mixture.weights)
    for k, system in enumerate(mixture.systems):
        passes.append([run(system, group, smooth=smooth, keep_means=False) for group in trajectories.groups])
        for done in passes[-1]:
            filled = done.group.filled
            joint[done.group.members[filled], k] = done.log_likelihood[filled] + log_weights[k]
    # Parameters beyond the range of numbers give NaN or infinity; whoever made them has to look.
    with np.errstate(invalid="ignore", over="ignore"):
        log_likelihood = float(_log_sum(joint).sum())
    return Expectation(
        log_likelihood, log_likelihood + log_prior(mixture.systems, constraints), joint, passes
    )


def step(mixture: Mixture, expectation: Expectation, constraints: Constraints) -> Mixture:
    """M step."""
    responsibilities = expectation.responsibilities
    sums = [
        weigh(system, passes, responsibilities[:, k])
        for k, (system, passes) in enumerate(zip(mixture.systems, expectation.passes, strict=True))
    ]
    return Mixture(*maximise(mixture.systems, mixture.weights, sums, constraints))


def expectation_maximisation(
    mixture: Mixture,
    trajectories: Trajectories,
    constraints: Constraints,
    *,
    max_iter: int = 200,
    tolerance: float = 1e-6,
    accelerate: bool = True,
) -> Fit:
    """Ascend the likelihood from `mixture`.

    Parameters
    ----------
    mixture
        Where to start.
    trajectories
        Packed data.
    constraints
        See `Constraints`.
    max_iter
        Most E steps.
    tolerance
        Stop once an EM step gains less than this many nats per present output value.
    accelerate
        Extrapolate every two steps by SQUAREM (Varadhan & Roland 2008, scheme S3); an extrapolation that
        does not ascend is thrown away.

    Notes
    -----
    The objective never falls: where rounding or an eigenvalue floor makes a step lose, it is not taken.
    """
    scale = max(trajectories.n_values, 1)
    current = _State(mixture, expect(mixture, trajectories, constraints))
    trace, n_iter, converged = [current.objective], 1, False
    if not np.isfinite(current.objective):
        max_iter = 0
    base: _State | None = None
    while n_iter < max_iter and not converged:
        following = _State.of(
            step(current.mixture, current.expectation, constraints), trajectories, constraints
        )
        n_iter += 1
        gain = following.objective - current.objective
        if not np.isfinite(following.objective) or gain < 0:
            # Only rounding and floors get here; what was reached stays.
            converged = np.isfinite(following.objective) and gain > -1e-7 * scale
            break
        converged = gain <= tolerance * scale
        trace.append(following.objective)
        if accelerate and not converged and base is not None and n_iter < max_iter:
            leap = _extrapolate(base.mixture, current.mixture, following.mixture, constraints)
            base = None
            if leap is not None:
                tried = _State.of(leap, trajectories, constraints)
                n_iter += 1
                if np.isfinite(tried.objective) and tried.objective > following.objective:
                    following = tried
                    trace.append(tried.objective)
        else:
            base = current
        current = following
    return Fit(
        current.mixture,
        current.expectation.responsibilities,
        current.expectation.log_likelihood,
        np.array(trace),
        n_iter,
        bool(converged),
    )


@dataclass(frozen=True)
class _State:
    mixture: Mixture
    expectation: Expectation

    @classmethod
    def of(cls, mixture: Mixture, trajectories: Trajectories, constraints: Constraints) -> "_State":
        return cls(mixture, expect(mixture, trajectories, constraints))

    @property
    def objective(self) -> float:
        return self.expectation.objective


def _extrapolate(first: Mixture, second: Mixture, third: Mixture, constraints: Constraints) -> Mixture | None:
    """SQUAREM: leave the line through three successive iterates by x - 2 a r + a^2 v."""
    x, y, z = _flatten(first), _flatten(second), _flatten(third)
    r, v = y - x, (z - y) - (y - x)
    size = np.linalg.norm(v)
    if size == 0:
        return None
    stretch = -np.linalg.norm(r) / size
    if stretch > -1.0:
        return None
    flat = x - 2 * stretch * r + stretch**2 * v
    if not np.isfinite(flat).all() or np.abs(flat).max() > 1e8:
        return None
    return _unflatten(flat, third, constraints)


def _flatten(mixture: Mixture) -> np.ndarray:
    """Unconstrained coordinates: covariances by their log-Cholesky factors, weights by their logarithms."""
    parts = [np.log(np.maximum(mixture.weights, 1e-300))]
    for s in mixture.systems:
        parts += [part.ravel() for part in (s.A, s.B, s.C, s.D, s.mu0)]
        parts += [_log_cholesky(s.Q), _log_cholesky(s.R), _log_cholesky(s.P0)]
    return np.concatenate(parts)


def _unflatten(flat: np.ndarray, like: Mixture, constraints: Constraints) -> Mixture | None:
    position = 0

    def take(shape: tuple[int, ...]) -> np.ndarray:
        nonlocal position
        size = int(np.prod(shape))
        position += size
        return flat[position - size : position].reshape(shape)

    logs = take(like.weights.shape)
    weights = np.exp(logs - logs.max())
    systems = []
    with np.errstate(over="ignore", invalid="ignore"):
        for s in like.systems:
            values = {name: take(getattr(s, name).shape) for name in ("A", "B", "C", "D", "mu0")}
            for name in ("Q", "R", "P0"):
                n = len(getattr(s, name))
                values[name] = _from_log_cholesky(take((n * (n + 1) // 2,)), n)
                # A leap that flattens a covariance is thrown away before it can spoil an inverse.
                if not np.isfinite(values[name]).all() or np.linalg.cond(values[name]) > _WORST_CONDITION:
                    return None
            if not all(np.isfinite(value).all() for value in values.values()):
                return None
            values |= {name: getattr(s, name) for name in constraints.frozen - {"weights"}}
            systems.append(replace(s, **values))
    weights = like.weights if "weights" in constraints.frozen else weights / weights.sum()
    return Mixture(systems, weights)


def _log_cholesky(covariance: np.ndarray) -> np.ndarray:
    lower = cholesky(covariance)
    diagonal = np.diag_indices(len(lower))
    lower[diagonal] = np.log(lower[diagonal])
    return lower[np.tril_indices(len(lower))]


def _from_log_cholesky(flat: np.ndarray, n: int) -> np.ndarray:
    lower = np.zeros((n, n))
    lower[np.tril_indices(n)] = flat
    diagonal = np.diag_indices(n)
    lower[diagonal] = np.exp(lower[diagonal])
    return lower @ lower.T


def _log_sum(joint: np.ndarray) -> np.ndarray:
    largest = joint.max(axis=1)
    return largest + np.log(np.exp(joint - largest[:, None]).sum(axis=1))
