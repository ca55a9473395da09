"""Sorters on recordings whose truth is known: ours beside every sorter that is installed, in one run.

The benches are those of `sorting_benches.py`. A score is the mean over true units (those without a partner
count 0), spikes matched within .4 ms; a unit is well detected at an accuracy of .8; a false unit has no
partner among the true ones. Every sorter gets the same recording, and runs in a process of its own
(`sorting_child.py`, which says how sorters are named) on one thread, after a short untimed run that fills
the caches of compiled code. A sorter that stops or exceeds the time scores nothing. Seeds from 100 up were
used to make the sorter: report others.

    python benchmarks/sorting.py --seeds 0 1 2 --bench tetrode-5 tetrode-10
    python benchmarks/sorting.py --bench mearec-tetrode --mearec-templates FILE.h5 --seeds 0 1 2 3 4 5
    python benchmarks/sorting.py --bench blue-brain-tetrode arbor-tetrode --blue-brain-library FOLDER \\
        --sorters simsort --extractor WEIGHTS/extractor --detector WEIGHTS/detector
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from sorting_benches import BENCHES, Bench, Sources, make_bench
from table import Row, conditions, finish

from neuroloom.errors import MissingDependency, MissingFile
from neuroloom.sorting.pretrained import bundled_weights
from neuroloom.sorting.spikeinterface_runs import keep_compiled, quiet
from neuroloom.threads import set_threads

if TYPE_CHECKING:
    from spikeinterface.core import BaseSorting

METRICS = ("accuracy", "recall", "precision")
COLUMNS = (*METRICS, "well_detected", "false_units", "wall_s", "cpu_s", "peak_mb")
_SMALLER_IS_BETTER = ("false_units", "wall_s", "cpu_s", "peak_mb")
_UNITS = {"wall_s": "s", "cpu_s": "s", "peak_mb": "MB"}
# These two are given the whitened recording by `neuroloom.sort`, which changes what they find.
_PREPARED_PEERS = ("lupin", "simple")
_WARM_S = 8.0
_CHILD = Path(__file__).with_name("sorting_child.py")

Scores = dict[str, float]


def run_one(sorter: str, folder: Path, bench: Bench, args: argparse.Namespace, *, seed: int) -> Scores:
    """Return a sorter's scores and costs on the bench saved in `folder`."""
    with tempfile.TemporaryDirectory() as out:
        told = _run_child(sorter, folder, Path(out), args, seed=seed, motion=bench.motion)
        if told is not None:
            print(f"  {sorter} gave nothing: {told}", flush=True)
            return dict.fromkeys((*METRICS, "well_detected", "units"), 0.0) | dict.fromkeys(
                ("false_units", "wall_s", "cpu_s", "peak_mb"), float("nan")
            )
        from spikeinterface.core import load

        costs = json.loads((Path(out) / "costs.json").read_text())
        found = cast("BaseSorting", load(Path(out) / "sorting"))
        return score(found, bench) | costs


def score(found: "BaseSorting", bench: Bench) -> Scores:
    """Return a sorting's scores against the truth."""
    from spikeinterface.comparison import compare_sorter_to_ground_truth

    scores = {"units": float(len(found.unit_ids))}
    if not len(found.unit_ids):
        return scores | dict.fromkeys((*METRICS, "well_detected", "false_units"), 0.0)
    with quiet():
        keep_compiled()
        compared = compare_sorter_to_ground_truth(
            bench.truth, found, exhaustive_gt=bench.exhaustive, delta_time=0.4
        )
        table = compared.get_performance()
    scores |= {metric: float(np.mean(np.nan_to_num(np.asarray(table[metric], float)))) for metric in METRICS}
    scores["well_detected"] = float(np.sum(np.asarray(table["accuracy"], float) >= 0.8))
    partners = np.asarray(compared.hungarian_match_21)
    false_units = float(np.sum(~np.isin(partners, bench.truth.unit_ids)))
    return scores | {"false_units": false_units if bench.exhaustive else float("nan")}


def _run_child(
    sorter: str, folder: Path, out: Path, args: argparse.Namespace, *, seed: int, motion: bool
) -> str | None:
    """Run a sorter in its own process; return why it gave nothing, or None."""
    order = {"recording": str(folder), "out": str(out), "sorter": sorter, "seed": seed, "motion": motion}
    order |= {kind: getattr(args, kind) and str(getattr(args, kind)) for kind in ("extractor", "detector")}
    path = out / "order.json"
    path.write_text(json.dumps(order))
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    command = [sys.executable, str(_CHILD), str(path)]
    environment = os.environ | dict.fromkeys(threads, "1")
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=args.timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        return f"stopped after {args.timeout_s:g} s"
    if done.returncode or not (out / "costs.json").exists():
        lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
        return " | ".join(lines[-3:])[-400:] or f"exit status {done.returncode}"
    return None


def save(bench: Bench, folder: Path) -> Path:
    """Write a bench's recording, so that every sorter reads the same from disk."""
    with quiet():
        bench.recording.save(folder=folder, format="binary", n_jobs=1, progress_bar=False, verbose=False)
    return folder


def warm(sorter: str, folder: Path, args: argparse.Namespace, *, motion: bool) -> None:
    """Run a sorter briefly for what it compiles and keeps on disk."""
    from spikeinterface.core import load

    recording = cast(Any, load(folder))
    last = min(recording.get_num_samples(0), round(_WARM_S * recording.get_sampling_frequency()))
    with tempfile.TemporaryDirectory() as out:
        short = Path(out) / "short"
        with quiet():
            recording.frame_slice(0, last).save(folder=short, n_jobs=1, progress_bar=False, verbose=False)
        _run_child(sorter, short, Path(out), args, seed=0, motion=motion)


def default_sorters() -> list[str]:
    """Return ours, then every installed sorter of SpikeInterface as it comes, and two as `sort` runs them."""
    from spikeinterface.sorters import installed_sorters

    installed = [name for name in installed_sorters() if name != "simsort"]
    prepared = [name for name in installed if name in _PREPARED_PEERS]
    return ["simsort", *(f"native:{name}" for name in installed), *prepared]


def parse() -> argparse.Namespace:
    """Parse arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="10 s of one tetrode")
    parser.add_argument("--json", type=Path, metavar="PATH")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--bench", nargs="+", default=["tetrode-5", "tetrode-10", "32-channels"], choices=BENCHES
    )
    parser.add_argument(
        "--sorters", nargs="+", help="simsort, NAME, NAME:MOTION or native:NAME; the first is ours"
    )
    parser.add_argument("--duration-s", type=float, default=60.0)
    parser.add_argument("--rate-hz", type=float, default=30_000.0, help="of Bench A, drift and the libraries")
    parser.add_argument("--mearec-templates", type=Path, help="from benchmarks/mearec_templates.py")
    parser.add_argument("--blue-brain-library", type=Path, help="from build_blue_brain_library")
    parser.add_argument("--arbor-library", type=Path, help="the default library if not given")
    parser.add_argument("--extractor", type=Path, help="weights for simsort instead of the bundled ones")
    parser.add_argument("--detector", type=Path, help="the same")
    parser.add_argument(
        "--unseen-by", type=Path, nargs="+", default=[], metavar="WEIGHTS",
        help="leave out cells that these were trained on too, so that weights meet the same recordings",
    )  # fmt: skip
    parser.add_argument("--timeout-s", type=float, default=1800.0, help="for one sorter on one recording")
    parser.add_argument("--no-warm", action="store_true", help="let the first run pay for compilation")
    return parser.parse_args()


def main() -> None:
    """Run, print and write the table."""
    args = parse()
    set_threads(1)
    names = args.sorters or default_sorters()
    benches = ["tetrode-5"] if args.quick else args.bench
    seeds, duration_s = (args.seeds[:1], 10.0) if args.quick else (args.seeds, args.duration_s)
    sources = Sources(
        mearec_templates=args.mearec_templates,
        blue_brain=args.blue_brain_library,
        arbor=args.arbor_library,
        not_trained_on=not_trained_on(args),
        rate_hz=args.rate_hz,
    )
    rows = []
    for bench_name in benches:
        scores: dict[str, list[Scores]] = {name: [] for name in names}
        for seed in seeds:
            with tempfile.TemporaryDirectory() as scratch:
                try:
                    with quiet():
                        bench = make_bench(
                            bench_name, seed, Path(scratch), sources=sources, duration_s=duration_s
                        )
                except (MissingFile, MissingDependency) as error:
                    print(f"{bench_name} is skipped: {error}", flush=True)
                    break
                folder = save(bench, Path(scratch) / "recording")
                for name in names:
                    if not args.no_warm and not scores[name]:
                        warm(name, folder, args, motion=bench.motion)
                    started = time.perf_counter()
                    scores[name].append(run_one(name, folder, bench, args, seed=seed))
                    line = {key: round(value, 3) for key, value in scores[name][-1].items()}
                    line["with_start_s"] = round(time.perf_counter() - started, 1)
                    print(f"{bench_name} seed {seed} {name}: {line}", flush=True)
        if all(scores.values()):
            _print(bench_name, scores)
            rows += _rows(bench_name, names, scores, args, seeds=seeds, duration_s=duration_s)
    finish(rows, args)


def not_trained_on(args: argparse.Namespace) -> tuple[str, ...]:
    """Return the cells of each library that no network has met, by their cards."""
    from neuroloom.artifacts import load_artifact

    unseen: dict[str, set[str]] = {}
    networks = [getattr(args, kind) or bundled_weights(kind) for kind in ("extractor", "detector")]
    for folder in (*networks, *args.unseen_by):
        if Path(folder).exists():
            card = load_artifact(folder).document["card"]
            library, held_out = card.get("library", {}).get("source", ""), set(card.get("held_out_cells", ()))
            unseen[library] = unseen.get(library, held_out) & held_out
    return tuple(sorted(set().union(*unseen.values())))


def _mean(scores: list[Scores], column: str) -> float:
    values = np.array([one.get(column, np.nan) for one in scores])
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _print(bench: str, scores: dict[str, list[Scores]]) -> None:
    width = max(map(len, scores))
    n_seeds = len(next(iter(scores.values())))
    print(f"\n{bench}, mean of {n_seeds} seeds (sd of accuracy over seeds)")
    print(" ".join(["sorter".ljust(width), *(column.rjust(13) for column in (*COLUMNS, "sd"))]))
    for name, of_seeds in scores.items():
        figures = [_mean(of_seeds, column) for column in COLUMNS]
        figures.append(float(np.std([one["accuracy"] for one in of_seeds])))
        print(" ".join([name.ljust(width), *(f"{figure:13.3f}" for figure in figures)]))
    print(flush=True)


def _rows(
    bench: str,
    names: list[str],
    scores: dict[str, list[Scores]],
    args: argparse.Namespace,
    *,
    seeds,
    duration_s,
) -> list[Row]:
    """Ours beside each of the others, means over the seeds."""
    rows, ours = [], names[0]
    told = conditions(
        "spikeinterface", "torch", "kilosort", "mountainsort5", seeds=seeds, duration_s=duration_s
    )
    weights = {kind: str(getattr(args, kind) or "bundled") for kind in ("extractor", "detector")}
    told |= {"rate_hz": args.rate_hz, "weights": weights, "sorter": ours}
    told |= {"cells_unseen_by": [str(folder) for folder in args.unseen_by]} if args.unseen_by else {}
    for column in COLUMNS:
        each = {name: [_finite(one.get(column, np.nan)) for one in scores[name]] for name in names}
        mean = {name: _finite(_mean(scores[name], column)) for name in names}
        mine = mean[ours]
        for peer in names[1:] or [None]:
            other = None if peer is None else mean[peer]
            ratio = None
            if mine and other:
                ratio = other / mine if column in _SMALLER_IS_BETTER else mine / other
            unit = _UNITS.get(column, "")
            peers = told | {"peer": peer, "each": {n: each[n] for n in {ours, peer} - {None}}}
            rows.append(Row(f"{bench} {column} / {peer}", mine, other, unit, ratio, peers))
    return rows


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


if __name__ == "__main__":
    main()
