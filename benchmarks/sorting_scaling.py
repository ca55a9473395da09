"""How simsort's cost grows with the recording, and its accuracy with what its extractor was trained on.

cost
    CPU and wall seconds and peak memory against minutes of a tetrode and against channels (two columns, 20
    um; one unit per 1.6 channels), each run in a process of its own. With --peers, theirs beside ours. The
    figure shows seconds and memory against minutes; its grey line is the process before it sorts.
learning
    The claim of the SimSort paper (Zhang et al. 2025): an extractor is trained on --cells cells of the
    library and on --neighbourhoods placements of 40 units around a probe (the scenes that it may draw
    from), with equal steps; then judged by spikes of cells that none of them met (share of spikes nearest
    to their own unit's mean) and by sorting tetrode-10 with it. Networks that are in --work already are not
    trained again.

    python benchmarks/sorting_scaling.py cost --minutes 1 3 10 --channels 4 32 64 384 --figure cost.svg
    python benchmarks/sorting_scaling.py learning --work FOLDER --steps 400 --figure scaling.svg
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from sorting_benches import BENCH_A, Sources, ground_truth, make_bench
from table import Row, conditions, finish

from neuroloom.artifacts import load_artifact
from neuroloom.reporting.drawing import end_labels, name_lines, value_label
from neuroloom.reporting.palette import GRID, LINE, MUTED, SURFACE, WIDE, hue
from neuroloom.reporting.svg import drawing, new_figure
from neuroloom.simulation.library import DEFAULT_CELLS, CellLibrary
from neuroloom.sorting.spikeinterface_runs import quiet
from neuroloom.sorting.weights_making import make_weights, split_cells
from neuroloom.threads import set_threads
from sorting import run_one, save, warm

COSTS = ("cpu_s", "wall_s", "peak_mb")
_LEVELS = ("faint", "medium", "loud")
_HELD_OUT = 0.2  # of the library's cells
_LARGE_CHANNELS, _LARGE_S = 128, 10.0  # from so many channels on, so many seconds


def cost(args: argparse.Namespace) -> list[Row]:
    """Return a row for each recording, cost and peer."""
    tetrode = BENCH_A["tetrode-5"]
    runs: list[tuple[str, dict[str, Any], float]] = [
        (f"tetrode {minutes:g} min", tetrode, 60 * minutes) for minutes in args.minutes
    ]
    for n_channels in args.channels:
        layout = {"columns": (2, n_channels // 2, 20.0), "n_units": round(n_channels / 1.6), "noise_uv": 5.0}
        seconds = args.seconds if n_channels < _LARGE_CHANNELS else _LARGE_S
        runs.append((f"{n_channels} channels {seconds:g} s", layout, seconds))
    rows, points = [], []
    for name, layout, duration_s in runs:
        found: dict[str, dict[str, float]] = {}
        with tempfile.TemporaryDirectory() as scratch:
            with quiet():
                bench = ground_truth(args.seeds[0], **layout, duration_s=duration_s)
            folder = save(bench, Path(scratch) / "recording")
            for sorter in ("simsort", *args.peers):
                warm(sorter, folder, args, motion=bench.motion)
                found[sorter] = run_one(sorter, folder, bench, args, seed=args.seeds[0])
                figures = {key: round(value, 3) for key, value in found[sorter].items()}
                print(f"{name} {sorter}: {figures}", flush=True)
        told = conditions("spikeinterface", "torch", seed=args.seeds[0], duration_s=duration_s)
        told |= {"before_mb": found["simsort"]["before_mb"]}
        if layout is tetrode:
            points.append((duration_s / 60, found))
        for peer in args.peers or [None]:
            for column in COSTS:
                ours = found["simsort"][column]
                other = None if peer is None else found[peer][column]
                unit = "MB" if column == "peak_mb" else "s"
                ratio = other / ours if other else None
                rows.append(Row(f"{name}: {column}", ours, other, unit, ratio, told | {"peer": peer}))
    if args.figure:
        draw_cost(points, args.figure)
    return rows


def learning(args: argparse.Namespace) -> list[Row]:
    """Return a row for each network and figure."""
    library = CellLibrary.load(args.library)
    most = max(args.neighbourhoods)
    # The network of all cells and most neighbourhoods is a point of both curves.
    every = len(split_cells(library, held_out_fraction=_HELD_OUT, seed=0)[0])
    wanted = [("cells", n, {"n_cells": None if n == every else n, "n_geometries": most}) for n in args.cells]
    wanted += [("neighbourhoods", n, {"n_cells": None, "n_geometries": n}) for n in args.neighbourhoods]
    rows, points = [], []
    judged: dict[Path, dict[str, float]] = {}
    for kind, number, sizes in wanted:
        name = f"{number} {kind}"
        which = f"{sizes['n_cells'] or every}-cells-{sizes['n_geometries']}-neighbourhoods"
        folder = args.work / which / "extractor"
        if not folder.exists():
            print(f"training on {name}", flush=True)
            make_weights(
                "extractor",
                library,
                folder.parent,
                **sizes,
                held_out_fraction=_HELD_OUT,
                steps=args.steps,
                batch_size=args.batch_size,
                seed=0,
                device="cpu",
                quiet=True,
            )
        if folder not in judged:
            judged[folder] = _judge(folder, args)
        figures = judged[folder]
        print(f"{name}: {figures}", flush=True)
        points.append((kind, number, figures))
        told = conditions("torch", steps=args.steps, batch_size=args.batch_size, seeds=args.seeds, **sizes)
        rows += [Row(f"{name}: {figure}", value, conditions=told) for figure, value in figures.items()]
    if args.figure:
        draw(points, args.figure)
    return rows


def _judge(folder: Path, args: argparse.Namespace) -> dict[str, float]:
    card = load_artifact(folder).document["card"]
    figures = {level: card["held_out_identification"][level]["embedded"] for level in _LEVELS}
    return figures if args.no_sorting else figures | _sorted_with(folder, card, args)


def _sorted_with(folder: Path, card: dict[str, Any], args: argparse.Namespace) -> dict[str, float]:
    args = argparse.Namespace(**vars(args) | {"extractor": folder})
    sources = Sources(arbor=args.library, not_trained_on=tuple(card["held_out_cells"]))
    figures = {}
    for bench_name in args.bench:
        accuracies = []
        for seed in args.seeds:
            with tempfile.TemporaryDirectory() as scratch:
                with quiet():
                    bench = make_bench(bench_name, seed, Path(scratch), sources=sources)
                saved = save(bench, Path(scratch) / "recording")
                accuracies.append(run_one("simsort", saved, bench, args, seed=seed)["accuracy"])
        figures[f"{bench_name} accuracy"] = float(np.mean(accuracies))
    return figures


@drawing
def draw_cost(points: list[tuple[float, dict[str, dict[str, float]]]], path: Path) -> None:
    """Draw CPU seconds and peak memory of every sorter against minutes of recording."""
    figure = new_figure(WIDE, 0.32 * WIDE)
    minutes = [each for each, _ in points]
    sorters = list(points[0][1])
    for axes, column, label in zip(
        figure.subplots(1, 2), ("cpu_s", "peak_mb"), ("CPU seconds", "Peak memory in MB"), strict=True
    ):
        for index, sorter in enumerate(sorters):
            values = [found[sorter][column] for _, found in points]
            axes.plot(minutes, values, marker="o", color=hue(index), clip_on=False)
        if column == "peak_mb":
            before = [found[sorters[0]]["before_mb"] for _, found in points]
            axes.plot(minutes, before, color=LINE)
            axes.annotate(
                "before sorting", (minutes[-1], before[-1]), xytext=(0, -14), textcoords="offset points",
                ha="right", color=MUTED, fontsize=11,
            )  # fmt: skip
        axes.set_xticks(minutes, [f"{each:g}" for each in minutes])
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.grid(color=GRID)
        axes.set_xlabel("Minutes of recording")
        value_label(axes, label)
        if len(sorters) > 1:
            name_lines(axes, sorters, [hue(index) for index in range(len(sorters))])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, facecolor=SURFACE, metadata={"Date": None, "Creator": None})
    print(f"wrote {path}")


@drawing
def draw(points: list[tuple[str, int, dict[str, float]]], path: Path) -> None:
    """Draw accuracy against cells and against neighbourhoods."""
    figure = new_figure(WIDE, 0.36 * WIDE)
    kinds = list(dict.fromkeys(kind for kind, _, _ in points))
    names = list(points[0][2])
    panels = np.atleast_1d(figure.subplots(1, len(kinds), sharey=True))
    for axes, kind in zip(panels, kinds, strict=True):
        numbers = [number for one, number, _ in points if one == kind]
        for index, name in enumerate(names):
            values = [figures[name] for one, _, figures in points if one == kind]
            style = "-" if name in _LEVELS else "--"
            axes.plot(numbers, values, marker="o", linestyle=style, color=hue(index), clip_on=False)
        axes.set_xscale("log", base=2)
        axes.minorticks_off()
        axes.set_xticks(numbers, [str(number) for number in numbers])
        axes.grid(color=GRID)
        axes.set_xlabel(f"{kind.capitalize()} in training")
    value_label(panels[0], "Share of spikes nearest to their own unit; accuracy of sorting")
    # The names stand outside the axes; their places need the final size.
    figure.draw_without_rendering()
    last = [points[-1][2][name] for name in names]
    labels = [f"{name} spikes" if name in _LEVELS else name for name in names]
    end_labels(panels[-1], points[-1][1], last, labels, [hue(index) for index in range(len(names))])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, facecolor=SURFACE, metadata={"Date": None, "Creator": None})
    print(f"wrote {path}")


def parse() -> argparse.Namespace:
    """Parse arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=["cost", "learning"])
    parser.add_argument("--quick", action="store_true", help="smallest sizes")
    parser.add_argument("--json", type=Path, metavar="PATH")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, nargs="*", default=[1, 3, 10])
    parser.add_argument("--channels", type=int, nargs="*", default=[4, 32, 64, 384])
    parser.add_argument("--seconds", type=float, default=60.0, help="for fewer than 128 channels; else 10")
    parser.add_argument("--peers", nargs="*", default=[], help="as in sorting.py, e.g. native:spykingcircus2")
    parser.add_argument("--cells", type=int, nargs="*", default=[4, 8, 16, 32, 64])
    parser.add_argument("--neighbourhoods", type=int, nargs="+", default=[8, 32, 128, 512])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch-size", type=int, default=8, help="scenes per step")
    parser.add_argument("--library", type=Path, default=DEFAULT_CELLS)
    parser.add_argument("--work", type=Path, default=Path("scaling-weights"), help="where networks are kept")
    parser.add_argument("--bench", nargs="+", default=["tetrode-10"])
    parser.add_argument("--no-sorting", action="store_true", help="only judge by spikes of unmet cells")
    parser.add_argument("--figure", type=Path, help="draw the costs, or the learning")
    parser.add_argument("--extractor", type=Path, help="weights for the costs")
    parser.add_argument("--detector", type=Path)
    parser.add_argument("--timeout-s", type=float, default=3600.0)
    args = parser.parse_args()
    if args.quick:
        args.minutes, args.channels, args.seconds, args.seeds = [0.25], [4, 32], 15.0, args.seeds[:1]
        args.cells, args.neighbourhoods, args.steps = [4], [8], 20
    return args


def main() -> None:
    """Run, print and write the table."""
    args = parse()
    set_threads(1)
    finish(cost(args) if args.part == "cost" else learning(args), args)


if __name__ == "__main__":
    main()
