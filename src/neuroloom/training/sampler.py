"""Which examples a step sees, as a pure function of seed and step: resuming needs only the step's number."""

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from neuroloom import seeds
from neuroloom.errors import DataError


@dataclass(frozen=True)
class Batch:
    """One piece of a step's examples, and the random streams that belong to it.

    Attributes
    ----------
    indices
        The examples, shape (examples,), int64.
    step
        The optimizer step, from 0; in an evaluation always 0, so that each evaluation draws alike.
    slot
        The place of this piece within the step's whole batch.
    seed
        The run's seed.
    device
        Where the tensors made from this batch should live.
    """

    indices: np.ndarray
    step: int
    slot: int
    seed: int
    device: str = "cpu"

    def stream(self, *names: str | int) -> np.random.Generator:
        """Return a named random generator that belongs to this piece alone (for augmentation)."""
        return seeds.stream(self.seed, "batch", self.step, self.slot, *names)

    def torch_seed(self) -> int:
        """Return the seed that torch's own generators take while this piece is computed (for dropout)."""
        return seeds.derive(self.seed, "dropout", self.step, self.slot)


class Sampler:
    """An endless, shuffled order of examples in which each epoch visits every example once.

    Batches follow each other without regard to the ends of epochs, so all have the same size.

    Parameters
    ----------
    n_examples
        How many examples there are.
    seed
        Seed of the order; every epoch is shuffled by its own stream.

    Raises
    ------
    DataError
        If there are no examples.

    Examples
    --------
    >>> sampler = Sampler(5, seed=0)
    >>> sorted(sampler.take(0, 5).tolist())
    [0, 1, 2, 3, 4]
    """

    def __init__(self, n_examples: int, *, seed: int):
        if n_examples < 1:
            raise DataError(
                f"there are {n_examples} examples to train on",
                expected="at least one",
                remedy="pass longer data, or a shorter window",
            )
        self.n_examples, self.seed = n_examples, seed
        self._orders: OrderedDict[int, np.ndarray] = OrderedDict()

    def take(self, start: int, stop: int) -> np.ndarray:
        """Return the examples at the places ``start`` to ``stop`` of the endless order, int64."""
        places = np.arange(start, stop)
        epochs, within = places // self.n_examples, places % self.n_examples
        examples = np.empty(len(places), dtype=np.int64)
        for epoch in np.unique(epochs):
            chosen = epochs == epoch
            examples[chosen] = self._order(int(epoch))[within[chosen]]
        return examples

    def slot(self, step: int, slot: int, *, n_slots: int, batch_size: int) -> np.ndarray:
        """Return piece `slot` of the `n_slots` nearly equal pieces of batch `step`.

        With ``n_slots = processes x accumulated pieces`` the whole batch is the same however it is shared.
        """
        start = step * batch_size
        return self.take(start + slot * batch_size // n_slots, start + (slot + 1) * batch_size // n_slots)

    def _order(self, epoch: int) -> np.ndarray:
        if epoch not in self._orders:
            self._orders[epoch] = seeds.stream(self.seed, "order", epoch).permutation(self.n_examples)
            if len(self._orders) > 2:
                self._orders.popitem(last=False)
        return self._orders[epoch]
