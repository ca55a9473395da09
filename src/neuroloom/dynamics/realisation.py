"""From regressions to state-space systems: Ho-Kalman, and the noise that the residuals show."""

import numpy as np

from neuroloom.dynamics.maximisation import floored
from neuroloom.dynamics.moments import lagged_inputs
from neuroloom.errors import DataError
from neuroloom.simulation.linear_systems import LinearSystem

# A realisation whose modes ring for longer than this is an artefact of noise.
_LARGEST_RADIUS = 0.99


def ho_kalman(markov: np.ndarray, state_dim: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return (A, B, C, D) whose impulse response is `markov` (L + 1, p, m), G(0) = D first.

    The block Hankel matrix H_ij = G(i + j - 1), r block rows and c block columns, r + c = L + 1, is cut to
    rank n (Ho & Kalman 1966). A is rescaled if it would not be stable.

    Raises
    ------
    DataError
        If the lag cannot carry n states: n <= min(p (r - 1), m c) must hold for some split.
    """
    lag, p, m = len(markov) - 1, markov.shape[1], markov.shape[2]
    # The split with the most room on its tighter side.
    rows = max(range(2, lag + 1), key=lambda r: min(p * (r - 1), m * (lag + 1 - r)), default=0)
    room = min(p * (rows - 1), m * (lag + 1 - rows)) if rows else 0
    if room < state_dim:
        raise DataError(
            f"a lag of {lag} carries {max(room, 0)} states",
            expected=f"{state_dim}",
            remedy="use a longer lag",
        )
    columns = lag + 1 - rows
    hankel = np.block([[markov[i + j + 1] for j in range(columns)] for i in range(rows)])
    u, s, vt = np.linalg.svd(hankel, full_matrices=False)
    n = state_dim
    root = np.sqrt(np.maximum(s[:n], 1e-8 * max(s[0], 1e-300)))
    seen = u[:, :n] * root
    driven = root[:, None] * vt[:n]
    A = np.linalg.lstsq(seen[:-p], seen[p:], rcond=None)[0]
    return stabilised(A), driven[:, :m], seen[:p], markov[0]


def stabilised(A: np.ndarray) -> np.ndarray:
    """Return A, shrunk if its spectral radius exceeds .99."""
    radius = np.abs(np.linalg.eigvals(A)).max()
    return A if radius <= _LARGEST_RADIUS else A * (_LARGEST_RADIUS / radius)


def stationary_covariance(A: np.ndarray, Q: np.ndarray) -> np.ndarray:
    """Return sum_j A^j Q A'^j by doubling (Smith 1968); A must be stable.

    Unlike a linear solve, it cannot lose its sign or warn where badly scaled states meet slow modes.
    """
    total = Q
    for _ in range(14):
        total = total + A @ total @ A.T
        A = A @ A
    return 0.5 * (total + total.T)


def realise_impulse_response(
    outputs: list[np.ndarray], inputs: list[np.ndarray], *, state_dim: int, lag: int, ridge: float = 1e-3
) -> LinearSystem:
    """Pooled least squares on lagged inputs, Ho-Kalman, and noise from the residuals' lag covariances.

    Raises
    ------
    DataError
        If the lag cannot carry the states.
    """
    regressors = np.concatenate([lagged_inputs(u, lag) for u in inputs])
    targets = np.concatenate([y[lag:] for y in outputs])
    p, m = targets.shape[1], inputs[0].shape[1]
    weights = _ridge(regressors, targets, ridge)
    markov = weights.reshape(lag + 1, m, p).transpose(0, 2, 1)
    A, B, C, D = ho_kalman(markov, state_dim)
    residuals = _input_free(outputs, inputs, A, B, C, D)
    covariances = []
    for j in range(min(5, residuals.shape[1])):
        pairs = residuals[:, j:, :, None] * residuals[:, : residuals.shape[1] - j, None, :]
        known = np.isfinite(pairs)
        covariances.append(np.where(known, pairs, 0).sum(axis=(0, 1)) / np.maximum(known.sum(axis=(0, 1)), 1))
    Q, R = noise_from_lags(A, C, covariances)
    return _with_stationary_start(A, B, C, D, Q, R)


def _input_free(
    outputs: list[np.ndarray],
    inputs: list[np.ndarray],
    A: np.ndarray,
    B: np.ndarray,
    C: np.ndarray,
    D: np.ndarray,
) -> np.ndarray:
    """Subtract the response to the inputs; returns (N, longest T, p) with NaN where nothing is known.

    What is left over is state noise seen through C, and output noise.
    """
    longest = max(len(y) for y in outputs)
    padded_y = np.full((len(outputs), longest, outputs[0].shape[1]), np.nan)
    padded_u = np.zeros((len(outputs), longest, inputs[0].shape[1]))
    for i, (y, u) in enumerate(zip(outputs, inputs, strict=True)):
        padded_y[i, : len(y)], padded_u[i, : len(u)] = y, u
    x = np.zeros((len(outputs), len(A)))
    for t in range(longest):
        padded_y[:, t] -= x @ C.T + padded_u[:, t] @ D.T
        x = x @ A.T + padded_u[:, t] @ B.T
    return padded_y


def noise_from_lags(
    A: np.ndarray, C: np.ndarray, covariances: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Split residual lag covariances into state and output noise.

    Fits Lambda_l ~ C A^l Pi C' over l >= 1 for the stationary state covariance Pi, then Q = Pi - A Pi A' and
    R = Lambda_0 - C Pi C', with eigenvalue floors.
    """
    n, p = A.shape[0], C.shape[0]
    powers, rows, targets = C @ A, [], []
    for covariance in covariances[1:]:
        rows.append(np.kron(powers, C))
        targets.append(covariance.ravel())
        powers = powers @ A
    design = np.concatenate(rows)
    # A little shrinkage: directions of Pi that the lags do not show stay small.
    gram = design.T @ design
    gram += 1e-3 * np.trace(gram) / len(gram) * np.eye(len(gram)) + 1e-300 * np.eye(len(gram))
    Pi = np.linalg.solve(gram, design.T @ np.concatenate(targets)).reshape(n, n)
    Pi = 0.5 * (Pi + Pi.T)
    noise = covariances[0]
    scale = np.maximum(np.diag(noise), 1e-12 * max(np.diag(noise).max(), 1e-300))
    # Output noise of unit size maps to state noise of about this size.
    state_scale = np.full(n, scale.mean() * p / max(np.sum(C**2), 1e-12))
    Q = floored(Pi - A @ Pi @ A.T, 0.05 * state_scale)
    stationary = stationary_covariance(A, Q)
    # The floors may have put more into the states than the outputs show.
    shown = np.trace(C @ stationary @ C.T)
    if shown > 0.9 * np.trace(noise):
        Q *= 0.9 * np.trace(noise) / shown
        stationary *= 0.9 * np.trace(noise) / shown
    R = floored(noise - C @ stationary @ C.T, 0.05 * scale)
    return Q, R


def realise_predictor(
    outputs: list[np.ndarray], inputs: list[np.ndarray], *, state_dim: int, lag: int, ridge: float = 1e-3
) -> LinearSystem:
    """Regress outputs on past outputs and inputs, and realise the one-step predictor.

    The predictor x_{t+1} = (A - K C) x_t + (B - K D) u_t + K y_t forgets fast, so short lags do, and it also
    exists without inputs (the idea of Chiuso's PBSID, 2007). Q = K S K' and R = S from the innovations.

    Raises
    ------
    DataError
        If the lag cannot carry the states.
    """
    p, m = outputs[0].shape[1], inputs[0].shape[1]
    filled = [np.nan_to_num(y) for y in outputs]
    past = [np.concatenate([u, y], axis=1) for u, y in zip(inputs, filled, strict=True)]
    regressors = np.concatenate([lagged_inputs(z, lag)[:, m + p :] for z in past])
    now = np.concatenate([u[lag:] for u in inputs])
    targets = np.concatenate([y[lag:] for y in outputs])
    design = np.concatenate([now, regressors], axis=1)
    weights = _ridge(design, targets, ridge)
    keep = np.isfinite(targets).all(axis=1)
    errors = targets[keep] - design[keep] @ weights
    S = errors.T @ errors / max(len(errors), 1)
    scale = np.concatenate(filled).var(axis=0) + 1e-300
    S = floored(S, 1e-6 * scale)
    D = weights[:m].T
    markov = np.zeros((lag + 1, p, m + p))
    markov[1:] = weights[m:].reshape(lag, m + p, p).transpose(0, 2, 1)
    closed, drive, C, _ = ho_kalman(markov, state_dim)
    K = drive[:, m:]
    A = stabilised(closed + K @ C)
    B = drive[:, :m] + K @ D
    Q = K @ S @ K.T
    size = max(np.trace(Q) / state_dim, 1e-6 * np.trace(S) / max(np.sum(C**2), 1e-12))
    Q = floored(Q, np.full(state_dim, 0.05 * size))
    return _with_stationary_start(A, B, C, D, Q, S)


def _ridge(design: np.ndarray, targets: np.ndarray, ridge: float) -> np.ndarray:
    keep = np.isfinite(targets).all(axis=1)
    X, Y = design[keep], targets[keep]
    gram = X.T @ X
    scale = np.trace(gram) / max(len(gram), 1)
    return np.linalg.lstsq(gram + ridge * scale * np.eye(len(gram)), X.T @ Y, rcond=1e-12)[0]


def _with_stationary_start(
    A: np.ndarray, B: np.ndarray, C: np.ndarray, D: np.ndarray, Q: np.ndarray, R: np.ndarray
) -> LinearSystem:
    P0 = floored(stationary_covariance(A, Q + B @ B.T), 0.01 * np.diag(Q))
    return LinearSystem(A, B, C, D, Q, R, np.zeros(len(A)), P0)
