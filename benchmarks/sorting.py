"""Sorters on recordings whose truth is known: ours beside every sorter that is installed, in one run.

Bench A: SpikeInterface's ground truth recordings (30 kHz, 60 s, 2 to 15 Hz, white noise): a tetrode with 10
units at noise of 5 and 10 uV, and 32 channels with 20 units at 5 uV. Bench B: MEArec recordings from Blue
Brain cells, where a file of templates is given (``--mearec-templates``, made by MEArec itself). A score is
the mean over true units (those without a partner count 0), spikes matched within .4 ms. Seeds 100 and up
were used to make the sorter: report others.

    python benchmarks/sorting.py --seeds 0 1 2 --bench tetrode-5 tetrode-10
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from table import Row, conditions, finish

from neuroloom.sorting.sorter import sort
from neuroloom.sorting.spikeinterface_runs import keep_compiled, quiet
from neuroloom.threads import set_threads

if TYPE_CHECKING:
    from spikeinterface.core import BaseSorting

BENCHES = {
    "tetrode-5": {"columns": (2, 2, 25.0), "n_units": 10, "noise_uv": 5.0},
    "tetrode-10": {"columns": (2, 2, 25.0), "n_units": 10, "noise_uv": 10.0},
    "32-channels": {"columns": (2, 16, 20.0), "n_units": 20, "noise_uv": 5.0},
    "64-channels": {"columns": (2, 32, 20.0), "n_units": 40, "noise_uv": 5.0},
}
MEAREC = "mearec-tetrode"
METRICS = ("accuracy", "recall", "precision")


def bench_a(name: str, seed: int, *, duration_s: float = 60.0):
    """Return a recording and its truth."""
    from probeinterface import generate_multi_columns_probe
    from spikeinterface.core import generate_ground_truth_recording

    columns, rows, pitch = BENCHES[name]["columns"]
    probe = generate_multi_columns_probe(
        num_columns=columns, num_contact_per_column=rows, xpitch=pitch, ypitch=pitch
    )
    probe.set_device_channel_indices(np.arange(columns * rows))
    return generate_ground_truth_recording(
        durations=[duration_s],
        sampling_frequency=30_000.0,
        num_channels=columns * rows,
        num_units=BENCHES[name]["n_units"],
        probe=probe,
        generate_sorting_kwargs={"firing_rates": (2.0, 15.0), "refractory_period_ms": 4.0},
        noise_kwargs={"noise_levels": BENCHES[name]["noise_uv"], "strategy": "on_the_fly"},
        generate_unit_locations_kwargs={
            "margin_um": 20.0,
            "minimum_z": 5.0,
            "maximum_z": 40.0,
            "minimum_distance": 10.0,
        },
        seed=seed,
    )


def bench_b(seed: int, templates: Path, folder: Path, *, duration_s: float = 60.0):
    """Return a MEArec recording (6 units, 32 kHz, 10 uV) and its truth."""
    import MEArec
    from spikeinterface.extractors import read_mearec

    seeds = {"spiketrains": seed, "templates": seed + 1, "convolution": seed + 2, "noise": seed + 3}
    params: dict[str, Any] = {
        "spiketrains": {"duration": duration_s, "n_exc": 4, "n_inh": 2, "seed": seeds["spiketrains"]},
        "templates": {"min_dist": 10, "seed": seeds["templates"]},
        "recordings": {
            "fs": 32_000,
            "noise_level": 10,
            "seed": seeds["convolution"],
            "filter": False,
        },
        "seeds": seeds,
    }
    made = MEArec.gen_recordings(params=params, templates=str(templates), verbose=False)
    path = folder / f"mearec-{seed}.h5"
    MEArec.save_recording_generator(made, str(path), verbose=False)
    return read_mearec(path)


def run_one(sorter: str, recording, truth, *, seed: int) -> dict[str, float]:
    """Return a sorter's scores and costs; a sorter that stops scores nothing."""
    from spikeinterface.comparison import compare_sorter_to_ground_truth

    started, cpu = time.perf_counter(), _cpu_s()
    found = _sort(sorter, recording, seed=seed)
    scores = {"cpu_s": _cpu_s() - cpu, "wall_s": time.perf_counter() - started}
    scores["units"] = float(len(found.unit_ids))
    if not len(found.unit_ids):
        return scores | dict.fromkeys(METRICS, 0.0) | {"well_detected": 0.0, "false_units": 0.0}
    with quiet():
        compared = compare_sorter_to_ground_truth(truth, found, exhaustive_gt=True, delta_time=0.4)
        table = compared.get_performance()
        scores |= {metric: float(np.mean(np.asarray(table[metric], float))) for metric in METRICS}
        scores["well_detected"] = float(np.sum(np.asarray(table["accuracy"], float) >= 0.8))
        partners = np.asarray(compared.hungarian_match_21)
        scores["false_units"] = float(np.sum(~np.isin(partners, truth.unit_ids)))
    return scores


def _sort(sorter: str, recording, *, seed: int):
    """``native:NAME`` is a sorter of SpikeInterface with its own preprocessing and defaults."""
    if not sorter.startswith("native:"):
        return sort(recording, sorter=sorter, seed=seed)
    from spikeinterface.sorters import run_sorter

    with quiet(), tempfile.TemporaryDirectory() as folder:
        found = run_sorter(sorter.removeprefix("native:"), recording, folder=f"{folder}/run", verbose=False)
        return cast("BaseSorting", found).save(format="memory")


def _cpu_s() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def parse() -> argparse.Namespace:
    """Parse arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="10 s of one tetrode")
    parser.add_argument("--json", type=Path, metavar="PATH")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--bench", nargs="+", default=["tetrode-5", "tetrode-10", "32-channels"])
    parser.add_argument("--sorters", nargs="+", help="simsort, names of SpikeInterface, native:NAME")
    parser.add_argument("--mearec-templates", type=Path)
    return parser.parse_args()


def main() -> None:
    """Run, print and write the table."""
    from spikeinterface.sorters import installed_sorters

    args = parse()
    set_threads(1)
    keep_compiled()
    names = args.sorters or ["simsort", *installed_sorters()]
    benches = ["tetrode-5"] if args.quick else args.bench
    seeds, duration_s = (args.seeds[:1], 10.0) if args.quick else (args.seeds, 60.0)
    rows = []
    for bench in benches:
        scores: dict[str, list[dict[str, float]]] = {name: [] for name in names}
        for seed in seeds:
            with tempfile.TemporaryDirectory() as folder, quiet():
                if bench == MEAREC:
                    recording, truth = bench_b(seed, args.mearec_templates, Path(folder))
                else:
                    recording, truth = bench_a(bench, seed, duration_s=duration_s)
                recording = recording.save(format="memory", n_jobs=1, progress_bar=False, verbose=False)
            for name in names:
                scores[name].append(run_one(name, recording, truth, seed=seed))
                line = {key: round(value, 3) for key, value in scores[name][-1].items()}
                print(f"{bench} seed {seed} {name}: {line}", flush=True)
        rows += _rows(bench, names, scores, seeds=seeds, duration_s=duration_s)
    finish(rows, args)


def _rows(bench: str, names: list[str], scores: dict, *, seeds: list[int], duration_s: float) -> list[Row]:
    """Ours beside each of the others, means over the seeds."""
    rows, ours = [], names[0]
    for metric in (*METRICS, "well_detected", "false_units", "cpu_s"):
        mean = {name: float(np.mean([one[metric] for one in scores[name]])) for name in names}
        for peer in names[1:] or [None]:
            other = None if peer is None else mean[peer]
            ratio = None
            if other:
                smaller = metric in ("false_units", "cpu_s")
                ratio = other / mean[ours] if smaller and mean[ours] else mean[ours] / other
                ratio = None if smaller and not mean[ours] else ratio
            told = conditions("spikeinterface", "torch", seeds=seeds, duration_s=duration_s)
            told |= {"sorter": ours, "peer": peer, "each": {n: [s[metric] for s in scores[n]] for n in names}}
            unit = "s" if metric == "cpu_s" else ""
            rows.append(Row(f"{bench} {metric} / {peer}", mean[ours], other, unit, ratio, told))
    return rows


if __name__ == "__main__":
    main()
