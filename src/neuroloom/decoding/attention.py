"""Attention that knows when: rotary time embedding, and POYO's three attention layers.

Every token carries a time stamp; queries, keys (and, but for the decoder, values) are rotated by it, so that
attention sees time differences (Su et al. 2021; Azabou et al. 2023, section 2.2). On a CPU in float32 the
layers run the fused operations of `attention_kernels`; elsewhere `scaled_dot_product_attention`, whose flash
and memory-efficient kernels torch chooses. Both give the same result.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuroloom.decoding.attention_kernels import (
    GatedUnit,
    KeepMasks,
    SelfAttention,
    SpikeAttention,
    as_complex,
    as_real,
)
from neuroloom.decoding.linear import Linear, is_plain


class RotaryTime(nn.Module):
    """Time stamps -> rotations of pairs of head dimensions; periods are spaced logarithmically.

    Parameters
    ----------
    dim_head
        Dimensions of a head; the first half of them is rotated.
    shortest_s, longest_s
        The range of periods.
    """

    turns_per_s: Tensor

    def __init__(self, dim_head: int, *, shortest_s: float = 1e-4, longest_s: float = 2.0627):
        super().__init__()
        periods = torch.logspace(
            math.log10(shortest_s), math.log10(longest_s), dim_head // 4, dtype=torch.float64
        )
        self.register_buffer("turns_per_s", 1 / periods, persistent=False)
        self.n_still = dim_head // 2 - dim_head // 4

    @torch.no_grad()
    def forward(self, times_s: Tensor) -> Tensor:
        """Return unit complex numbers, (...) float64 -> (..., dim_head / 2) complex64."""
        turns = times_s.double()[..., None] * self.turns_per_s  # whole turns are dropped in float64
        angles = (2 * math.pi) * (turns - turns.floor()).float()
        rotations = torch.complex(angles.cos(), angles.sin())
        still = rotations.new_ones(*times_s.shape, self.n_still)
        return torch.cat([rotations, still], dim=-1)


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Rotate pairs of the last axis of x (..., d) by rotation (..., d/2), which broadcasts."""
    if is_plain(x):
        return as_real(as_complex(x) * rotation)
    even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = rotation.real.to(x.dtype), rotation.imag.to(x.dtype)
    return torch.stack([even * cos - odd * sin, odd * cos + even * sin], dim=-1).flatten(-2)


class Dropout(nn.Module):
    """Dropout; on a CPU from random bytes, which cost a sixth of Bernoulli draws."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not (self.training and self.rate):
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.rate)
        masks = KeepMasks(self.rate)
        return x * masks.draw(x).mul_(masks.scale).to(x.dtype)


class FeedForward(nn.Module):
    """Pre-norm GEGLU feed-forward (Shazeer 2020): dim -> 2 x 4 dim -> 4 dim -> dim."""

    def __init__(self, dim: int, *, dropout: float, expansion: int = 4):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.widen = Linear(dim, 2 * expansion * dim)
        self.dropout = Dropout(dropout)
        self.narrow = Linear(expansion * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        widened = self.widen(self.norm(x))
        if is_plain(x) and torch.is_grad_enabled():
            return self.narrow(GatedUnit.apply(widened, self.dropout.rate if self.training else 0.0))
        value, gate = widened.chunk(2, dim=-1)
        return self.narrow(self.dropout(value * F.gelu(gate)))


class LatentSelfAttention(nn.Module):
    """Pre-norm self-attention among the latents; queries, keys and values are rotated."""

    def __init__(self, dim: int, *, heads: int, dim_head: int, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm = nn.LayerNorm(dim)
        self.to_qkv = Linear(dim, 3 * heads * dim_head, bias=False)
        self.to_out = Linear(heads * dim_head, dim)

    def forward(self, x: Tensor, rotation: Tensor) -> Tensor:
        """x (B, L, D), rotation (L, d/2) -> (B, L, D)."""
        qkv = self.to_qkv(self.norm(x)).unflatten(-1, (3, self.heads, -1))  # (B, L, 3, H, d)
        rate = self.dropout if self.training else 0.0
        if is_plain(qkv):
            return self.to_out(SelfAttention.apply(qkv, rotation, rate).flatten(-2))
        turn = rotation[:, None]  # (L, 1, d/2)
        query, key, value = rotate(qkv, turn[:, None]).permute(2, 0, 3, 1, 4)  # 3 x (B, H, L, d)
        out = F.scaled_dot_product_attention(query, key, value, dropout_p=rate)
        return self.to_out(rotate(out.transpose(1, 2), turn.conj()).flatten(-2))


class SpikeCrossAttention(nn.Module):
    """Pre-norm cross-attention: latents query the spikes of their window; everything is rotated."""

    def __init__(self, dim: int, *, heads: int, dim_head: int, dropout: float):
        super().__init__()
        self.heads, self.dropout, self.scale = heads, dropout, dim_head**-0.5
        self.norm = nn.LayerNorm(dim)
        self.norm_context = nn.LayerNorm(dim)
        self.to_q = Linear(dim, heads * dim_head, bias=False)
        self.to_kv = Linear(dim, 2 * heads * dim_head, bias=False)
        self.to_out = Linear(heads * dim_head, dim)

    def keys_and_values(self, tokens: Tensor) -> Tensor:
        """Return unrotated keys and values of distinct tokens, (rows, D) -> (rows, 2, H, d)."""
        return self.to_kv(self.norm_context(tokens)).unflatten(-1, (2, self.heads, -1))

    def forward(
        self,
        latents: Tensor,
        latent_rotation: Tensor,
        table: Tensor,
        row: Tensor,
        rotation: Tensor,
        offsets: list[int],
    ) -> Tensor:
        """Let the latents of every window query its spikes.

        latents (L, D), latent_rotation (L, d/2), table from `keys_and_values`, row (n,) of every spike,
        rotation (n, d/2) of every spike, offsets: B + 1 bounds of the windows -> (B, L, D)
        """
        query = self.queries(latents, latent_rotation)
        rate = self.dropout if self.training else 0.0
        if is_plain(table) and query.dtype == table.dtype:
            out = SpikeAttention.apply(query * self.scale, table, row, rotation, offsets, rate)
        else:
            out = self._padded(query, table, row, rotation, offsets, rate)  # (B, L, H, d)
        return self.to_out(rotate(out, latent_rotation[:, None].conj()).flatten(-2))

    def queries(self, latents: Tensor, latent_rotation: Tensor) -> Tensor:
        """Return the rotated queries of the latents, which are the same for every window: (H, L, d)."""
        query = self.to_q(self.norm(latents)).unflatten(-1, (self.heads, -1))  # (L, H, d)
        return rotate(query, latent_rotation[:, None]).transpose(0, 1)

    def _padded(
        self, query: Tensor, table: Tensor, row: Tensor, rotation: Tensor, offsets: list[int], rate: float
    ) -> Tensor:
        """Attend with the windows padded to the longest one, for kernels that want rectangles."""
        bounds = torch.tensor(offsets, device=row.device)
        # One padding token even where no window has any, so that the rectangle is never empty.
        place = torch.arange(max(1, int((bounds[1:] - bounds[:-1]).max())), device=row.device)
        spike = bounds[:-1, None] + place  # (B, N)
        inside = spike < bounds[1:, None]
        spike = spike.clamp_(max=max(0, len(row) - 1))
        if not len(row):
            return query.new_zeros(len(spike), query.shape[1], self.heads, query.shape[2])
        turned = rotate(table[row[spike]], rotation[spike][:, :, None, None])  # (B, N, 2, H, d)
        key, value = turned.permute(2, 0, 3, 1, 4)  # 2 x (B, H, N, d)
        silent = ~inside.any(1)
        out = F.scaled_dot_product_attention(
            query.to(key.dtype).expand(len(spike), -1, -1, -1),
            key,
            value,
            # An empty window sees its padding, and its output is dropped: a softmax over nothing is NaN.
            attn_mask=(inside | silent[:, None])[:, None, None],
            dropout_p=rate,
        )
        return out.masked_fill(silent[:, None, None, None], 0.0).transpose(1, 2)


class LatentCrossAttention(nn.Module):
    """Pre-norm cross-attention: output queries read the latents; values are not rotated."""

    def __init__(self, dim: int, *, heads: int, dim_head: int, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm = nn.LayerNorm(dim)
        self.norm_context = nn.LayerNorm(dim)
        self.to_q = Linear(dim, heads * dim_head, bias=False)
        self.to_kv = Linear(dim, 2 * heads * dim_head, bias=False)
        self.to_out = Linear(heads * dim_head, dim)

    def forward(self, query: Tensor, rotation: Tensor, latents: Tensor, latent_rotation: Tensor) -> Tensor:
        """query (B, 1, D), rotation (B, Q, d/2), latents (B, L, D), latent_rotation (L, d/2) -> (B, Q, D).

        A window's queries differ by their time alone, so they are projected once.
        """
        rate = self.dropout if self.training else 0.0
        one = self.to_q(self.norm(query)).unflatten(-1, (self.heads, -1))  # (B, 1, H, d)
        turned = rotate(one, rotation[:, :, None]).transpose(1, 2)  # (B, H, Q, d)
        key, value = self.to_kv(self.norm_context(latents)).unflatten(-1, (2, self.heads, -1)).unbind(2)
        key = rotate(key, latent_rotation[:, None]).transpose(1, 2)
        out = F.scaled_dot_product_attention(turned, key, value.transpose(1, 2), dropout_p=rate)
        return self.to_out(out.transpose(1, 2).flatten(-2))
