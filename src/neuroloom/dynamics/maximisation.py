"""The M step: closed-form parameters from expected sums, with frozen and shared parameters and a ridge."""

from dataclasses import dataclass, replace

import numpy as np

from neuroloom.dynamics.kalman import cholesky
from neuroloom.dynamics.sums import Sums
from neuroloom.simulation.linear_systems import PARAMETERS, LinearSystem

# A component that explains less than this many trajectories keeps its parameters.
_LEAST_WEIGHT = 1e-6


@dataclass(frozen=True)
class Constraints:
    """What EM may change, and how much it trusts the data.

    Attributes
    ----------
    frozen
        Parameters that keep their first value: any of A, B, C, D, Q, R, mu0, P0, weights.
    shared
        Parameters that all components have in common: any of A, B, C, D, Q, R.
    ridge
        Matrix-normal prior on [A B] and [C D]: adds this to the diagonal of the summed second moments.
    diagonal_noise
        Keep R diagonal.
    floor
        Smallest eigenvalue of a covariance, relative to the variance of what it describes.
    output_variance
        (p,) variances of the outputs, the scale of `floor` for R.
    """

    output_variance: np.ndarray
    frozen: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()
    ridge: float = 0.0
    diagonal_noise: bool = False
    floor: float = 1e-8


def maximise(
    systems: list[LinearSystem], weights: np.ndarray, sums: list[Sums], constraints: Constraints
) -> tuple[list[LinearSystem], np.ndarray]:
    """Return the parameters that maximise the expected log-posterior.

    With shared parameters, each in turn given the others (expectation/conditional maximisation), which
    ascends as well.
    """
    n = systems[0].state_dim
    moves = _regress(
        [np.concatenate([system.A, system.B], axis=1) for system in systems],
        [system.Q for system in systems],
        [(total.moves, total.zz, total.next_z, total.next_next) for total in sums],
        ("A", "B", "Q"),
        n,
        constraints,
    )
    looks = _regress(
        [np.concatenate([system.C, system.D], axis=1) for system in systems],
        [system.R for system in systems],
        [(total.looks, total.seen_zz, total.y_z, total.yy) for total in sums],
        ("C", "D", "R"),
        n,
        constraints,
    )
    result = []
    for system, total, (AB, Q), (CD, R) in zip(systems, sums, moves, looks, strict=True):
        mu0, P0 = _first_state(system, total, constraints)
        result.append(
            replace(system, A=AB[:, :n], B=AB[:, n:], C=CD[:, :n], D=CD[:, n:], Q=Q, R=R, mu0=mu0, P0=P0)
        )
    if "weights" not in constraints.frozen:
        weights = np.array([total.weight for total in sums])
        weights = weights / weights.sum()
    return result, weights


def log_prior(systems: list[LinearSystem], constraints: Constraints) -> float:
    """Return the log-density of the matrix-normal prior, up to a constant; 0 without a ridge."""
    if not constraints.ridge:
        return 0.0
    value = 0.0
    for system in systems:
        for left, right, noise in ((system.A, system.B, system.Q), (system.C, system.D, system.R)):
            coefficients = np.concatenate([left, right], axis=1)
            lower = cholesky(noise)
            with np.errstate(over="ignore"):
                penalty = np.sum(np.linalg.solve(lower, coefficients) ** 2)
            log_det = 2 * np.log(np.diag(lower)).sum()
            value -= 0.5 * (constraints.ridge * penalty + coefficients.shape[1] * log_det)
    return float(value)


def count_parameters(
    system: LinearSystem,
    n_components: int,
    *,
    frozen: frozenset[str] = frozenset(),
    shared: frozenset[str] = frozenset(),
    diagonal_noise: bool = False,
) -> int:
    """Count the free parameters of a mixture, without the n^2 that state coordinates take up."""
    n, p = system.state_dim, system.output_dim
    sizes = {name: getattr(system, name).size for name in PARAMETERS}
    sizes |= {"Q": n * (n + 1) // 2, "R": p if diagonal_noise else p * (p + 1) // 2, "P0": n * (n + 1) // 2}
    total = 0 if "weights" in frozen else n_components - 1
    for name, size in sizes.items():
        total += 0 if name in frozen else size if name in shared else n_components * size
    coordinates = {"A", "B", "C", "Q", "mu0", "P0"}
    if not coordinates & frozen:
        total -= n * n * (1 if coordinates & shared else n_components)
    return total


Moments = tuple[float, np.ndarray, np.ndarray, np.ndarray]


def _regress(
    coefficients: list[np.ndarray],
    noises: list[np.ndarray],
    moments: list[Moments],
    names: tuple[str, str, str],
    n: int,
    constraints: Constraints,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weighted regression of next states (or outputs) on [x; u], and its residual covariance.

    `moments` holds for each component the number of steps and the sums zz, target z' and target target'.
    """
    width = coefficients[0].shape[1]
    # role of each column of [A B] or [C D]
    role = np.empty(width, dtype="<U6")
    for name, columns in ((names[0], slice(0, n)), (names[1], slice(n, width))):
        role[columns] = (
            "frozen" if name in constraints.frozen else "shared" if name in constraints.shared else "own"
        )
    own, shared = np.flatnonzero(role == "own"), np.flatnonzero(role == "shared")
    ridge = constraints.ridge
    penalised = [(steps, zz + ridge * np.eye(width), tz, tt) for steps, zz, tz, tt in moments]
    usable = [steps > _LEAST_WEIGHT for steps, *_ in moments]
    coefficients = [coefficient.copy() for coefficient in coefficients]
    if len(shared) and any(usable):
        common = _shared_columns(coefficients, noises, penalised, shared)
        for coefficient in coefficients:
            coefficient[:, shared] = common
    if len(own):
        fixed = np.flatnonzero(role != "own")
        for coefficient, (_, zz, tz, _), use in zip(coefficients, penalised, usable, strict=True):
            if use:
                target = tz[:, own] - coefficient[:, fixed] @ zz[np.ix_(fixed, own)]
                coefficient[:, own] = _solve(zz[np.ix_(own, own)], target)
    if names[2] in constraints.frozen:
        return list(zip(coefficients, noises, strict=True))
    residuals = []
    for coefficient, (steps, zz, tz, tt) in zip(coefficients, penalised, strict=True):
        # [I, -M] S [I, -M]' stays positive semi-definite under rounding; tt - M tz' does not.
        mixed = coefficient @ tz.T
        residual = tt - mixed - mixed.T + coefficient @ zz @ coefficient.T
        residuals.append((residual, steps + (width if ridge else 0), tt))
    if names[2] in constraints.shared:
        pooled = (
            np.sum([part[0] for part in residuals], axis=0),
            float(np.sum([part[1] for part in residuals])),
            np.sum([part[2] for part in residuals], axis=0),
        )
        residuals, usable = [pooled] * len(noises), [any(usable)] * len(noises)
    result = []
    for coefficient, noise, (residual, steps, tt), use in zip(
        coefficients, noises, residuals, usable, strict=True
    ):
        if use:
            variance = constraints.output_variance if names[2] == "R" else np.diag(tt) / steps
            noise = residual / steps
            if names[2] == "R" and constraints.diagonal_noise:
                noise = np.diag(np.diag(noise))
            noise = floored(noise, constraints.floor * variance)
        result.append((coefficient, noise))
    return result


def _shared_columns(
    coefficients: list[np.ndarray], noises: list[np.ndarray], moments: list[Moments], shared: np.ndarray
) -> np.ndarray:
    """Solve sum_k R_k^-1 (target - M Z_k) = 0 for the columns M that all components share."""
    rows, columns = len(noises[0]), len(shared)
    left = np.zeros((columns * rows, columns * rows))
    right = np.zeros((rows, columns))
    others = np.setdiff1d(np.arange(coefficients[0].shape[1]), shared)
    for coefficient, noise, (_, zz, tz, _) in zip(coefficients, noises, moments, strict=True):
        precision = np.linalg.inv(noise)
        left += np.kron(zz[np.ix_(shared, shared)], precision)
        right += precision @ (tz[:, shared] - coefficient[:, others] @ zz[np.ix_(others, shared)])
    # vec() stacks columns: (Z kron R^-1) vec(M) = vec(R^-1 M Z)
    return _solve(left, right.T.reshape(1, -1)).reshape(columns, rows).T


def _solve(square: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return target @ square^-1, by least norm where collinear or constant regressors make it singular."""
    scale = np.sqrt(np.maximum(np.diag(square), 1e-300))
    values, vectors = np.linalg.eigh(square / scale / scale[:, None])
    inverse = np.where(values > 1e-12 * values[-1], 1 / np.maximum(values, 1e-300), 0.0)
    return ((target / scale) @ vectors * inverse) @ vectors.T / scale


def _first_state(
    system: LinearSystem, total: Sums, constraints: Constraints
) -> tuple[np.ndarray, np.ndarray]:
    mu0, P0 = system.mu0, system.P0
    if total.weight <= _LEAST_WEIGHT:
        return mu0, P0
    if "mu0" not in constraints.frozen:
        mu0 = total.first / total.weight
    if "P0" not in constraints.frozen:
        mean = total.first / total.weight
        second = total.first_first / total.weight
        P0 = second - np.outer(mu0, mean) - np.outer(mean, mu0) + np.outer(mu0, mu0)
        scale = np.diag(second)
        if total.moves > _LEAST_WEIGHT:
            scale = np.maximum(scale, np.diag(total.next_next) / total.moves)
        P0 = floored(P0, constraints.floor * scale)
    return mu0, P0


def floored(covariance: np.ndarray, smallest: np.ndarray) -> np.ndarray:
    """Return the symmetric covariance with eigenvalues of at least `smallest` (one scale per variable)."""
    smallest = np.maximum(smallest, max(1e-14 * float(np.max(smallest, initial=0.0)), 1e-150))
    root = np.sqrt(smallest)
    scaled = 0.5 * (covariance + covariance.T) / root / root[:, None]
    values, vectors = np.linalg.eigh(scaled)
    if values[0] >= 1:
        return 0.5 * (covariance + covariance.T)
    result = (vectors * np.maximum(values, 1.0)) @ vectors.T * root * root[:, None]
    return 0.5 * (result + result.T)
