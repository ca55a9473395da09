"""Whether simsort's confidences are what they say, on recordings whose truth is known.

Each recording of the benches of `sorting_benches.py` is sorted, its units matched with the true ones (spikes
within .4 ms), and what simsort said is held against what is true:

spikes
    A spike is right if it is one of the true unit that matches its unit. Most are all but certain, so spikes
    of all recordings of a bench are put into bins of confidence that grow narrow towards 1. The expected
    calibration error is the mean distance of the bins' confidence from the share that is right, weighted by
    spikes (Guo et al. 2017).
units
    Confidence beside precision (the share of its spikes that are right, which confidence estimates) and
    accuracy (which also counts what was missed). Units that match no true one stand at 0.

Saying of every spike (or unit) what is true on average would be calibrated, and worthless; Brier's score, and
the units' mean distance from their precision, are set beside those of saying just that.

    python benchmarks/sorting_calibration.py --seeds 300 301 302 --figure docs/images/sorting-calibration.svg
"""

import argparse
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sorting_benches import BENCHES, Sources, make_bench
from table import Row, conditions, finish

from neuroloom.errors import MissingDependency, MissingFile
from neuroloom.pipeline.truth import calibrate, compare
from neuroloom.reporting.drawing import name_lines, value_label
from neuroloom.reporting.palette import BLUE, GRID, LINE, SURFACE, VERMILLION, WIDE, hue
from neuroloom.reporting.sorting.calibration import Calibration, Groups, wilson
from neuroloom.reporting.svg import drawing, new_figure
from neuroloom.sorting.sorter import sort_with_details
from neuroloom.sorting.spikeinterface_runs import quiet
from neuroloom.threads import set_threads
from sorting import not_trained_on

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from sorting_benches import Bench

_CONFIDENT, _GOOD = 0.9, 0.8  # a confidence that promises a good unit, and the accuracy of one
_EDGES = (0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)  # of the bins of spikes
_FEWEST = 20  # spikes of a bin that is drawn
_NEAREST = 2e-5  # to 0 and 1, where the figure's axis ends
_NAMES = {
    "tetrode-5": "tetrode, 5 uV",
    "tetrode-10": "tetrode, 10 uV",
    "32-channels": "32 channels, 5 uV",
    "arbor-tetrode": "unmet Arbor cells, 10 uV",
    "mearec-tetrode": "Blue Brain cells (MEArec), 10 uV",
}


def calibration_of(bench: "Bench", *, seed: int) -> Calibration:
    """Sort a bench, and return what simsort says beside what is true."""
    # Simulated voltage is made anew whenever it is read; sorting reads it several times.
    with quiet():
        recording: Any = bench.recording.save(format="memory", n_jobs=1, progress_bar=False, verbose=False)
    sorting, details = sort_with_details(recording, seed=seed, device="cpu")
    return calibrate(compare(sorting, bench.truth), details)


def joined(parts: list[Calibration]) -> Calibration:
    """Return the units and spikes of several recordings as those of one."""
    columns: dict[str, Any] = {
        one.name: np.concatenate([np.asarray(getattr(part, one.name)) for part in parts])
        for one in fields(Calibration)
    }
    return Calibration(**columns)


def binned(confidence: np.ndarray, right: np.ndarray) -> Groups:
    """Put spikes into bins of confidence; empty bins are left out."""
    place = np.searchsorted(_EDGES, confidence, side="right")
    count = np.bincount(place, minlength=len(_EDGES) + 1)
    n, hits = np.maximum(count, 1), np.bincount(place, right, minlength=len(count))
    mean = np.bincount(place, confidence, minlength=len(count)) / n
    low, high = wilson(hits, n)
    columns = (mean, hits / n, low, high, count)
    return Groups(*(column[count > 0] for column in columns))


def rows_of(name: str, found: Calibration, told: dict[str, Any]) -> list[Row]:
    """Return the errors of a bench, some beside that of saying the same of every spike or unit."""
    spikes = binned(found.spike_confidence, found.spike_right)
    right, precision = float(np.mean(found.spike_right)), found.unit_precision
    told = told | {"spikes": len(found.spike_right), "units": len(found.unit_ids), "right": right}
    told |= {key: getattr(spikes, key).tolist() for key in ("confidence", "share", "count")}
    brier = float(np.mean((found.spike_confidence - found.spike_right) ** 2))
    same = right * (1 - right)
    off = float(np.mean(np.abs(found.unit_confidence - precision)))
    off_same = float(np.mean(np.abs(np.mean(precision) - precision)))
    sure = found.unit_confidence >= _CONFIDENT
    good = found.unit_accuracy >= _GOOD
    missed = float(np.mean(np.abs(found.unit_confidence - found.unit_accuracy)))
    told = told | {"peer": "the same for all"}
    alone = told | {"peer": None}
    return [
        Row(f"{name}: spikes, expected calibration error", spikes.error, conditions=alone),
        Row(f"{name}: spikes, Brier score", brier, same, ratio=same / brier, conditions=told),
        Row(f"{name}: units, |confidence - precision|", off, off_same, ratio=off_same / off, conditions=told),
        Row(f"{name}: units, |confidence - accuracy|", missed, conditions=alone),
        Row(f"{name}: share of units that are sure", float(np.mean(sure)), conditions=alone),
        Row(f"{name}: share of sure units that are good", _share(good[sure]), conditions=alone),
        Row(f"{name}: share of other units that are good", _share(good[~sure]), conditions=alone),
    ]


def _share(good: np.ndarray) -> float | None:
    return float(np.mean(good)) if len(good) else None


@drawing
def draw(found: dict[str, Calibration]) -> "Figure":
    """Draw the units of all benches over their confidence, and each bench's bins of spikes."""
    figure = new_figure(WIDE, 0.42 * WIDE)
    units, spikes = figure.subplots(1, 2)
    every = joined(list(found.values()))
    confidence = np.clip(every.unit_confidence, _NEAREST, 1 - _NEAREST)
    units.vlines(confidence, every.unit_accuracy, every.unit_precision, color=LINE, linewidth=0.8)
    units.scatter(confidence, every.unit_accuracy, s=20, color=BLUE, linewidths=0, zorder=3)
    ring: dict[str, Any] = {"facecolor": "none", "edgecolor": VERMILLION, "linewidths": 1.2}
    units.scatter(confidence, every.unit_precision, s=30, zorder=3, **ring)
    name_lines(units, ["accuracy", "precision"], [BLUE, VERMILLION])
    for index, (name, part) in enumerate(found.items()):
        bins, color = binned(part.spike_confidence, part.spike_right), hue(index)
        drawn = bins.count >= _FEWEST
        mean = np.clip(bins.confidence, _NEAREST, 1 - _NEAREST)[drawn]
        spikes.vlines(mean, bins.low[drawn], bins.high[drawn], color=color, linewidth=1.4)
        spikes.scatter(
            mean, bins.share[drawn], s=28, color=color, linewidths=0, zorder=3, label=_NAMES.get(name, name)
        )
    spikes.legend(loc="upper left")
    for axes, what in ((units, "the unit"), (spikes, "spikes")):
        _log_odds(axes)
        axes.set_xlabel(f"Confidence of {what} (the grey line: as true as said)")
    value_label(units, "True value")
    value_label(spikes, "Share that is right")
    return figure


def _log_odds(axes: "Axes") -> None:
    """Spread confidences near 0 and 1, and draw where confidence and truth agree."""
    furthest = -np.log(_NEAREST)
    said = 1 / (1 + np.exp(-np.linspace(-furthest, furthest, 200)))
    axes.plot(said, said, color=LINE, linewidth=1.2, zorder=1)
    ticks = [0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999]
    axes.set_xscale("logit")
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlim(_NEAREST * 50, 1 - _NEAREST / 2)
    axes.set_ylim(-0.03, 1.03)
    axes.grid(color=GRID)


def parse() -> argparse.Namespace:
    """Parse arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="15 s of one tetrode")
    parser.add_argument("--json", type=Path, metavar="PATH")
    parser.add_argument("--seeds", type=int, nargs="+", default=[300, 301, 302])
    benches = ["tetrode-5", "tetrode-10", "32-channels", "arbor-tetrode"]
    parser.add_argument("--bench", nargs="+", default=benches, choices=BENCHES)
    parser.add_argument("--duration-s", type=float, default=60.0)
    parser.add_argument("--mearec-templates", type=Path, help="from benchmarks/mearec_templates.py")
    parser.add_argument("--figure", type=Path, help="draw units and spikes over their confidence")
    parser.set_defaults(extractor=None, detector=None, unseen_by=())  # the bundled networks
    args = parser.parse_args()
    if args.quick:
        args.bench, args.seeds, args.duration_s = ["tetrode-10"], args.seeds[:1], 15.0
    return args


def main() -> None:
    """Run, print, draw and write the table."""
    args = parse()
    set_threads(1)
    sources = Sources(mearec_templates=args.mearec_templates, not_trained_on=not_trained_on(args))
    found: dict[str, Calibration] = {}
    rows: list[Row] = []
    for name in args.bench:
        parts = []
        for seed in args.seeds:
            with tempfile.TemporaryDirectory() as scratch:
                try:
                    with quiet():
                        bench = make_bench(
                            name, seed, Path(scratch), sources=sources, duration_s=args.duration_s
                        )
                except (MissingFile, MissingDependency) as error:
                    print(f"{name} is skipped: {error}", flush=True)
                    break
                parts.append(calibration_of(bench, seed=seed))
                print(f"{name} seed {seed}: {len(parts[-1].unit_ids)} units", flush=True)
        if parts:
            found[name] = joined(parts)
    told = conditions("spikeinterface", "torch", seeds=args.seeds, duration_s=args.duration_s)
    for name, part in found.items():
        rows += rows_of(name, part, told)
    if len(found) > 1:
        rows += rows_of("all", joined(list(found.values())), told)
    if args.figure:
        args.figure.parent.mkdir(parents=True, exist_ok=True)
        draw(found).savefig(args.figure, facecolor=SURFACE, metadata={"Date": None, "Creator": None})
        print(f"wrote {args.figure}")
    finish(rows, args)


if __name__ == "__main__":
    main()
