"""The fused attention against its definition, term by term, and against finite differences."""

import math

import numpy as np
import pytest
import torch

from neuroloom.decoding import attention, linear
from neuroloom.decoding.attention import (
    Dropout,
    FeedForward,
    LatentSelfAttention,
    RotaryTime,
    SpikeCrossAttention,
    rotate,
)
from neuroloom.decoding.attention_kernels import KeepMasks, SelfAttention, SpikeAttention


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def _without_kernels(monkeypatch):
    monkeypatch.setattr(attention, "is_plain", lambda x: False)


def test_a_rotation_is_a_whole_turn_after_a_period():
    rotary = RotaryTime(8, shortest_s=0.1, longest_s=1.0)
    at_zero, after_longest = rotary(torch.tensor([0.0, 1.0], dtype=torch.float64))
    assert torch.allclose(at_zero, torch.ones(4, dtype=torch.complex64))
    assert torch.allclose(after_longest[1], at_zero[1], atol=1e-6)


def test_rotations_stay_exact_at_the_shortest_period():
    rotary = RotaryTime(64)
    times = torch.tensor([0.987654321], dtype=torch.float64)
    angle = 2 * math.pi * 0.987654321 / 1e-4
    assert abs(complex(rotary(times)[0, 0]) - complex(math.cos(angle), math.sin(angle))) < 1e-5


def test_inner_products_of_rotated_vectors_depend_on_time_differences_alone():
    rotary = RotaryTime(16, shortest_s=0.01)
    q, k = torch.randn(2, 16).unbind()

    def product(t1, t2):
        turns = rotary(torch.tensor([t1, t2], dtype=torch.float64))
        return rotate(q, turns[0]) @ rotate(k, turns[1])

    assert torch.allclose(product(0.1, 0.35), product(0.6, 0.85), atol=1e-5)


def test_both_ways_to_rotate_agree(monkeypatch):
    x, turn = torch.randn(3, 5, 8), torch.polar(torch.ones(5, 4), torch.randn(5, 4))
    fast = rotate(x, turn)
    _without_kernels(monkeypatch)
    assert torch.allclose(fast, rotate(x, turn), atol=1e-6)


def test_self_attention_is_its_definition():
    qkv = torch.randn(2, 5, 3, 2, 8, dtype=torch.float32)
    turn = torch.polar(torch.ones(5, 4), torch.randn(5, 4))
    q, k, v = (rotate(x, turn[:, None]) for x in qkv.unbind(2))
    weights = torch.einsum("blhd,bmhd->bhlm", q, k).div(8**0.5).softmax(-1)
    expected = rotate(torch.einsum("bhlm,bmhd->blhd", weights, v), turn[:, None].conj())
    assert torch.allclose(SelfAttention.apply(qkv, turn, 0.0), expected, atol=1e-6)


def _gradients(module, run, monkeypatch):
    """Gradients of all parameters with the kernels and without."""
    found = []
    for fast in (True, False):
        if not fast:
            _without_kernels(monkeypatch)
        module.zero_grad()
        out = run()
        (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
        found.append((out.detach(), [p.grad.clone() for p in module.parameters()]))
    return found


@pytest.mark.parametrize("worthwhile", [1, 2**40])
def test_self_attention_has_the_gradients_of_the_plain_formula(monkeypatch, worthwhile):
    monkeypatch.setattr(linear, "_WORTHWHILE", worthwhile)  # products by oneDNN, or by torch
    layer = LatentSelfAttention(12, heads=2, dim_head=8, dropout=0.0)
    x, turn = torch.randn(3, 5, 12), torch.polar(torch.ones(5, 4), torch.randn(5, 4))
    (fast, fast_grads), (plain, plain_grads) = _gradients(layer, lambda: layer(x, turn), monkeypatch)
    assert torch.allclose(fast, plain, atol=1e-6)
    for a, b in zip(fast_grads, plain_grads, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("worthwhile", [1, 2**40])
def test_spike_attention_has_the_gradients_of_the_plain_formula(monkeypatch, worthwhile):
    monkeypatch.setattr(linear, "_WORTHWHILE", worthwhile)
    layer = SpikeCrossAttention(12, heads=2, dim_head=8, dropout=0.0)
    latents, tokens = torch.randn(5, 12), torch.nn.Parameter(torch.randn(4, 12))
    layer.register_parameter("tokens", tokens)
    latent_turn = torch.polar(torch.ones(5, 4), torch.randn(5, 4))
    row, offsets = torch.tensor([0, 1, 2, 3, 3, 1, 0]), [0, 3, 3, 7]
    turn = torch.polar(torch.ones(7, 4), torch.randn(7, 4))

    def run():
        return layer(latents, latent_turn, layer.keys_and_values(tokens), row, turn, offsets)

    (fast, fast_grads), (plain, plain_grads) = _gradients(layer, run, monkeypatch)
    assert torch.allclose(fast, plain, atol=1e-6)
    for a, b in zip(fast_grads, plain_grads, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_feed_forward_has_the_gradients_of_the_plain_formula(monkeypatch):
    layer, x = FeedForward(6, dropout=0.0), torch.randn(4, 6)
    (fast, fast_grads), (plain, plain_grads) = _gradients(layer, lambda: layer(x), monkeypatch)
    assert torch.allclose(fast, plain, atol=1e-6)
    for a, b in zip(fast_grads, plain_grads, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("which", ["self", "spikes"])
def test_gradients_under_dropout_match_finite_differences(which):
    turn = torch.polar(torch.ones(6, 2), torch.randn(6, 2))
    if which == "self":
        x = torch.randn(1, 6, 3, 1, 4, requires_grad=True)

        def run(x):
            return SelfAttention.apply(x, turn, 0.3)
    else:
        x = torch.randn(4, 2, 1, 4, requires_grad=True)
        query, row = torch.randn(1, 3, 4), torch.tensor([0, 1, 2, 3, 1, 0])

        def run(x):
            return SpikeAttention.apply(query, x, row, turn, [0, 4, 6], 0.3)

    def value(x):
        torch.manual_seed(5)  # the same mask every time
        return (run(x) ** 2).sum()

    (grad,) = torch.autograd.grad(value(x), x)
    direction, step = torch.randn_like(x), 1e-2
    with torch.no_grad():
        slope = (value(x + step * direction) - value(x - step * direction)) / (2 * step)
    assert torch.allclose(slope, (grad * direction).sum(), rtol=2e-2, atol=1e-2)


def test_dropout_keeps_the_asked_share_and_the_mean():
    dropout = Dropout(0.25).train()
    out = dropout(torch.ones(200_000))
    assert out.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert abs(out.mean() - 1) < 0.01
    assert abs((out == 0).float().mean() - 0.25) < 0.01


def test_dropout_masks_follow_torchs_seed():
    def draw():
        torch.manual_seed(3)
        return KeepMasks(0.5).draw(torch.empty(50))

    assert torch.equal(draw(), draw())


def test_windows_without_tokens_give_zero_attention():
    query, table = torch.randn(1, 3, 4), torch.randn(2, 2, 1, 4)
    nothing = torch.zeros(0, dtype=torch.int64), torch.zeros(0, 2, dtype=torch.complex64)
    out = SpikeAttention.apply(query, table, *nothing, [0, 0], 0.0)
    assert np.array_equal(out.numpy(), np.zeros((1, 3, 1, 4)))
