"""A session in a hashed artifact folder (safetensors and JSON)."""

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pynapple as nap

from neuroloom.artifacts import load_artifact, refuse_foreign_content, save_artifact
from neuroloom.findings import Finding
from neuroloom.sessions.columns import label_values
from neuroloom.sessions.convert import spike_group
from neuroloom.sessions.intervals import as_support
from neuroloom.sessions.session import Session

KIND = "session"


def save_session(session: Session, folder: str | os.PathLike) -> Path:
    """Write a session atomically.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    DataError
        If the disk has too little room, or the folder exists and holds something else.
    """
    times = [session.spikes.data[key].t for key in session.spikes.index]
    arrays = {
        "spikes/keys": np.asarray(session.spikes.index, dtype=np.int64),
        "spikes/counts": np.array([len(each) for each in times], dtype=np.int64),
        "spikes/times_s": np.concatenate([*times, np.zeros(0)]),
        "time_support": session.time_support.values,
    }
    document: dict[str, Any] = {
        "id": session.id,
        "subject": session.subject,
        "units": _pack(session.spikes, arrays, prefix="units"),
        "behavior": [],
        "trials": None,
        "findings": [finding.as_dict() for finding in session.findings],
    }
    for number, (name, series) in enumerate(session.behavior.items()):
        arrays[f"behavior/{number}/times_s"] = series.t
        arrays[f"behavior/{number}/values"] = np.asarray(series.values)
        columns = None
        if isinstance(series, nap.TsdFrame):
            columns = [
                int(each) if isinstance(each, int | np.integer) else str(each) for each in series.columns
            ]
        document["behavior"].append({"name": name, "columns": columns})
    if session.trials is not None:
        arrays["trials"] = session.trials.values
        document["trials"] = _pack(session.trials, arrays, prefix="trials")
    return save_artifact(
        folder, kind=KIND, document=document, arrays=arrays, data_fingerprint=session.fingerprint()
    )


def load_session(path: str | os.PathLike) -> Session:
    """Read a session folder, or an NWB file where the name ends in ``.nwb``.

    Raises
    ------
    MissingFile
        If there is nothing of that name.
    CorruptArtifact
        If a file is missing, truncated or altered, or the folder holds something else.
    """
    path = Path(path)
    if path.suffix == ".nwb":
        from neuroloom.sessions.nwb import read_nwb

        return read_nwb(path)
    saved = load_artifact(path, kind=KIND)
    with refuse_foreign_content(path, expected="a session"), warnings.catch_warnings():
        # Times out of order pynapple would sort, with a warning, and drop what is known of trials.
        warnings.simplefilter("error", UserWarning)
        return _unpack_session(saved.document, saved.arrays)


def _unpack_session(document: dict[str, Any], arrays: dict[str, np.ndarray]) -> Session:
    support = as_support(arrays["time_support"])
    keys, counts = arrays["spikes/keys"], arrays["spikes/counts"]
    parts = np.split(arrays["spikes/times_s"], np.cumsum(counts)[:-1]) if len(keys) else []
    behavior = {}
    for number, entry in enumerate(document["behavior"]):
        times, values = arrays[f"behavior/{number}/times_s"], arrays[f"behavior/{number}/values"]
        if entry["columns"] is None:
            behavior[entry["name"]] = nap.Tsd(times, values, time_support=support)
        else:
            behavior[entry["name"]] = nap.TsdFrame(
                times, values, time_support=support, columns=entry["columns"]
            )
    trials = None
    if document["trials"] is not None:
        trials = nap.IntervalSet(
            arrays["trials"], metadata=_unpack(document["trials"], arrays, prefix="trials")
        )
    return Session(
        id=document["id"],
        subject=document["subject"],
        spikes=spike_group(
            {int(key): times for key, times in zip(keys, parts, strict=True)},
            support,
            _unpack(document["units"], arrays, prefix="units"),
        ),
        behavior=behavior,
        trials=trials,
        time_support=support,
        findings=tuple(Finding(**finding) for finding in document["findings"]),
    )


def _pack(
    metadata: nap.TsGroup | nap.IntervalSet, arrays: dict[str, np.ndarray], *, prefix: str
) -> list[dict]:
    """Put numeric columns among the arrays, and return all columns' names with the text of the others."""
    entries = []
    for name in metadata.metadata_columns:
        if name == "rate":
            continue
        column = label_values(metadata, name)
        if column.dtype.kind == "U":
            entries.append({"name": name, "text": column.tolist()})
        else:
            arrays[f"{prefix}/{name}"] = column
            entries.append({"name": name, "text": None})
    return entries


def _unpack(entries: list[dict], arrays: dict[str, np.ndarray], *, prefix: str) -> dict[str, np.ndarray]:
    return {
        entry["name"]: arrays[f"{prefix}/{entry['name']}"]
        if entry["text"] is None
        else np.array(entry["text"], dtype=np.str_)
        for entry in entries
    }
