"""A run folder: stages that are finished or absent, a log, and resuming between them.

A stage is a folder inside the run folder. It appears under its name only once it is complete, with a manifest
of its files and the key of what it was made from; so a kill at any moment loses only the stage in progress,
and a rerun makes again just those stages whose key has changed.
"""

import contextlib
import datetime
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from neuroloom import __version__, artifacts
from neuroloom.errors import CorruptArtifact, DataError, MissingFile
from neuroloom.workplaces import only_process_in, remove_drafts

LOG = "log.jsonl"


class RunFolder:
    """The folder of one run.

    Parameters
    ----------
    path
        Made if absent; a folder with foreign content is refused.
    say
        Called with one line of text for each thing a user wants to know.

    Raises
    ------
    DataError
        If the folder holds something that is not a run.
    """

    def __init__(self, path: Path, *, say: Callable[[str], None] = lambda _: None):
        self.path, self.say = Path(path), say
        if self.path.exists() and not self.path.is_dir():
            raise DataError(f"{path} is a file", expected="a folder", remedy="choose another --out")
        if self.path.is_dir() and any(self.path.iterdir()) and not (self.path / LOG).exists():
            raise DataError(
                f"{path} exists and is not a neuroloom run",
                expected="a new or empty folder, or one of an earlier run",
                remedy="choose another --out",
            )
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / LOG).touch()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder against a second process; the system frees the lock if this one dies."""
        with only_process_in(self.path, doing="working", remedy="choose another --out"):
            remove_drafts(self.path)
            yield

    def stage(
        self,
        name: str,
        make: Callable[[Path], dict[str, Any] | None],
        *,
        key: str,
        seed: int | None = None,
        theirs: Sequence[str] = (),
    ) -> Path:
        """Return the folder of a finished stage, making it only where that was not done before.

        Parameters
        ----------
        name
            Folder name inside the run.
        make
            Fills the draft folder it is given; what it returns is kept as the stage's summary.
        key
            Fingerprint of everything the stage depends on.
        seed
            Recorded in the manifest.
        theirs
            Folders inside the stage that people change with other programs. That is no damage, and if the
            stage has to be made again, what was changed is kept beside it.
        """
        folder = self.path / name
        if self._finished(folder, key):
            self.say(f"{name}: kept from before")
            self.log(name, "kept")
            return folder
        self.say(f"{name} ..")
        self.log(name, "start")
        self._keep_aside(folder, theirs)
        started = time.perf_counter()
        with artifacts.new_folder(folder, replaces=artifacts.MANIFEST) as draft:
            summary = make(draft) or {}
            seconds = round(time.perf_counter() - started, 2)
            (draft / "stage.json").write_text(artifacts.to_json({"seconds": seconds, "summary": summary}))
            provenance = {
                "neuroloom": __version__,
                "key": key,
                "seed": seed,
                "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            }
            artifacts.seal(draft, kind=f"stage/{name}", provenance=provenance, theirs=theirs)
        self.log(name, "done", seconds=seconds, summary=summary)
        return folder

    def has(self, name: str, *, key: str) -> bool:
        """Return whether a stage is finished, whole, and made from the same."""
        return self._finished(self.path / name, key)

    def summary(self, name: str) -> dict[str, Any]:
        """Return what a finished stage said of itself."""
        return json.loads((self.path / name / "stage.json").read_text())["summary"]

    def seconds(self, name: str) -> float:
        """Return how long a finished stage took when it was made."""
        return json.loads((self.path / name / "stage.json").read_text())["seconds"]

    def log(self, stage: str, event: str, **details: Any) -> None:
        """Append one line to the run's log."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        line = json.dumps(
            json.loads(artifacts.to_json({"time": now, "stage": stage, "event": event, **details}))
        )
        with open(self.path / LOG, "a", encoding="utf-8") as stream:
            stream.write(line + "\n")

    def _keep_aside(self, stage: Path, theirs: Sequence[str]) -> None:
        manifest = stage / artifacts.MANIFEST
        if not manifest.is_file():
            return
        sealed = manifest.stat().st_mtime_ns  # the last that was written
        for name in theirs:
            changed = [path for path in (stage / name).rglob("*") if path.stat().st_mtime_ns > sealed]
            if changed:
                new = f"{stage.name}-{name.replace('/', '-')}-"
                aside = self.path / f"{new}{1 + len(list(self.path.glob(new + '*')))}"
                os.rename(stage / name, aside)
                self.say(f"{stage.name}: what you changed in {name} is kept in {aside}")

    def _finished(self, folder: Path, key: str) -> bool:
        if not folder.exists():
            return False
        try:
            manifest = artifacts.verify(folder)
        except (CorruptArtifact, MissingFile) as error:
            self.say(f"{folder.name}: damaged, made again ({error.found})")
            self.log(folder.name, "damaged", found=error.found)
            return False
        return manifest["provenance"].get("key") == key
