"""POYO on one window at a time, on a processor: what the spikes do not change is computed once.

`Poyo.forward` is made for batches and for learning. Of one window of a small model, setting out operations
takes as long as their arithmetic, so a stream takes this way instead, to the same numbers:

- The latents' queries, the outputs' queries and all rotations but those of the spikes are kept.
- START and END tokens are the same in every window. A softmax over two groups of keys is one over the first
  group and a single key in place of the second: the logarithm of its summed exponentials is the logit,
  its own attention the value. So hundreds of tokens become one, however many units there are.
- Nothing is remembered for gradients, and what does not outlive a window lies in memory that is used again.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuroloom.decoding.attention import (
    FeedForward,
    LatentCrossAttention,
    LatentSelfAttention,
    rotate,
)
from neuroloom.decoding.attention_kernels import as_complex, as_real, products, scratch, softmax_of_products
from neuroloom.decoding.linear import multiply
from neuroloom.decoding.poyo import END, SPIKE, START, Poyo


class OnlinePoyo:
    """A trained network on windows of one session.

    Parameters
    ----------
    model
        In evaluation mode, float32, on a processor. Its weights must not change any more.
    units
        Rows of the unit embedding of all the session's units, (units,) int64.
    session
        Row of the session embedding.
    query_times_s
        Times of the outputs within every window, (Q,) float64.
    """

    @torch.inference_mode()
    def __init__(self, model: Poyo, *, units: Tensor, session: int, query_times_s: Tensor):
        self._model = model
        turn = model.rotary(model.latent_times_s)  # (L, d/2)
        self._start = model.first_latents()  # (L, D)
        self._encoder = _Encoder(model, units, model.encoder.queries(self._start, turn), turn)
        self._layers = [
            (_SelfAttention(attention, turn, model.config.dim_head), feed_forward)
            for attention, feed_forward in model.layers  # pyright: ignore
        ]
        self._asked = model.session_embedding.weight[session]  # (D,)
        self._decoder = _Decoder(model.decoder, self._asked, model.rotary(query_times_s), turn)

    @torch.inference_mode()
    def __call__(self, unit: Tensor, times_s: Tensor) -> Tensor:
        """Return the outputs (Q, dim_out) of a window.

        Parameters
        ----------
        unit
            Number among the session's units of every spike, (n,) int64.
        times_s
            Time of every spike within the window, (n,) float64.
        """
        model = self._model
        latents = self._start + self._encoder(unit, model.rotary(times_s))  # (L, D)
        latents += _feed_forward(model.encoder_ffn, latents)
        for attention, feed_forward in self._layers:
            latents += attention(latents)
            latents += _feed_forward(feed_forward, latents)
        output = self._asked + self._decoder(latents)  # (Q, D)
        output += _feed_forward(model.decoder_ffn, output)
        return F.linear(output, model.readout.weight, model.readout.bias)


class _Encoder:
    """The latents read the spikes; query (H, L, d) and turn (L, d/2) are of the latents."""

    def __init__(self, model: Poyo, units: Tensor, query: Tensor, turn: Tensor):
        self.out, self.turn_back = model.encoder.to_out, turn.conj().resolve_conj()[:, None]
        self.query = (query * model.encoder.scale).contiguous()
        tokens = model.unit_embedding(units)[:, None] + model.kind_embedding.weight  # (units, kinds, D)
        table = model.encoder.keys_and_values(tokens).permute(1, 2, 3, 0, 4)  # (kinds, 2, H, units, d)
        borders = model.rotary(table.new_tensor([0.0, model.config.context_s], dtype=torch.float64))
        key, value = torch.cat(
            [rotate(table[kind], border) for kind, border in zip((START, END), borders, strict=True)], dim=2
        )  # 2 x (H, 2 units, d)
        scores = self.query @ key.transpose(1, 2)
        self.border_score = scores.logsumexp(-1)  # (H, L)
        self.border_value = scores.softmax(-1) @ value  # (H, L, d)
        # The last row, a key and value of zeros, keeps the place of the borders.
        self.table = as_complex(F.pad(table[SPIKE], (0, 0, 0, 1)))  # (2, H, units + 1, d/2)
        self.n_units = len(units)

    def __call__(self, unit: Tensor, rotation: Tensor) -> Tensor:
        """unit (n,), rotation (n, d/2) of the spikes -> (L, D)."""
        heads, latents, width = self.query.shape
        row = F.pad(unit, (0, 1), value=self.n_units)
        turned = scratch("turned spikes", 2, heads, len(row), width // 2, dtype=torch.complex64)
        for part in range(2):
            for head in range(heads):
                torch.index_select(self.table[part, head], 0, row, out=turned[part, head])
        turned[:, :, :-1] *= rotation
        keys, values = as_real(turned)
        out = scratch("head out", heads, latents, width)
        for head in range(heads):
            scores = multiply(self.query[head], keys[head])  # (L, n + 1)
            scores[:, -1] = self.border_score[head]
            weights = torch.softmax(scores, -1, out=scores)
            out[head] = multiply(weights, values[head].t())
            out[head].addcmul_(weights[:, -1:], self.border_value[head])
        back = scratch("turned back", latents, heads, width)
        torch.mul(as_complex(out).transpose(0, 1), self.turn_back, out=as_complex(back))
        return _linear(self.out, back.flatten(-2))


class _SelfAttention:
    """The latents read each other."""

    def __init__(self, layer: LatentSelfAttention, turn: Tensor, width: int):
        self.layer, self.width = layer, width
        self.there = turn.repeat(3, 1, 1, 1)  # of queries, keys and values, (3, 1, L, d/2)
        self.there[0] *= width**-0.5
        self.back = turn.conj().resolve_conj()[:, None]  # (L, 1, d/2)

    def __call__(self, latents: Tensor) -> Tensor:
        """Latents (L, D) -> (L, D)."""
        layer = self.layer
        qkv = _linear(layer.to_qkv, _normed(layer.norm, latents)).view(-1, 3, layer.heads, self.width)
        turned = scratch("turned qkv", 3, layer.heads, len(latents), self.width)
        torch.mul(as_complex(qkv).permute(1, 2, 0, 3), self.there, out=as_complex(turned))
        query, key, value = turned
        weights = softmax_of_products(query, key)  # (H, L, L)
        out = products(weights, value.transpose(1, 2), out=scratch("head out", *query.shape))
        back = scratch("turned back", len(latents), layer.heads, self.width)
        torch.mul(as_complex(out).transpose(0, 1), self.back, out=as_complex(back))
        return _linear(layer.to_out, back.flatten(-2))


class _Decoder:
    """The outputs read the latents; asked (D,) is the session, rotation (Q, d/2) of the outputs' times."""

    def __init__(self, layer: LatentCrossAttention, asked: Tensor, rotation: Tensor, turn: Tensor):
        self.layer, self.turn = layer, turn[:, None]  # (L, 1, d/2)
        one = layer.to_q(layer.norm(asked)).unflatten(-1, (layer.heads, -1))  # (H, d)
        query = rotate(one, rotation[:, None]).transpose(0, 1)  # (H, Q, d)
        self.query = query.contiguous() * query.shape[-1] ** -0.5

    def __call__(self, latents: Tensor) -> Tensor:
        """Latents (L, D) -> (Q, D)."""
        layer = self.layer
        both = _linear(layer.to_kv, _normed(layer.norm_context, latents))
        key, value = both.unflatten(-1, (2, layer.heads, -1)).unbind(1)  # 2 x (L, H, d)
        weights = torch.softmax(torch.bmm(self.query, rotate(key, self.turn).permute(1, 2, 0)), -1)
        out = torch.bmm(weights, value.transpose(0, 1))  # (H, Q, d)
        return _linear(layer.to_out, out.transpose(0, 1).flatten(-2))


def _feed_forward(layer: FeedForward, x: Tensor) -> Tensor:
    value, gate = _linear(layer.widen, _normed(layer.norm, x)).chunk(2, dim=-1)
    return _linear(layer.narrow, F.gelu(gate).mul_(value))


def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    return multiply(x, layer.weight, layer.bias)


def _normed(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    return torch.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
