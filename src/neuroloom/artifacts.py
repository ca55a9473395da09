"""Files that survive: atomic writes, and hashed folders for models, sessions and runs.

An artifact is a folder of ``arrays.safetensors``, ``document.json`` and ``manifest.json``; the manifest
holds the size and sha256 of every other file. Nothing is ever unpickled.
"""

import contextlib
import datetime
import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neuroloom import __version__
from neuroloom.errors import CorruptArtifact, DataError, MissingFile
from neuroloom.workplaces import draft_of, only_writer_in, refuse_foreign

FORMAT = 1
ARRAYS, DOCUMENT, MANIFEST = "arrays.safetensors", "document.json", "manifest.json"


@dataclass(frozen=True)
class Artifact:
    """What `load_artifact` gives back.

    Attributes
    ----------
    kind
        What the folder holds, e.g. ``"session"`` or ``"decoder/wiener"``.
    document
        JSON content chosen by the writer.
    arrays
        Name -> array.
    provenance
        neuroloom's version, the writing time, config, seed and data fingerprint.
    """

    kind: str
    document: dict[str, Any]
    arrays: dict[str, np.ndarray]
    provenance: dict[str, Any] = field(default_factory=dict)


def save_artifact(
    folder: str | os.PathLike,
    *,
    kind: str,
    document: Mapping[str, Any] | None = None,
    arrays: Mapping[str, np.ndarray] | None = None,
    config: Mapping[str, Any] | None = None,
    seed: int | None = None,
    data_fingerprint: str | None = None,
) -> Path:
    """Write an artifact folder atomically; an older one is replaced only once all is on disk.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    DataError
        If the disk has too little room, or the folder exists and is not an artifact.
    """
    from safetensors.numpy import save

    folder = Path(folder)
    payload = save({name: np.asarray(array, order="C") for name, array in (arrays or {}).items()})
    provenance = {
        "neuroloom": __version__,
        "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "config": config,
        "seed": seed,
        "data_fingerprint": data_fingerprint,
    }
    with new_folder(folder, expected_bytes=len(payload), replaces=MANIFEST) as draft:
        (draft / ARRAYS).write_bytes(payload)
        (draft / DOCUMENT).write_text(to_json(dict(document or {})))
        seal(draft, kind=kind, provenance=provenance)
    return folder


def load_artifact(folder: str | os.PathLike, *, kind: str | None = None) -> Artifact:
    """Read an artifact folder after checking every file against its manifest.

    Parameters
    ----------
    folder
        The folder.
    kind
        If given, the kind that the caller can use; a trailing ``/`` accepts every kind below it.

    Raises
    ------
    MissingFile
        If there is no such folder.
    CorruptArtifact
        If a file is missing, truncated or altered, or the folder holds something else.
    """
    from safetensors.numpy import load

    folder = Path(folder)
    previous = _previous(folder)
    if not folder.exists() and previous.exists():
        # A kill between the two renames of `new_folder` leaves the older version under this name.
        os.rename(previous, folder)
    manifest = verify(folder)
    found = manifest["kind"]
    if kind is not None and found != kind and not (kind.endswith("/") and found.startswith(kind)):
        raise CorruptArtifact(
            f"{folder} holds a {found!r}", expected=f"a {kind!r}", remedy="pass a folder of that kind"
        )
    return Artifact(
        kind=found,
        document=json.loads((folder / DOCUMENT).read_text()),
        arrays=load((folder / ARRAYS).read_bytes()),
        provenance=manifest["provenance"],
    )


def seal(folder: Path, *, kind: str, provenance: Mapping[str, Any] | None = None) -> None:
    """Write the manifest of every file now in `folder`."""
    files = {
        str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / MANIFEST
    }
    manifest = {"format": FORMAT, "kind": kind, "files": files, "provenance": dict(provenance or {})}
    write_text(folder / MANIFEST, to_json(manifest))


def bundled_folder(room: Path, name: str) -> Path:
    """Return the folder of weights called `name` among those that a room brings with it.

    Raises
    ------
    DataError
        If there are none of that name; the message names those that there are.
    """
    known = sorted(path.parent.name for path in room.glob(f"*/{MANIFEST}"))
    if name not in known:
        raise DataError(
            f"there are no bundled weights {name!r}",
            expected=f"one of {', '.join(map(repr, known)) or 'none (this installation has none)'}",
            remedy="pass one of these names",
        )
    return room / name


def verify(folder: str | os.PathLike) -> dict[str, Any]:
    """Return the manifest of `folder` after comparing every listed file with it.

    Raises
    ------
    MissingFile
        If there is no such folder.
    CorruptArtifact
        Naming the first file that is missing, truncated or altered.
    """
    folder = Path(folder)
    if not folder.exists():
        raise MissingFile(f"{folder} does not exist", expected="a neuroloom folder", remedy="check the path")
    remedy = "restore the folder from a copy, or make it again with the command that wrote it"
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        files, _, _ = manifest["files"], manifest["kind"], manifest["provenance"]
        entries = [(name, int(entry["bytes"]), str(entry["sha256"])) for name, entry in files.items()]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CorruptArtifact(
            f"{folder / MANIFEST} cannot be read ({error})", expected="a neuroloom manifest", remedy=remedy
        ) from None
    if manifest.get("format") != FORMAT:
        raise CorruptArtifact(
            f"{folder} has format {manifest.get('format')!r}",
            expected=f"format {FORMAT}",
            remedy="use the neuroloom version that wrote it",
        )
    for name, n_bytes, sha256 in entries:
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise CorruptArtifact(f"{folder} lists {name!r}", expected="files inside it", remedy=remedy)
        if not path.is_file():
            raise CorruptArtifact(f"{path} is missing", expected=f"{n_bytes} bytes", remedy=remedy)
        if path.stat().st_size != n_bytes:
            raise CorruptArtifact(
                f"{path} has {path.stat().st_size} bytes", expected=f"{n_bytes} bytes", remedy=remedy
            )
        if file_sha256(path) != sha256:
            raise CorruptArtifact(
                f"{path} was altered after writing", expected=f"sha256 {sha256[:12]}..", remedy=remedy
            )
    return manifest


@contextlib.contextmanager
def new_folder(folder: Path, *, expected_bytes: int = 0, replaces: str | None = None) -> Iterator[Path]:
    """Yield a draft folder that becomes `folder` once the block ends without an error.

    Parameters
    ----------
    folder
        The final name.
    expected_bytes
        An estimate of what will be written, compared with the free space first.
    replaces
        A file that an existing `folder` must contain to be replaced; guards users' own folders.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with only_writer_in(folder.parent):
        refuse_foreign(folder, replaces=replaces)
    require_space(folder.parent, expected_bytes)
    draft = draft_of(folder)
    draft.mkdir()
    try:
        yield draft
        for path in draft.rglob("*"):
            if path.is_file():
                _fsync(path)
        _put_in_place(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _put_in_place(draft: Path, folder: Path) -> None:
    """Rename `draft` to `folder`, an older one aside first; of two writers at once, the last one stays."""
    previous = _previous(folder)
    with only_writer_in(folder.parent):
        shutil.rmtree(previous, ignore_errors=True)
        if folder.exists():
            os.rename(folder, previous)
        os.rename(draft, folder)
        _fsync(folder.parent)
        shutil.rmtree(previous, ignore_errors=True)


def write_bytes(path: str | os.PathLike, data: bytes) -> Path:
    """Write a file atomically: readers see the old content or all of the new, also after kill -9."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    require_space(path.parent, len(data))
    draft = draft_of(path)
    try:
        with open(draft, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def write_text(path: str | os.PathLike, text: str) -> Path:
    """Write a UTF-8 text file atomically."""
    return write_bytes(path, text.encode())


def require_space(folder: Path, n_bytes: int) -> None:
    """Refuse to start writing `n_bytes` where they do not fit.

    Raises
    ------
    DataError
        Naming the free and the needed space.
    """
    free = shutil.disk_usage(folder).free
    if free < n_bytes + 2**16:
        raise DataError(
            f"{folder} has {free:,} bytes free",
            expected=f"at least {n_bytes + 2**16:,} bytes",
            remedy="free some space or write elsewhere",
        )


def to_json(value: Any, *, indent: int | None = 2) -> str:
    """Return strict JSON; NumPy values become plain ones, and what is not a number becomes null."""
    return json.dumps(_plain(value), indent=indent, ensure_ascii=False, allow_nan=False) + "\n"


def fingerprint(*parts: Any) -> str:
    """Return a sha256 over arrays (dtype, shape, bytes), text and JSON-able values, in order."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray) and part.dtype.kind not in "OUS":
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).data)
        else:
            digest.update(to_json(part).encode())
    return digest.hexdigest()


def file_sha256(path: str | os.PathLike) -> str:
    """Return the sha256 of a file's content."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value


def _previous(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.previous"


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
