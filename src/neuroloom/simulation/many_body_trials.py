"""Trials of many-body systems: cropped, put in other orders, and labelled by who belongs to whom."""

import dataclasses
import math
from dataclasses import dataclass
from itertools import permutations
from typing import Literal

import numpy as np

from neuroloom import seeds
from neuroloom.errors import DataError

Question = Literal["connection", "type", "both"]


@dataclass(frozen=True)
class ManyBodyTrials:
    """Simulated trials and the truth about them.

    Attributes
    ----------
    positions, velocities
        Shape (trials, bodies, steps, 2).
    masses
        Shape (trials, bodies).
    couplings
        Shape (trials, bodies, bodies): -m_i m_j, stiffness or q_i q_j; 0 where two do not interact.
    system, role
        Shape (trials, bodies): the system of a body, and its number there, which chooses its range of
        masses. Roles of equal bodies in turned systems leave no trace in the movement.
    trial
        Shape (trials,): number of the simulated trial. Copies in other orders share it, so that splits
        keep them together.
    times
        Shape (steps,), from the start of the simulation; of a crop, from its own start.
    """

    positions: np.ndarray
    velocities: np.ndarray
    masses: np.ndarray
    couplings: np.ndarray
    system: np.ndarray
    role: np.ndarray
    trial: np.ndarray
    times: np.ndarray

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def n_bodies(self) -> int:
        """Bodies of a trial."""
        return self.positions.shape[1]

    @property
    def interactions(self) -> np.ndarray:
        """The true graph, (trials, bodies, bodies) bool, symmetric."""
        return self.couplings != 0

    def __getitem__(self, chosen: slice | np.ndarray) -> "ManyBodyTrials":
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return ManyBodyTrials(
            **{name: value if name == "times" else value[chosen] for name, value in fields.items()}
        )

    def crop(self, n_steps: int, *, seed: int = 0) -> "ManyBodyTrials":
        """Return `n_steps` consecutive points of every trial; each system from a random start of its own.

        Raises
        ------
        DataError
            If the trials are shorter.
        """
        total = self.positions.shape[2]
        if not 1 <= n_steps <= total:
            raise DataError(
                f"a crop of {n_steps} points",
                expected=f"from 1 to {total}, the length of the trials",
                remedy="pass another n_steps",
            )
        random = seeds.stream(seed, "many-body", "crop")
        n_systems = int(self.system.max()) + 1
        starts = random.integers(total - n_steps + 1, size=(len(self), n_systems))
        first = np.take_along_axis(starts, self.system, axis=1)  # (trials, bodies)
        places = (first[..., None] + np.arange(n_steps))[..., None]  # (trials, bodies, n_steps, 1)
        return dataclasses.replace(
            self,
            positions=np.take_along_axis(self.positions, places, axis=2),
            velocities=np.take_along_axis(self.velocities, places, axis=2),
            times=self.times[:n_steps] - self.times[0],
        )

    def reorder(self, orders: np.ndarray) -> "ManyBodyTrials":
        """Return the trials with their bodies in other orders, (trials, bodies)."""
        row = np.arange(len(self))[:, None]
        return dataclasses.replace(
            self,
            positions=self.positions[row, orders],
            velocities=self.velocities[row, orders],
            masses=self.masses[row, orders],
            couplings=self.couplings[row[..., None], orders[:, :, None], orders[:, None, :]],
            system=self.system[row, orders],
            role=self.role[row, orders],
        )

    def in_orders(self, n: int | None = None, *, seed: int = 0) -> "ManyBodyTrials":
        """Return every trial in `n` different orders of its bodies; in all of them where `n` is None.

        Raises
        ------
        DataError
            If there are fewer orders than `n`, or so many that they should not all be made.
        """
        total = math.factorial(self.n_bodies)
        if (n is None and total > 5040) or (n is not None and not 1 <= n <= total):
            raise DataError(
                f"{total if n is None else n} orders of {self.n_bodies} bodies",
                expected=f"from 1 to {min(total, 5040)}",
                remedy="pass n=24",
            )
        random = seeds.stream(seed, "many-body", "orders")
        if total <= 5040:
            every = np.array(list(permutations(range(self.n_bodies))))
            if n is None or n == total:
                orders = np.tile(every, (len(self), 1))
            else:
                ranks = random.random((len(self), total)).argpartition(n - 1, axis=1)[:, :n]
                orders = every[ranks].reshape(-1, self.n_bodies)
        else:
            # Two of so many orders are hardly ever the same.
            orders = random.random((len(self) * (n or 1), self.n_bodies)).argsort(axis=1)
        repeated = self[np.repeat(np.arange(len(self)), len(orders) // len(self))]
        return repeated.reorder(orders)

    def labels(self, question: Question) -> np.ndarray:
        """Return the class (trials,) of each trial's order, counted up from 0.

        Parameters
        ----------
        question
            ``"connection"``: which bodies share a system (3 classes for two pairs, 10 for two triples).
            ``"type"``: which body has which role (6 and 90). ``"both"`` (12 and 360).

        Raises
        ------
        DataError
            If there is no such question.

        Notes
        -----
        Classes are numbered among those that are met, so label all trials before they are split.
        """
        if question not in ("connection", "type", "both"):
            raise DataError(
                f"question {question!r}", expected="'connection', 'type' or 'both'", remedy="pass one of them"
            )
        columns = []
        if question != "type":
            # Systems are numbered as they are met, so that which is called the first does not matter.
            same = self.system[:, :, None] == self.system[:, None, :]
            columns.append(same.argmax(axis=2))
        if question != "connection":
            columns.append(self.role)
        return np.unique(np.concatenate(columns, axis=1), axis=0, return_inverse=True)[1].reshape(-1)
