"""Trajectories as the Kalman recursions want them: validated, grouped by mask, laid out in blocks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neuroloom.errors import DataError

# One block's data should stay in the second-level cache while it is filtered and smoothed.
_BLOCK_BYTES = 2**20
# Squares and sums of larger values leave float64.
_LARGEST = 1e150


@dataclass(frozen=True)
class Group:
    """Trajectories that share their pattern of missing outputs, and so all their covariances.

    Attributes
    ----------
    present
        (patterns, p) booleans: the distinct rows of the mask.
    patterns
        (T,) index into `present` for each step.
    data
        (blocks, T, m + p, lanes): inputs above outputs; missing outputs and padding are zero.
    lengths
        (blocks, lanes); 0 marks an empty lane.
    members
        (blocks, lanes): the trajectory in each lane, -1 in empty ones.
    gram
        (patterns, m + p, m + p, trajectories of the group): sum over the steps of each pattern of
        [u; y] [u; y]'; constant through EM.
    steps
        (patterns, trajectories of the group): number of steps of each pattern.
    last_input
        (trajectories of the group, m).
    """

    present: np.ndarray
    patterns: np.ndarray
    data: np.ndarray
    lengths: np.ndarray
    members: np.ndarray
    gram: np.ndarray
    steps: np.ndarray
    last_input: np.ndarray

    @property
    def filled(self) -> np.ndarray:
        """Booleans (blocks, lanes) of the lanes that hold a trajectory; row-major order is that of `gram`."""
        return self.members >= 0


@dataclass(frozen=True)
class Trajectories:
    """Many trajectories of inputs and outputs, packed.

    Attributes
    ----------
    outputs, inputs
        Lists of float64 arrays (T_i, p), with NaN where missing, and (T_i, m).
    groups
        The same, grouped and blocked.
    """

    outputs: list[np.ndarray]
    inputs: list[np.ndarray]
    groups: list[Group]

    def __len__(self) -> int:
        return len(self.outputs)

    @property
    def output_dim(self) -> int:
        """The number of outputs, p."""
        return self.outputs[0].shape[1]

    @property
    def input_dim(self) -> int:
        """The number of inputs, m."""
        return self.inputs[0].shape[1]

    @property
    def lengths(self) -> np.ndarray:
        """The number of steps (N,) of each trajectory."""
        return np.array([len(y) for y in self.outputs])

    @property
    def n_values(self) -> int:
        """The number of output values that are present."""
        return int(sum(np.isfinite(y).sum() for y in self.outputs))

    @property
    def n_samples(self) -> int:
        """The number of steps at which at least one output is present."""
        return int(sum(np.isfinite(y).any(axis=1).sum() for y in self.outputs))

    def subset(self, chosen: np.ndarray) -> "Trajectories":
        """Return the packed trajectories of the given indices."""
        indices = np.atleast_1d(np.arange(len(self))[chosen])
        return pack([self.outputs[i] for i in indices], [self.inputs[i] for i in indices])


ArrayOrList = np.ndarray | Sequence[np.ndarray]


def pack(outputs: ArrayOrList, inputs: ArrayOrList | None = None) -> Trajectories:
    """Validate trajectories, group them by mask and lay them out for the recursions.

    Parameters
    ----------
    outputs
        A list of arrays (T_i, p), or one array (N, T, p). NaN marks missing values; one-dimensional
        trajectories are taken as p = 1.
    inputs
        The same with m columns and no NaN, or ``None`` for systems without inputs.

    Raises
    ------
    DataError
        If shapes do not fit, a trajectory is empty, or a value is infinite.
    """
    ys = _as_list(outputs, "outputs")
    us = [np.zeros((len(y), 0)) for y in ys] if inputs is None else _as_list(inputs, "inputs")
    if len(us) != len(ys):
        raise DataError(
            f"{len(us)} input trajectories for {len(ys)} output trajectories",
            expected="one each",
            remedy="pass inputs in the order of the outputs",
        )
    for i, (y, u) in enumerate(zip(ys, us, strict=True)):
        if len(y) != len(u):
            raise DataError(
                f"trajectory {i} has {len(y)} outputs and {len(u)} inputs",
                expected="the same number of steps",
                remedy="trim both to the same time bins",
            )
        if np.isinf(y).any():
            raise DataError(
                f"trajectory {i} has an infinite output",
                expected="finite values or NaN",
                remedy="mask it as NaN",
            )
        if np.nanmax(np.abs(y), initial=0.0) > _LARGEST or np.nanmax(np.abs(u), initial=0.0) > _LARGEST:
            raise DataError(
                f"trajectory {i} has values beyond 1e150",
                expected="values whose squares fit a float64",
                remedy="rescale the data",
            )
        if not np.isfinite(u).all():
            raise DataError(
                f"trajectory {i} has a NaN or infinite input",
                expected="finite inputs",
                remedy="interpolate the input, or cut the trajectory there",
            )
    return Trajectories(ys, us, _group(ys, us))


def _as_list(values: ArrayOrList, name: str) -> list[np.ndarray]:
    try:
        if isinstance(values, np.ndarray) and values.dtype != object:
            if values.ndim not in (2, 3):
                raise ValueError(f"an array of shape {values.shape}")
            arrays = list(np.asarray(values, dtype=np.float64))
        else:
            arrays = [np.asarray(value, dtype=np.float64) for value in values]
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{name} cannot be read as trajectories ({error})",
            expected="a list of (T_i, columns) arrays or one (N, T, columns) array",
            remedy="convert each trajectory to a numeric array",
        ) from None
    arrays = [array[:, None] if array.ndim == 1 else array for array in arrays]
    if not arrays:
        raise DataError(
            f"no {name}", expected="at least one trajectory", remedy="check the selection of trials"
        )
    for i, array in enumerate(arrays):
        if array.ndim != 2 or array.shape[1] != arrays[0].shape[1] or len(array) == 0:
            raise DataError(
                f"{name}[{i}] has shape {array.shape}",
                expected=f"(steps, {arrays[0].shape[-1]}) with at least one step",
                remedy="give every trajectory the same columns, and drop empty ones",
            )
    if name == "outputs" and arrays[0].shape[1] == 0:
        raise DataError("outputs without columns", expected="at least one output", remedy="pass some units")
    return [np.ascontiguousarray(array) for array in arrays]


def _group(ys: list[np.ndarray], us: list[np.ndarray]) -> list[Group]:
    masks = [np.isfinite(y) for y in ys]
    members: dict[tuple, list[int]] = {}
    for i, mask in enumerate(masks):
        # Without gaps a shorter trajectory shares the forward pass of a longer one.
        key = () if mask.all() else (len(mask), mask.tobytes())
        members.setdefault(key, []).append(i)
    groups = []
    for key, indices in members.items():
        indices = sorted(indices, key=lambda i: len(ys[i]))
        mask = masks[indices[-1]]
        if key == ():
            present, patterns = np.ones((1, mask.shape[1]), bool), np.zeros(len(mask), np.int64)
        else:
            present, inverse = np.unique(mask, axis=0, return_inverse=True)
            patterns = inverse.reshape(-1).astype(np.int64)
        groups.append(_lay_out(ys, us, indices, present, patterns))
    return groups


def _lay_out(
    ys: list[np.ndarray],
    us: list[np.ndarray],
    indices: list[int],
    present: np.ndarray,
    patterns: np.ndarray,
) -> Group:
    n_steps, m = len(patterns), us[0].shape[1]
    d = m + ys[0].shape[1]
    wanted = int(np.clip(_BLOCK_BYTES // (8 * n_steps * d), 32, 128)) // 8 * 8
    n_blocks = -(-len(indices) // wanted)
    lanes = -(-len(indices) // n_blocks)
    lanes = lanes if lanes < 8 else -(-lanes // 8) * 8
    data = np.zeros((n_blocks, n_steps, d, lanes))
    lengths = np.zeros((n_blocks, lanes), np.int64)
    members = np.full((n_blocks, lanes), -1, np.int64)
    gram = np.empty((len(present), d, d, len(indices)))
    steps = np.empty((len(present), len(indices)))
    last_input = np.empty((len(indices), m))
    for order, i in enumerate(indices):
        block, lane = divmod(order, lanes)
        length = len(ys[i])
        sample = np.concatenate([us[i], np.nan_to_num(ys[i])], axis=1)
        data[block, :length, :, lane] = sample
        lengths[block, lane], members[block, lane] = length, i
        last_input[order] = us[i][-1]
        for pattern in range(len(present)):
            rows = sample[patterns[:length] == pattern]
            gram[pattern, :, :, order] = rows.T @ rows
            steps[pattern, order] = len(rows)
    return Group(present, patterns, data, lengths, members, gram, steps, last_input)
