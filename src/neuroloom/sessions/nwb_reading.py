"""What of an open NWB file becomes a session."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neuroloom.errors import CorruptArtifact, DataError, MissingFile, NeuroloomError
from neuroloom.findings import Finding
from neuroloom.sessions.columns import TAKEN_BY_TRIALS, TAKEN_BY_UNITS, label_array, usable_name
from neuroloom.sessions.convert import from_arrays
from neuroloom.sessions.mending import Samples
from neuroloom.sessions.regular_times import regular_times
from neuroloom.sessions.session import Session

# pynwb makes its classes at run time, so that its objects have no static types: they are Any here.

PREFIX, OBSERVED = "neuroloom_", "when the session was observed"
OWN_COLUMNS = ("start_time", "stop_time", "spike_times", "obs_intervals")
BEHAVIOR_MODULE = "behavior"
BEHAVIOR_TYPES = frozenset(
    ["SpatialSeries", "Position", "CompassDirection", "EyeTracking", "PupilTracking", "BehavioralTimeSeries"]
)


@contextlib.contextmanager
def refuse_unreadable(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong while reading `path` into one of our errors, with the path and a remedy.

    Raises
    ------
    MissingFile, DataError, CorruptArtifact
        If the file is absent, is a folder, or cannot be read.
    """
    if not path.exists():
        raise MissingFile(f"{path} does not exist", expected="an NWB file", remedy="check the path")
    if path.is_dir():
        raise DataError(
            f"{path} is a folder",
            expected="an NWB file in HDF5",
            remedy="export a Zarr store to HDF5 first (hdmf-zarr or neuroconv do it)",
        )
    try:
        yield
    except NeuroloomError:
        raise
    except Exception as error:
        # HDF5, h5py, hdmf and pynwb each raise what they like on damaged files.
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise CorruptArtifact(
            f"{path} ({path.stat().st_size:,} bytes) cannot be read as NWB: {reason}",
            expected="a whole NWB file",
            remedy="copy or download it again and compare the sizes, or make it again",
        ) from error


def read_open_file(content: Any, *, path: Path) -> Session:
    """Return the session in an open NWB file; see `neuroloom.sessions.nwb.read_nwb`."""
    findings: list[Finding] = []
    spikes: dict[int, np.ndarray] = {}
    unit_metadata: dict[str, np.ndarray] = {}
    if content.units is not None:
        spikes = _spikes(content.units, findings)
        unit_metadata = _labels(content.units, taken=TAKEN_BY_UNITS, where="units", findings=findings)
    trials = None
    if content.trials is not None:
        labels = _labels(content.trials, taken=TAKEN_BY_TRIALS, where="trials", findings=findings)
        borders = {"start": _times(content.trials, "start_time"), "end": _times(content.trials, "stop_time")}
        trials = pd.DataFrame({**borders, **labels})
    support = None
    if "time_support" in (content.intervals or {}):
        table = content.intervals["time_support"]
        support = np.column_stack([_times(table, "start_time"), _times(table, "stop_time")])
    elif content.units is not None:
        support = _observed(content.units)
    subject = content.subject.subject_id if content.subject is not None else None
    return from_arrays(
        id=content.session_id or path.stem,
        spike_times_s=spikes,
        behavior=_behavior(content, findings),
        trials=trials,
        subject=subject or "unknown",
        time_support=support,
        unit_metadata=unit_metadata,
        findings=findings,
    )


def _spikes(units: Any, findings: list[Finding]) -> dict[int, np.ndarray]:
    keys = [int(key) for key in units.id[:]]
    if len(set(keys)) < len(keys):
        what = "unit ids repeat; units are numbered 0, 1, .."
        findings.append(Finding("warning", what, "units", "give every unit its own id"))
        keys = list(range(len(keys)))
    index = {column.name: column for column in units.columns}.get("spike_times_index")
    if index is None:
        if keys:
            what = f"{len(keys)} units have no column of spike times"
            findings.append(Finding("warning", what, "units", "check the file"))
        return {key: np.zeros(0) for key in keys}
    times = np.asarray(index.target.data[:], dtype=np.float64)
    ends = np.asarray(index.data[:], dtype=np.int64)
    return dict(zip(keys, np.split(times, ends[:-1]), strict=True)) if keys else {}


def _observed(units: Any) -> np.ndarray | None:
    """Return when a session of ours was observed; in files of others it may hold for the units alone."""
    for column in units.columns:
        if column.name == "obs_intervals" and column.description == OBSERVED and len(column.data):
            return np.asarray(column.data[:1], dtype=np.float64)
    return None


def _labels(
    table: Any, *, taken: frozenset[str], where: str, findings: list[Finding]
) -> dict[str, np.ndarray]:
    """Return the one-dimensional columns of a table that are not NWB's own times and references."""
    # An indexed column is ragged, and so is what its index is called.
    ragged = {column.target.name for column in table.columns if hasattr(column, "target")}
    labels, left_out = {}, []
    for column in table.columns:
        if hasattr(column, "target") or column.name in OWN_COLUMNS:
            continue
        if column.name in ragged or hasattr(column, "table"):
            left_out.append(column.name)
            continue
        values = np.asarray(column.data[:])
        if values.dtype.kind == "O" and len(values) and all(hasattr(value, "name") for value in values):
            values = np.array([value.name for value in values], dtype=np.str_)
        ours = column.name.startswith(PREFIX)
        name = column.name.removeprefix(PREFIX) if ours else usable_name(column.name, taken=taken)
        try:
            labels[name] = label_array(values, name=column.name)
        except DataError:
            left_out.append(column.name)
    if left_out:
        what = f"columns left out: {', '.join(left_out)}"
        findings.append(Finding("info", what, where, "read them with pynwb if they are needed"))
    return labels


def _times(table: Any, name: str) -> np.ndarray:
    column = next(column for column in table.columns if column.name == name)
    return np.asarray(column.data[:], dtype=np.float64)


def _behavior(content: Any, findings: list[Finding]) -> dict[str, Any]:
    places = {name: module.data_interfaces for name, module in content.processing.items()}
    found: dict[str, Any] = {}
    left_out = []
    for place, items in {**places, "acquisition": content.acquisition}.items():
        for name, item in items.items():
            if place != BEHAVIOR_MODULE and type(item).__name__ not in BEHAVIOR_TYPES:
                continue
            for series in _series_in(item):
                if "decoded" in _told(series):
                    continue  # what a decoder of ours made of the units is no behaviour
                values = _samples(series)
                if values is None:
                    left_out.append(str(series.name))
                    continue
                names = (series.name, f"{name}_{series.name}", f"{place}_{name}_{series.name}")
                found[next(label for label in names if label not in found)] = values
    if left_out:
        what = f"left out, not numbers of one or two dimensions: {', '.join(left_out)}"
        findings.append(Finding("info", what, "behaviour", "read them with pynwb if they are needed"))
    return found


def _series_in(item: Any) -> list[Any]:
    """Return the time series that an NWB object is or holds."""
    if hasattr(item, "data") and hasattr(item, "timestamps"):
        return [item]
    for holder in ("spatial_series", "time_series"):
        if hasattr(item, holder):
            return list(getattr(item, holder).values())
    return []


def _samples(series: Any) -> Samples | None:
    data, told = np.asarray(series.data[:]), _told(series)
    if data.ndim not in (1, 2) or data.dtype.kind not in "biuf":
        return None
    if series.conversion not in (None, 1.0) or series.offset not in (None, 0.0):
        data = data * float(series.conversion or 1.0) + float(series.offset or 0.0)
    if series.timestamps is not None:
        times = np.asarray(series.timestamps[:], dtype=np.float64)
    else:
        form = told.get("clock", "divided")
        times = regular_times(float(series.starting_time or 0.0), float(series.rate), len(data), form=form)
    return Samples(times, data, _column_names(told, data))


def _told(series: Any) -> dict[str, Any]:
    """Return what neuroloom left in the comments of a series."""
    try:
        told = json.loads(series.comments or "")
    except (ValueError, TypeError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _column_names(told: dict[str, Any], data: np.ndarray) -> list[Any] | None:
    columns = told.get("columns")
    return columns if data.ndim == 2 and isinstance(columns, list) and len(columns) == data.shape[1] else None
