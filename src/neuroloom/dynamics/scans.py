"""Means of the Kalman recursions for blocks of trajectories: one compiled loop.

The trajectory is the last, contiguous axis of every array, so that each inner loop is a run of vector
instructions. A block's states stay in the cache while it is filtered, smoothed and summed up; nothing of the
size of the data is ever written. The gains come from `covariances`, and the outputs reach this loop as inputs
stacked on outputs, to be whitened and rotated by one matrix (see `kalman.observe`).
"""

import numba
import numpy as np

from neuroloom.dynamics.covariances import add, product

_jit = numba.njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")


@_jit
def _multiply(matrix, vectors, out, add):
    """out (r, lanes) = [out +] matrix (r, c) @ vectors (c, lanes)."""
    rows, columns = matrix.shape
    lanes = vectors.shape[1]
    for i in range(rows):
        # Views of single rows let the compiler prove that the inner loops may run as vector instructions.
        row = out[i]
        if not add:
            for b in range(lanes):
                row[b] = 0.0
        j = 0
        while j + 4 <= columns:
            m0, m1, m2, m3 = matrix[i, j], matrix[i, j + 1], matrix[i, j + 2], matrix[i, j + 3]
            v0, v1, v2, v3 = vectors[j], vectors[j + 1], vectors[j + 2], vectors[j + 3]
            for b in range(lanes):
                row[b] += m0 * v0[b] + m1 * v1[b] + m2 * v2[b] + m3 * v3[b]
            j += 4
        while j < columns:
            m0, v0 = matrix[i, j], vectors[j]
            for b in range(lanes):
                row[b] += m0 * v0[b]
            j += 1


@_jit
def _accumulate(x, rows, out):
    """out (r, lanes) += x (lanes,) * rows (r, lanes)."""
    lanes = x.shape[0]
    for j in range(rows.shape[0]):
        total, row = out[j], rows[j]
        for b in range(lanes):
            total[b] += x[b] * row[b]


@_jit
def scan(
    data,
    lengths,
    patterns,
    whiten,
    T_patterns,
    gain_index,
    root,
    gain,
    back,
    keep,
    A,
    B,
    mu0,
    smooth,
    keep_means,
):
    """Filter, and if asked smooth, the means of blocks of trajectories under one component.

    Parameters
    ----------
    data
        (blocks, T, m + p, lanes): inputs above outputs, absent outputs zero.
    lengths
        (blocks, lanes); empty lanes have length 0.
    patterns
        (T,) int64.
    whiten
        (patterns, p, m + p): turns data into whitened, rotated y - D u.
    T_patterns, gain_index, root, gain, back, keep
        See `covariances.forward_covariances`.
    A, B, mu0
        Parameters of the system.
    smooth
        Also run backwards and collect sums.
    keep_means
        Also return the means (filtered ones, or smoothed ones if `smooth`).

    Returns
    -------
    squared
        (blocks, lanes): sum over time of the squared whitened innovations.
    seen
        (blocks, patterns, n, n + m + p, lanes): sum over the steps of each pattern of x_t [x_t; u_t; y_t]'.
    moved
        (blocks, n, n + m, lanes): sum of x_{t+1} [x_t; u_t]'.
    first, last
        (blocks, n, lanes): x_0 and x_{T-1}.
    means
        (blocks, T, n, lanes), or T = 0.
    """
    n_blocks, n_steps, d, lanes = data.shape
    n, m = A.shape[0], B.shape[1]
    p, q, n_patterns = d - m, T_patterns.shape[1], T_patterns.shape[0]
    squared = np.zeros((n_blocks, lanes))
    n_sums = n_blocks if smooth else 0
    seen = np.zeros((n_sums, n_patterns, n, n + d, lanes))
    moved = np.zeros((n_sums, n, n + m, lanes))
    first = np.zeros((n_sums, n, lanes))
    last = np.zeros((n_sums, n, lanes))
    means = np.zeros((n_blocks if keep_means else 0, n_steps, n, lanes))
    filtered = np.empty((n_steps, n, lanes))
    ahead = np.empty((n, lanes))
    white = np.empty((p, lanes))
    scaled = np.empty((q, lanes))
    later = np.empty((n, lanes))
    now = np.empty((n, lanes))
    minus_T = np.zeros(T_patterns.shape)
    for pattern in range(n_patterns):
        add(T_patterns[pattern], -1.0, minus_T[pattern])
    minus_JB = np.zeros((back.shape[0], n, m))
    for g in range(back.shape[0]):
        product(back[g], B, -1.0, minus_JB[g])
    for block in range(n_blocks):
        shortest, longest = n_steps, 0
        for b in range(lanes):
            shortest = min(shortest, lengths[block, b])
            longest = max(longest, lengths[block, b])
            for i in range(n):
                ahead[i, b] = mu0[i]
        length = lengths[block]
        total = squared[block]
        for t in range(longest):
            g, pattern = gain_index[t], patterns[t]
            sample = data[block, t]
            state = filtered[t]
            _multiply(whiten[pattern], sample, white, False)
            _multiply(minus_T[pattern], ahead, white[:q], True)
            _multiply(root[g], white[:q], scaled, False)
            for i in range(p):
                row = scaled[i] if i < q else white[i]
                if t < shortest:
                    for b in range(lanes):
                        total[b] += row[b] * row[b]
                else:
                    for b in range(lanes):
                        total[b] += row[b] * row[b] if t < length[b] else 0.0
            for i in range(n):
                for b in range(lanes):
                    state[i, b] = ahead[i, b]
            _multiply(gain[g], scaled, state, True)
            _multiply(A, state, ahead, False)
            _multiply(B, sample[:m], ahead, True)
        if keep_means and not smooth:
            for t in range(longest):
                add(filtered[t], 1.0, means[block, t])
        if not smooth:
            continue
        for i in range(n):
            for b in range(lanes):
                later[i, b] = 0.0
        for t in range(longest - 1, -1, -1):
            g, pattern = gain_index[t], patterns[t]
            sample = data[block, t]
            _multiply(keep[g], filtered[t], now, False)
            _multiply(back[g], later, now, True)
            _multiply(minus_JB[g], sample[:m], now, True)
            if t >= shortest - 1:
                for i in range(n):
                    for b in range(lanes):
                        if t == length[b] - 1:
                            now[i, b] = filtered[t, i, b]
                            last[block, i, b] = now[i, b]
                        elif t >= length[b]:
                            now[i, b] = 0.0
            for i in range(n):
                _accumulate(now[i], now[: i + 1], seen[block, pattern, i, : i + 1])
                _accumulate(now[i], sample, seen[block, pattern, i, n:])
                _accumulate(later[i], now, moved[block, i, :n])
                _accumulate(later[i], sample[:m], moved[block, i, n:])
            for i in range(n):
                for b in range(lanes):
                    later[i, b] = now[i, b]
            if keep_means:
                add(now, 1.0, means[block, t])
        for i in range(n):
            for b in range(lanes):
                first[block, i, b] = now[i, b]
        for pattern in range(n_patterns):
            for i in range(n):
                for j in range(i):
                    for b in range(lanes):
                        seen[block, pattern, j, i, b] = seen[block, pattern, i, j, b]
    return squared, seen, moved, first, last, means
