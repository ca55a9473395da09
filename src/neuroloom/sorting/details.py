"""How far each spike and unit of a sorting is to be trusted, beside the sorting."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from neuroloom.artifacts import DOCUMENT, load_artifact, save_artifact
from neuroloom.errors import CorruptArtifact, DataError

KIND = "sorting-details"
FOLDER = "details"
_PER_UNIT = ("unit_ids", "unit_confidence")
_PER_SPIKE = ("spike_sample", "spike_unit", "spike_confidence", "spike_amplitude")
_PER_POINT = ("map_sample", "map_unit", "map_points")


def _none(dtype: type = np.int64, *shape: int) -> "np.ndarray":
    return np.zeros((0, *shape), dtype)


@dataclass(frozen=True)
class SortingDetails:
    """What a sorter knows of its spikes and units beyond their times.

    Attributes
    ----------
    unit_ids
        Of the sorting, in its order, shape ``(units,)``.
    unit_confidence
        Estimated share of a unit's spikes that are its own, 0 to 1, shape ``(units,)``.
    spike_sample
        Sample of every spike, in the order of the sorting's spike vector, shape ``(spikes,)``.
    spike_unit
        Index into `unit_ids`, shape ``(spikes,)``.
    spike_confidence
        Estimated probability that the spike is its unit's, 0 to 1, shape ``(spikes,)``.
    spike_amplitude
        Relative to the unit's template, shape ``(spikes,)``.
    map_sample, map_unit
        Spikes whose embeddings are shown: sample, and index into `unit_ids` or -1 for those of no unit, shape
        ``(points,)``; empty where the sorter keeps none.
    map_points
        Their embeddings on two axes, no unit, shape ``(points, 2)``.
    events
        How many events each stage of the sorter had.

    Raises
    ------
    DataError
        If lengths or indices do not agree.
    """

    unit_ids: np.ndarray
    unit_confidence: np.ndarray
    spike_sample: np.ndarray
    spike_unit: np.ndarray
    spike_confidence: np.ndarray
    spike_amplitude: np.ndarray
    map_sample: np.ndarray = field(default_factory=_none)
    map_unit: np.ndarray = field(default_factory=_none)
    map_points: np.ndarray = field(default_factory=lambda: _none(np.float32, 2))
    events: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def empty(cls) -> "SortingDetails":
        """Return the details of a sorting without units."""
        whole, real = _none(), _none(np.float64)
        return cls(whole, real, whole, whole, real, real)

    def __post_init__(self):
        for names in (_PER_UNIT, _PER_SPIKE, _PER_POINT):
            lengths = {name: len(getattr(self, name)) for name in names}
            if len(set(lengths.values())) > 1:
                raise DataError(
                    f"details of different lengths ({lengths})",
                    expected="one value for every unit, spike or point",
                    remedy="make them again from the sorter's result",
                )
        if self.map_points.shape[1:] != (2,):
            raise DataError(
                f"a map of shape {self.map_points.shape}",
                expected="(points, 2)",
                remedy="project the embeddings onto two axes",
            )
        for name, lowest in (("spike_unit", 0), ("map_unit", -1)):
            index = getattr(self, name)
            if len(index) and not lowest <= index.min() <= index.max() < len(self.unit_ids):
                raise DataError(
                    f"{name} goes from {index.min()} to {index.max()}",
                    expected=f"{lowest} to {len(self.unit_ids) - 1}",
                    remedy="make them again from the sorter's result",
                )


def write_details(details: SortingDetails, folder: str | os.PathLike) -> Path:
    """Save details as an artifact folder, atomically.

    Raises
    ------
    DataError
        If the disk has too little room, or the folder exists and is not an artifact.
    """
    arrays = {one.name: getattr(details, one.name) for one in fields(details) if one.name != "events"}
    return save_artifact(folder, kind=KIND, arrays=arrays, document={"events": dict(details.events)})


def read_details(folder: str | os.PathLike) -> SortingDetails:
    """Open the details of a sorting.

    Parameters
    ----------
    folder
        Of the sorting that `neuroloom.sort(.., folder=..)` kept, or of the details in it.

    Raises
    ------
    MissingFile
        If the sorter gave none (only simsort does), or nothing is there.
    CorruptArtifact
        If it is damaged, or something else.
    """
    folder = Path(folder)
    if folder.name != FOLDER or not (folder / DOCUMENT).exists():
        folder = folder / FOLDER
    artifact = load_artifact(folder, kind=KIND)
    try:
        return SortingDetails(**artifact.arrays, events=artifact.document["events"])
    except (TypeError, KeyError, DataError) as error:
        raise CorruptArtifact(
            f"{folder} holds other details than these ({error})",
            expected="those of this version",
            remedy="sort the recording again",
        ) from None
