"""Folders in which one process works at a time: drafts, locks, and what a killed process left."""

import contextlib
import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from neuroloom.errors import DataError

LOCK = ".lock"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def draft_of(path: Path) -> Path:
    """Return a new name beside `path` for what will be renamed to it once it is whole."""
    return path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}.draft"


def remove_drafts(folder: Path) -> None:
    """Remove what a killed process was writing in a folder."""
    for draft in folder.glob(".*.draft"):
        shutil.rmtree(draft) if draft.is_dir() else draft.unlink()


def refuse_foreign(folder: Path, *, replaces: str | None) -> None:
    """Refuse to write where a user keeps something else.

    Parameters
    ----------
    folder
        May be absent, empty, or hold a file called `replaces`.
    replaces
        What marks a folder as one of ours.

    Raises
    ------
    DataError
        If the folder holds other things, or is a file.
    """
    ours = replaces is not None and (folder / replaces).exists()
    if folder.exists() and not ours and not (folder.is_dir() and not any(folder.iterdir())):
        raise DataError(
            f"{folder} exists and is not ours to replace",
            expected="a new or empty folder",
            remedy="choose another name or remove it",
        )


@contextlib.contextmanager
def refuse_full_disk(folder: Path | None = None) -> Iterator[None]:
    """Turn the word that a disk, a quota or a file's limit is full into an error with a remedy.

    Parameters
    ----------
    folder
        What is written to, where the system does not say it.

    Raises
    ------
    DataError
        Naming the place.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        # HDF5 gives the number in words alone, and NumPy counts what it could not write.
        words = str(error)
        told = getattr(error, "errno", None) in _FULL or any(os.strerror(code) in words for code in _FULL)
        if not told and not re.search(r"\d+ requested and \d+ written", words):
            raise
        place = getattr(error, "filename", None) or folder or "the disk"
        raise DataError(
            f"{place} ran full while it was written to",
            expected="room for what is made; what was there before is still there",
            remedy="free some space and run the same command again: it goes on from what is finished",
        ) from error


@contextlib.contextmanager
def only_process_in(folder: Path, *, doing: str, remedy: str) -> Iterator[None]:
    """Hold a folder against a second process; the system frees it if this one dies.

    Parameters
    ----------
    folder
        An existing folder.
    doing, remedy
        For the message of the second process.

    Raises
    ------
    DataError
        If another process holds it.
    """
    import fcntl

    with open(folder / LOCK, "w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(
                f"another process is {doing} in {folder}",
                expected="one process per folder at a time",
                remedy=f"wait for it, or {remedy}",
            ) from None
        yield


def is_held(folder: Path) -> bool:
    """Return whether a process is in `only_process_in` of this folder."""
    import fcntl

    if not (folder / LOCK).exists():
        return False
    with open(folder / LOCK) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextlib.contextmanager
def only_writer_in(folder: Path) -> Iterator[None]:
    """Let no other process or thread exchange folders in `folder` meanwhile; kill -9 ends it too."""
    try:
        import fcntl
    except ImportError:  # Windows has no locks on folders; its renames refuse what is in use.
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        # Some network file systems have no locks: then we go on without.
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
