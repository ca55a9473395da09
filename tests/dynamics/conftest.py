from collections.abc import Callable

import numpy as np
import pytest

from neuroloom.seeds import stream
from neuroloom.simulation.linear_systems import LinearSystem, random_system

Dense = tuple[float, np.ndarray, np.ndarray, np.ndarray]


def _dense(system: LinearSystem, y: np.ndarray, u: np.ndarray) -> Dense:
    """Return the log-likelihood and posterior from the joint Gaussian of all states and outputs."""
    n, T = system.state_dim, len(y)
    mean, covariance = np.zeros(n * T), np.zeros((n * T, n * T))
    mean[:n], covariance[:n, :n] = system.mu0, system.P0
    for t in range(1, T):
        now, before = slice(n * t, n * t + n), slice(n * t - n, n * t)
        mean[now] = system.A @ mean[before] + system.B @ u[t - 1]
        covariance[now, : n * t] = system.A @ covariance[before, : n * t]
        covariance[: n * t, now] = covariance[now, : n * t].T
        covariance[now, now] = system.A @ covariance[before, before] @ system.A.T + system.Q
    C = np.kron(np.eye(T), system.C)
    expected = C @ mean + (u @ system.D.T).ravel()
    seen = np.isfinite(y.ravel())
    S = (C @ covariance @ C.T + np.kron(np.eye(T), system.R))[np.ix_(seen, seen)]
    error = (y.ravel() - expected)[seen]
    gain = np.linalg.solve(S, C[seen] @ covariance).T
    log_likelihood = -0.5 * (
        error @ np.linalg.solve(S, error) + np.linalg.slogdet(S)[1] + seen.sum() * np.log(2 * np.pi)
    )
    posterior = covariance - gain @ C[seen] @ covariance
    means = (mean + gain @ error).reshape(T, n)
    blocks = posterior.reshape(T, n, T, n).swapaxes(1, 2)
    at = np.arange(T)
    return log_likelihood, means, blocks[at, at], blocks[at[1:], at[:-1]]


@pytest.fixture(scope="session")
def dense_gaussian() -> Callable[[LinearSystem, np.ndarray, np.ndarray], Dense]:
    """The slow, exact answer: log-likelihood, smoothed means, covariances, lag-one covariances."""
    return _dense


@pytest.fixture(scope="session")
def make_system() -> Callable[..., LinearSystem]:
    """A random system with full Q and R, a non-zero first mean and the given sizes (n, m, p)."""

    def make(n: int, m: int, p: int, *, seed: int = 0) -> LinearSystem:
        rng = stream(seed, "tests", "system", n, m, p)
        base = random_system(state_dim=n, input_dim=m, output_dim=p, rng=rng)
        root_q, root_r = 0.4 * rng.standard_normal((n, n)), 0.5 * rng.standard_normal((p, p))
        return LinearSystem(
            base.A,
            base.B,
            base.C,
            base.D,
            root_q @ root_q.T + 0.05 * np.eye(n),
            root_r @ root_r.T + 0.1 * np.eye(p),
            rng.standard_normal(n),
            base.P0,
        )

    return make
