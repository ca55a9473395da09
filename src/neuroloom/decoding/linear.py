"""Linear layers by oneDNN, where torch has it for this processor.

torch multiplies float32 matrices on a CPU by MKL, which leaves half of an AMD processor idle; oneDNN compiles
its kernels for whatever processor it finds (measured on a Zen 5 core: 215 instead of 105 GFLOP/s). The choice
depends on sizes and the build of torch alone, so that a run can be repeated.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
# Multiplications below which MKL is as quick: oneDNN takes 10 us to set out.
_WORTHWHILE = 2**21


class Linear(nn.Linear):
    """`torch.nn.Linear`, with the same parameters and the same result."""

    def forward(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """x (..., in) -> (..., out)."""
        if not (is_plain(x) and pays(x, self.weight)):
            return F.linear(x, self.weight, self.bias)
        if torch.is_grad_enabled():
            return _OneDnnLinear.apply(x.contiguous(), self.weight, self.bias)  # pyright: ignore[reportReturnType]
        return multiply(x.contiguous(), self.weight, self.bias)


def is_plain(x: Tensor) -> bool:
    """Say whether x is float32 on a CPU, to be computed as such, step by step."""
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


def multiply(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x weightᵀ + bias, by oneDNN if it is there: x (..., in), weight (out, in).

    Both must be contiguous, or matrices whose transpose is: at other strides it is a thousand times slower.
    """
    if not pays(x, weight):
        return F.linear(x, weight, bias)
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def pays(x: Tensor, weight: Tensor) -> bool:
    """Say whether oneDNN multiplies these two sooner."""
    return HAS_ONEDNN and x.numel() * weight.shape[0] >= _WORTHWHILE


class _OneDnnLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # pyright: ignore
        ctx.save_for_backward(x, weight)
        return multiply(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor):  # pyright: ignore
        x, weight = ctx.saved_tensors
        grad = grad.contiguous()
        wants_x, wants_weight, wants_bias = ctx.needs_input_grad
        grad_x = multiply(grad, weight.t()) if wants_x else None
        grad, x = grad.flatten(0, -2), x.flatten(0, -2)
        grad_weight = None
        if wants_weight:
            # oneDNN is quicker with the narrower matrix on the right.
            is_wide = weight.shape[0] > weight.shape[1]
            grad_weight = multiply(x.t(), grad.t()).t() if is_wide else multiply(grad.t(), x.t())
        return grad_x, grad_weight, grad.sum(0) if wants_bias else None
