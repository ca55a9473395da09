"""How much of a bench template matching can find: simsort beside its matching with the true templates.

A recording may hold neurons that are fainter than its noise. Here matching is given what a sorter has to
learn, the mean waveform of every true unit at its true spikes; what it misses nevertheless no sorter that
ends in it can be blamed for. Means over seeds, of the accuracy over all true units.

    python benchmarks/sorting_ceiling.py --seeds 101 102 103 104 105 106 107 108 --bench tetrode-5 tetrode-10
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from sorting_benches import BENCH_A, bench_a
from table import Row, conditions, finish

from neuroloom.sorting.agreement import compare_with_truth
from neuroloom.sorting.preprocessing import prepare
from neuroloom.sorting.simsort import SimSortOptions, write_scaled
from neuroloom.sorting.sorter import sort
from neuroloom.sorting.spikeinterface_runs import keep_compiled, quiet
from neuroloom.sorting.templates import Units, mean_waveforms
from neuroloom.sorting.workspace import Workspace
from neuroloom.threads import set_threads


def with_true_templates(recording: Any, truth: Any, *, seed: int, folder: Path) -> Any:
    """Return the spikes that simsort's matching finds with the true units' mean waveforms."""
    from spikeinterface.core import NumpySorting

    prepared = prepare(recording, seed=seed).recording
    write_scaled(prepared, folder / "scaled.npy")
    scaled = np.load(folder / "scaled.npy", mmap_mode="r")
    work = Workspace(scaled, prepared, options=SimSortOptions(), seed=seed)
    work.whitener.write(scaled, folder / "white.npy")
    work.white = np.load(folder / "white.npy", mmap_mode="r")
    spikes = truth.to_spike_vector()
    sample, unit = spikes["sample_index"].astype(np.int64), spikes["unit_index"].astype(np.int64)
    n_units = len(truth.unit_ids)
    templates = mean_waveforms(scaled, sample, unit, n_units, seed=seed)
    found = work.match(Units(templates, np.bincount(unit, minlength=n_units)))
    return NumpySorting.from_samples_and_labels([found[0]], [found[1]], recording.get_sampling_frequency())


def main() -> None:
    """Run, print and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="10 s of one tetrode")
    parser.add_argument("--json", type=Path, metavar="PATH")
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103])
    parser.add_argument("--bench", nargs="+", choices=BENCH_A, default=["tetrode-5", "tetrode-10"])
    args = parser.parse_args()
    if args.quick:
        args.seeds, args.bench = args.seeds[:1], args.bench[:1]
    duration_s = 10.0 if args.quick else 60.0
    set_threads(1)
    keep_compiled()
    rows = []
    for name in args.bench:
        each: dict[str, list[float]] = {"simsort": [], "true templates": []}
        for seed in args.seeds:
            bench = bench_a(name, seed, duration_s=duration_s)
            with tempfile.TemporaryDirectory() as folder, quiet():
                recording: Any = bench.recording.save(
                    format="memory", n_jobs=1, progress_bar=False, verbose=False
                )
                best = with_true_templates(recording, bench.truth, seed=seed, folder=Path(folder))
            ours = sort(recording, sorter="simsort", seed=seed)
            for key, found in (("simsort", ours), ("true templates", best)):
                each[key].append(
                    float(np.mean(compare_with_truth(found, bench.truth)["accuracy"].to_numpy()))
                )
            print(name, seed, {key: round(values[-1], 3) for key, values in each.items()}, flush=True)
        ours, ceiling = (float(np.mean(values)) for values in each.values())
        told = conditions("spikeinterface", seeds=args.seeds, duration_s=duration_s)
        told |= {"peer": "true templates", "each": each}
        rows.append(Row(f"{name}: accuracy", ours, ceiling, ratio=ours / ceiling, conditions=told))
    finish(rows, args)


if __name__ == "__main__":
    main()
