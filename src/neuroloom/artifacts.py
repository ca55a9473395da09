"""Files that survive: atomic writes, and hashed folders for models, sessions and runs.

An artifact is a folder of ``arrays.safetensors``, ``document.json`` and ``manifest.json``; the manifest
holds the size and sha256 of every other file, and of its own content. Nothing is ever unpickled.
"""

import contextlib
import datetime
import inspect
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neuroloom import __version__
from neuroloom.errors import CorruptArtifact, DataError, NeuroloomError
from neuroloom.fingerprints import file_sha256, fingerprint, to_json
from neuroloom.manifests import AGAIN, MANIFEST, seal, verify
from neuroloom.workplaces import draft_of, only_writer_in, refuse_foreign, refuse_full_disk

ARRAYS, DOCUMENT = "arrays.safetensors", "document.json"
__all__ = [
    "ARRAYS", "DOCUMENT", "MANIFEST", "Artifact", "bundled_folder", "file_sha256", "fingerprint",
    "load_artifact", "new_folder", "refuse_foreign_content", "require_space", "save_artifact", "seal",
    "settings_of", "to_json", "verify", "write_bytes", "write_text",
]  # fmt: skip


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
    from safetensors import SafetensorError
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
    try:
        document = json.loads((folder / DOCUMENT).read_text())
        arrays = load((folder / ARRAYS).read_bytes())
    except (OSError, ValueError, KeyError, RecursionError, SafetensorError) as error:
        raise CorruptArtifact(
            f"{folder} cannot be read ({error})", expected="what save_artifact writes", remedy=AGAIN
        ) from None
    return Artifact(kind=found, document=document, arrays=arrays, provenance=manifest["provenance"])


def settings_of(artifact: Artifact, made: Callable[..., Any], *, folder: str | os.PathLike) -> dict[str, Any]:
    """Return the settings under which an artifact was made, to make the same estimator again.

    Parameters
    ----------
    artifact
        What `load_artifact` returned.
    made
        The class that the settings are for.
    folder
        Where the artifact is, for the message.

    Raises
    ------
    CorruptArtifact
        If the artifact has none, or one that the class does not know.
    """
    settings = artifact.provenance.get("config")
    remedy = "use the neuroloom version that wrote it"
    expected = f"settings that {made.__name__} knows"
    if not isinstance(settings, dict):
        raise CorruptArtifact(f"{folder} has no settings", expected=expected, remedy=remedy)
    unknown = set(settings) - set(inspect.signature(made).parameters)
    if unknown:
        raise CorruptArtifact(
            f"{folder} has the settings {', '.join(sorted(unknown))}", expected=expected, remedy=remedy
        )
    return settings


@contextlib.contextmanager
def refuse_foreign_content(folder: str | os.PathLike, *, expected: str) -> Iterator[None]:
    """Turn what goes wrong while an artifact's content is put to use into one of our errors.

    An artifact can be whole and yet hold what this version does not know, or what somebody else made.

    Parameters
    ----------
    folder
        The artifact.
    expected
        What it should have been, e.g. ``"a decoder"``.

    Raises
    ------
    CorruptArtifact
        For content that is missing, of another shape or of another type.
    """
    try:
        yield
    except CorruptArtifact:
        raise
    except (
        ArithmeticError, AssertionError, AttributeError, LookupError, NeuroloomError, RuntimeError, TypeError,
        UserWarning, ValueError,
    ) as error:  # fmt: skip
        reason = " ".join(str(error).split())[:300]
        raise CorruptArtifact(
            f"{folder} is whole, but its content cannot be used ({type(error).__name__}: {reason})",
            expected=f"{expected}, as this version of neuroloom writes it",
            remedy="use the neuroloom version that wrote it, or make it again",
        ) from error


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
        with refuse_full_disk(folder.parent):
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
        with refuse_full_disk(path.parent), open(draft, "wb") as stream:
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


def _previous(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.previous"


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
