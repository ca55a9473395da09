"""POYO beside torch_brain's: training step and inference, same weights' shapes, windows and threads.

Times are of the processor, medians of turns. ``floor_s`` and ``floor_ms`` in the JSON are the matrix products
alone, at the speed that oneDNN reaches here. Memory is what one step adds to a process, each in its own.
With a GPU, also windows per second there, and their share of what its matrix units reach.
"""

import gc
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from poyo_latency import latency_rows
from poyo_pair import (
    N_QUERIES,
    N_UNITS,
    PIECE,
    RATE_HZ,
    SIZES,
    Pair,
    forward_flop,
    in_child,
    interleaved,
    measured_gflops,
    windows,
)
from table import Row, conditions, finish, parse_arguments

from neuroloom.decoding.linear import multiply
from neuroloom.decoding.poyo import Poyo
from neuroloom.decoding.poyo_data import Outputs, PoyoData
from neuroloom.decoding.tokens import Train
from neuroloom.training.sampler import Batch


def peak_mb(step: Callable[[], Any]) -> float:
    """Return the memory that a step adds at its peak."""

    def measure() -> tuple[float]:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        step()
        return ((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,)

    return in_child(measure)[0]


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
