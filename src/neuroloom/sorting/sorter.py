"""From a recording to sorted units, by simsort or a sorter that SpikeInterface can run."""

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from neuroloom.artifacts import MANIFEST, fingerprint, require_space
from neuroloom.errors import DataError
from neuroloom.seeds import derive
from neuroloom.sorting.details import SortingDetails
from neuroloom.sorting.export import write_sorting
from neuroloom.sorting.fingerprints import recording_fingerprint, sorter_fingerprint
from neuroloom.sorting.folders import SILENT
from neuroloom.sorting.found_spikes import FoundSpikes, as_sorting
from neuroloom.sorting.motion import AUTO, NONE, check_motion, choose_motion, correct_motion
from neuroloom.sorting.other_sorters import SortingFailed, run_other
from neuroloom.sorting.preprocessing import prepare
from neuroloom.sorting.spikeinterface_runs import quiet, repeatable
from neuroloom.sorting.stages import StageCache, open_stages
from neuroloom.workplaces import refuse_foreign

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording, BaseSorting

    from neuroloom.sorting.simsort import SimSortOptions

OURS = "simsort"
DEVICES = ("auto", "cpu", "cuda")

__all__ = ["DEVICES", "OURS", "SortingFailed", "choose_device", "sort", "sort_with_details"]


def sort(
    recording: "BaseRecording",
    *,
    sorter: str = "auto",
    seed: int = 0,
    folder: str | os.PathLike | None = None,
    n_jobs: int = 1,
    progress: bool = False,
    motion: str = AUTO,
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
        How to follow tissue that moves along the probe: ``"none"``, one of SpikeInterface's presets, or
        ``"auto"``, which for simsort looks whether there is motion and takes ``"dredge_fast"`` then, and for
        other sorters is ``"none"`` (`neuroloom.sorting.motion`). What was chosen is the sorting's annotation
        ``motion``.
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
    name = _known(sorter, options)
    device = choose_device(device)
    target = _replaceable(folder)
    prepared, motion = _prepared(recording, name, motion=motion, seed=seed, n_jobs=n_jobs, progress=progress)
    if work_folder is None and target is not None:
        work_folder = target.with_name(target.name + ".partial")
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(_scratch(prepared, name, beside=target))
        if name == OURS:
            cache = None
            if work_folder is not None and not _silent(prepared):
                key = _key(prepared, seed=seed, device=device, options=options)
                cache = stack.enter_context(open_stages(work_folder, key=key))
            found = _simsort(
                prepared, scratch, seed=seed, device=device, options=options, cache=cache, progress=progress
            )
        elif _silent(prepared):
            found = FoundSpikes.from_trains([])
        else:
            with quiet(), repeatable(seed, "sort", name):
                found = run_other(prepared, name, scratch, seed=seed, n_jobs=n_jobs, progress=progress)
        sorting, details = as_sorting(found, prepared)
        sorting.annotate(sorter=name, seed=seed, motion=motion)
        if quality:
            _measure_quality(sorting, prepared, seed=seed, n_jobs=n_jobs, progress=progress)
        if target is not None:
            config = {"sorter": name, "motion": motion, "device": device}
            config |= {} if options is None else {"options": dataclasses.asdict(options)}
            write_sorting(sorting, target, details=details, config=config, seed=seed)
    return sorting


def sort_with_details(
    recording: "BaseRecording",
    *,
    seed: int = 0,
    n_jobs: int = 1,
    progress: bool = False,
    motion: str = AUTO,
    device: str = "auto",
    options: "SimSortOptions | None" = None,
) -> "tuple[BaseSorting, SortingDetails]":
    """Sort by simsort, and return how far every spike and unit is to be trusted beside the sorting.

    The arguments are those of `sort`, which keeps the same in its `folder`.

    Returns
    -------
    BaseSorting, SortingDetails
        The details' spikes are in the order of the sorting's spike vector.
    """
    device = choose_device(device)
    prepared, motion = _prepared(recording, OURS, motion=motion, seed=seed, n_jobs=n_jobs, progress=progress)
    with _scratch(prepared, OURS) as scratch:
        found = _simsort(
            prepared, scratch, seed=seed, device=device, options=options, cache=None, progress=progress
        )
    sorting, details = as_sorting(found, prepared)
    sorting.annotate(sorter=OURS, seed=seed, motion=motion)
    return sorting, cast(SortingDetails, details)


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


def _known(sorter: str, options: "SimSortOptions | None") -> str:
    """Return the name of an installed sorter that these options are for."""
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
    return name


def _prepared(
    recording: "BaseRecording", sorter: str, *, motion: str, seed: int, n_jobs: int, progress: bool
) -> "tuple[BaseRecording, str]":
    """Return the recording ready to be sorted, and how its motion was followed."""
    prepared = prepare(recording, seed=seed).recording
    check_motion(prepared, motion)
    if _silent(prepared) or (motion == AUTO and sorter != OURS):
        return prepared, NONE if motion == AUTO else motion
    motion = choose_motion(prepared, motion, seed=seed)
    corrected = correct_motion(prepared, preset=motion, seed=seed, n_jobs=n_jobs, progress=progress)
    return corrected, motion


def _silent(prepared: "BaseRecording") -> bool:
    return bool(prepared.get_annotation(SILENT))


@contextlib.contextmanager
def _scratch(prepared: "BaseRecording", name: str, *, beside: Path | None = None) -> Iterator[Path]:
    """Yield a folder with room for what the sorter writes beside its result, and remove it."""
    parent = Path(tempfile.gettempdir()) if beside is None else beside.parent
    parent.mkdir(parents=True, exist_ok=True)
    require_space(parent, _copied_bytes(prepared, name))
    with tempfile.TemporaryDirectory(prefix=".neuroloom-sort-", dir=parent) as scratch:
        yield Path(scratch)


def _replaceable(folder: str | os.PathLike | None) -> Path | None:
    """Return the folder as a path; hours of sorting must not end in a refusal to write there."""
    if folder is None:
        return None
    refuse_foreign(Path(folder), replaces=MANIFEST)
    return Path(folder)


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
) -> FoundSpikes:
    from neuroloom.sorting.pretrained import bundled_weights, load_weights
    from neuroloom.sorting.simsort import SimSortResult, simsort

    if _silent(recording):
        nothing = SimSortResult.empty(recording.get_num_channels())
        return FoundSpikes(nothing.spikes.sample, nothing.spikes.unit, 0, nothing)
    models: dict[str, Any] = {
        name: load_weights(bundled_weights(name), device=device)
        for name in ("extractor", "detector")
        if bundled_weights(name).exists()
    }
    kept: dict[str, Any] = {} if cache is None else {"cache": cache}
    step_seed = derive(seed, "sort", OURS, "steps") % 2**31
    one_probe = _as_one_probe(recording)
    with quiet(), repeatable(seed, "sort", OURS):
        result = simsort(
            one_probe, scratch, options=options, seed=step_seed, progress=progress, **models, **kept
        )
    return FoundSpikes(result.spikes.sample, result.spikes.unit, len(result.confidence), result)


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


def _measure_quality(
    sorting: "BaseSorting", recording: "BaseRecording", *, seed: int, n_jobs: int, progress: bool
) -> None:
    from neuroloom.sorting.quality import analyze, unit_table

    if len(sorting.unit_ids):
        table = unit_table(analyze(sorting, recording, seed=seed, n_jobs=n_jobs, progress=progress))
        for name in table.columns:
            sorting.set_property(name, table[name].to_numpy(dtype=float, na_value=np.nan))
