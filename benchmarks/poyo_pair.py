"""Our POYO and torch_brain's, of the same sizes, on the same windows; and what their arithmetic costs."""

import json
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from table import median_times

from neuroloom.decoding.poyo import CONFIGS, Poyo, PoyoConfig, PoyoInputs

N_UNITS, RATE_HZ, N_QUERIES = 100, 10.0, 100
_PUBLISHED = {"linear_dropout": 0.4, "attention_dropout": 0.2, "self_heads": 8}
SIZES = {
    "dim64 depth2": (PoyoConfig(depth=2, latents_per_step=8, **_PUBLISHED), (16, 64)),
    "1.3M": (CONFIGS["1.3M"], (16, 64)),
    "dim128 depth6": (PoyoConfig(dim=128, depth=6, cross_heads=4, latents_per_step=16, **_PUBLISHED), (16,)),
    "11.8M": (CONFIGS["11.8M"], (8,)),
}
# Windows in one piece of a batch on a processor, as PoyoDecoder cuts it.
PIECE = 16


def windows(n_windows: int, seed: int = 0) -> tuple[PoyoInputs, dict[str, torch.Tensor]]:
    """Return the same windows for both: ragged for us, padded to a multiple of eight for the peer."""
    random = np.random.default_rng(seed)
    counts = random.poisson(N_UNITS * RATE_HZ, n_windows)
    lengths = counts + 2 * N_UNITS
    shape = (n_windows, -(-lengths.max() // 8) * 8)
    unit, kind = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    times, mask = np.zeros(shape), np.zeros(shape, dtype=bool)
    pairs, ends = np.repeat(np.arange(N_UNITS), 2), np.tile([0.0, 1.0], N_UNITS)
    for row, n in enumerate(counts):
        inside = slice(0, lengths[row])
        unit[row, inside] = np.concatenate([pairs, random.integers(0, N_UNITS, n)]) + 1
        kind[row, inside] = np.concatenate([np.tile([1, 2], N_UNITS), np.zeros(n, dtype=np.int64)])
        times[row, inside] = np.concatenate([ends, np.sort(random.uniform(0, 1, n))])
        mask[row, inside] = True
    queries = np.tile(np.arange(N_QUERIES) / N_QUERIES, (n_windows, 1))
    tensor, session = torch.as_tensor, torch.ones(n_windows, dtype=torch.int64)
    theirs = {
        "input_unit_index": tensor(unit),
        "input_timestamps": tensor(times),
        "input_token_type": tensor(kind),
        "input_mask": tensor(mask),
        "session_index": session,
        "output_timestamps": tensor(queries),
    }
    offsets = [0, *np.cumsum(lengths).tolist()]
    flat = (tensor(unit[mask]), tensor(kind[mask]), tensor(times[mask]))
    return PoyoInputs(*flat, offsets, session, tensor(queries)), theirs


def piece(inputs: PoyoInputs, first: int, last: int) -> PoyoInputs:
    """Return some windows of a batch."""
    low, high = inputs.offsets[first], inputs.offsets[last]
    return PoyoInputs(
        inputs.unit[low:high],
        inputs.kind[low:high],
        inputs.times_s[low:high],
        [offset - low for offset in inputs.offsets[first : last + 1]],
        inputs.session[first:last],
        inputs.query_times_s[first:last],
    )


def peer_model(config: PoyoConfig) -> torch.nn.Module:
    """Return torch_brain's model of the same size."""
    from torch_brain.models import POYO

    model = POYO(
        sequence_length=config.context_s,
        latent_step=config.latent_step_s,
        num_latents_per_step=config.latents_per_step,
        dim_out=2,
        dim=config.dim,
        depth=config.depth,
        dim_head=config.dim_head,
        cross_heads=config.cross_heads,
        self_heads=config.self_heads,
        ffn_dropout=config.ffn_dropout,
        lin_dropout=config.linear_dropout,
        atn_dropout=config.attention_dropout,
    )
    model.unit_emb.initialize_vocab([f"unit-{number}" for number in range(N_UNITS)])
    model.session_emb.initialize_vocab(["session"])
    return model


class Pair:
    """Both models of one size, and a training step of each on the same windows."""

    def __init__(self, name: str):
        self.config, self.batches = SIZES[name]
        self.model = Poyo(self.config, n_units=N_UNITS + 1, n_sessions=2, dim_out=2)
        self.peer = peer_model(self.config)
        self.optimizers = [torch.optim.AdamW(each.parameters(), lr=1e-4) for each in (self.model, self.peer)]
        n_steps = len(self.config.latent_times_s) // self.config.latents_per_step
        self.latents = {
            "latent_index": torch.arange(self.config.latents_per_step).repeat(n_steps)[None],
            "latent_timestamps": torch.as_tensor(self.config.latent_times_s)[None],
        }

    def steps(self, n_windows: int) -> tuple[Callable[[], None], Callable[[], None]]:
        """Return a training step of each."""
        inputs, theirs = windows(n_windows)
        theirs |= {key: value.expand(n_windows, -1) for key, value in self.latents.items()}
        truth = torch.randn(n_windows, N_QUERIES, 2)
        self.model.train()
        self.peer.train()

        def ours() -> None:
            self.optimizers[0].zero_grad()
            for first in range(0, n_windows, PIECE):
                last = min(first + PIECE, n_windows)
                error = (self.model(piece(inputs, first, last)) - truth[first:last]) ** 2
                (error.sum() / truth.numel()).backward()
            self.optimizers[0].step()

        def reference() -> None:
            self.optimizers[1].zero_grad()
            ((self.peer(**theirs) - truth) ** 2).mean().backward()
            self.optimizers[1].step()

        return ours, reference


def interleaved(ours: Callable[[], Any], theirs: Callable[[], Any], n: int) -> tuple[float, float]:
    """Return the median processor time of each, run in turns after one of each that does not count."""
    ours(), theirs()
    (_, our_s), (_, their_s) = median_times(ours, theirs, repeats=n)
    return our_s, their_s


def forward_flop(config: PoyoConfig, n_windows: int) -> float:
    """Return the operations of the matrix products of one pass; a training step takes three times as many."""
    latents, dim = len(config.latent_times_s), config.dim
    tokens = N_UNITS * (RATE_HZ + 2)
    self_width, cross_width = config.self_heads * config.dim_head, config.cross_heads * config.dim_head
    layer = latents * (4 * dim * self_width + 12 * dim * dim) + 2 * latents**2 * self_width
    encoder = 2 * latents * tokens * cross_width + latents * (dim * cross_width + 12 * dim * dim)
    decoder = 2 * latents * N_QUERIES * cross_width + latents * 2 * dim * cross_width
    decoder += N_QUERIES * (dim * cross_width + 12 * dim * dim)
    return 2 * n_windows * (config.depth * layer + encoder + decoder)


def measured_gflops(product: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> float:
    """Return how fast this processor multiplies matrices of 512 rows."""
    a, b = torch.randn(2, 512, 512)
    product(a, b)
    began, n = time.process_time(), 40
    for _ in range(n):
        product(a, b)
    return 2 * 512**3 * n / (time.process_time() - began) / 1e9


def in_child(measure: Callable[[], tuple[float, ...]]) -> tuple[float, ...]:
    """Return what `measure` finds in a copy of this process, which ends with it."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(write, json.dumps(measure()).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    found = json.loads(os.read(read, 1000))
    os.close(read)
    os.close(write)
    return tuple(found)
