"""From a recording to sorted units, by a sorter that SpikeInterface can run."""

import contextlib
import dataclasses
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom.artifacts import MANIFEST, fingerprint, require_space
from neuroloom.errors import DataError, NeuroloomError
from neuroloom.seeds import derive
from neuroloom.sorting.details import SortingDetails
from neuroloom.sorting.export import write_sorting
from neuroloom.sorting.fingerprints import recording_fingerprint, sorter_fingerprint
from neuroloom.sorting.folders import SILENT
from neuroloom.sorting.motion import NONE, correct_motion
from neuroloom.sorting.preprocessing import prepare
from neuroloom.sorting.scanning import iterate_chunks
from neuroloom.sorting.spikeinterface_runs import keep_compiled, quiet, repeatable
from neuroloom.sorting.stages import StageCache, open_stages

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording, BaseSorting

    from neuroloom.sorting.simsort import SimSortOptions, SimSortResult

# In units of the noise; also what counts as an event when a recording may hold no spikes at all.
THRESHOLD = 5.0
# Fewer events than this make no cluster that any sorter keeps.
_FEWEST_EVENTS = 20
# Template matching leaves some units a handful of spikes of others.
_LOWEST_RATE_HZ = 0.05
OURS = "simsort"
DEVICES = ("auto", "cpu", "cuda")
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
    motion: str = NONE,
    quality: bool = False,
    device: str = "auto",
    options: "SimSortOptions | None" = None,
    work_folder: str | os.PathLike | None = None,
) -> "BaseSorting":
    """Find the spikes of single units in a recording.

    The recording is prepared first (`neuroloom.sorting.preprocessing.prepare`), unless it comes from
    there, and sorted from a copy in a temporary file. The same recording, seed, number of threads and
    device give the same units.

    Parameters
    ----------
    recording
        Any single-segment recording, of 1 channel or more.
    sorter
        ``auto``, which is ``simsort`` (`neuroloom.sorting.simsort`: learned from simulation; needs no
        tuning), or any name in ``spikeinterface.sorters.installed_sorters()``.
    seed
        Of everything that is drawn at random.
    folder
        Where to keep the sorting (`neuroloom.sorting.export.read_sorting` opens it) with its details
        (`neuroloom.sorting.details.read_details`); ``None`` keeps nothing on disk.
    n_jobs
        Processes that compute.
    progress
        Whether to show progress bars, on the standard error.
    motion
        ``"none"``, or one of SpikeInterface's presets for probes that move along themselves, such as
        ``"dredge_fast"`` (`neuroloom.sorting.motion`).
    quality
        Whether to measure the units' quality (`neuroloom.sorting.quality.METRICS`), as unit properties.
    device
        Where simsort's networks run: ``"cpu"``, ``"cuda"``, or ``"auto"``, which takes a GPU if there is one.
    options
        Of simsort.
    work_folder
        What simsort has finished so far is kept here until all of it is, so that the same call goes on
        after a kill; ``None`` takes `folder` with ``.partial`` at the end, if there is a `folder`.

    Returns
    -------
    BaseSorting
        Units 0, 1, .. by decreasing number of spikes; without units where there are no spikes. The unit
        property ``confidence`` is set by simsort (`SortingDetails.unit_confidence`).

    Raises
    ------
    DataError
        If the recording has an error that `check_recording` finds, the sorter, motion or device is unknown
        or absent, `folder` is not ours to replace, or the disk has too little room for the copy.
    SortingFailed
        If the sorter stops with an error of its own.
    """
    sorting, _ = sort_with_details(
        recording,
        sorter=sorter,
        seed=seed,
        folder=folder,
        n_jobs=n_jobs,
        progress=progress,
        motion=motion,
        quality=quality,
        device=device,
        options=options,
        work_folder=work_folder,
    )
    return sorting


def sort_with_details(
    recording: "BaseRecording",
    *,
    sorter: str = OURS,
    seed: int = 0,
    folder: str | os.PathLike | None = None,
    n_jobs: int = 1,
    progress: bool = False,
    motion: str = NONE,
    quality: bool = False,
    device: str = "auto",
    options: "SimSortOptions | None" = None,
    work_folder: str | os.PathLike | None = None,
) -> "tuple[BaseSorting, SortingDetails | None]":
    """Sort, and return the confidence of every spike and unit beside the sorting.

    Parameters and errors are those of `sort`.

    Returns
    -------
    BaseSorting, SortingDetails or None
        The details' spikes are in the order of the sorting's spike vector; only simsort gives them.
    """
    from neuroloom.sorting.plugin import register

    register()
    from spikeinterface.sorters import installed_sorters
    from spikeinterface.sorters.sorterlist import sorter_dict

    name = OURS if sorter == "auto" else sorter
    # Asking for all of them starts a shell for each that is not written in Python.
    if name not in sorter_dict or not sorter_dict[name].is_installed():
        known = [OURS, *(one for one in installed_sorters() if one != OURS)]
        raise DataError(
            f"sorter {sorter!r}", expected=f"auto or one of {', '.join(known)}", remedy="pass one"
        )
    if options is not None and name != OURS:
        raise DataError(
            f"options for the sorter {name}", expected=f"options for {OURS} alone", remedy="leave them out"
        )
    device = choose_device(device)
    target = _replaceable(folder)
    prepared = prepare(recording, seed=seed).recording
    silent = bool(prepared.get_annotation(SILENT))
    if not silent:
        prepared = correct_motion(prepared, preset=motion, seed=seed, n_jobs=n_jobs, progress=progress)
    n_bytes = _copied_bytes(prepared, name)
    parent = Path(tempfile.gettempdir()) if target is None else target.parent
    parent.mkdir(parents=True, exist_ok=True)
    require_space(parent, n_bytes)
    if work_folder is None and target is not None:
        work_folder = target.with_name(target.name + ".partial")
    with contextlib.ExitStack() as stack:
        prefix = ".neuroloom-sort-"
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=prefix, dir=parent)))
        if silent:
            found = _Found.from_trains([])
        elif name == OURS:
            cache = None
            if work_folder is not None:
                key = _key(prepared, seed=seed, device=device, options=options)
                cache = stack.enter_context(open_stages(work_folder, key=key))
            with quiet(), repeatable(seed, "sort", name):
                found = _simsort(
                    prepared,
                    scratch,
                    seed=seed,
                    device=device,
                    options=options,
                    cache=cache,
                    progress=progress,
                )
        else:
            with quiet(), repeatable(seed, "sort", name):
                found = _run(prepared, name, scratch, seed=seed, n_jobs=n_jobs, progress=progress)
        sorting, details = _ordered(found, prepared)
        if silent and name == OURS:
            details = SortingDetails.empty()
        sorting.annotate(sorter=name, seed=seed)
        if quality:
            _measure_quality(sorting, prepared, seed=seed, n_jobs=n_jobs, progress=progress)
        if target is not None:
            config = {"sorter": name, "motion": motion, "device": device}
            config |= {} if options is None else {"options": dataclasses.asdict(options)}
            write_sorting(sorting, target, details=details, config=config, seed=seed)
    return sorting, details


def choose_device(device: str) -> str:
    """Return ``"cpu"`` or ``"cuda"`` for one of `DEVICES`.

    Raises
    ------
    DataError
        If it is none of them, or CUDA is asked for where there is none.
    """
    import torch

    if device not in DEVICES:
        raise DataError(
            f"device {device!r}", expected=f"one of {', '.join(DEVICES)}", remedy="pass one of these"
        )
    if device == "cuda" and not torch.cuda.is_available():
        raise DataError(
            "device 'cuda' where torch finds no GPU",
            expected="a GPU, its driver, and a torch built for it",
            remedy="pass device='auto' or 'cpu'",
        )
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


@dataclass(frozen=True)
class _Found:
    """Spikes as a sorter gave them: units are 0, 1, .. in its own order, spikes in any."""

    sample: np.ndarray
    unit: np.ndarray
    n_units: int
    result: "SimSortResult | None" = None

    @staticmethod
    def from_trains(trains: list[np.ndarray]) -> "_Found":
        samples = np.concatenate([np.zeros(0, np.int64), *trains]).astype(np.int64)
        return _Found(samples, np.repeat(np.arange(len(trains)), list(map(len, trains))), len(trains))


def _replaceable(folder: str | os.PathLike | None) -> Path | None:
    """Return the folder as a path; hours of sorting must not end in a refusal to write there."""
    if folder is None:
        return None
    target = Path(folder)
    if target.exists() and not (
        target.is_dir() and (not any(target.iterdir()) or (target / MANIFEST).exists())
    ):
        raise DataError(
            f"{target} exists and is not ours to replace",
            expected="a new or empty folder",
            remedy="choose another name or remove it",
        )
    return target


def _copied_bytes(recording: "BaseRecording", name: str) -> int:
    """Return how much a sorter writes beside its result: simsort two copies of what it learns from."""
    n_samples = recording.get_total_samples()
    if name == OURS:
        from neuroloom.sorting.simsort import LEARN_FROM_S

        n_samples = 2 * min(n_samples, round(LEARN_FROM_S * recording.get_sampling_frequency()))
    return 4 * n_samples * recording.get_num_channels()


def _key(recording: "BaseRecording", *, seed: int, device: str, options: "SimSortOptions | None") -> str:
    from neuroloom.sorting.simsort import SimSortOptions

    chosen = dataclasses.asdict(options or SimSortOptions())
    return fingerprint(sorter_fingerprint(), recording_fingerprint(recording), chosen, seed, device)


def _simsort(
    recording: "BaseRecording",
    scratch: Path,
    *,
    seed: int,
    device: str,
    options: "SimSortOptions | None",
    cache: StageCache | None,
    progress: bool,
) -> _Found:
    from neuroloom.sorting.pretrained import bundled_weights, load_weights
    from neuroloom.sorting.simsort import simsort

    models: dict[str, Any] = {
        name: load_weights(bundled_weights(name), device=device)
        for name in ("extractor", "detector")
        if bundled_weights(name).exists()
    }
    kept: dict[str, Any] = {} if cache is None else {"cache": cache}
    step_seed = derive(seed, "sort", OURS, "steps") % 2**31
    one_probe = _as_one_probe(recording)
    result = simsort(one_probe, scratch, options=options, seed=step_seed, progress=progress, **models, **kept)
    return _Found(result.spikes.sample, result.spikes.unit, len(result.confidence), result)


def _as_one_probe(recording: "BaseRecording") -> "BaseRecording":
    """Return the recording with the contacts of all its probes on one: template matching knows one alone."""
    from probeinterface import Probe

    if len(recording.get_probegroup().probes) == 1:
        return recording
    probe = Probe(ndim=2, si_units="um")
    places = np.asarray(recording.get_channel_locations(), dtype=float)[:, :2]
    probe.set_contacts(positions=places, shapes="circle", shape_params={"radius": 5})
    probe.set_device_channel_indices(np.arange(len(places)))
    joined = recording.select_channels(recording.channel_ids)
    joined.set_probe(probe)
    return joined


def _run(
    recording: "BaseRecording", name: str, scratch: Path, *, seed: int, n_jobs: int, progress: bool
) -> _Found:
    """Return what one of SpikeInterface's sorters finds."""
    from spikeinterface.core import BaseSorting
    from spikeinterface.preprocessing.whiten import WhitenRecording
    from spikeinterface.sorters import get_default_sorter_params, run_sorter
    from spikeinterface.sorters.utils import SpikeSortingError

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
        return _Found.from_trains([])
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
    return _Found.from_trains([np.array(found.get_unit_spike_train(unit_id=one)) for one in found.unit_ids])


def _ordered(found: _Found, recording: "BaseRecording") -> "tuple[BaseSorting, SortingDetails | None]":
    """Return units by decreasing number of spikes, each spike once and inside the recording."""
    from spikeinterface.core import NumpySorting
    from spikeinterface.core.basesorting import minimum_spike_dtype

    n_samples, rate_hz = recording.get_num_samples(0), recording.get_sampling_frequency()
    order = np.lexsort((found.unit, found.sample))
    sample, unit = found.sample[order], found.unit[order]
    again = np.zeros(len(order), bool)
    again[1:] = (np.diff(sample) == 0) & (np.diff(unit) == 0)
    order = order[(sample >= 0) & (sample < n_samples) & ~again]
    sample, unit = found.sample[order], found.unit[order]
    count = np.bincount(unit, minlength=found.n_units)
    first = np.full(found.n_units, n_samples)
    np.minimum.at(first, unit, sample)
    ids = np.lexsort((first, -count))
    ids = ids[count[ids] >= max(1, _LOWEST_RATE_HZ * n_samples / rate_hz)]
    number = np.full(found.n_units + 1, -1)  # the last is for what is of no unit
    number[ids] = np.arange(len(ids))
    order = order[number[unit] >= 0]
    order = order[np.lexsort((number[found.unit[order]], found.sample[order]))]
    spikes = np.zeros(len(order), dtype=minimum_spike_dtype)
    spikes["sample_index"], spikes["unit_index"] = found.sample[order], number[found.unit[order]]
    sorting = NumpySorting(spikes, rate_hz, np.arange(len(ids)))
    sorting.register_recording(recording)
    if found.result is None:
        return sorting, None
    details = _details(found.result, spikes, order=order, ids=ids, number=number)
    sorting.set_property("confidence", details.unit_confidence)
    return sorting, details


def _details(
    result: "SimSortResult", spikes: np.ndarray, *, order: np.ndarray, ids: np.ndarray, number: np.ndarray
) -> SortingDetails:
    """Return what the result knows of the spikes that are kept, under the numbers of the units."""
    shown: dict[str, np.ndarray] = {}
    # A map is optional: spikes, units (-1 for none) and points.
    if (drawn := getattr(result, "map", None)) is not None:
        shown = {
            "map_sample": np.asarray(drawn[0], np.int64),
            "map_unit": number[np.asarray(drawn[1], np.int64)],
            "map_points": np.asarray(drawn[2], np.float32).reshape(-1, 2),
        }
    return SortingDetails(
        unit_ids=np.arange(len(ids)),
        unit_confidence=np.asarray(result.confidence, float)[ids],
        spike_sample=spikes["sample_index"].copy(),
        spike_unit=spikes["unit_index"].copy(),
        spike_confidence=np.asarray(result.spikes.confidence, float)[order],
        spike_amplitude=np.asarray(result.spikes.amplitude, float)[order],
        **shown,
        events=dict(getattr(result, "events", None) or {}),
    )


def _measure_quality(
    sorting: "BaseSorting", recording: "BaseRecording", *, seed: int, n_jobs: int, progress: bool
) -> None:
    from neuroloom.sorting.quality import analyze, unit_table

    if len(sorting.unit_ids):
        table = unit_table(analyze(sorting, recording, seed=seed, n_jobs=n_jobs, progress=progress))
        for name in table.columns:
            sorting.set_property(name, table[name].to_numpy(dtype=float, na_value=np.nan))


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
