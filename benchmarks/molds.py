# ruff: noqa: E402 (thread counts must be set before NumPy is loaded)
"""Mixtures of linear dynamical systems: how often each start fails, and what an EM iteration costs.

Failure study: settings S1-S4 (K components, n states, m inputs, p outputs, N trajectories of T steps) and
kinds of inputs, over fresh seeds. An EM run fails where its adjusted Rand index is more than .05 below that
of EM from the truth, or its Markov error exceeds max(.1, 3 x that of EM from the truth). The Markov error is
the relative error of the first 12 Markov parameters, averaged over matched components.

With --json PATH, finished trials are kept in PATH with suffix .trials.jsonl, and a second call goes on from
there; delete that file to start over. Timing against dynamax: the same E and M step in float64, compiled,
interleaved, on one core.
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from molds_peer import dynamax_iteration
from table import Row, conditions, finish, median_times, parse_arguments

from neuroloom.dynamics.em import Mixture, expect, expectation_maximisation, step
from neuroloom.dynamics.initialisation import Init, start_candidates
from neuroloom.dynamics.maximisation import Constraints
from neuroloom.dynamics.tensor import Decomposition
from neuroloom.dynamics.trajectories import Trajectories, pack
from neuroloom.seeds import stream
from neuroloom.simulation.linear_systems import LinearSystem, MixtureSample, random_system, simulate_mixture

FIRST_SEED = 1000
SETTINGS = {
    "S1": {"K": 3, "n": 2, "m": 1, "p": 1, "N": 200, "T": 64, "snr_db": 10.0, "feedthrough": True},
    "S2": {"K": 6, "n": 3, "m": 2, "p": 2, "N": 240, "T": 80, "snr_db": 10.0, "feedthrough": False},
    "S3": {"K": 3, "n": 3, "m": 1, "p": 4, "N": 500, "T": 64, "snr_db": 0.0, "feedthrough": True},
    "S4": {"K": 3, "n": 2, "m": 1, "p": 1, "N": 1000, "T": 24, "snr_db": 0.0, "feedthrough": True},
}
_INPUTS = {"K": 3, "n": 2, "m": 1, "p": 1, "N": 1000, "T": 64, "snr_db": 10.0, "feedthrough": True}
INPUT_SETTINGS = {
    "AR(.5) inputs": _INPUTS | {"kind": "ar", "correlation": 0.5},
    "AR(.9) inputs": _INPUTS | {"kind": "ar", "correlation": 0.9},
    "binary inputs": _INPUTS | {"kind": "binary"},
    "no inputs": _INPUTS | {"kind": "none", "m": 0, "p": 2, "feedthrough": False},
}
# name -> (init, decomposition, number of starts)
STARTS: dict[str, tuple[Init, Decomposition, int]] = {
    "auto": ("auto", "smd", 2),
    "tensor": ("tensor", "smd", 1),
    "tensor, rtpm": ("tensor", "rtpm", 1),
    "tensor-pooled": ("tensor-pooled", "smd", 1),
    "kmeans": ("kmeans", "smd", 1),
    "random x1": ("random", "smd", 1),
    "random x10": ("random", "smd", 10),
    "predictors": ("predictors", "smd", 1),
}
TIMED = [
    {"K": 3, "n": 3, "m": 2, "p": 4, "N": 1000, "T": 100, "feedthrough": False},
    {"K": 3, "n": 6, "m": 2, "p": 16, "N": 300, "T": 200, "feedthrough": False},
    {"K": 3, "n": 3, "m": 2, "p": 4, "N": 5000, "T": 200, "feedthrough": False},
]


def simulate(setting: dict, seed: int) -> MixtureSample:
    """Draw the systems and the trajectories of one trial."""
    systems = [
        random_system(
            state_dim=setting["n"],
            input_dim=setting["m"],
            output_dim=setting["p"],
            snr_db=setting.get("snr_db", 10.0),
            feedthrough=setting.get("feedthrough", True),
            rng=stream(seed, "benchmark", "system", k),
        )
        for k in range(setting["K"])
    ]
    return simulate_mixture(
        systems,
        n_trajectories=setting["N"],
        n_steps=setting["T"],
        input_kind=setting.get("kind", "white"),
        correlation=setting.get("correlation", 0.5),
        seed=seed,
    )


def markov_error(found: list[LinearSystem], truth: list[LinearSystem]) -> float:
    """Mean relative error of 12 Markov parameters (poles' power sums where there are no inputs)."""
    from scipy.optimize import linear_sum_assignment

    def response(system: LinearSystem) -> np.ndarray:
        if system.input_dim:
            return system.markov_parameters(12)
        # What an autonomous system shows: output autocovariances, lag by lag.
        state, result = system.stationary_covariance(), []
        for _ in range(12):
            result.append(system.C @ state @ system.C.T)
            state = system.A @ state
        return np.array(result)

    ours, theirs = [response(s) for s in found], [response(s) for s in truth]
    errors = np.array([[np.linalg.norm(a - b) / np.linalg.norm(b) for b in theirs] for a in ours])
    rows, columns = linear_sum_assignment(errors)
    return float(errors[rows, columns].mean())


def run_trial(name: str, setting: dict, seed: int, label: str) -> dict:
    """Run EM from one start (or the truth) on one data set."""
    from sklearn.metrics import adjusted_rand_score

    sample = simulate(setting, seed)
    trajectories = pack(sample.outputs, sample.inputs if setting["m"] else None)
    frozen = frozenset() if setting["feedthrough"] or not setting["m"] else frozenset({"D"})
    constraints = Constraints(np.concatenate(sample.outputs).var(axis=0), frozen=frozen)
    started, facts = time.process_time(), {}
    mixture = Mixture(sample.systems, sample.weights)
    if label != "truth":
        init, decomposition, n_init = STARTS[label]
        best, *_ = start_candidates(
            trajectories,
            n_components=setting["K"],
            state_dim=setting["n"],
            init=init,
            n_init=n_init,
            decomposition=decomposition,
            constraints=constraints,
            tolerance=1e-7,
            accelerate=True,
            seed=seed,
        )
        mixture = best.fit.mixture
        facts = {
            "winner": best.name,
            "start_ari": float(adjusted_rand_score(sample.labels, best.labels)),
            "start_error": markov_error(best.start.systems, sample.systems),
        }
        if "raw_labels" in best.details:
            facts["raw_ari"] = float(adjusted_rand_score(sample.labels, best.details["raw_labels"]))
    fit = expectation_maximisation(mixture, trajectories, constraints, max_iter=300, tolerance=1e-7)
    return {
        "setting": name,
        "seed": seed,
        "start": label,
        "ari": float(adjusted_rand_score(sample.labels, fit.responsibilities.argmax(axis=1))),
        "error": markov_error(fit.mixture.systems, sample.systems),
        "log_likelihood": fit.log_likelihood,
        "iterations": fit.n_iter,
        "cpu_s": time.process_time() - started,
        **facts,
    }


def study(settings: dict[str, dict], n_seeds: int, cache: Path | None) -> list[Row]:
    """Run the trials that are not in the cache, and sum all of them up."""
    records = (
        [json.loads(line) for line in cache.read_text().splitlines()] if cache and cache.exists() else []
    )
    done = {(record["setting"], record["seed"], record["start"]) for record in records}
    for label in ("truth", *STARTS):
        for seed in range(FIRST_SEED, FIRST_SEED + n_seeds):
            for name, setting in settings.items():
                pooled = label == "tensor-pooled" and not setting["m"]
                if (name, seed, label) in done or pooled:
                    continue
                records.append(run_trial(name, setting, seed, label))
                if cache:
                    cache.parent.mkdir(parents=True, exist_ok=True)
                    with cache.open("a") as lines:
                        lines.write(json.dumps(records[-1]) + "\n")
    rows = []
    for name, setting in settings.items():
        rows += summary(name, setting, [record for record in records if record["setting"] == name], n_seeds)
    return rows


def summary(name: str, setting: dict, records: list[dict], n_seeds: int) -> list[Row]:
    """Failure rate, Markov error, ARI and iterations of every start in one setting."""
    truth = {record["seed"]: record for record in records if record["start"] == "truth"}
    reference = float(np.median([record["error"] for record in truth.values()]))
    rows = []
    for start in ("truth", *STARTS):
        chosen = [r for r in records if r["start"] == start and r["seed"] < FIRST_SEED + n_seeds]
        if not chosen:
            continue
        failures = [
            r["ari"] < truth[r["seed"]]["ari"] - 0.05 or r["error"] > max(0.1, 3 * truth[r["seed"]]["error"])
            for r in chosen
        ]
        error = float(np.median([r["error"] for r in chosen]))
        facts: dict[str, Any] = {
            key: float(np.median([r[key] for r in chosen])) for key in ("ari", "iterations", "cpu_s")
        }
        facts["mean_ari"] = float(np.mean([r["ari"] for r in chosen]))
        for key in ("start_ari", "start_error", "raw_ari"):
            values = [r[key] for r in chosen if key in r]
            facts |= {f"median_{key}": float(np.median(values))} if values else {}
        where = conditions(**setting, seeds=[FIRST_SEED, FIRST_SEED + len(chosen) - 1], **facts)
        rows.append(
            Row(f"{name}: {start}: failures", 100 * float(np.mean(failures)), unit="%", conditions=where)
        )
        rows.append(
            Row(f"{name}: {start}: Markov error", error, reference, "relative", reference / error, where)
        )
        rows.append(Row(f"{name}: {start}: ARI", facts["mean_ari"], unit="mean", conditions=where))
        rows.append(Row(f"{name}: {start}: E steps", facts["iterations"], unit="median", conditions=where))
    return rows


def time_iterations(sizes: list[dict], repeats: int) -> list[Row]:
    """Time one E and M step against dynamax, and check that both reach the same parameters."""
    # XLA's flags leave it threads of its own; one core for all is what makes it one thread.
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    rows = []
    for size in sizes:
        sample = simulate(size, FIRST_SEED)
        trajectories = pack(sample.outputs, sample.inputs)
        constraints = Constraints(np.concatenate(sample.outputs).var(axis=0))
        mixture = Mixture(sample.systems, sample.weights)

        def ours(
            mixture: Mixture = mixture,
            trajectories: Trajectories = trajectories,
            constraints: Constraints = constraints,
        ) -> Mixture:
            return step(mixture, expect(mixture, trajectories, constraints), constraints)

        label = " ".join(f"{key}{size[key]}" for key in ("K", "n", "m", "p", "N", "T"))
        ours()
        facts = conditions("dynamax", "jax", repeats=repeats, seed=FIRST_SEED, **size)
        peer = dynamax_iteration(mixture, sample)
        if peer is None:
            (wall, cpu), *_ = median_times(ours, repeats=repeats)
            rows.append(Row(f"EM iteration {label}", 1e3 * cpu, unit="ms CPU", conditions=facts))
            continue
        gap = max(
            float(np.abs(np.hstack([mine.A, mine.B]) - theirs).max())
            for mine, theirs in zip(ours().systems, peer(), strict=True)
        )
        (wall, cpu), (peer_wall, peer_cpu) = median_times(ours, peer, repeats=repeats)
        facts |= {
            "wall_ms": 1e3 * wall,
            "peer_wall_ms": 1e3 * peer_wall,
            "largest_difference_of_A_and_B": gap,
        }
        rows.append(Row(f"EM iteration {label}", 1e3 * cpu, 1e3 * peer_cpu, "ms CPU", peer_cpu / cpu, facts))
        grown, peer_grown = (in_new_process(memory_growth, size, who) for who in ("ours", "dynamax"))
        rows.append(Row(f"peak memory grown {label}", grown, peer_grown, "MiB", peer_grown / grown, facts))
    return rows


def memory_growth(size: dict, who: str) -> float:
    """Peak resident memory, in MiB, of one iteration and what it needs, beyond the simulated data."""
    small = size | {"N": 8, "T": 8}
    before = 0.0
    for trial in (small, size):
        # The small problem loads and compiles what the large one needs.
        sample = simulate(trial, FIRST_SEED)
        mixture = Mixture(sample.systems, sample.weights)
        before = _peak_memory(reset=True)
        if who == "ours":
            trajectories = pack(sample.outputs, sample.inputs)
            constraints = Constraints(np.ones(size["p"]))
            step(mixture, expect(mixture, trajectories, constraints), constraints)
        else:
            dynamax_iteration(mixture, sample)
    return max(_peak_memory() - before, 0.1)


def _peak_memory(*, reset: bool = False) -> float:
    """Peak resident memory of this process in MiB; `reset` starts a new peak at what is resident now.

    Not `resource.getrusage`: its peak survives exec, so a child would report that of its parent.
    """
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def in_new_process(function, *arguments):
    """Call a function of this module in a fresh interpreter."""
    import multiprocessing

    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def main() -> None:
    """Time first, then study."""
    args = parse_arguments(__doc__)
    rows = time_iterations(TIMED[:1] if args.quick else TIMED, repeats=5 if args.quick else 9)
    cache = args.json.with_suffix(".trials.jsonl") if args.json and not args.quick else None
    settings = {"S1": SETTINGS["S1"]} if args.quick else SETTINGS | INPUT_SETTINGS
    rows += study(settings, 2 if args.quick else 20, cache)
    finish(rows, args)


if __name__ == "__main__":
    main()
