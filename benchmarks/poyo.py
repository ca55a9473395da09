"""POYO beside torch_brain's: training step and inference, same weights' shapes, windows and threads."""

import gc
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from table import Row, conditions, finish, median_times, parse_arguments

from neuroloom.decoding.poyo import CONFIGS, Poyo, PoyoConfig, PoyoInputs
from neuroloom.decoding.poyo_data import Outputs, PoyoData
from neuroloom.decoding.tokens import Train
from neuroloom.training.sampler import Batch

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


def interleaved(ours: Callable[[], Any], theirs: Callable[[], Any], n: int) -> tuple[float, float]:
    """Return the median processor time of each, run in turns after one of each that does not count."""
    ours(), theirs()
    (_, our_s), (_, their_s) = median_times(ours, theirs, repeats=n)
    return our_s, their_s


def floor_s(config: PoyoConfig, n_windows: int, gflops: float) -> float:
    """Return the time of the matrix products of a training step alone, at the speed measured here."""
    latents, dim = len(config.latent_times_s), config.dim
    tokens = N_UNITS * (RATE_HZ + 2)
    self_width, cross_width = config.self_heads * config.dim_head, config.cross_heads * config.dim_head
    layer = latents * (4 * dim * self_width + 12 * dim * dim) + 2 * latents**2 * self_width
    encoder = 2 * latents * tokens * cross_width + latents * (dim * cross_width + 12 * dim * dim)
    decoder = 2 * latents * N_QUERIES * cross_width + latents * 2 * dim * cross_width
    decoder += N_QUERIES * (dim * cross_width + 12 * dim * dim)
    return 3 * 2 * n_windows * (config.depth * layer + encoder + decoder) / (gflops * 1e9)


def measured_gflops() -> float:
    """Return how fast this processor multiplies matrices of 512 rows."""
    a, b = torch.randn(2, 512, 512)
    began, n = time.process_time(), 40
    for _ in range(n):
        a @ b
    return 2 * 512**3 * n / (time.process_time() - began) / 1e9


def rows_of(name: str, *, quick: bool, gflops: float, facts: dict) -> list[Row]:
    """Measure training steps and the latency of one window at one size."""
    config, batches = SIZES[name]
    model, peer = Poyo(config, n_units=N_UNITS + 1, n_sessions=2, dim_out=2), peer_model(config)
    steps = len(config.latent_times_s) // config.latents_per_step
    latents = {
        "latent_index": torch.arange(config.latents_per_step).repeat(steps)[None],
        "latent_timestamps": torch.as_tensor(config.latent_times_s)[None],
    }
    optimizers = [torch.optim.AdamW(each.parameters(), lr=1e-4) for each in (model, peer)]
    rows = []
    for n_windows in batches[:1] if quick else batches:
        inputs, theirs = windows(n_windows)
        theirs |= {key: value.expand(n_windows, -1) for key, value in latents.items()}
        truth = torch.randn(n_windows, N_QUERIES, 2)

        def our_step(inputs=inputs, truth=truth, n_windows=n_windows):
            optimizers[0].zero_grad()
            for first in range(0, n_windows, PIECE):
                last = min(first + PIECE, n_windows)
                error = (model(piece(inputs, first, last)) - truth[first:last]) ** 2
                (error.sum() / truth.numel()).backward()
            optimizers[0].step()

        def their_step(theirs=theirs, truth=truth):
            optimizers[1].zero_grad()
            ((peer(**theirs) - truth) ** 2).mean().backward()
            optimizers[1].step()

        for each in (model, peer):
            each.train()
        ours, reference = interleaved(our_step, their_step, 2 if quick else 5)
        now = facts | {
            "floor_s": round(floor_s(config, n_windows, gflops), 3),
            "gflops": round(gflops),
        }
        now["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        rows.append(
            Row(
                f"{name}: training step, {n_windows} windows",
                ours,
                reference,
                "CPU s",
                reference / ours,
                now,
            )
        )
        gc.collect()
    inputs, theirs = windows(1)
    theirs |= latents
    for each in (model, peer):
        each.eval()
    with torch.inference_mode():
        ours, reference = interleaved(lambda: model(inputs), lambda: peer(**theirs), 10 if quick else 40)
    rows.append(Row(f"{name}: one window", 1e3 * ours, 1e3 * reference, "CPU ms", reference / ours, facts))
    return rows


def data_path(facts: dict) -> Row:
    """Measure windows per second from spikes in memory to tokens and targets."""
    random = np.random.default_rng(0)
    n_spikes = int(N_UNITS * RATE_HZ * 600)
    units = np.arange(N_UNITS)
    train = Train(np.sort(random.uniform(0, 600, n_spikes)), random.integers(0, N_UNITS, n_spikes), units, 0)
    times = np.arange(0, 600, 0.01)
    outputs = Outputs(
        times,
        np.zeros(len(times), dtype=np.int64),
        np.array([[0.0, 600.0]]),
        random.normal(size=(len(times), 2)),
        np.ones(len(times)),
    )
    objective = PoyoData([train], [outputs], 1.0, "regression", keep_units=(30, 60, 100)).training()
    began, n = time.process_time(), 20
    for step in range(n):
        objective.prepare(Batch(np.arange(64), step, 0, 0))
    rate = 64 * n / (time.process_time() - began)
    return Row("data path with unit dropout", rate, None, "windows/s", None, facts)


def main() -> None:
    """Measure everything and print the table."""
    args = parse_arguments(__doc__)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    facts = conditions(
        "torch",
        "torch-brain",
        peer="torch_brain.models.POYO",
        units=N_UNITS,
        rate_hz=RATE_HZ,
        queries=N_QUERIES,
        piece=PIECE,
        seed=0,
    )
    gflops = measured_gflops()
    rows = [data_path(facts)]
    for name in list(SIZES)[:2] if args.quick else SIZES:
        rows += rows_of(name, quick=args.quick, gflops=gflops, facts=facts)
    finish(rows, args)


if __name__ == "__main__":
    main()
