"""Decomposition of a whitened symmetric tensor into K orthonormal directions.

Two ways: simultaneous diagonalisation of its slices by orthogonal Jacobi rotations (SMD, after Kuleshov,
Chaganty & Liang 2015), and the robust tensor power method with deflation (RTPM, Anandkumar et al. 2014).
"""

from typing import Literal

import numpy as np

from neuroloom.dynamics.moments import WhitenedMoments

Decomposition = Literal["smd", "rtpm"]


def components_of(
    moments: WhitenedMoments, *, decomposition: Decomposition = "smd", rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the mixture that the moments describe.

    Returns
    -------
    weights
        (K,), summing to 1.
    means
        (K, D), the impulse responses g_k.
    mass
        Sum of the weights before renormalising: near 1 where the moments are good.
    """
    solve = simultaneous_diagonalisation if decomposition == "smd" else tensor_power_method
    strengths, directions = solve(moments.tensor, rng=rng)
    directions = directions * np.where(strengths < 0, -1.0, 1.0)
    strengths = np.maximum(np.abs(strengths), 1.0)
    weights = strengths**-2.0
    means = (moments.unwhiten @ (directions * strengths)).T
    return weights / weights.sum(), means, float(weights.sum())


def simultaneous_diagonalisation(
    tensor: np.ndarray, *, rng: np.random.Generator, max_sweeps: int = 100
) -> tuple[np.ndarray, np.ndarray]:
    """Rotate so that T(., ., w_l) is as diagonal as can be for K coordinate and 2 K random directions w_l.

    Returns
    -------
    strengths
        (K,) T(a_k, a_k, a_k).
    directions
        (K, K), a_k in columns.
    """
    k = len(tensor)
    probes = rng.standard_normal((2 * k, k))
    probes = np.concatenate([np.eye(k), probes / np.linalg.norm(probes, axis=1, keepdims=True)])
    slices = np.einsum("ijk,lk->lij", tensor, probes)
    slices = 0.5 * (slices + slices.swapaxes(1, 2))
    rotation = np.eye(k)
    for _ in range(max_sweeps):
        largest = 0.0
        for i in range(k):
            for j in range(i + 1, k):
                h = np.stack([slices[:, i, i] - slices[:, j, j], 2 * slices[:, i, j]])
                g = h @ h.T
                angle = (
                    np.arctan2(2 * g[0, 1], g[0, 0] - g[1, 1] + np.hypot(g[0, 0] - g[1, 1], 2 * g[0, 1])) / 2
                )
                largest = max(largest, abs(angle))
                if abs(angle) < 1e-12:
                    continue
                c, s = np.cos(angle), np.sin(angle)
                turn = np.array([[c, -s], [s, c]])
                slices[:, :, [i, j]] = slices[:, :, [i, j]] @ turn
                slices[:, [i, j], :] = turn.T @ slices[:, [i, j], :]
                rotation[:, [i, j]] = rotation[:, [i, j]] @ turn
        if largest < 1e-10:
            break
    return _strengths(tensor, rotation), rotation


def tensor_power_method(
    tensor: np.ndarray, *, rng: np.random.Generator, n_restarts: int = 30, n_steps: int = 50
) -> tuple[np.ndarray, np.ndarray]:
    """Find one direction after the other as the strongest fixed point of a <- T(I, a, a), and deflate.

    Returns
    -------
    strengths, directions
        See `simultaneous_diagonalisation`.
    """
    k = len(tensor)
    left = tensor.copy()
    strengths, directions = np.empty(k), np.empty((k, k))
    for found in range(k):
        starts = rng.standard_normal((n_restarts, k))
        starts /= np.linalg.norm(starts, axis=1, keepdims=True)
        for _ in range(n_steps):
            starts = _power(left, starts)
        values = np.einsum("ijk,ri,rj,rk->r", left, starts, starts, starts, optimize=True)
        best = starts[[int(np.argmax(values))]]
        for _ in range(n_steps):
            best = _power(left, best)
        direction = best[0]
        strengths[found] = np.einsum("ijk,i,j,k->", left, direction, direction, direction, optimize=True)
        directions[:, found] = direction
        left = left - strengths[found] * np.einsum("i,j,k->ijk", direction, direction, direction)
    return strengths, directions


def _power(tensor: np.ndarray, points: np.ndarray) -> np.ndarray:
    moved = np.einsum("ijk,rj,rk->ri", tensor, points, points, optimize=True)
    norm = np.linalg.norm(moved, axis=1, keepdims=True)
    return np.where(norm > 1e-300, moved / np.maximum(norm, 1e-300), points)


def _strengths(tensor: np.ndarray, directions: np.ndarray) -> np.ndarray:
    return np.einsum("ijk,ia,ja,ka->a", tensor, directions, directions, directions, optimize=True)
