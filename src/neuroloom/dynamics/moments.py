"""Moments whose factors are the impulse responses of the components of a mixture.

With the lagged inputs v_t = [u_t; u_{t-1}; ..; u_{t-L}], every output is a linear regression on v_t whose
coefficients g_k are the first L + 1 Markov parameters of the trajectory's component.

`block_features` and `block_moments` are trajectory-level moments: blocks of one trajectory share the
component but not the noise, so products over different blocks have no noise bias, whatever the inputs'
distribution and however many outputs. `pooled_moments` (Rui & Dahleh 2025; Gong & Saxena, arXiv 2510.06091)
pool single samples by Stein's identity, and need white Gaussian inputs and one output.
"""

from dataclasses import dataclass

import numpy as np

from neuroloom.errors import DataError


@dataclass(frozen=True)
class WhitenedMoments:
    """The third moment in the coordinates in which the second one is the identity.

    Attributes
    ----------
    tensor
        (K, K, K): sum_k p_k^(-1/2) a_k x a_k x a_k with orthonormal a_k.
    unwhiten
        (D, K): turns a_k / sqrt(p_k) into the mean g_k.
    spectrum
        Eigenvalues of the second moment, falling; the K largest should stand out.
    """

    tensor: np.ndarray
    unwhiten: np.ndarray
    spectrum: np.ndarray


def lagged_inputs(inputs: np.ndarray, lag: int) -> np.ndarray:
    """Return [u_t; u_{t-1}; ..; u_{t-lag}] for t = lag .. T-1 as (T - lag, (lag + 1) m).

    Examples
    --------
    >>> lagged_inputs(np.array([[1.0], [2.0], [3.0]]), 1)
    array([[2., 1.],
           [3., 2.]])
    """
    n_rows = len(inputs) - lag
    return np.concatenate([inputs[lag - j : lag - j + n_rows] for j in range(lag + 1)], axis=1)


def impulse_features(
    regressors: list[np.ndarray], targets: list[np.ndarray], *, n_blocks: int, gap: int, ridge: float
) -> tuple[np.ndarray, np.ndarray]:
    """Regress the targets on the regressors separately in `n_blocks` blocks of every trajectory.

    Parameters
    ----------
    regressors, targets
        Lists of (rows_i, d) and (rows_i, p); rows with NaN targets are left out.
    n_blocks
        Blocks per trajectory.
    gap
        Rows left out between blocks, so that lagged regressors do not overlap.
    ridge
        Added to the diagonal of the mean second moment of the regressors, relative to its trace / d;
        must be positive where a block may hold fewer rows than d.

    Returns
    -------
    features
        (trajectories used, n_blocks, p d).
    used
        Their indices; a trajectory too short for its blocks is left out.
    """
    d, p = regressors[0].shape[1], targets[0].shape[1]
    used = np.array(
        [i for i, v in enumerate(regressors) if (len(v) - gap * (n_blocks - 1)) // n_blocks >= 1], dtype=int
    )
    gram, cross = np.zeros((len(used), n_blocks, d, d)), np.zeros((len(used), n_blocks, d, p))
    n_rows = {len(regressors[i]) for i in used}
    one_by_one = used
    if len(n_rows) == 1 and all(np.isfinite(y).all() for y in targets):
        # All alike: the same sums in a few large products.
        one_by_one = used[:0]
        length = (n_rows.pop() - gap * (n_blocks - 1)) // n_blocks
        v_all, y_all = np.stack([regressors[i] for i in used]), np.stack([targets[i] for i in used])
        for b in range(n_blocks):
            rows = slice(b * (length + gap), b * (length + gap) + length)
            v, y = v_all[:, rows], y_all[:, rows]
            gram[:, b], cross[:, b] = v.swapaxes(1, 2) @ v / length, v.swapaxes(1, 2) @ y / length
    for order, i in enumerate(one_by_one):
        length = (len(regressors[i]) - gap * (n_blocks - 1)) // n_blocks
        for b in range(n_blocks):
            rows = slice(b * (length + gap), b * (length + gap) + length)
            v, y = complete_rows(regressors[i][rows], targets[i][rows])
            share = max(len(v), 1)
            gram[order, b], cross[order, b] = v.T @ v / share, v.T @ y / share
    if not len(used):
        return np.zeros((0, n_blocks, p * d)), used
    size = np.trace(gram.mean(axis=(0, 1))) / d
    gram += max(ridge * size, 1e-300) * np.eye(d)
    return np.linalg.solve(gram, cross).swapaxes(2, 3).reshape(len(used), n_blocks, p * d), used


def complete_rows(regressors: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Leave out the rows in which a target is missing."""
    keep = np.isfinite(targets).all(axis=1)
    return (regressors, targets) if keep.all() else (regressors[keep], targets[keep])


def block_moments(features: np.ndarray, n_components: int) -> WhitenedMoments:
    """Second and third cross moments over different blocks of the same trajectory.

    Parameters
    ----------
    features
        (N, b, D) with b >= 3; see `impulse_features`.
    n_components
        K.

    Raises
    ------
    DataError
        If there are fewer than three blocks or fewer features than components.
    """
    n, b, size = features.shape
    if b < 3 or size < n_components or n < n_components:
        raise DataError(
            f"{n} trajectories with {b} blocks of {size} coefficients",
            expected=f"at least 3 blocks, and {n_components} trajectories and coefficients",
            remedy="use longer trajectories, a longer lag, or init='kmeans'",
        )
    total = features.sum(axis=1)
    flat = features.reshape(n * b, size)
    second = (total.T @ total - flat.T @ flat) / (n * b * (b - 1))
    whiten, unwhiten, spectrum = _whitening(second, n_components)
    z = features @ whiten
    s = z.sum(axis=1)
    pairs = np.einsum("nbi,nbj,nk->ijk", z, z, s, optimize=True)
    third = np.einsum("ni,nj,nk->ijk", s, s, s, optimize=True)
    third -= pairs + pairs.transpose(0, 2, 1) + pairs.transpose(2, 0, 1)
    third += 2 * np.einsum("nbi,nbj,nbk->ijk", z, z, z, optimize=True)
    return WhitenedMoments(third / (n * b * (b - 1) * (b - 2)), unwhiten, spectrum)


def pooled_moments(
    regressors: list[np.ndarray], targets: list[np.ndarray], n_components: int
) -> WhitenedMoments:
    """Moments pooled over all samples of a scalar target, by Stein's identity.

    The second moment is taken from one half of the trajectories, the third from the other.

    Parameters
    ----------
    regressors
        List of (rows, d): lagged white Gaussian inputs of unit variance.
    targets
        List of (rows,): one output, or a projection of several.
    n_components
        K.
    """
    half = len(regressors) // 2
    keep = [np.isfinite(y) for y in targets]
    halves = []
    for part in (slice(0, half), slice(half, None)):
        halves.append(
            (
                np.concatenate([v[k] for v, k in zip(regressors[part], keep[part], strict=True)]),
                np.concatenate([y[k] for y, k in zip(targets[part], keep[part], strict=True)]),
            )
        )
    (v, y), (v3, y3) = halves
    d = v.shape[1]
    if d < n_components or len(y) < d or len(y3) < d:
        raise DataError(
            f"{len(y) + len(y3)} samples of {d} lagged inputs",
            expected=f"at least {n_components} lagged inputs and {2 * d} samples",
            remedy="use a longer lag or more data",
        )
    second = ((v * (y**2)[:, None]).T @ v - np.sum(y**2) * np.eye(d)) / (2 * len(y))
    whiten, unwhiten, spectrum = _whitening(second, n_components)
    z, cubes = v3 @ whiten, y3**3
    third = np.einsum("n,ni,nj,nk->ijk", cubes, z, z, z, optimize=True)
    # E(v) = sum_j v x e_j x e_j and its placements: in whitened coordinates e_j e_j' sums to W'W.
    gram, first = whiten.T @ whiten, cubes @ z
    placed = np.einsum("k,ij->ijk", first, gram)
    third -= placed + placed.transpose(0, 2, 1) + placed.transpose(2, 1, 0)
    return WhitenedMoments(third / (6 * len(y3)), unwhiten, spectrum)


def _whitening(second: np.ndarray, n_components: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    values, vectors = np.linalg.eigh(0.5 * (second + second.T))
    values, vectors = values[::-1], vectors[:, ::-1]
    if not values[0] > 1e-100:
        raise DataError(
            "the second moment of the impulse responses vanishes",
            expected="outputs that follow the inputs, or their own past, alike throughout a trajectory",
            remedy="use init='kmeans' or init='predictors'",
        )
    # Noise can leave fewer than K positive eigenvalues; a floor keeps the whitening finite.
    top = np.maximum(values[:n_components], max(1e-6 * values[0], 1e-300))
    basis = vectors[:, :n_components]
    return basis / np.sqrt(top), basis * np.sqrt(top), values
