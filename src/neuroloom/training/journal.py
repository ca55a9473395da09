"""A run's log: one JSON object a line, appended, and readable after any interruption."""

import json
import os
from pathlib import Path
from typing import Any

from neuroloom import artifacts


def read_journal(path: str | os.PathLike) -> list[dict[str, Any]]:
    """Return the records of a log; lines that were cut or damaged are left out."""
    path = Path(path)
    records = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            records.append(record)
    return records


class Journal:
    """Appends records to a log file and keeps them in memory.

    Parameters
    ----------
    path
        The file; None keeps the records in memory only.
    last_step
        Records of later steps are dropped: those steps are about to be done again.
    """

    def __init__(self, path: Path | None, *, last_step: int = 0):
        self.path = path
        found = read_journal(path) if path else []
        self.records = [record for record in found if record.get("step", 0) <= last_step]
        if last_step == 0:
            self.records = []
        if path:
            artifacts.write_text(path, "".join(_line(record) for record in self.records))

    def append(self, record: dict[str, Any]) -> None:
        """Add a record; it is with the operating system when this returns."""
        self.records.append(record)
        if self.path:
            with open(self.path, "a", encoding="utf-8") as stream:
                stream.write(_line(record))


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"
