"""Covariances of the Kalman recursions, which do not depend on the data: compiled loops.

They run once per component and missing-data mask, however many trajectories there are. The outputs have been
whitened and rotated (see `kalman.observe`): q = min(n, p) rows see the state through T, with unit noise.
"""

import numba
import numpy as np

# Only fused multiply-adds are allowed to differ from plain arithmetic; NaN and infinity keep their meaning.
_jit = numba.njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")


@_jit
def _cholesky(matrix, floor, lower):
    """Lower Cholesky factor; pivots below `floor` are raised to it, so that rounding never makes a NaN."""
    n = matrix.shape[0]
    for i in range(n):
        for j in range(n):
            lower[i, j] = 0.0
    for i in range(n):
        for j in range(i + 1):
            total = matrix[i, j]
            for k in range(j):
                total -= lower[i, k] * lower[j, k]
            if i == j:
                lower[i, i] = np.sqrt(max(total, floor))
            else:
                lower[i, j] = total / lower[j, j]


@_jit
def _invert_lower(lower, inverse):
    n = lower.shape[0]
    for j in range(n):
        for i in range(n):
            inverse[i, j] = 0.0
        inverse[j, j] = 1.0 / lower[j, j]
        for i in range(j + 1, n):
            total = 0.0
            for k in range(j, i):
                total += lower[i, k] * inverse[k, j]
            inverse[i, j] = -total / lower[i, i]


@_jit
def product(a, b, sign, out):
    """out = sign * a @ b"""
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            total = 0.0
            for k in range(a.shape[1]):
                total += a[i, k] * b[k, j]
            out[i, j] = sign * total


@_jit
def _product_transposed(a, b, out, add):
    """out = [out +] a @ b.T"""
    for i in range(a.shape[0]):
        for j in range(b.shape[0]):
            total = 0.0
            for k in range(a.shape[1]):
                total += a[i, k] * b[j, k]
            out[i, j] = out[i, j] + total if add else total


@_jit
def _add_identity(matrix):
    for i in range(matrix.shape[0]):
        matrix[i, i] += 1.0


@_jit
def _make_symmetric(matrix):
    for i in range(matrix.shape[0]):
        for j in range(i):
            matrix[i, j] = 0.5 * (matrix[i, j] + matrix[j, i])
            matrix[j, i] = matrix[i, j]


@_jit
def add(matrix, factor, out):
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            out[i, j] += factor * matrix[i, j]


@_jit
def _change(a, b):
    """Largest difference of two covariances, relative to the largest variance of the first."""
    change, scale = 0.0, 1e-300
    for i in range(a.shape[0]):
        scale = max(scale, a[i, i])
        for j in range(a.shape[1]):
            change = max(change, abs(a[i, j] - b[i, j]))
    return change / scale


@_jit
def forward_covariances(A, Q, P0, T_patterns, patterns, steady_tolerance):
    """Riccati recursion in Joseph form for one component.

    Parameters
    ----------
    A, Q, P0
        Parameters of the system.
    T_patterns
        Array (patterns, q, n): what the whitened rows see of the state under each pattern of present
        outputs; zero rows for absent ones.
    patterns
        Array (T,) of int64.
    steady_tolerance
        Once a step changes the covariance by less than this, relatively, under one and the same pattern to
        the end, the last gains serve all later steps.

    Returns
    -------
    gain_index
        (T,) which of the G stored gains serves step t.
    predicted, filtered
        (G, n, n).
    root
        (G, q, q): inverse Cholesky factor L^-1 of the innovation covariance.
    gain
        (G, n, q): Kalman gain times L.
    back, keep, settle
        (G, n, n): smoother gain J, I - J A, and (I - JA) Pf (I - JA)' + J Q J'.
    log_det
        (G,) log-determinant of the innovation covariance.
    """
    n_steps = patterns.shape[0]
    n, q = A.shape[0], T_patterns.shape[1]
    gain_index = np.empty(n_steps, np.int64)
    predicted = np.empty((n_steps, n, n))
    filtered = np.empty((n_steps, n, n))
    root = np.zeros((n_steps, q, q))
    gain = np.zeros((n_steps, n, q))
    back = np.zeros((n_steps, n, n))
    keep = np.zeros((n_steps, n, n))
    settle = np.zeros((n_steps, n, n))
    log_det = np.zeros(n_steps)
    # From this step on the pattern stays the same.
    uniform_from = n_steps - 1
    while uniform_from > 0 and patterns[uniform_from - 1] == patterns[n_steps - 1]:
        uniform_from -= 1
    P, ahead, AP, square = np.zeros((n, n)), np.zeros((n, n)), np.zeros((n, n)), np.zeros((n, n))
    lower, inverse = np.zeros((n, n)), np.zeros((n, n))
    PT, TP, K = np.zeros((n, q)), np.zeros((q, n)), np.zeros((n, q))
    S, lower_S = np.zeros((q, q)), np.zeros((q, q))
    add(P0, 1.0, P)
    n_gains = n_steps
    for t in range(n_steps):
        T = T_patterns[patterns[t]]
        add(P, 1.0, predicted[t])
        product(T, P, 1.0, TP)
        _product_transposed(TP, T, S, False)
        _add_identity(S)
        _cholesky(S, 1e-300, lower_S)
        _invert_lower(lower_S, root[t])
        for i in range(q):
            log_det[t] += 2.0 * np.log(lower_S[i, i])
        # K = P T' S^-1 and I - K T
        _product_transposed(P, T, PT, False)
        _product_transposed(PT, root[t], gain[t], False)
        product(gain[t], root[t], 1.0, K)
        product(K, T, -1.0, AP)
        _add_identity(AP)
        product(AP, P, 1.0, square)
        _product_transposed(square, AP, filtered[t], False)
        _product_transposed(K, K, filtered[t], True)
        _make_symmetric(filtered[t])
        product(A, filtered[t], 1.0, AP)
        _product_transposed(AP, A, ahead, False)
        add(Q, 1.0, ahead)
        _make_symmetric(ahead)
        scale = 0.0
        for i in range(n):
            scale = max(scale, ahead[i, i])
        _cholesky(ahead, 1e-14 * scale + 1e-300, lower)
        _invert_lower(lower, inverse)
        # J = Pf A' ahead^-1 and I - J A
        _product_transposed(filtered[t], A, AP, False)
        _product_transposed(AP, inverse, square, False)
        product(square, inverse, 1.0, back[t])
        product(back[t], A, -1.0, keep[t])
        _add_identity(keep[t])
        product(keep[t], filtered[t], 1.0, AP)
        _product_transposed(AP, keep[t], settle[t], False)
        product(back[t], Q, 1.0, AP)
        _product_transposed(AP, back[t], settle[t], True)
        gain_index[t] = t
        change = _change(ahead, P)
        for i in range(n):
            for j in range(n):
                P[i, j] = ahead[i, j]
        if t >= uniform_from and change <= steady_tolerance:
            for later in range(t, n_steps):
                gain_index[later] = t
            n_gains = t + 1
            break
    return (
        gain_index,
        predicted[:n_gains],
        filtered[:n_gains],
        root[:n_gains],
        gain[:n_gains],
        back[:n_gains],
        keep[:n_gains],
        settle[:n_gains],
        log_det[:n_gains],
    )


@_jit
def backward_covariances(
    gain_index, filtered, back, settle, patterns, n_patterns, length, steady_tolerance, keep_all
):
    """Sums over time of the smoothed covariances for trajectories of `length` steps.

    Returns
    -------
    by_pattern
        (patterns, n, n): sum of Cov(x_t) over the steps of each pattern.
    cross
        (n, n): sum of Cov(x_{t+1}, x_t).
    first, last
        Cov(x_0), Cov(x_{T-1}).
    smoothed, lagged
        (length, n, n) each: Cov(x_t) and Cov(x_{t+1}, x_t); empty unless `keep_all`.
    """
    n = filtered.shape[1]
    by_pattern = np.zeros((n_patterns, n, n))
    cross = np.zeros((n, n))
    kept = length if keep_all else 0
    smoothed = np.zeros((kept, n, n))
    lagged = np.zeros((kept, n, n))
    last, P, before, lag = np.zeros((n, n)), np.zeros((n, n)), np.zeros((n, n)), np.zeros((n, n))
    add(filtered[gain_index[length - 1]], 1.0, last)
    add(last, 1.0, P)
    add(P, 1.0, by_pattern[patterns[length - 1]])
    if keep_all:
        add(P, 1.0, smoothed[length - 1])
    steady = gain_index[length - 1]
    t = length - 2
    while t >= 0:
        g = gain_index[t]
        _product_transposed(P, back[g], lag, False)
        product(back[g], lag, 1.0, before)
        add(settle[g], 1.0, before)
        _make_symmetric(before)
        add(lag, 1.0, cross)
        change = _change(before, P)
        for i in range(n):
            for j in range(n):
                P[i, j] = before[i, j]
        add(P, 1.0, by_pattern[patterns[t]])
        if keep_all:
            add(P, 1.0, smoothed[t])
            add(lag, 1.0, lagged[t])
        elif g == steady and t > steady and change <= steady_tolerance:
            # Both recursions stand still: every step down to `steady` repeats this one.
            repeats = t - steady
            add(P, repeats, by_pattern[patterns[t]])
            _product_transposed(P, back[g], lag, False)
            add(lag, repeats, cross)
            t = steady
        t -= 1
    return by_pattern, cross, P, last, smoothed, lagged
