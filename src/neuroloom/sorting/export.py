"""Keep a sorting, and hand it to Phy."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom.artifacts import MANIFEST, load_artifact, new_folder, refuse_foreign_content, save_artifact
from neuroloom.errors import DataError
from neuroloom.sorting.details import FOLDER as DETAILS
from neuroloom.sorting.details import SortingDetails, write_details
from neuroloom.sorting.features import waveform_features
from neuroloom.sorting.spikeinterface_runs import keep_compiled, quiet, repeatable

if TYPE_CHECKING:
    from spikeinterface.core import BaseSorting, SortingAnalyzer

KIND = "sorting"
_PROPERTY = "property/"


def write_sorting(
    sorting: "BaseSorting",
    folder: str | os.PathLike,
    *,
    details: SortingDetails | None = None,
    config: dict[str, Any] | None = None,
    seed: int | None = None,
    data_fingerprint: str | None = None,
) -> Path:
    """Save a single-segment sorting as an artifact folder, atomically.

    Parameters
    ----------
    sorting
        Its unit properties that are numbers or text are kept (confidence, quality metrics, labels).
    folder
        The folder to make; one that this function made before is replaced.
    details
        Kept in the folder ``details`` inside (`neuroloom.sorting.details.read_details` opens it).
    config, seed, data_fingerprint
        What the manifest shall say about the origin.

    Raises
    ------
    DataError
        If the sorting has several segments, or the disk has too little room.
    """
    if sorting.get_num_segments() != 1:
        raise DataError(
            f"a sorting of {sorting.get_num_segments()} segments",
            expected="one",
            remedy="save each segment alone",
        )
    trains = [np.asarray(sorting.get_unit_spike_train(unit_id=unit), np.int64) for unit in sorting.unit_ids]
    times = (
        sorting.get_times(segment_index=0) if sorting.has_recording() and sorting.has_time_vector(0) else None
    )
    document = {
        "rate_hz": sorting.get_sampling_frequency(),
        "start_s": float(sorting.get_start_time(0)) if times is None else float(times[0]),
        "unit_ids": [unit.item() if isinstance(unit, np.generic) else unit for unit in sorting.unit_ids],
        "annotations": {
            key: sorting.get_annotation(key)
            for key in ("sorter", "seed")
            if sorting.get_annotation(key) is not None
        },
        "labels": _text_properties(sorting),
    }
    arrays = {
        "sample": np.concatenate([*trains, np.empty(0, np.int64)]),
        "offsets": np.cumsum([0, *map(len, trains)], dtype=np.int64),
    }
    arrays |= {_PROPERTY + name: values for name, values in _numeric_properties(sorting).items()}
    folder = Path(folder)
    n_bytes = sum(array.nbytes for array in arrays.values())
    with new_folder(folder, expected_bytes=n_bytes, replaces=MANIFEST) as draft:
        save_artifact(
            draft,
            kind=KIND,
            document=document,
            arrays=arrays,
            config=config,
            seed=seed,
            data_fingerprint=data_fingerprint,
        )
        if details is not None:
            write_details(details, draft / DETAILS)
    return folder


def _numeric_properties(sorting: "BaseSorting") -> dict[str, np.ndarray]:
    found = {name: np.asarray(sorting.get_property(name)) for name in sorting.get_property_keys()}
    return {name: values for name, values in found.items() if values.dtype.kind in "fiub"}


def _text_properties(sorting: "BaseSorting") -> dict[str, list[str]]:
    found = {name: np.asarray(sorting.get_property(name)) for name in sorting.get_property_keys()}
    return {
        name: values.tolist()
        for name, values in found.items()
        if values.dtype.kind == "U" and values.ndim == 1
    }


def read_sorting(folder: str | os.PathLike) -> "BaseSorting":
    """Open what `write_sorting` wrote.

    Raises
    ------
    MissingFile, CorruptArtifact
        If it is absent, damaged, or something else.
    """
    from spikeinterface.core import NumpySorting

    artifact = load_artifact(folder, kind=KIND)
    with refuse_foreign_content(folder, expected="a sorting"):
        offsets, samples = artifact.arrays["offsets"], artifact.arrays["sample"]
        unit_ids = artifact.document["unit_ids"]
        trains = {unit: samples[offsets[index] : offsets[index + 1]] for index, unit in enumerate(unit_ids)}
        sorting = NumpySorting.from_unit_dict([trains], sampling_frequency=artifact.document["rate_hz"])
        sorting.segments[0]._t_start = artifact.document["start_s"] or None
        sorting.annotate(**artifact.document["annotations"])
        for name, values in artifact.arrays.items():
            if name.startswith(_PROPERTY):
                sorting.set_property(name.removeprefix(_PROPERTY), values)
        for name, labels in artifact.document.get("labels", {}).items():
            sorting.set_property(name, np.array(labels, dtype=np.str_))
    return sorting


def export_phy(
    analyzer: "SortingAnalyzer", folder: str | os.PathLike, *, n_jobs: int = 1, progress: bool = False
) -> Path:
    """Write a folder for manual curation in Phy, atomically.

    Parameters
    ----------
    analyzer
        From `neuroloom.sorting.quality.analyze`, with its recording at hand.
    folder
        A new folder; ``phy template-gui params.py`` opens it.
    n_jobs
        Processes that compute.
    progress
        Whether to show progress bars.

    Raises
    ------
    DataError
        If there are no units, the recording is not at hand, or the disk has too little room.
    """
    from spikeinterface.exporters import export_to_phy

    folder = Path(folder)
    if analyzer.get_num_units() == 0:
        raise DataError(
            "a sorting without units", expected="units to curate", remedy="sort another recording"
        )
    if not (analyzer.has_recording() or analyzer.has_temporary_recording()):
        raise DataError(
            "the analyzer has lost its recording",
            expected="the recording it was made from",
            remedy="analyze again",
        )
    keep_compiled()
    n_bytes = int(analyzer.get_total_samples()) * analyzer.get_num_channels() * 4
    with new_folder(folder, expected_bytes=n_bytes, replaces="params.py") as draft:
        draft.rmdir()  # the exporter makes it
        with quiet(), repeatable(0, "phy"):
            export_to_phy(
                analyzer,
                output_folder=draft,
                use_relative_path=True,
                # The exporter fits its components for minutes, and leaves pickles in the analyzer's folder.
                compute_pc_features=False,
                verbose=False,
                n_jobs=n_jobs,
                progress_bar=progress,
            )
            features, channels = waveform_features(analyzer)
            np.save(draft / "pc_features.npy", features)
            np.save(draft / "pc_feature_ind.npy", channels)
    return folder
