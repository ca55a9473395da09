"""Random tensors of one generator, on its device."""

import torch
from torch import Tensor


class Draw:
    """Random tensors that depend on a generator alone.

    Parameters
    ----------
    generator
        Source of all randomness; its device is where tensors are made.
    """

    def __init__(self, generator: torch.Generator):
        self.generator, self.device = generator, generator.device

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Return numbers between `low` and `high`."""
        return torch.rand(shape, generator=self.generator, device=self.device) * (high - low) + low

    def log_uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Return numbers between `low` and `high` whose logarithm is uniform."""
        bounds = torch.tensor([low, high]).log().tolist()
        return self.uniform(bounds[0], bounds[1], *shape).exp()

    def normal(self, *shape: int) -> Tensor:
        """Return standard normal numbers."""
        return torch.randn(shape, generator=self.generator, device=self.device)

    def integers(self, high: int, *shape: int) -> Tensor:
        """Return integers from 0 to ``high - 1``."""
        return torch.randint(high, shape, generator=self.generator, device=self.device)
