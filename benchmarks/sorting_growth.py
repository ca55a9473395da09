"""How simsort's time and memory grow with units and channels, and what an hour of many channels takes.

Each row is one sorting in a process of its own, on one thread, of a recording that is simulated while it is
read (that of `neuroloom demo`: neurons tuned to hand velocity, 30 uV of noise), so that nothing of it has to
fit in memory or on the disk; what reading it once costs stands beside. The peak is that of the process,
libraries and simulation included. Minutes, from files and beside peers: `sorting_scaling.py`.

    python benchmarks/sorting_growth.py --kept growth.json --figure docs/images/sorting-growth.svg
    python benchmarks/sorting_growth.py --kept growth.json --hour        # 1 hour of 64 channels, too
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kept import Kept
from sorting_child import cpu_s, peak_mb
from table import Row, conditions, finish

from neuroloom.reporting.drawing import value_label
from neuroloom.reporting.palette import GRID, SURFACE, WIDE, hue
from neuroloom.reporting.svg import drawing, new_figure

NOISE_UV = 30.0


@dataclass(frozen=True)
class Size:
    """What is sorted."""

    minutes: float = 1.0
    channels: int = 32
    units: int = 20

    def __str__(self) -> str:
        return f"{self.minutes:g} min, {self.channels} channels, {self.units} units"


BY_UNITS = [Size(units=units) for units in (5, 10, 20, 40)]
BY_CHANNELS = [Size(channels=channels, units=10) for channels in (8, 16, 32, 64, 128)]
HOUR = Size(minutes=60.0, channels=64, units=40)


def sort_one(size: Size, *, seed: int) -> dict[str, Any]:
    """Sort in this process, and return what it cost and what was found."""
    from neuroloom.simulation.recordings import demo_recording
    from neuroloom.sorting.agreement import compare_with_truth
    from neuroloom.sorting.sorter import sort
    from neuroloom.threads import set_threads

    set_threads(1)
    simulated = demo_recording(
        probe=f"columns-{size.channels}",
        n_units=size.units,
        duration_s=60.0 * size.minutes,
        noise_uv=NOISE_UV,
        seed=seed,
    )
    recording = simulated.recording
    second, n_samples = round(recording.get_sampling_frequency()), recording.get_num_samples(0)
    began = cpu_s()
    for start in range(0, min(n_samples, 60 * second), second):
        recording.get_traces(start_frame=start, end_frame=min(start + second, n_samples))
    reading = (cpu_s() - began) * max(1.0, size.minutes)
    before_mb, began, wall = peak_mb(), cpu_s(), time.perf_counter()
    found = sort(recording, sorter="simsort", seed=seed, device="cpu")
    costs = {"cpu_s": cpu_s() - began, "wall_s": time.perf_counter() - wall, "peak_mb": peak_mb()}
    accuracy = compare_with_truth(found, simulated.sorting)["accuracy"]
    told = {"reading_s": reading, "before_mb": before_mb, "n_units": len(found.unit_ids)}
    return costs | told | {"accuracy": float(accuracy.mean())}


def in_child(size: Size, *, seed: int) -> dict[str, Any]:
    """Return the same from a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "costs.json"
        order = json.dumps({"size": asdict(size), "seed": seed, "out": str(out)})
        subprocess.run([sys.executable, __file__, "--child", order], check=True)
        return {name: round(value, 3) for name, value in json.loads(out.read_text()).items()}


@drawing
def draw(costs: dict[Size, dict[str, Any]], path: Path) -> None:
    """Draw CPU seconds against units and against channels."""
    figure = new_figure(WIDE, 0.32 * WIDE)
    panels = zip(
        figure.subplots(1, 2, sharey=True), ("units", "channels"), (BY_UNITS, BY_CHANNELS), strict=True
    )
    for axes, what, sizes in panels:
        numbers = [getattr(size, what) for size in sizes]
        axes.plot(numbers, [costs[size]["cpu_s"] for size in sizes], "o-", color=hue(0), clip_on=False)
        axes.set_xticks(numbers)
        axes.set_xlim(left=0)
        axes.grid(color=GRID)
        axes.set_xlabel("Units at 32 channels" if what == "units" else "Channels, 10 units")
    # Once both panels are drawn, of which the first would fix the axis of the other.
    figure.axes[0].set_ylim(0, 1.05 * max(costs[size]["cpu_s"] for size in BY_UNITS + BY_CHANNELS))
    value_label(figure.axes[0], "CPU seconds for one minute")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, facecolor=SURFACE, metadata={"Date": None, "Creator": None})
    print(f"wrote {path}")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="two small sizes, to see that it runs")
    parser.add_argument("--hour", action="store_true", help=f"also {HOUR}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kept", type=Path, metavar="PATH", help="JSON of finished rows, to go on from")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the rows as JSON")
    parser.add_argument("--figure", type=Path, metavar="PATH", help="draw seconds against units and channels")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        order = json.loads(args.child)
        Path(order["out"]).write_text(json.dumps(sort_one(Size(**order["size"]), seed=order["seed"])))
        return
    sizes = [Size(0.2, 4, 2), Size(0.2, 8, 2)] if args.quick else list(dict.fromkeys(BY_UNITS + BY_CHANNELS))
    if args.hour:
        sizes = [HOUR, *sizes]
    kept, rows = Kept(args.kept), []
    costs: dict[Size, dict[str, Any]] = {}
    for size in sizes:
        found = kept(f"{size}, seed {args.seed}", lambda: in_child(size, seed=args.seed))  # noqa: B023
        costs[size] = found
        told = conditions("spikeinterface", seed=args.seed, **found)
        rows.append(Row(str(size), found["cpu_s"], unit="CPU s", conditions=told))
        rows.append(Row(f"{size}: peak", found["peak_mb"], unit="MiB", conditions=told))
    finish(rows, args)
    if args.figure and not args.quick:
        draw(costs, args.figure)


if __name__ == "__main__":
    main()
