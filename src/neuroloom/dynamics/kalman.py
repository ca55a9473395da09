"""Kalman filter, RTS smoother and log-likelihood of many trajectories at once: pure functions.

All of them take one `LinearSystem` and packed `Trajectories`. Missing outputs are left out exactly, whole
samples or single channels. What does not depend on the data is computed once per group of trajectories with
the same mask (`covariances.forward_covariances`), the means by `scans.scan`. Everything is float64.
"""

from dataclasses import dataclass

import numpy as np

from neuroloom.dynamics import covariances as sharing
from neuroloom.dynamics import scans
from neuroloom.dynamics.trajectories import Group, Trajectories
from neuroloom.simulation.linear_systems import LinearSystem

# Beyond this relative change per step the Riccati recursion is taken to stand still.
STEADY_TOLERANCE = 1e-14
_LOG_2PI = float(np.log(2 * np.pi))


@dataclass(frozen=True)
class Estimates:
    """State estimates of every trajectory.

    Attributes
    ----------
    log_likelihood
        (N,) log p(y | u), in nats.
    means
        List of (T_i, n).
    covariances
        List of (T_i, n, n); trajectories of one group share the same array.
    lagged_covariances
        List of (T_i - 1, n, n), Cov(x_{t+1}, x_t); empty for filtered estimates.
    """

    log_likelihood: np.ndarray
    means: list[np.ndarray]
    covariances: list[np.ndarray]
    lagged_covariances: list[np.ndarray]


@dataclass(frozen=True)
class Observation:
    """The outputs of one group, whitened and rotated so that min(n, p) rows see the state.

    With R = L L' and the QR factors L^-1 C = Q [T; 0], the rows of Q' L^-1 (y - D u) have unit noise; the
    first q see the state through T, the others are noise alone and enter the likelihood only.
    """

    whiten: np.ndarray
    T: np.ndarray
    log_det: np.ndarray


@dataclass(frozen=True)
class Forward:
    """Covariances of the forward pass; see `covariances.forward_covariances`."""

    gain_index: np.ndarray
    predicted: np.ndarray
    filtered: np.ndarray
    root: np.ndarray
    gain: np.ndarray
    back: np.ndarray
    keep: np.ndarray
    settle: np.ndarray
    log_det: np.ndarray


@dataclass(frozen=True)
class GroupPass:
    """What one pass of one system over one group leaves; see `scans.scan` for the sums."""

    group: Group
    observation: Observation
    forward: Forward
    log_likelihood: np.ndarray
    seen: np.ndarray
    moved: np.ndarray
    first: np.ndarray
    last: np.ndarray
    means: np.ndarray


def log_likelihood(system: LinearSystem, trajectories: Trajectories) -> np.ndarray:
    """Return log p(y_i | u_i) for every trajectory (N,), in nats."""
    result = np.empty(len(trajectories))
    for group in trajectories.groups:
        done = run(system, group, smooth=False, keep_means=False)
        result[group.members[group.filled]] = done.log_likelihood[group.filled]
    return result


def filter_states(system: LinearSystem, trajectories: Trajectories) -> Estimates:
    """Return the estimates of x_t from y_0 .. y_t."""
    return _estimate(system, trajectories, smooth=False)


def smooth_states(system: LinearSystem, trajectories: Trajectories) -> Estimates:
    """Return the estimates of x_t from all outputs (Rauch, Tung & Striebel 1965)."""
    return _estimate(system, trajectories, smooth=True)


def run(system: LinearSystem, group: Group, *, smooth: bool, keep_means: bool) -> GroupPass:
    """Run the recursions of one system over one group."""
    seeing = observe(system, group.present)
    forward = Forward(
        *sharing.forward_covariances(
            system.A, system.Q, system.P0, seeing.T, group.patterns, STEADY_TOLERANCE
        )
    )
    squared, *sums = scans.scan(
        group.data,
        group.lengths,
        group.patterns,
        seeing.whiten,
        seeing.T,
        forward.gain_index,
        forward.root,
        forward.gain,
        forward.back,
        forward.keep,
        system.A,
        system.B,
        system.mu0,
        smooth,
        keep_means,
    )
    n_present = group.present.sum(axis=1)
    per_step = (n_present * _LOG_2PI + seeing.log_det)[group.patterns] + forward.log_det[forward.gain_index]
    constant = np.concatenate([[0.0], np.cumsum(per_step)])[group.lengths]
    return GroupPass(group, seeing, forward, -0.5 * (squared + constant), *sums)


def smoothed_sums(
    done: GroupPass, length: int, *, keep_all: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the sums of smoothed covariances over a trajectory; see `covariances.backward_covariances`."""
    forward = done.forward
    return sharing.backward_covariances(
        forward.gain_index,
        forward.filtered,
        forward.back,
        forward.settle,
        done.group.patterns,
        len(done.group.present),
        length,
        STEADY_TOLERANCE,
        keep_all,
    )


def observe(system: LinearSystem, present: np.ndarray) -> Observation:
    """Whiten and rotate the outputs under every pattern of present outputs (patterns, p)."""
    n, m, p = system.state_dim, system.input_dim, system.output_dim
    q = min(n, p)
    whiten = np.zeros((len(present), p, m + p))
    seen = np.zeros((len(present), q, n))
    log_det = np.zeros(len(present))
    for i, mask in enumerate(present):
        n_present = int(mask.sum())
        if not n_present:
            continue
        lower = cholesky(system.R[np.ix_(mask, mask)])
        log_det[i] = 2 * np.log(np.diag(lower)).sum()
        # SciPy's triangular solver wakes the BLAS threads even for tiny matrices: milliseconds instead of
        # microseconds on a busy machine.
        whitener = np.linalg.inv(lower)
        rotation, upper = np.linalg.qr(whitener @ system.C[mask], "complete")
        rotated = rotation.T @ whitener
        rows = np.zeros((n_present, m + p))
        rows[:, :m] = -rotated @ system.D[mask]
        rows[:, m + np.flatnonzero(mask)] = rotated
        n_seeing = min(n, n_present)
        seen[i, :n_seeing] = upper[:n_seeing]
        whiten[i, :n_seeing] = rows[:n_seeing]
        whiten[i, q : q + n_present - n_seeing] = rows[n_seeing:]
    return Observation(whiten, seen, log_det)


def cholesky(covariance: np.ndarray) -> np.ndarray:
    """Return the lower Cholesky factor, after lifting the eigenvalues of a singular matrix a little."""
    try:
        return np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T))
        values = np.maximum(values, max(1e-12 * values[-1], 1e-300))
        return np.linalg.cholesky((vectors * values) @ vectors.T + np.eye(len(values)) * 1e-14 * values[-1])


def _estimate(system: LinearSystem, trajectories: Trajectories, *, smooth: bool) -> Estimates:
    n_trajectories = len(trajectories)
    likelihood = np.empty(n_trajectories)
    means: list[np.ndarray] = [np.empty(0)] * n_trajectories
    covariances: list[np.ndarray] = [np.empty(0)] * n_trajectories
    lagged: list[np.ndarray] = [np.empty(0)] * n_trajectories if smooth else []
    for group in trajectories.groups:
        done = run(system, group, smooth=smooth, keep_means=True)
        shared: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for block, lane in zip(*np.nonzero(group.filled), strict=True):
            i, length = int(group.members[block, lane]), int(group.lengths[block, lane])
            if length not in shared:
                if smooth:
                    *_, P, cross = smoothed_sums(done, length, keep_all=True)
                    shared[length] = (P, cross[:-1])
                else:
                    shared[length] = (done.forward.filtered[done.forward.gain_index[:length]], np.empty(0))
            likelihood[i] = done.log_likelihood[block, lane]
            means[i] = np.ascontiguousarray(done.means[block, :length, :, lane])
            covariances[i] = shared[length][0]
            if smooth:
                lagged[i] = shared[length][1]
    return Estimates(likelihood, means, covariances, lagged)
