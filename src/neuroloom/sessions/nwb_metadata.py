"""What an NWB file says of a session beside its data: who, where, which animal, and how it was made.

A session knows none of it. It comes in the shape of neuroconv's metadata files, two tables of plain values:
``NWBFile`` (session_start_time, experimenter, institution, ..) and ``Subject`` (species, sex, age, ..).
"""

import contextlib
import datetime
import importlib
import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neuroloom import __version__
from neuroloom.errors import CorruptArtifact, DataError, MissingFile, NeuroloomError
from neuroloom.fingerprints import to_json

TEXTS = (
    "session_description", "experiment_description", "institution", "lab", "protocol", "pharmacology",
    "surgery", "virus", "slices", "stimulus_notes",
)  # fmt: skip
LISTS = ("experimenter", "keywords", "related_publications")
SUBJECT = ("age", "date_of_birth", "description", "genotype", "sex", "species", "strain", "weight")
KNOWN = {"NWBFile": (*TEXTS, *LISTS, "session_start_time"), "Subject": SUBJECT}
_DATES = ("session_start_time", "date_of_birth")


def read_metadata(path: str | os.PathLike) -> dict[str, dict[str, Any]]:
    """Return metadata from a ``.json`` or ``.yaml`` file, or what an ``.nwb`` file holds of it.

    Raises
    ------
    MissingFile
        If there is no such file.
    DataError
        If it cannot be read, or has a name that NWB does not know.
    CorruptArtifact
        If it is an NWB file that is damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFile(f"{path} does not exist", expected="a file of metadata", remedy="check the path")
    if path.suffix == ".nwb":
        return _of_nwb(path)
    import yaml

    try:
        # Safe: plain values only, whatever a file asks for.
        content = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, ValueError, OSError, RecursionError) as error:
        raise DataError(
            f"{path} cannot be read ({' '.join(str(error).split())[:200]})",
            expected="YAML or JSON with the tables NWBFile and Subject",
            remedy="mend it; docs/bring-your-own-data.md has an example",
        ) from None
    return checked_metadata(content, where=str(path))


def metadata_of_recording(path: Path) -> dict[str, dict[str, Any]] | None:
    """Return what a recording's own NWB file holds of it; None where there is none, or an odd one."""
    if path.suffix == ".nwb":
        with contextlib.suppress(NeuroloomError):
            return read_metadata(path)
    return None


def _as_text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def checked_metadata(content: Any, *, where: str = "metadata") -> dict[str, dict[str, Any]]:
    """Return metadata whose names are known and whose values are of the right kind; dates as datetimes.

    Raises
    ------
    DataError
        Naming the entry that is not.
    """
    if not isinstance(content, Mapping) or set(content) - set(KNOWN):
        raise DataError(
            f"{where} holds {sorted(map(str, content)) if isinstance(content, Mapping) else content!r}",
            expected=f"the tables {', '.join(KNOWN)}",
            remedy="put each entry into one of them",
        )
    checked: dict[str, dict[str, Any]] = {name: {} for name in KNOWN}
    for table, entries in content.items():
        for name, value in (
            (entries or {}).items() if isinstance(entries or {}, Mapping) else [(entries, None)]
        ):
            if name not in KNOWN[table]:
                raise DataError(
                    f"{where} has {name!r} in {table}",
                    expected=f"one of {', '.join(KNOWN[table])}",
                    remedy="correct the name",
                )
            checked[table][name] = _value(name, value, f"{where}, {table}.{name}")
    return checked


def provenance_text(provenance: Mapping[str, Any]) -> str:
    """Return what made a file as JSON: neuroloom's version and what else is known."""
    return to_json({"neuroloom": __version__, **provenance}, indent=None).strip()


def read_provenance(path: str | os.PathLike) -> dict[str, Any]:
    """Return what made an NWB file of neuroloom: version, and where known config, data fingerprint and seed.

    Raises
    ------
    MissingFile, CorruptArtifact
        If there is no such file, or it is damaged or not of neuroloom.
    """
    from neuroloom.sessions.nwb_reading import refuse_unreadable

    path = Path(path)
    with refuse_unreadable(path), _opened(path) as content:
        text = content.data_collection
    with contextlib.suppress(ValueError, TypeError):
        found = json.loads(text)
        if isinstance(found, dict) and "neuroloom" in found:
            return found
    raise CorruptArtifact(
        f"{path} does not say that neuroloom wrote it",
        expected="provenance in general/data_collection",
        remedy="pass a file that neuroloom wrote",
    )


def _of_nwb(path: Path) -> dict[str, dict[str, Any]]:
    from neuroloom.sessions.nwb_reading import refuse_unreadable

    with refuse_unreadable(path), _opened(path) as content:
        file = {name: getattr(content, name) for name in KNOWN["NWBFile"]}
        subject = {name: getattr(content.subject, name, None) for name in SUBJECT}
        lists = {name: [_as_text(each) for each in file[name]] for name in LISTS if file[name] is not None}
    found = {"NWBFile": file | lists, "Subject": subject}
    return checked_metadata(
        {table: {name: value for name, value in entries.items() if value is not None}
         for table, entries in found.items()},
        where=str(path),
    )  # fmt: skip


@contextlib.contextmanager
def _opened(path: Path):
    pynwb = importlib.import_module("pynwb")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pynwb.NWBHDF5IO(path, "r") as stream:
            yield stream.read()


def _value(name: str, value: Any, where: str) -> Any:
    if name in _DATES:
        with contextlib.suppress(ValueError):
            moment = datetime.datetime.fromisoformat(value) if isinstance(value, str) else value
            if isinstance(moment, datetime.datetime):
                return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
            if isinstance(moment, datetime.date):
                return datetime.datetime(moment.year, moment.month, moment.day, tzinfo=datetime.UTC)
    elif name in LISTS:
        value = [value] if isinstance(value, str) else value
        if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
            return list(value)
    elif isinstance(value, str) and value.strip():
        return value
    expected = "a date such as 2026-11-27T09:30:00+01:00" if name in _DATES else "text"
    raise DataError(f"{where} is {value!r}", expected=expected, remedy="correct it")
