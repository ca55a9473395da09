"""Sessions written as NWB files and read from anybody's.

Units go to the units table, behaviour and what was decoded of it to the module ``behavior``, trials to the
trials table. A time support of one stretch goes to the units' ``obs_intervals``, any other to a table of
intervals named ``time_support``.
"""

import datetime
import importlib
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pynapple as nap

from neuroloom import __version__
from neuroloom.artifacts import require_space, write_bytes
from neuroloom.errors import DataError
from neuroloom.fingerprints import fingerprint
from neuroloom.sessions.columns import label_values
from neuroloom.sessions.nwb_metadata import checked_metadata, provenance_text
from neuroloom.sessions.nwb_reading import OBSERVED, PREFIX, read_open_file, refuse_unreadable
from neuroloom.sessions.regular_times import describe_times
from neuroloom.sessions.session import Session

Behavior = nap.Tsd | nap.TsdFrame
DECODED_SUFFIX, UNKNOWN_SUBJECT = "_decoded", "unknown"
UNKNOWN_START = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def read_nwb(path: str | os.PathLike) -> Session:
    """Read a session from an NWB file (HDF5), written by neuroloom or by others.

    Units are taken with their one-dimensional columns; behaviour from the module ``behavior``, and position,
    direction and eye tracking from everywhere; trials with their one-dimensional columns. Without a table
    ``time_support`` the session spans all that it holds. What is left out is told in `Session.findings`.

    Raises
    ------
    MissingFile
        If there is no such file.
    CorruptArtifact
        If it is truncated or damaged, or not an NWB file.
    DataError
        If its content cannot be a session, or it is a Zarr folder.
    """
    path = Path(path)
    with refuse_unreadable(path):
        pynwb = _untyped("pynwb")
        # pynwb warns about every trait of older files; what matters here is in the findings.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pynwb.NWBHDF5IO(path, "r") as stream:
                return read_open_file(stream.read(), path=path)


def write_nwb(
    session: Session,
    path: str | os.PathLike,
    *,
    start_time: datetime.datetime | None = None,
    metadata: Mapping[str, Any] | None = None,
    resolution_s: float = 1e-9,
    decoded: Mapping[str, Behavior] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Path:
    """Write a session as an NWB file; an older file of that name is replaced only once all is on disk.

    Parameters
    ----------
    session
        What to write.
    path
        A name that ends in ``.nwb``.
    start_time
        When the session's clock was 0. A session does not know it: by default what `metadata` says, or 1970.
    metadata
        What else a session does not know, in the shape of `neuroloom.sessions.nwb_metadata`. nwbinspector is
        content only where species, sex and age of a named subject are in it.
    resolution_s
        The smallest difference of two spike times: 1 / sampling rate, where that is known; else the step of a
        session's clock.
    decoded
        Name of a behaviour -> what a decoder made of the spikes.
    provenance
        What made all this: config, seed, data fingerprint, ..; neuroloom's version and the session's
        fingerprint are added.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    DataError
        If a behaviour's name cannot be a name in NWB, `metadata` has unknown names, or the disk is full.
    """
    path = Path(path)
    if path.suffix != ".nwb":
        raise DataError(
            f"NWB file name {path.name!r}", expected="a name ending in .nwb", remedy="add the ending"
        )
    content = _file_of(
        session,
        checked_metadata(metadata or {}),
        start_time=start_time,
        resolution_s=resolution_s,
        decoded=decoded or {},
        provenance={"session_fingerprint": session.fingerprint(), **(provenance or {})},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    n_bytes = sum(len(train) for train in session.spikes.data.values()) * 8
    for series in [*session.behavior.values(), *(decoded or {}).values()]:
        n_bytes += series.t.nbytes + np.asarray(series.values).nbytes
    require_space(path.parent, n_bytes + 2**20)
    return write_bytes(path, _image_of(content))


def _image_of(content: Any) -> bytes:
    """Return the bytes of an NWB file, made in memory.

    HDF5 that meets a full disk keeps what it could not write, and ends the process when it is closed later.
    """
    h5py, pynwb = _untyped("h5py"), _untyped("pynwb")
    with (
        h5py.File("session.nwb", "w", driver="core", backing_store=False) as file,
        pynwb.NWBHDF5IO(file=file, mode="w") as stream,
    ):
        stream.write(content)
        file.flush()
        return file.id.get_file_image()


def _file_of(
    session: Session,
    metadata: dict[str, dict[str, Any]],
    *,
    start_time: datetime.datetime | None,
    resolution_s: float,
    decoded: Mapping[str, Behavior],
    provenance: dict[str, Any],
) -> Any:
    pynwb, hdmf = _untyped("pynwb"), _untyped("hdmf.common")
    about, animal = metadata["NWBFile"], metadata["Subject"]
    subject = None
    if animal or session.subject != UNKNOWN_SUBJECT:
        known = {"description": f"subject {session.subject}", "sex": "U"} | animal
        subject = pynwb.file.Subject(subject_id=session.subject, **known)
    start = {"session_start_time": start_time or about.get("session_start_time") or UNKNOWN_START}
    text = provenance_text(provenance)
    content = pynwb.NWBFile(
        **{"session_description": "units, behaviour and trials of one session", **about, **start},
        identifier=fingerprint(text),
        session_id=session.id,
        subject=subject,
        notes="\n".join(str(finding) for finding in session.findings) or None,
        was_generated_by=[["neuroloom", __version__]],
        data_collection=text,
    )

    trains = [session.spikes.data[key].t for key in session.spikes.index]
    times = np.concatenate([*trains, np.zeros(0)])
    spikes = hdmf.VectorData(name="spike_times", description="seconds", data=_checksummed(times))
    ends = np.cumsum([len(train) for train in trains]).astype(np.uint64)
    labels = list(_labels(session.spikes, pynwb.misc.Units))
    columns = [spikes, hdmf.VectorIndex(name="spike_times_index", target=spikes, data=ends)]
    # The place that NWB has for it; it is written per unit, which is too much for hundreds of trials.
    in_units = len(trains) > 0 and len(session.time_support) == 1
    if in_units:
        observed = np.tile(session.time_support.values, (len(trains), 1))
        stretches = hdmf.VectorData(name="obs_intervals", description=OBSERVED, data=observed)
        counted = np.arange(1, len(trains) + 1, dtype=np.uint64)
        columns += [stretches, hdmf.VectorIndex(name="obs_intervals_index", target=stretches, data=counted)]
    content.units = pynwb.misc.Units(
        name="units",
        description="sorted units",
        id=hdmf.ElementIdentifiers(name="id", data=np.asarray(session.spikes.index, dtype=np.int64)),
        columns=[*columns, *labels],
        colnames=["spike_times", *["obs_intervals"] * in_units, *(label.name for label in labels)],
        resolution=resolution_s,
    )

    def table(name: str, intervals: nap.IntervalSet, description: str) -> Any:
        columns = [
            hdmf.VectorData(name="start_time", description="seconds", data=intervals.start.copy()),
            hdmf.VectorData(name="stop_time", description="seconds", data=intervals.end.copy()),
            *_labels(intervals, pynwb.epoch.TimeIntervals),
        ]
        return pynwb.epoch.TimeIntervals(
            name=name,
            description=description,
            id=hdmf.ElementIdentifiers(name="id", data=np.arange(len(intervals))),
            columns=columns,
            colnames=[column.name for column in columns],
        )

    if session.trials is not None:
        content.trials = table("trials", session.trials, "trials with their labels")
    if not in_units:
        content.add_time_intervals(table("time_support", session.time_support, OBSERVED))

    series = [_series(name, each, f"{name} over time") for name, each in session.behavior.items()]
    for name, each in decoded.items():
        text = f"{name} as decoded from the units"
        series.append(_series(f"{name}{DECODED_SUFFIX}", each, text, decoded=name))
    if series:
        module = content.create_processing_module(name="behavior", description="behaviour over time")
        module.add(series)
    return content


def _series(name: str, series: Behavior, description: str, **about: Any) -> Any:
    if "/" in name or ":" in name:
        raise DataError(f"behaviour {name!r}", expected="a name without / and : in NWB", remedy="rename it")
    told: dict[str, Any] = {"columns": None, **about}
    if isinstance(series, nap.TsdFrame):
        told["columns"] = [
            int(each) if isinstance(each, int | np.integer) else str(each) for each in series.columns
        ]
    regular = describe_times(series.t)
    if regular is None:
        clock: dict[str, Any] = {"timestamps": _checksummed(series.t.copy())}
    else:
        clock = {"starting_time": regular["start_s"], "rate": regular["rate_hz"]}
        told["clock"] = regular["form"]
    return _untyped("pynwb").TimeSeries(
        name=name,
        data=_checksummed(np.asarray(series.values)),
        **clock,
        unit="unknown",
        description=description,
        comments=json.dumps(told),
    )


def _checksummed(values: np.ndarray) -> Any:
    """Let HDF5 keep checksums, so that damage is met as an error and not as other numbers."""
    wrap = _untyped("hdmf.backends.hdf5").H5DataIO
    return wrap(values, fletcher32=True, chunks=True) if values.size else values


def _labels(metadata: nap.TsGroup | nap.IntervalSet, table_type: Any) -> Iterator[Any]:
    taken = {column["name"] for column in table_type.__columns__}
    for name in metadata.metadata_columns:
        values = label_values(metadata, name)
        if name == "rate" and isinstance(metadata, nap.TsGroup):
            continue
        if values.dtype.kind == "U":
            # HDF5 cannot tell the type of no strings at all.
            values = values.tolist() if len(values) else np.zeros(0, dtype="S1")
        # Names that NWB tables use themselves get a prefix, which reading takes away.
        clash = (
            name in taken or hasattr(table_type, name) or name.endswith("_index") or name.startswith(PREFIX)
        )
        stored = PREFIX + name if clash else name
        yield _untyped("hdmf.common").VectorData(name=stored, description=f"label {name}", data=values)


def _untyped(module: str) -> Any:
    """Import a module whose classes are made at run time, which a type checker cannot follow."""
    return importlib.import_module(module)
