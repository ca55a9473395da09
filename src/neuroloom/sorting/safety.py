"""SpikeInterface folders may ask their reader to run programs; such folders are refused before reading."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from neuroloom.errors import CorruptArtifact

_TRUSTED = ("spikeinterface.", "neuroloom.")


def refuse_programs(folder: Path) -> None:
    """Raise if reading the folder would unpickle anything or build a class from outside SpikeInterface.

    Raises
    ------
    CorruptArtifact
        Naming the file.
    """
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".pkl", ".pickle"):
            _refuse(path, "is a pickle, which can run any program")
        if path.suffix == ".npy":
            try:
                np.load(path, mmap_mode="r", allow_pickle=False)
            except ValueError as error:
                _refuse(path, f"holds no plain array ({error})")
        if path.suffix == ".json":
            try:
                names = list(_classes(json.loads(path.read_text())))
            except ValueError as error:
                _refuse(path, f"is not JSON ({error})")
            else:
                for name in names:
                    if not name.startswith(_TRUSTED):
                        _refuse(path, f"names the class {name}")


def _classes(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("class"), str):
            yield value["class"]
        for item in value.values():
            yield from _classes(item)
    elif isinstance(value, list):
        for item in value:
            yield from _classes(item)


def _refuse(path: Path, what: str) -> None:
    raise CorruptArtifact(
        f"{path} {what}", expected="plain data", remedy="make the folder again with neuroloom"
    )
