"""Attention on one CPU core without waste: window by window, inside the cache, nothing padded.

Fused operations with hand-written gradients. The attentions walk over the windows of a batch so that every
intermediate of a window stays in the second-level cache, rotate queries, keys and values on the way (one
complex product), and draw dropout masks from random bytes (a rate is rounded to a multiple of 1/256).
`attention.py` chooses between these and `scaled_dot_product_attention`. What does not outlive an operation
lies in memory that is used again: fresh memory costs a page fault every 4 KB, as much as its arithmetic.
"""

import math
import threading
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from neuroloom.decoding.linear import multiply, pays


def as_complex(x: Tensor) -> Tensor:
    """View the last axis as pairs (real, imaginary): (..., d) float32 -> (..., d/2) complex64."""
    return torch.view_as_complex(x.unflatten(-1, (-1, 2)))


def as_real(x: Tensor) -> Tensor:
    """Undo `as_complex`."""
    return torch.view_as_real(x).flatten(-2)


class _Scratch(threading.local):
    """Memory that is used again and again, by name; each thread has its own."""

    def __init__(self):
        self.buffers: dict[str, Tensor] = {}

    def __call__(self, name: str, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return uninitialised memory of this shape, valid until the same name is asked for again."""
        n = math.prod(shape)
        buffer = self.buffers.get(name)
        if buffer is None or len(buffer) < n:
            # Made outside inference mode, whose tensors training could not write to.
            with torch.inference_mode(False):
                buffer = self.buffers[name] = torch.empty(n, dtype=dtype)
        return buffer[:n].view(shape)


scratch = _Scratch()


class KeepMasks:
    """Dropout masks from random bytes: a sixth of the cost of Bernoulli draws.

    Reproducible under torch's seed, of which one draw seeds the bytes.

    Parameters
    ----------
    dropout
        Probability of dropping an entry, rounded to k/256.
    """

    def __init__(self, dropout: float):
        self.threshold = round(dropout * 256)
        self.scale = 256 / (256 - self.threshold) if self.threshold < 256 else 0.0
        seed = int(torch.randint(2**62, ()))
        self.bits = np.random.SFC64(seed)

    def draw(self, like: Tensor) -> Tensor:
        """Return a float mask of 0 and 1, shaped as `like`."""
        words = torch.from_numpy(self.bits.random_raw(-(-like.numel() // 8)).view(np.uint8))
        mask = words[: like.numel()].view(like.shape).to(torch.float32)
        return torch.ge(mask, float(self.threshold), out=mask)


class SelfAttention(torch.autograd.Function):
    """softmax(R q · R k / sqrt(d)) R v, un-rotated: attention among the latents of every window.

    qkv (B, L, 3, H, d), rotation (L, d/2) complex -> (B, L, H, d)
    """

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, rotation: Tensor, dropout: float) -> Tensor:  # pyright: ignore
        n_windows, n_latents, _, n_heads, dim_head = qkv.shape
        there, back, unturn = _self_rotations(rotation, dim_head)
        out = qkv.new_empty(n_windows, n_latents, n_heads, dim_head)
        head_out = scratch("head out", n_heads, n_latents, dim_head)
        turned_out, final = as_complex(head_out.transpose(0, 1)), as_complex(out)
        masks = KeepMasks(dropout) if dropout else None
        saved, learns = [], ctx.needs_input_grad[0]
        turned = scratch("turned qkv", 3, n_heads, n_latents, dim_head)
        query, key, value = turned
        for window, raw in enumerate(as_complex(qkv).permute(0, 2, 3, 1, 4)):
            torch.mul(raw, there, out=as_complex(turned))
            weights = softmax_of_products(query, key, keep=learns)  # (H, L, L)
            keep = masks.draw(weights) if masks else None
            kept = weights if keep is None else weights * keep
            products(kept, value.transpose(1, 2), out=head_out)
            torch.mul(turned_out, unturn, out=final[window])
            if learns:
                saved.append((weights, keep))
        if masks:
            out *= masks.scale
        ctx.save_for_backward(qkv, there, back, rotation, out)
        ctx.saved, ctx.scale = saved, masks.scale if masks else 1.0
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor):  # pyright: ignore
        qkv, there, back, rotation, out = ctx.saved_tensors
        _, n_latents, _, n_heads, dim_head = qkv.shape
        # Rotations keep inner products, so the row sums of dP * P may be taken after un-rotation.
        row_sums = (grad * out).sum(-1).transpose(1, 2).unsqueeze(-1)  # (B, H, L, 1)
        grad_qkv = torch.empty_like(qkv)
        turned_qkv = scratch("turned qkv", 3, n_heads, n_latents, dim_head)
        query, key, value = turned_qkv
        turned = scratch("turned gradient", 3, n_heads, n_latents, dim_head)
        grad_query, grad_key, grad_value = turned
        head_grad = scratch("head gradient", n_heads, n_latents, dim_head)
        turn = rotation * ctx.scale
        grad_complex = as_complex(grad_qkv).permute(0, 2, 3, 1, 4)  # (B, 3, H, L, d/2)
        raw_grads = as_complex(grad.contiguous()).transpose(1, 2)
        for window, raw in enumerate(as_complex(qkv).permute(0, 2, 3, 1, 4)):
            torch.mul(raw, there, out=as_complex(turned_qkv))
            torch.mul(raw_grads[window], turn, out=as_complex(head_grad))
            weights, keep = ctx.saved[window]
            kept = weights if keep is None else weights * keep
            products(kept.transpose(1, 2), head_grad.transpose(1, 2), out=grad_value)
            scores = products(head_grad, value, out=scratch("scores", *kept.shape)).mul_(kept)
            scores.addcmul_(weights, row_sums[window], value=-1)  # gradient of the scores
            products(scores, key.transpose(1, 2), out=grad_query)
            products(scores.transpose(1, 2), query.transpose(1, 2), out=grad_key)
            torch.mul(as_complex(turned), back, out=grad_complex[window])
        return grad_qkv, None, None


class SpikeAttention(torch.autograd.Function):
    """softmax(q · R k) R v over the spikes of every window: the encoder's cross-attention, ragged.

    The query of a latent is the same in every window and the key and value of a spike depend on its unit
    alone before they are rotated by its time, so both are made once (per latent, per unit); a spike costs a
    gather and a complex product instead of a layer norm and a linear layer.

    query (H, L, d) rotated and scaled; table (rows, 2, H, d) keys and values; row (n,) of every spike;
    rotation (n, d/2) complex of every spike; offsets: B + 1 bounds of the windows -> (B, L, H, d) rotated
    """

    @staticmethod
    def forward(  # pyright: ignore
        ctx: Any,
        query: Tensor,
        table: Tensor,
        row: Tensor,
        rotation: Tensor,
        offsets: list[int],
        dropout: float,
    ) -> Tensor:
        query = query.contiguous()
        n_heads, n_latents, dim_head = query.shape
        out = query.new_zeros(len(offsets) - 1, n_latents, n_heads, dim_head)
        masks = KeepMasks(dropout) if dropout else None
        by_head = as_complex(table).permute(2, 1, 0, 3).contiguous()  # (H, 2, rows, d/2)
        saved, learns = [], any(ctx.needs_input_grad)
        for window, (first, last) in enumerate(pairwise(offsets)):
            if first == last:
                saved.append((None, None))
                continue
            shape = (n_heads, n_latents, last - first)
            weights = query.new_empty(shape) if learns else scratch("scores", *shape)
            keep = masks.draw(weights) if masks else None
            for head in range(n_heads):
                key, value = _turned_spikes(by_head[head], row[first:last], rotation[first:last])
                torch.softmax(multiply(query[head], key), -1, out=weights[head])
                kept = weights[head] if keep is None else weights[head] * keep[head]
                out[window, :, head] = multiply(kept, value.t())
            if learns:
                saved.append((weights, keep))
        if masks:
            out *= masks.scale
        ctx.save_for_backward(query, by_head, row, rotation, out)
        ctx.saved, ctx.offsets, ctx.scale = saved, offsets, masks.scale if masks else 1.0
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor):  # pyright: ignore
        query, by_head, row, rotation, out = ctx.saved_tensors
        n_rows = by_head.shape[2]
        row_sums = (grad * out).sum(-1).unsqueeze(-1)  # (B, L, H, 1)
        grad_query = torch.zeros_like(query)
        grad_table = query.new_zeros(n_rows, 2, *query.shape[::2])  # (rows, 2, H, d)
        back = rotation.conj().resolve_conj()
        for window, (weights, keep) in enumerate(ctx.saved):
            inside = slice(ctx.offsets[window], ctx.offsets[window + 1])
            if weights is None:
                continue
            for head in range(len(query)):
                key, value = _turned_spikes(by_head[head], row[inside], rotation[inside])
                head_grad = grad[window, :, head] * ctx.scale  # (L, d)
                kept = weights[head] if keep is None else weights[head] * keep[head]
                grad_value = multiply(kept.t(), head_grad.t())  # (n, d)
                scores = multiply(head_grad, value).mul_(kept)
                scores.addcmul_(weights[head], row_sums[window, :, head], value=-1)
                grad_query[head] += multiply(scores, key.t())
                grad_key = multiply(scores.t(), query[head].t())
                for part, turned in enumerate((grad_key, grad_value)):
                    as_complex(turned).mul_(back[inside])
                    grad_table[:, part, head] += torch.ops.aten.embedding_dense_backward(
                        turned, row[inside], n_rows, -1, False
                    )
        return grad_query, grad_table, None, None, None, None


class GatedUnit(torch.autograd.Function):
    """value * gelu(gate) * keep, for GEGLU feed-forwards: (..., 2 E) -> (..., E).

    Its gradient is written straight into one tensor, where autograd would make five and join them.
    """

    @staticmethod
    def forward(ctx: Any, widened: Tensor, dropout: float) -> Tensor:  # pyright: ignore
        value, gate = widened.chunk(2, dim=-1)
        masks = KeepMasks(dropout) if dropout else None
        keep = masks.draw(value).mul_(masks.scale) if masks else None
        open_gate = torch.nn.functional.gelu(gate)
        if keep is not None:
            open_gate.mul_(keep)
        ctx.save_for_backward(widened, open_gate, keep)
        return value * open_gate

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor):  # pyright: ignore
        widened, open_gate, keep = ctx.saved_tensors
        value, gate = widened.chunk(2, dim=-1)
        grad_widened = torch.empty_like(widened)
        grad_value, grad_gate = grad_widened.chunk(2, dim=-1)
        torch.mul(grad, open_gate, out=grad_value)
        through = grad * value
        if keep is not None:
            through.mul_(keep)
        grad_gate.copy_(torch.ops.aten.gelu_backward(through, gate))
        return grad_widened, None


@lru_cache(maxsize=1)  # the layers of a model share one rotation
def _self_rotations(rotation: Tensor, dim_head: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rotations (3, 1, L, d/2) of queries, keys and values, of their gradients back, and of the output.

    The 1/sqrt(d) of the scores rides on the queries.
    """
    there = rotation[None, None].repeat(3, 1, 1, 1)
    there[0] *= dim_head**-0.5
    return there, there.conj().resolve_conj(), rotation.conj().resolve_conj()[:, None]


def _turned_spikes(table: Tensor, row: Tensor, rotation: Tensor) -> tuple[Tensor, Tensor]:
    """Gather and rotate one head's keys and values (2, rows, d/2) of some spikes: twice (n, d)."""
    turned = scratch("turned spikes", 2, *rotation.shape, dtype=torch.complex64)
    for part in range(2):
        torch.index_select(table[part], 0, row, out=turned[part]).mul_(rotation)
    key, value = as_real(turned)
    return key, value


def softmax_of_products(query: Tensor, key: Tensor, *, keep: bool = False) -> Tensor:
    """softmax(q · k) over the keys, (H, L, n); in memory of its own if it is to be kept."""
    shape = (*query.shape[:2], key.shape[1])
    scores = query.new_empty(shape) if keep else scratch("scores", *shape)
    if not pays(query[0], key[0]):
        torch.bmm(query, key.transpose(1, 2), out=scores)
        return torch.softmax(scores, -1, out=scores)
    for head in range(len(query)):
        torch.softmax(multiply(query[head], key[head]), -1, out=scores[head])
    return scores


def products(left: Tensor, right: Tensor, *, out: Tensor) -> Tensor:
    """Write left (H, n, k) times the transpose of right (H, m, k), head by head, into out (H, n, m)."""
    if not pays(left[0], right[0]):
        return torch.bmm(left, right.transpose(1, 2), out=out)
    for head in range(len(left)):
        out[head] = multiply(left[head], right[head])
    return out
