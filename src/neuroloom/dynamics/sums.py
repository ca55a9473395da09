"""Expected sufficient statistics of a component: what the M step of EM needs to know about the data."""

from dataclasses import dataclass, fields

import numpy as np

from neuroloom.dynamics.kalman import GroupPass, smoothed_sums
from neuroloom.simulation.linear_systems import LinearSystem


@dataclass
class Sums:
    """Weighted sums over trajectories and time, with z = [x; u]; second moments include the covariances.

    Attributes
    ----------
    weight
        Sum of the trajectories' weights.
    moves, looks
        Weighted number of transitions and of steps with at least one output.
    zz, next_z, next_next
        Sums over transitions of z_t z_t' (n+m, n+m), x_{t+1} z_t' (n, n+m) and x_{t+1} x_{t+1}' (n, n).
    seen_zz, y_z, yy
        Sums over observed steps of z z', y z' (p, n+m) and y y' (p, p).
    first, first_first
        Sums of x_0 (n,) and x_0 x_0' (n, n).
    """

    weight: float
    moves: float
    looks: float
    zz: np.ndarray
    next_z: np.ndarray
    next_next: np.ndarray
    seen_zz: np.ndarray
    y_z: np.ndarray
    yy: np.ndarray
    first: np.ndarray
    first_first: np.ndarray

    @classmethod
    def empty(cls, system: LinearSystem) -> "Sums":
        """Return zeros of the right shapes."""
        n, p, d = system.state_dim, system.output_dim, system.state_dim + system.input_dim
        shapes = [(d, d), (n, d), (n, n), (d, d), (p, d), (p, p), (n,), (n, n)]
        return cls(0.0, 0.0, 0.0, *(np.zeros(shape) for shape in shapes))

    def __iadd__(self, other: "Sums") -> "Sums":
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))
        return self


def weigh(system: LinearSystem, passes: list[GroupPass], weights: np.ndarray) -> Sums:
    """Sum up one component's smoothed statistics.

    Parameters
    ----------
    system
        The parameters with which the passes were made.
    passes
        One smoothing pass per group.
    weights
        (N,) responsibility of the component for each trajectory.
    """
    total = Sums.empty(system)
    for done in passes:
        total += _weigh_group(system, done, weights)
    return total


def _weigh_group(system: LinearSystem, done: GroupPass, all_weights: np.ndarray) -> Sums:
    group, n, m = done.group, system.state_dim, system.input_dim
    filled = group.filled
    lanes = np.where(filled, all_weights[group.members], 0.0)
    weights = lanes[filled]
    sums = Sums.empty(system)
    seen, moved = _weighted(done.seen, lanes), _weighted(done.moved, lanes)
    gram, steps = group.gram @ weights, group.steps @ weights

    first, last = done.first, done.last
    sums.weight = weights.sum()
    sums.first = _weighted(first, lanes)
    first_first = np.einsum("kib,kb,kjb->ij", first, lanes, first, optimize=True)
    last_last = np.einsum("kib,kb,kjb->ij", last, lanes, last, optimize=True)
    last_rows = last.swapaxes(1, 2)[filled]
    last_u = (weights[:, None] * last_rows).T @ group.last_input
    u_u = (weights[:, None] * group.last_input).T @ group.last_input

    lengths = group.lengths[filled]
    for length in np.unique(lengths):
        share = weights[lengths == length].sum()
        by_pattern, cross, first_cov, last_cov, _, _ = smoothed_sums(done, int(length))
        seen[:, :, :n] += share * by_pattern
        moved[:, :n] += share * cross
        first_first += share * first_cov
        last_last += share * last_cov
        sums.moves += share * (length - 1)

    zz = np.empty((len(seen), n + m, n + m))
    zz[:, :n] = seen[:, :, : n + m]
    zz[:, n:, :n] = seen[:, :, n : n + m].swapaxes(1, 2)
    zz[:, n:, n:] = gram[:, :m, :m]
    everything = zz.sum(axis=0)
    sums.zz = everything - np.block([[last_last, last_u], [last_u.T, u_u]])
    sums.next_z = moved
    sums.next_next = everything[:n, :n] - first_first
    sums.first_first = first_first
    for pattern, present in enumerate(group.present):
        if not present.any():
            continue
        y_z = np.concatenate([seen[pattern, :, n + m :].T, gram[pattern, m:, :m]], axis=1)
        yy = gram[pattern, m:, m:]
        if not present.all():
            y_z, yy = _complete(system, present, steps[pattern], zz[pattern], y_z, yy)
        sums.looks += steps[pattern]
        sums.seen_zz += zz[pattern]
        sums.y_z += y_z
        sums.yy += yy
    return sums


def _complete(
    system: LinearSystem, present: np.ndarray, steps: float, zz: np.ndarray, y_z: np.ndarray, yy: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fill in the expectation of the missing channels given the present ones, the state and the inputs.

    With o the present and h the hidden channels, E[y_h] = G y_o + (CD_h - G CD_o) z, G = R_ho R_oo^-1.
    """
    absent = ~present
    CD = np.concatenate([system.C, system.D], axis=1)
    G = np.linalg.solve(system.R[np.ix_(present, present)], system.R[np.ix_(present, absent)]).T
    fill, predict = np.zeros_like(system.R), np.zeros_like(CD)
    fill[present, present] = 1.0
    fill[np.ix_(absent, present)] = G
    predict[absent] = CD[absent] - G @ CD[present]
    spread = np.zeros_like(system.R)
    spread[np.ix_(absent, absent)] = system.R[np.ix_(absent, absent)] - G @ system.R[np.ix_(present, absent)]
    mixed = fill @ y_z @ predict.T
    full_yy = fill @ yy @ fill.T + mixed + mixed.T + predict @ zz @ predict.T + steps * spread
    return fill @ y_z + predict @ zz, full_yy


def _weighted(values: np.ndarray, lanes: np.ndarray) -> np.ndarray:
    """Sum (blocks, ..., lanes) over blocks and lanes with weights (blocks, lanes)."""
    flat = values.reshape(len(values), -1, lanes.shape[1])
    return (flat @ lanes[:, :, None]).sum(axis=0).reshape(values.shape[1:-1])
