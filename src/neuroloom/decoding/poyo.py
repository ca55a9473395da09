"""POYO: one transformer for many sessions, with every spike a token.

Azabou et al., "A Unified, Scalable Framework for Neural Population Decoding", NeurIPS 2023. A window's spikes
(unit embedding + token type, at their times) are read by a fixed grid of latents, which attend to each
other and are then read by queries (session embedding, at the output times). Each unit also has a START
token at the window's start and an END token at its end, so that silence is seen.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from neuroloom.decoding.attention import (
    Dropout,
    FeedForward,
    LatentCrossAttention,
    LatentSelfAttention,
    RotaryTime,
    SpikeCrossAttention,
)
from neuroloom.errors import DataError

SPIKE, START, END = 0, 1, 2
_N_TYPES = 3


@dataclass(frozen=True, kw_only=True)
class PoyoConfig:
    """The size of a POYO model.

    Attributes
    ----------
    dim
        Width of every token.
    depth
        Self-attention layers.
    dim_head, cross_heads, self_heads
        Dimensions of a head, heads of the two cross-attentions, heads of the self-attentions.
    context_s
        Length of a window.
    latent_step_s, latents_per_step
        The grid of latents: this many at the centre of every step of the window.
    ffn_dropout, linear_dropout, attention_dropout
        Dropout inside the feed-forwards, after every block of a self-attention layer, and of attention
        weights.
    shortest_period_s, longest_period_s
        Periods of the rotary time embedding.
    """

    dim: int = 64
    depth: int = 2
    dim_head: int = 64
    cross_heads: int = 2
    self_heads: int = 4
    context_s: float = 1.0
    latent_step_s: float = 0.125
    latents_per_step: int = 8
    ffn_dropout: float = 0.2
    linear_dropout: float = 0.2
    attention_dropout: float = 0.0
    shortest_period_s: float = 1e-4
    longest_period_s: float = 2.0627

    def __post_init__(self):
        for name in ("dim", "depth", "dim_head", "cross_heads", "self_heads", "latents_per_step"):
            if getattr(self, name) < 1:
                raise _refusal(name, getattr(self, name), "a whole number of at least 1")
        if self.dim_head % 4:
            raise _refusal("dim_head", self.dim_head, "a multiple of 4: pairs of its first half are rotated")
        for name in ("ffn_dropout", "linear_dropout", "attention_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise _refusal(name, getattr(self, name), "a rate from 0 to below 1")
        if not 0 < self.latent_step_s <= self.context_s:
            raise _refusal(
                "latent_step_s", self.latent_step_s, f"a length up to context_s = {self.context_s}"
            )
        if not 0 < self.shortest_period_s < self.longest_period_s:
            raise _refusal("shortest_period_s", self.shortest_period_s, "positive, below longest_period_s")

    @property
    def latent_times_s(self) -> np.ndarray:
        """Times of the latents, (steps x latents_per_step,)."""
        steps = np.arange(round(self.context_s / self.latent_step_s))
        return np.repeat((steps + 0.5) * self.latent_step_s, self.latents_per_step)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, ready for JSON."""
        return asdict(self)


def _refusal(name: str, value: Any, expected: str) -> DataError:
    return DataError(f"{name} is {value!r}", expected=expected, remedy="change the PoyoConfig")


_PUBLISHED = {"linear_dropout": 0.4, "ffn_dropout": 0.2, "attention_dropout": 0.2, "self_heads": 8}
CONFIGS = {
    "small": PoyoConfig(),
    "1.3M": PoyoConfig(dim=64, depth=6, cross_heads=2, latents_per_step=16, **_PUBLISHED),
    "11.8M": PoyoConfig(dim=128, depth=24, cross_heads=4, latents_per_step=32, **_PUBLISHED),
}


def poyo_config(config: str | PoyoConfig, **changes: float | None) -> PoyoConfig:
    """Return a named configuration, or the one given, with other values of the fields that are not None.

    Raises
    ------
    DataError
        If there is no configuration of that name.

    Examples
    --------
    >>> poyo_config("1.3M").depth
    6
    """
    if isinstance(config, str):
        if config not in CONFIGS:
            raise DataError(
                f"config {config!r}",
                expected=f"one of {', '.join(map(repr, CONFIGS))} or a PoyoConfig",
                remedy="choose one of them",
            )
        config = CONFIGS[config]
    return replace(config, **{name: value for name, value in changes.items() if value is not None})


@dataclass(frozen=True)
class PoyoInputs:
    """A batch of windows as flat, ragged tokens.

    Attributes
    ----------
    unit, kind
        Row of the unit embedding and type (SPIKE, START, END) of every token, (n,) int64.
    times_s
        Time of every token within its window, (n,) float64.
    offsets
        B + 1 bounds: window b owns the tokens from ``offsets[b]`` to ``offsets[b + 1]``.
    session
        Row of the session embedding of every window, (B,) int64.
    query_times_s
        Times of the outputs within their windows, (B, Q) float64; padding may hold any time.
    """

    unit: Tensor
    kind: Tensor
    times_s: Tensor
    offsets: list[int]
    session: Tensor
    query_times_s: Tensor

    def to(self, device: torch.device | str) -> "PoyoInputs":
        """Return the batch on another device."""
        fields = (self.unit, self.kind, self.times_s, self.session, self.query_times_s)
        unit, kind, times, session, queries = (x.to(device, non_blocking=True) for x in fields)
        return PoyoInputs(unit, kind, times, self.offsets, session, queries)


class Poyo(nn.Module):
    """The model.

    Parameters
    ----------
    config
        Its size.
    n_units, n_sessions
        Rows of the two embeddings.
    dim_out
        Numbers per output time.
    """

    latent_times_s: Tensor

    def __init__(self, config: PoyoConfig, *, n_units: int, n_sessions: int, dim_out: int):
        super().__init__()
        self.config = config
        dim = config.dim
        heads = {"dim_head": config.dim_head, "dropout": config.attention_dropout}
        self.unit_embedding = nn.Embedding(n_units, dim)
        self.session_embedding = nn.Embedding(n_sessions, dim)
        self.kind_embedding = nn.Embedding(_N_TYPES, dim)
        self.latent_embedding = nn.Embedding(config.latents_per_step, dim)
        for module in self.children():
            nn.init.normal_(module.get_parameter("weight"), std=0.02)
        self.rotary = RotaryTime(
            config.dim_head, shortest_s=config.shortest_period_s, longest_s=config.longest_period_s
        )
        self.register_buffer("latent_times_s", torch.as_tensor(config.latent_times_s), persistent=False)
        self.dropout = Dropout(config.linear_dropout)
        self.encoder = SpikeCrossAttention(dim, heads=config.cross_heads, **heads)
        self.encoder_ffn = FeedForward(dim, dropout=config.ffn_dropout)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                [
                    LatentSelfAttention(dim, heads=config.self_heads, **heads),
                    FeedForward(dim, dropout=config.ffn_dropout),
                ]
            )
            for _ in range(config.depth)
        )
        self.decoder = LatentCrossAttention(dim, heads=config.cross_heads, **heads)
        self.decoder_ffn = FeedForward(dim, dropout=config.ffn_dropout)
        self.readout = nn.Linear(dim, dim_out)

    def forward(self, inputs: PoyoInputs) -> Tensor:
        """Return the outputs at the query times, (B, Q, dim_out)."""
        when = self.rotary(self.latent_times_s)  # (L, d/2)
        latents = self.latents(inputs, when)  # (B, L, D)
        query = self.session_embedding(inputs.session)[:, None]  # (B, 1, D)
        read = self.decoder(query, self.rotary(inputs.query_times_s), latents, when)
        output = query + read  # (B, Q, D)
        return self.readout(output + self.decoder_ffn(output))

    def latents(self, inputs: PoyoInputs, when: Tensor) -> Tensor:
        """Return the latents after the last self-attention layer, (B, L, D)."""
        start = self.first_latents()  # (L, D)
        table, row = self._token_table(inputs)
        latents = start + self.encoder(start, when, table, row, self.rotary(inputs.times_s), inputs.offsets)
        latents = latents + self.encoder_ffn(latents)
        for attention, feed_forward in self.layers:  # pyright: ignore
            latents = latents + self.dropout(attention(latents, when))
            latents = latents + self.dropout(feed_forward(latents))
        return latents

    def first_latents(self) -> Tensor:
        """Return the latents before they read, (L, D)."""
        n_steps = len(self.latent_times_s) // self.config.latents_per_step
        return self.latent_embedding.weight.repeat(n_steps, 1)

    def _token_table(self, inputs: PoyoInputs) -> tuple[Tensor, Tensor]:
        """Return keys and values of (unit, type) pairs, and the row of every token.

        Of all pairs where they are fewer than the tokens, else of those that are met.
        """
        row = inputs.unit * _N_TYPES + inputs.kind  # (n,)
        n_pairs = self.unit_embedding.num_embeddings * _N_TYPES
        if n_pairs <= len(row):
            tokens = self.unit_embedding.weight[:, None] + self.kind_embedding.weight  # (units, types, D)
            return self.encoder.keys_and_values(tokens.flatten(0, 1)), row
        met = torch.zeros(n_pairs, dtype=torch.bool, device=row.device)
        met[row] = True
        distinct = met.nonzero()[:, 0]
        tokens = self.unit_embedding(distinct // _N_TYPES) + self.kind_embedding(distinct % _N_TYPES)
        return self.encoder.keys_and_values(tokens), (met.cumsum(0) - 1)[row]
