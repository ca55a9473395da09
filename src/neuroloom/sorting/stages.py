"""What a long sorting has finished so far, kept on disk until all of it is done."""

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from neuroloom import artifacts
from neuroloom.errors import CorruptArtifact, DataError, MissingFile
from neuroloom.workplaces import LOCK, only_process_in, remove_drafts

KIND = "sorting-stage"
_KEY, _FILE = "key.json", "array.npy"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


class StageCache:
    """Results of stages in one folder, which count only for the key that they were made under.

    A stage appears under its name once it is whole, so that a kill at any moment costs the stage in progress
    alone. What is damaged, or was made under another key, is as good as absent. Open it by `open_stages`.

    Parameters
    ----------
    folder
        An existing folder of its own.
    key
        Fingerprint of everything that the results depend on: recording, options, seed, version.

    Notes
    -----
    The use of it is one line per stage::

        found = cache.get("events") or cache.put("events", find_events(..))
    """

    def __init__(self, folder: str | os.PathLike, *, key: str):
        self.folder, self.key = Path(folder), key

    def get(self, name: str) -> dict[str, np.ndarray] | None:
        """Return the arrays of a finished stage, or None where it has to be made."""
        folder = self._stage(name)
        try:
            artifact = artifacts.load_artifact(folder, kind=f"{KIND}/{name}")
        except (MissingFile, CorruptArtifact, OSError, ValueError):
            return None
        return artifact.arrays if artifact.document.get("key") == self.key else None

    def put(self, name: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Keep the arrays of a finished stage, and return them.

        Raises
        ------
        DataError
            If the disk has too little room.
        """
        folder = self._cleared(name)
        artifacts.save_artifact(folder, kind=f"{KIND}/{name}", document={"key": self.key}, arrays=arrays)
        return dict(arrays)

    def file(self, name: str, make: Callable[[Path], object], *, expected_bytes: int = 0) -> Path:
        """Return the path of a finished stage that is one large file, making it where it is absent.

        Parameters
        ----------
        name
            Of the stage.
        make
            Writes the file whose path it is given, e.g. a copy of the recording as ``.npy``, which the caller
            then maps into memory instead of loading it.
        expected_bytes
            An estimate of its size, compared with the free space first.

        Raises
        ------
        DataError
            If the disk has too little room.
        """
        folder = self._stage(name)
        with contextlib.suppress(MissingFile, CorruptArtifact, OSError):
            manifest = artifacts.verify(folder)
            if manifest["provenance"].get("key") == self.key and _FILE in manifest["files"]:
                return folder / _FILE
        with artifacts.new_folder(self._cleared(name), expected_bytes=expected_bytes) as draft:
            make(draft / _FILE)
            artifacts.seal(draft, kind=f"{KIND}/{name}", provenance={"key": self.key})
        return folder / _FILE

    def _stage(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise DataError(
                f"a stage named {name!r}",
                expected="small letters, digits, - and _",
                remedy="choose another name",
            )
        return self.folder / name

    def _cleared(self, name: str) -> Path:
        folder = self._stage(name)
        shutil.rmtree(folder, ignore_errors=True)
        return folder


@contextlib.contextmanager
def open_stages(folder: str | os.PathLike, *, key: str) -> Iterator[StageCache]:
    """Open the folder of a sorting in progress; it is removed once the block ends without an error.

    What the folder holds for another key, and what a killed process was writing, is removed first.

    Parameters
    ----------
    folder
        Made where it is absent.
    key
        See `StageCache`.

    Raises
    ------
    DataError
        If the folder holds something else, or another process is at work in it.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / LOCK).exists())):
        raise DataError(
            f"{folder} exists and holds no sorting in progress",
            expected="a new or empty folder",
            remedy="remove it, or choose another folder for the sorting",
        )
    folder.mkdir(parents=True, exist_ok=True)
    with only_process_in(folder, doing="sorting", remedy="choose another folder for the sorting"):
        if _read_key(folder) != key:
            _empty(folder, "*")
            artifacts.write_text(folder / _KEY, artifacts.to_json({"key": key}))
        remove_drafts(folder)
        _empty(folder, ".*.previous")
        yield StageCache(folder, key=key)
        shutil.rmtree(folder)


def _read_key(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / _KEY).read_text())["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _empty(folder: Path, pattern: str) -> None:
    for path in folder.glob(pattern):
        if path.name != LOCK:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
