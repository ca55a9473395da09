"""oneDNN's linear layers against torch's own."""

import pytest
import torch

from neuroloom.decoding import linear
from neuroloom.decoding.linear import Linear


@pytest.mark.parametrize(("n_in", "n_out"), [(64, 512), (512, 64)])
@pytest.mark.parametrize("bias", [True, False])
def test_outputs_and_gradients_are_those_of_torch(n_in, n_out, bias, monkeypatch):
    torch.manual_seed(0)
    layer = Linear(n_in, n_out, bias=bias)
    x = torch.randn(3, 50, n_in)
    found = []
    for has_onednn in (linear.HAS_ONEDNN, False):
        monkeypatch.setattr(linear, "HAS_ONEDNN", has_onednn)
        layer.zero_grad()
        moved = x.transpose(0, 1).requires_grad_()  # strides as they come out of an attention
        out = layer(moved)
        (grad,) = torch.autograd.grad(out.square().mean(), moved, retain_graph=True)
        out.sum().backward()  # a gradient without strides
        found.append([out.detach(), grad, *(p.grad.clone() for p in layer.parameters())])
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, atol=1e-4, rtol=1e-5)


def test_autocast_and_double_precision_are_left_to_torch():
    layer, x = Linear(64, 512), torch.randn(200, 64)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    assert layer.double()(x.double()).dtype == torch.float64
