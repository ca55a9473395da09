"""The two pieces that detector and extractor share: where contacts are, and attention with missing ones."""

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, linear, scaled_dot_product_attention


class Geometry(nn.Module):
    """Embed contact positions relative to the neighbourhood's centre: (B, C, 2) um -> (B, C, dim)."""

    def __init__(self, dim: int, *, scale_um: float = 40.0):
        super().__init__()
        self.scale_um = scale_um
        self.layers = nn.Sequential(nn.Linear(4, dim), nn.GELU(), nn.Linear(dim, dim))

    def forward(self, contacts_um: Tensor) -> Tensor:
        xy = contacts_um / self.scale_um
        return self.layers(torch.cat([xy, xy.square()], dim=-1))


class Block(nn.Module):
    """Pre-norm transformer block; keys where `present` is False are not seen."""

    def __init__(self, dim: int, n_heads: int, hidden: int):
        super().__init__()
        self.n_heads = n_heads
        self.norm_attention, self.norm_mlp = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, x: Tensor, present: Tensor | None = None, *, n_asking: int | None = None) -> Tensor:
        """Mix tokens (B, tokens, dim); with `n_asking` only the first of them ask, and are returned."""
        dim = x.shape[2]
        y, x = self.norm_attention(x), x[:, :n_asking]
        query = linear(y[:, :n_asking], self.qkv.weight[:dim], self.qkv.bias[:dim])
        key, value = linear(y, self.qkv.weight[dim:], self.qkv.bias[dim:]).chunk(2, dim=-1)
        heads = [each.unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for each in (query, key, value)]
        mask = None if present is None else present[:, None, None, :]
        mixed = scaled_dot_product_attention(*heads, attn_mask=mask)  # (B, heads, asking, head_dim)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.down(gelu(self.up(self.norm_mlp(x))))
