"""Sessions of brainsets: HDF5 files that temporaldata and torch_brain write, read without either of them.

Each group of such a file names what it is in the attribute ``object``: series with timestamps, series with a
rate, intervals, or arrays of one length. Spikes are a series with timestamps and a ``unit_index``.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from neuroloom.errors import CorruptArtifact, DataError, MissingFile, NeuroloomError
from neuroloom.findings import Finding
from neuroloom.sessions.columns import TAKEN_BY_TRIALS, TAKEN_BY_UNITS, label_array, usable_name
from neuroloom.sessions.convert import from_arrays
from neuroloom.sessions.session import Session

IRREGULAR, REGULAR, INTERVALS, ARRAYS = "IrregularTimeSeries", "RegularTimeSeries", "Interval", "ArrayDict"
UNIT_INDEX, NOT_LABELS = "unit_index", ("start", "end", "timestamps", "domain", "timestamp_indices_1s")


def read_temporaldata(path: str | os.PathLike, *, spikes: str = "spikes", trials: str = "trials") -> Session:
    """Read a session from a temporaldata file.

    Units are those of the group ``units``, in its order; its one-dimensional arrays become labels. Every
    other series of numbers becomes a behaviour, called by its group and field (``cursor.vel``), or by its
    group alone where that has one field. What is left out is told in `Session.findings`.

    Parameters
    ----------
    path
        An ``.h5`` file of a brainset.
    spikes, trials
        Names of the groups that hold spikes and trials; a file may lack either.

    Raises
    ------
    MissingFile
        If there is no such file.
    CorruptArtifact
        If it is truncated, damaged, or no file of temporaldata.
    DataError
        If its content cannot be a session.
    """
    import h5py

    path = Path(path)
    if not path.is_file():
        raise MissingFile(
            f"{path} does not exist", expected="a brainset's HDF5 file", remedy="check the path"
        )
    try:
        with h5py.File(path, "r") as file:
            if _kind(file) != "Data":
                raise CorruptArtifact(
                    f"{path} is HDF5 of the kind {_kind(file) or 'unknown'}",
                    expected="a file that temporaldata wrote",
                    remedy="pass a file of a brainset; for NWB use Session.from_nwb",
                )
            return _session(file, path, spikes=spikes, trials=trials)
    except NeuroloomError:
        raise
    except Exception as error:  # HDF5 raises many kinds for a damaged file
        raise CorruptArtifact(
            f"{path} ({path.stat().st_size:,} bytes) cannot be read "
            f"({type(error).__name__}: {' '.join(str(error).split())[:200]})",
            expected="a whole file of a brainset",
            remedy="download it again and compare the sizes, or make it again",
        ) from error


def _session(file: Any, path: Path, *, spikes: str, trials: str) -> Session:
    import pandas as pd

    findings: list[Finding] = []
    table = None
    if trials in file and _kind(file[trials]) == INTERVALS:
        group = file[trials]
        labels = _labels(group, len(group["start"]), TAKEN_BY_TRIALS, trials, findings)
        table = pd.DataFrame({"start": _times(group["start"]), "end": _times(group["end"]), **labels})
    trains, metadata = _units(file, spikes, findings)
    return from_arrays(
        id=_text(file, "session", "id") or path.stem,
        subject=_text(file, "subject", "id") or "unknown",
        spike_times_s=trains,
        behavior=dict(_behavior(file, spikes, findings)),
        trials=table,
        time_support=_domain(file),
        unit_metadata=metadata,
        findings=findings,
    )


def _units(file: Any, spikes: str, findings: list[Finding]) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    described = file["units"] if "units" in file and _kind(file["units"]) == ARRAYS else None
    n_units = 0 if described is None else _length(described)
    times, index = np.zeros(0), np.zeros(0, np.int64)
    if spikes in file and UNIT_INDEX in file[spikes]:
        times, index = _times(file[spikes]["timestamps"]), np.asarray(file[spikes][UNIT_INDEX][:])
        if index.shape != times.shape or (len(index) and (index.dtype.kind not in "iu" or index.min() < 0)):
            raise DataError(
                f"{len(times)} spikes with {index.dtype} unit indices of shape {index.shape}",
                expected="one index of a unit for every spike",
                remedy="make the file again",
            )
        if described is None:
            n_units = int(index.max(initial=-1)) + 1
        elif len(index) and index.max() >= n_units:
            raise DataError(
                f"spikes of unit {index.max()}, where {n_units} units are described",
                expected=f"indices 0 to {n_units - 1}",
                remedy="make the file again",
            )
    elif described is not None:
        what = f"{n_units} units have no spikes in {spikes!r}"
        findings.append(Finding("warning", what, "units", "name the group that holds them: spikes=.."))
    trains = [times[index == unit] for unit in range(n_units)]
    labels = {} if described is None else _labels(described, n_units, TAKEN_BY_UNITS, "units", findings)
    return trains, labels


def _behavior(file: Any, spikes: str, findings: list[Finding]) -> Iterator[tuple[str, Any]]:
    left_out = []
    for name, group in _groups(file):
        if _kind(group) not in (IRREGULAR, REGULAR) or name == spikes:
            continue
        fields = [key for key in group if key not in NOT_LABELS]
        for key in fields:
            values = np.asarray(group[key][:])
            if values.ndim not in (1, 2) or values.dtype.kind not in "biuf" or not len(values):
                left_out.append(f"{name}.{key}")
                continue
            times = _sample_times(group, len(values))
            yield (name if len(fields) == 1 else f"{name}.{key}"), (times, values)
    if left_out:
        what = f"left out, not numbers of one or two dimensions: {', '.join(left_out)}"
        findings.append(Finding("info", what, "behaviour", "read them with temporaldata if they are needed"))


def _groups(file: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield all groups that stand for an object, those inside other data too, by dotted names."""
    for name in file:
        item = file[name]
        if hasattr(item, "keys") and name != "domain":
            yield prefix + name, item
            if _kind(item) == "Data":
                yield from _groups(item, f"{prefix}{name}.")


def _sample_times(group: Any, n: int) -> np.ndarray:
    if _kind(group) == IRREGULAR:
        return _times(group["timestamps"])
    start_s = float(np.asarray(group["domain"]["start"][:])[0])
    return start_s + np.arange(n) / float(group.attrs["sampling_rate"])


def _domain(file: Any) -> np.ndarray | None:
    if "domain" not in file:
        return None
    return np.column_stack([_times(file["domain"]["start"]), _times(file["domain"]["end"])])


def _labels(
    group: Any, n: int, taken: frozenset[str], where: str, findings: list[Finding]
) -> dict[str, np.ndarray]:
    labels, left_out = {}, []
    for key in group:
        if key in NOT_LABELS:
            continue
        values = np.asarray(group[key][:]) if hasattr(group[key], "shape") else np.zeros(())
        if values.dtype.kind in "SO":
            texts = [each.decode() if isinstance(each, bytes) else str(each) for each in values.ravel()]
            values = np.array(texts, dtype=np.str_).reshape(values.shape)
        try:
            if values.shape != (n,):
                raise DataError(f"shape {values.shape}", expected=f"({n},)", remedy="leave it out")
            labels[usable_name(key, taken=taken)] = label_array(values, name=key)
        except DataError:
            left_out.append(key)
    if left_out:
        what = f"arrays left out: {', '.join(left_out)}"
        findings.append(Finding("info", what, where, "read them with temporaldata if they are needed"))
    return labels


def _length(group: Any) -> int:
    lengths = {len(group[key]) for key in group if hasattr(group[key], "shape")}
    if len(lengths) > 1:
        raise DataError(
            f"units described by {sorted(lengths)} rows",
            expected="one row each",
            remedy="make the file again",
        )
    return lengths.pop() if lengths else 0


def _times(dataset: Any) -> np.ndarray:
    return np.asarray(dataset[:], dtype=np.float64)


def _kind(group: Any) -> str:
    kind = group.attrs.get("object", "")
    return kind.decode() if isinstance(kind, bytes) else str(kind)


def _text(file: Any, group: str, name: str) -> str | None:
    """Return a description's text, which temporaldata keeps in an attribute."""
    if group not in file:
        return None
    value = file[group].attrs.get(name)
    return None if value is None else (value.decode() if isinstance(value, bytes) else str(value))
