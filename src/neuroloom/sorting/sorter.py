"""From a recording to sorted units, by a sorter that SpikeInterface can run."""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom.artifacts import require_space
from neuroloom.errors import DataError, NeuroloomError
from neuroloom.seeds import derive
from neuroloom.sorting.export import write_sorting
from neuroloom.sorting.folders import SILENT
from neuroloom.sorting.preprocessing import prepare
from neuroloom.sorting.scanning import iterate_chunks
from neuroloom.sorting.spikeinterface_runs import keep_compiled, quiet, repeatable

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording, BaseSorting

# In units of the noise; also what counts as an event when a recording may hold no spikes at all.
THRESHOLD = 5.0
# Fewer events than this make no cluster that any sorter keeps.
_FEWEST_EVENTS = 20
# Template matching leaves some units a handful of spikes of others.
_LOWEST_RATE_HZ = 0.05
OURS = "simsort"
# Sorters that are given the whitened recording, and what they are told about it.
_WHITENED: dict[str, dict[str, Any]] = {
    "lupin": {"apply_preprocessing": False, "save_array": False, "detect_threshold": THRESHOLD},
    "simple": {"apply_preprocessing": False, "clusterer": "isosplit", "detect_threshold": THRESHOLD},
}


class SortingFailed(NeuroloomError):
    """A sorter stopped with an error of its own."""


def sort(
    recording: "BaseRecording",
    *,
    sorter: str = "auto",
    seed: int = 0,
    folder: str | os.PathLike | None = None,
    n_jobs: int = 1,
    progress: bool = False,
) -> "BaseSorting":
    """Find the spikes of single units in a recording.

    The recording is prepared first (`neuroloom.sorting.preprocessing.prepare`), unless it comes from
    there, whitened into a temporary file, and sorted. The same recording, seed and number of threads
    give the same units.

    Parameters
    ----------
    recording
        Any single-segment recording, of 1 channel or more.
    sorter
        ``auto`` (now lupin: clustering, then template matching, which also resolves overlapping spikes),
        ``simsort`` (`neuroloom.sorting.simsort`: learned from simulation; needs no tuning), or any name in
        ``spikeinterface.sorters.installed_sorters()``.
    seed
        Of everything that is drawn at random.
    folder
        Where to keep the sorting (`neuroloom.sorting.export.read_sorting` opens it); ``None`` keeps
        nothing on disk.
    n_jobs
        Processes that compute.
    progress
        Whether to show progress bars, on the standard error.

    Returns
    -------
    BaseSorting
        Units 0, 1, .. by decreasing number of spikes; without units where there are no spikes.

    Raises
    ------
    DataError
        If the recording has an error that `check_recording` finds, the sorter is unknown, or the disk
        has too little room for the whitened copy.
    SortingFailed
        If the sorter stops with an error of its own.
    """
    from spikeinterface.sorters import installed_sorters

    name = "lupin" if sorter == "auto" else sorter
    if name not in (known := [OURS, *installed_sorters()]):
        raise DataError(
            f"sorter {sorter!r}", expected=f"auto or one of {', '.join(known)}", remedy="pass one"
        )
    prepared = prepare(recording, seed=seed).recording
    n_bytes = prepared.get_total_samples() * prepared.get_num_channels() * 4
    target = Path(folder) if folder is not None else None
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
    parent = Path(tempfile.gettempdir()) if target is None else target.parent
    require_space(parent, n_bytes)
    with tempfile.TemporaryDirectory(prefix=".neuroloom-sort-", dir=parent) as scratch:
        with quiet(), repeatable(seed, "sort", name):
            spikes = _run(prepared, name, Path(scratch), seed=seed, n_jobs=n_jobs, progress=progress)
        sorting = _ordered(spikes, prepared)
    sorting.annotate(sorter=name, seed=seed)
    if target is not None:
        write_sorting(sorting, target, config={"sorter": name}, seed=seed)
    return sorting


def _run(
    recording: "BaseRecording", name: str, scratch: Path, *, seed: int, n_jobs: int, progress: bool
) -> dict[Any, np.ndarray]:
    """Return the spike samples of every unit."""
    from spikeinterface.core import BaseSorting
    from spikeinterface.preprocessing.whiten import WhitenRecording
    from spikeinterface.sorters import get_default_sorter_params, run_sorter
    from spikeinterface.sorters.utils import SpikeSortingError

    step_seed = derive(seed, "sort", name, "steps") % 2**31
    jobs = {"n_jobs": n_jobs, "chunk_duration": "1s", "progress_bar": progress}
    if recording.get_annotation(SILENT):
        return {}
    if name == OURS:
        from neuroloom.sorting.simsort import simsort

        spikes = simsort(recording, scratch, seed=step_seed).spikes
        return {unit: spikes.sample[spikes.unit == unit] for unit in np.unique(spikes.unit)}
    whitened = WhitenRecording(
        recording,
        dtype="float32",
        mode="local" if recording.get_num_channels() > 1 else "global",
        radius_um=100.0,
        seed=step_seed,
    )
    whitened = whitened.save(folder=scratch / "whitened", **jobs, verbose=False)
    if _count_events(whitened) < _FEWEST_EVENTS:
        return {}
    keep_compiled()
    known = get_default_sorter_params(name)
    options: dict[str, Any] = dict(_WHITENED.get(name, {}))
    options |= {key: value for key, value in (("seed", step_seed), ("job_kwargs", jobs)) if key in known}
    given = whitened
    if name not in _WHITENED:
        given = recording.save(folder=scratch / "prepared", **jobs, verbose=False)
    try:
        found = run_sorter(name, given, folder=str(scratch / name), verbose=progress, **options)
    except SpikeSortingError as error:
        last = str(error).split("\n\nSpike sorting failed")[0].strip().rsplit("\n", 1)[-1]
        raise SortingFailed(
            f"{name} stopped with {last}",
            expected="a recording that it can sort",
            remedy="use the sorter auto, or look at the recording with `neuroloom check`",
        ) from error
    if not isinstance(found, BaseSorting):
        raise SortingFailed(
            f"{name} gave {type(found).__name__}", expected="a sorting", remedy="use the sorter auto"
        )
    return {unit: np.array(found.get_unit_spike_train(unit_id=unit)) for unit in found.unit_ids}


def _ordered(spikes: dict[Any, np.ndarray], recording: "BaseRecording") -> "BaseSorting":
    """Return units by decreasing number of spikes, each spike once and inside the recording."""
    from spikeinterface.core import NumpySorting

    n_samples = recording.get_num_samples(0)
    trains = [np.unique(train[(train >= 0) & (train < n_samples)]) for train in spikes.values()]
    fewest = max(1, _LOWEST_RATE_HZ * n_samples / recording.get_sampling_frequency())
    kept = (train for train in trains if len(train) >= fewest)
    trains = sorted(kept, key=lambda train: (-len(train), int(train[0])))
    sorting = NumpySorting.from_unit_dict(
        [dict(enumerate(trains))], sampling_frequency=recording.get_sampling_frequency()
    )
    sorting.register_recording(recording)
    return sorting


def _count_events(recording: "BaseRecording") -> int:
    """Return how often any channel falls below the threshold, in multiples of its noise."""
    noise, count = None, 0
    for _, _, traces in iterate_chunks(recording):
        if noise is None:
            noise = np.median(np.abs(traces), axis=0) / 0.6745
            noise[noise == 0] = 1.0  # whitened traces have unit variance
        below = np.any(traces < -THRESHOLD * noise, axis=1).astype(np.int8)
        count += int(np.sum(np.diff(below) == 1))
        if count >= _FEWEST_EVENTS:
            break
    return count
