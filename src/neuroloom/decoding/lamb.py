"""LAMB: Adam whose step is rescaled, tensor by tensor, to the size of the weights."""

from collections.abc import Callable, Iterable
from typing import Any

import torch


class Lamb(torch.optim.Optimizer):
    """You et al., "Large batch optimization for deep learning", ICLR 2020, algorithm 2.

    A tensor of zeros, or a step of zeros, has trust ratio 1, so that weights neither stick nor collapse.

    Parameters
    ----------
    params
        Tensors or groups of them.
    lr, betas, eps, weight_decay
        As in AdamW.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore
        """Make one step."""
        loss = closure() if closure else None
        for group in self.param_groups:
            first_decay, second_decay = group["betas"]
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["step"] = torch.zeros(())
                    state["first"], state["second"] = torch.zeros_like(weight), torch.zeros_like(weight)
                state["step"] += 1
                n = float(state["step"])
                state["first"].lerp_(weight.grad, 1 - first_decay)
                state["second"].mul_(second_decay).addcmul_(weight.grad, weight.grad, value=1 - second_decay)
                spread = (state["second"] / (1 - second_decay**n)).sqrt_().add_(group["eps"])
                direction = state["first"] / (1 - first_decay**n) / spread
                direction.add_(weight, alpha=group["weight_decay"])
                size, length = weight.norm(), direction.norm()
                trust = torch.where((size > 0) & (length > 0), size / length.clamp_min(1e-30), 1.0)
                weight.add_(direction * trust, alpha=-group["lr"])
        return loss
