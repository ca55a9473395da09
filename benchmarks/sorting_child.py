"""One sorter on one recording, in a process of its own: ``python benchmarks/sorting_child.py ORDER.json``.

So that time, compilation and memory of one are not another's. The order names a folder with a saved
recording, a sorter, a seed and where to write ``sorting`` and ``costs.json``.

A sorter is ``simsort`` or any other name that `neuroloom.sort` takes, which prepares the recording first;
``simsort:PRESET`` with one of SpikeInterface's presets of motion correction, or ``simsort:none`` without; or
``native:NAME``, a sorter of SpikeInterface with its own preprocessing and defaults, but for the settings that
it needs on few channels.
"""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording, BaseSorting


def run(order: dict[str, Any]) -> None:
    """Sort, and write the sorting and what it cost."""
    from spikeinterface.core import load

    from neuroloom.sorting.native_sorters import keep_more_compiled
    from neuroloom.sorting.spikeinterface_runs import quiet
    from neuroloom.threads import set_threads

    set_threads(1)
    keep_more_compiled()
    recording = cast("BaseRecording", load(order["recording"]))
    # Reading once fills the file cache, whose cost is not the first sorter's.
    for start in range(0, recording.get_num_samples(0), 1 << 18):
        recording.get_traces(
            start_frame=start, end_frame=min(start + (1 << 18), recording.get_num_samples(0))
        )
    before_mb, started, cpu = peak_mb(), time.perf_counter(), cpu_s()
    found = _sort(order, recording)
    costs = {"wall_s": time.perf_counter() - started, "cpu_s": cpu_s() - cpu, "peak_mb": peak_mb()}
    costs |= {"before_mb": before_mb}
    out = Path(order["out"])
    with quiet():
        found.save(folder=out / "sorting", format="numpy_folder")
    (out / "costs.json").write_text(json.dumps(costs))


def _sort(order: dict[str, Any], recording: "BaseRecording") -> "BaseSorting":
    from neuroloom.sorting.native_sorters import run_native
    from neuroloom.sorting.sorter import sort

    name, seed = order["sorter"], order["seed"]
    if name.startswith("native:"):
        return run_native(recording, name.removeprefix("native:"), seed=seed, motion=order["motion"])
    name, _, preset = name.partition(":")
    if name == "simsort" and (order["extractor"] or order["detector"]):
        return _with_weights(order, recording)
    return sort(recording, sorter=name, seed=seed, motion=preset or "auto", device="cpu")


def _with_weights(order: dict[str, Any], recording: "BaseRecording") -> "BaseSorting":
    """simsort by weights that are not the bundled ones."""
    import numpy as np
    from spikeinterface.core import NumpySorting

    from neuroloom.seeds import derive
    from neuroloom.sorting.preprocessing import prepare
    from neuroloom.sorting.pretrained import bundled_weights, load_weights
    from neuroloom.sorting.simsort import simsort
    from neuroloom.sorting.spikeinterface_runs import quiet, repeatable

    seed = order["seed"]
    prepared = prepare(recording, seed=seed).recording
    models: Any = {
        kind: load_weights(order[kind] or bundled_weights(kind)) for kind in ("extractor", "detector")
    }
    with quiet(), repeatable(seed, "sort", "simsort"), tempfile.TemporaryDirectory() as scratch:
        step_seed = derive(seed, "sort", "simsort", "steps") % 2**31
        spikes = simsort(prepared, Path(scratch), seed=step_seed, **models).spikes
    trains = {unit: spikes.sample[spikes.unit == unit] for unit in np.unique(spikes.unit).tolist()}
    return NumpySorting.from_unit_dict([trains], recording.get_sampling_frequency())


def cpu_s() -> float:
    """Return the processor seconds of this process and of those that it started and that have ended."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def peak_mb() -> float:
    """Return the largest resident memory of this process or of one that it started, so far."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    status = Path("/proc/self/status")
    if not status.exists():
        largest = max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, children)
        return largest / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    # Linux carries the starting process's maximum over into getrusage; this one is our own.
    own = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return max(int(own.split()[1]), children) / 1024


if __name__ == "__main__":
    run(json.loads(Path(sys.argv[1]).read_text()))
