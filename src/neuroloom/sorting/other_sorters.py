"""Sorters of SpikeInterface other than simsort, on the recording as it is prepared for all."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom.errors import NeuroloomError
from neuroloom.seeds import derive
from neuroloom.sorting.found_spikes import FoundSpikes
from neuroloom.sorting.scanning import iterate_chunks
from neuroloom.sorting.spikeinterface_runs import keep_compiled

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording, BaseSorting

# In units of the noise; also what counts as an event when a recording may hold no spikes at all.
_THRESHOLD = 5.0
# Fewer events than this make no cluster that any sorter keeps.
_FEWEST_EVENTS = 20
# Sorters that are given the whitened recording, and what they are told about it.
_WHITENED: dict[str, dict[str, Any]] = {
    "lupin": {"apply_preprocessing": False, "save_array": False, "detect_threshold": _THRESHOLD},
    "simple": {"apply_preprocessing": False, "clusterer": "isosplit", "detect_threshold": _THRESHOLD},
}


class SortingFailed(NeuroloomError):
    """A sorter stopped with an error of its own."""


def run_other(
    recording: "BaseRecording", name: str, scratch: Path, *, seed: int, n_jobs: int, progress: bool
) -> FoundSpikes:
    """Return what one of SpikeInterface's sorters finds.

    Parameters
    ----------
    recording
        From `neuroloom.sorting.preprocessing.prepare`.
    name
        Of the sorter.
    scratch
        Folder for two copies of the recording and the sorter's own files.
    seed, n_jobs, progress
        As in `neuroloom.sorting.sorter.sort`.

    Raises
    ------
    SortingFailed
        If the sorter stops with an error of its own.
    """
    from spikeinterface.preprocessing.whiten import WhitenRecording
    from spikeinterface.sorters import get_default_sorter_params

    step_seed = derive(seed, "sort", name, "steps") % 2**31
    jobs = {"n_jobs": n_jobs, "chunk_duration": "1s", "progress_bar": progress}
    whitened = WhitenRecording(
        recording,
        dtype="float32",
        mode="local" if recording.get_num_channels() > 1 else "global",
        radius_um=100.0,
        seed=step_seed,
    )
    whitened = whitened.save(folder=scratch / "whitened", **jobs, verbose=False)
    if _count_events(whitened) < _FEWEST_EVENTS:
        return FoundSpikes.from_trains([])
    keep_compiled()
    known = get_default_sorter_params(name)
    options: dict[str, Any] = dict(_WHITENED.get(name, {}))
    options |= {key: value for key, value in (("seed", step_seed), ("job_kwargs", jobs)) if key in known}
    given = whitened
    if name not in _WHITENED:
        given = recording.save(folder=scratch / "prepared", **jobs, verbose=False)
    remedy = "use the sorter auto, or look at the recording with `neuroloom check`"
    found = run_named(name, given, folder=scratch / name, settings=options, remedy=remedy, verbose=progress)
    trains = [np.array(found.get_unit_spike_train(unit_id=one)) for one in found.unit_ids]
    return FoundSpikes.from_trains(trains)


def run_named(
    name: str,
    recording: "BaseRecording",
    *,
    folder: Path,
    settings: dict[str, Any],
    remedy: str,
    verbose: bool = False,
) -> "BaseSorting":
    """Return what one of SpikeInterface's sorters finds.

    Raises
    ------
    SortingFailed
        With `remedy`, if the sorter stops with an error of its own.
    """
    from spikeinterface.core import BaseSorting
    from spikeinterface.sorters import run_sorter
    from spikeinterface.sorters.utils import SpikeSortingError

    try:
        found = run_sorter(name, recording, folder=str(folder), verbose=verbose, **settings)
    except SpikeSortingError as error:
        raise SortingFailed(
            f"{name} stopped with {_last_words(error)}",
            expected="a recording that it can sort",
            remedy=remedy,
        ) from error
    if not isinstance(found, BaseSorting):
        raise SortingFailed(f"{name} gave {type(found).__name__}", expected="a sorting", remedy=remedy)
    return found


def _last_words(error: Exception) -> str:
    """Return the line of a sorter's log that says why it stopped."""
    return str(error).split("\n\nSpike sorting failed")[0].strip().rsplit("\n", 1)[-1]


def _count_events(recording: "BaseRecording") -> int:
    """Return how often any channel falls below the threshold, in multiples of its noise."""
    noise, count = None, 0
    for _, _, traces in iterate_chunks(recording):
        if noise is None:
            noise = np.median(np.abs(traces), axis=0) / 0.6745
            noise[noise == 0] = 1.0  # whitened traces have unit variance
        below = np.any(traces < -_THRESHOLD * noise, axis=1).astype(np.int8)
        count += int(np.sum(np.diff(below) == 1))
        if count >= _FEWEST_EVENTS:
            break
    return count
