"""POYO beside torch_brain's: training step and inference, same weights' shapes, windows and threads.

Times are of the processor, medians of turns. ``floor_s`` and ``floor_ms`` in the JSON are the matrix products
alone, at the speed that oneDNN reaches here. Memory is what one step adds to a process, each in its own.
With a GPU, also windows per second there, and their share of what its matrix units reach.
"""

import gc
import json
import os
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from table import Row, conditions, finish, median_times, parse_arguments

from neuroloom.decoding.linear import multiply
from neuroloom.decoding.poyo import CONFIGS, SPIKE, Poyo, PoyoConfig, PoyoInputs
from neuroloom.decoding.poyo_data import Outputs, PoyoData
from neuroloom.decoding.poyo_online import OnlinePoyo
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


def peak_mb(step: Callable[[], Any]) -> float:
    """Return the memory that a step adds at its peak."""

    def measure() -> tuple[float]:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        step()
        return ((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,)

    return in_child(measure)[0]


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


def memory_rows(name: str, *, quick: bool, facts: dict) -> list[Row]:
    """Measure what a training step adds to the memory of a process."""
    rows, pair = [], Pair(name)
    for n_windows in pair.batches[:1] if quick else pair.batches:
        ours, peers = map(peak_mb, pair.steps(n_windows))
        row = f"{name}: memory of a step, {n_windows} windows"
        rows.append(Row(row, ours, peers, "MB", peers / max(ours, 1.0), facts))
    return rows


def time_rows(name: str, *, quick: bool, gflops: float, facts: dict) -> list[Row]:
    """Measure training steps and the latency of one window at one size."""
    rows, pair = [], Pair(name)
    for n_windows in pair.batches[:1] if quick else pair.batches:
        ours, reference = interleaved(*pair.steps(n_windows), 2 if quick else 5)
        floor_s = 3 * forward_flop(pair.config, n_windows) / (gflops * 1e9)
        now = facts | {"floor_s": round(floor_s, 3), "gflops": round(gflops)}
        row = f"{name}: training step, {n_windows} windows"
        rows.append(Row(row, ours, reference, "CPU s", reference / ours, now))
        gc.collect()
    return rows + latency_rows(pair, name, "", quick=quick, gflops=gflops, facts=facts)


def latency_rows(pair: Pair, name: str, where: str, *, quick: bool, gflops: float, facts: dict) -> list[Row]:
    """Measure the latency of one window, as it comes and with what a stream prepares."""
    inputs, theirs = windows(1)
    theirs |= pair.latents
    model, peer = pair.model.eval(), pair.peer.eval()
    now = facts | {"floor_ms": round(forward_flop(pair.config, 1) / gflops / 1e6, 2), "gflops": round(gflops)}
    rows = []
    with torch.inference_mode():
        for what, ours_once in (
            ("one window", lambda: model(inputs)),
            ("one window of a stream", online(model, inputs)),
        ):

            def measure(ours_once=ours_once) -> tuple[float, float]:
                return interleaved(ours_once, lambda: peer(**theirs), 10 if quick else 60)

            ours, reference = in_child(measure) if where else measure()
            row = f"{name}: {what}{where}"
            rows.append(Row(row, 1e3 * ours, 1e3 * reference, "CPU ms", reference / ours, now))
    return rows


def online(model: Poyo, inputs: PoyoInputs) -> Callable[[], torch.Tensor]:
    """Return what a stream does with the spikes of a window; units start at 1 in the benchmark's windows."""
    units = torch.arange(1, N_UNITS + 1)
    network = OnlinePoyo(model, units=units, session=1, query_times_s=inputs.query_times_s[0])
    spikes = inputs.kind == SPIKE
    unit, times_s = inputs.unit[spikes] - 1, inputs.times_s[spikes]
    return lambda: network(unit, times_s)


def device_rows(name: str, device: str, *, n_windows: int, facts: dict) -> list[Row]:
    """Measure windows per second of training in bfloat16, and the share of the matrix units that is used."""
    config, _ = SIZES[name]
    model = Poyo(config, n_units=N_UNITS + 1, n_sessions=2, dim_out=2).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    inputs = windows(n_windows)[0].to(device)
    truth = torch.randn(n_windows, N_QUERIES, 2, device=device)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            loss = ((model(inputs).float() - truth) ** 2).mean()
        loss.backward()
        optimizer.step()

    def per_second(action: Callable[[], Any], n: int) -> float:
        action()
        _wait(device)
        began = time.perf_counter()
        for _ in range(n):
            action()
        _wait(device)
        return n / (time.perf_counter() - began)

    size = 8192 if device != "cpu" else 256
    a, b = torch.randn(2, size, size, device=device, dtype=torch.bfloat16)
    peak = 2 * size**3 * per_second(lambda: a @ b, 20)
    rate = n_windows * per_second(step, 10)
    share = 3 * forward_flop(config, 1) * rate / peak
    now = facts | {
        "peer": "",
        "device": device,
        "batch": n_windows,
        "matrix_peak_tflops": round(peak / 1e12, 1),
    }
    return [
        Row(f"{name}: training on {device}", rate, None, "windows/s", None, now),
        Row(f"{name}: share of the matrix peak of {device}", share, None, "", None, now),
    ]


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


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
    names = list(SIZES)[:2] if args.quick else list(SIZES)
    facts["mkl_gflops"] = round(measured_gflops(torch.matmul))
    gflops = measured_gflops(multiply)
    options = {"quick": args.quick, "facts": facts}
    # First what a process shows that has not trained: one that has keeps freed memory, and takes from that.
    rows = [row for name in names for row in memory_rows(name, **options)]
    for name in names:
        rows += latency_rows(Pair(name), name, ", fresh process", gflops=gflops, **options)
    rows.append(data_path(facts))
    for name in names:
        rows += time_rows(name, gflops=gflops, **options)
    if torch.cuda.is_available():
        for name in names:
            rows += device_rows(name, "cuda", n_windows=256, facts=facts)
    finish(rows, args)


if __name__ == "__main__":
    main()
