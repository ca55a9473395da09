"""Sections of a page on disk: each stage of a run leaves its own, and the page is put together from them."""

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from neuroloom.artifacts import to_json, write_text
from neuroloom.errors import CorruptArtifact
from neuroloom.reporting.page import Facts, Figure, Gallery, KeyFigure, Note, Section, Table

FILE = "section.json"
# The only types a file may name; nothing else is ever built from its content.
_KINDS = {kind.__name__: kind for kind in (Facts, Figure, Gallery, KeyFigure, Note, Section, Table)}


def write_section(section: Section, folder: Path) -> Path:
    """Write a section into `folder`."""
    return write_text(Path(folder) / FILE, to_json(_packed(section)))


def read_section(folder: Path) -> Section:
    """Read the section that `write_section` left in `folder`.

    Raises
    ------
    CorruptArtifact
        If the file is absent or is not a section.
    """
    path = Path(folder) / FILE
    try:
        section = _unpacked(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise CorruptArtifact(
            f"{path} cannot be read ({error})", expected="a section of a report", remedy="run the stage again"
        ) from None
    if not isinstance(section, Section):
        raise CorruptArtifact(f"{path} is no section", expected="one", remedy="run the stage again")
    return section


def _packed(value: Any) -> Any:
    if is_dataclass(value):
        content = {field.name: _packed(getattr(value, field.name)) for field in fields(value)}
        return {"kind": type(value).__name__, **content}
    if isinstance(value, list | tuple):
        return [_packed(item) for item in value]
    return value


def _unpacked(value: Any) -> Any:
    if isinstance(value, dict):
        kind = _KINDS[value["kind"]]
        return kind(**{name: _unpacked(item) for name, item in value.items() if name != "kind"})
    if isinstance(value, list):
        return tuple(_unpacked(item) for item in value)
    return value
