"""List what neuroloom depends on and under which licences, from the metadata of what is installed.

``python tools/licences.py --out docs/licences.md``, or ``make licences``. Run it where all extras are
installed; what is absent is named as such, never guessed.
"""

import argparse
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = "neuroloom"
PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
# What a user's program needs, and what only builds, tests or compares.
SHIPPED = ("", "dask", "images", "text", "biophysics")
ABSENT, UNKNOWN = "not installed", "not stated"
# Long licence texts in a field that should hold a name: told by how they begin or what only they say.
TEXTS = {
    "Redistribution and use in source and binary forms": "BSD",
    "Permission is hereby granted, free of charge": "MIT",
    "Apache License": "Apache-2.0",
    "GNU LESSER GENERAL PUBLIC LICENSE": "LGPL",
    "GNU GENERAL PUBLIC LICENSE Version 3": "GPL-3.0",
    "GNU GENERAL PUBLIC LICENSE": "GPL",
}
INTRODUCTION = """\
# Licences

neuroloom is BSD-3-Clause. What it depends on, directly or not, as the packages themselves state it; made by
`make licences` from what is installed. Packages of the extras `bench`, `docs` and `dev` never reach a user's
program and are left out. The bundled cells come from Allen Institute morphologies (BSD), the bundled weights
from simulations of our own. Of `stlpips-pytorch` only weights are read. LFPykit, of the extra
`biophysics` alone, is under the GPL.
"""


@dataclass(frozen=True)
class Row:
    """One package: its name, version, licence, and what of neuroloom needs it."""

    name: str
    version: str
    licence: str
    needed_by: str


def find(name: str) -> Distribution | None:
    """Return an installed distribution, or None."""
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def direct(extra: str) -> list[str]:
    """Return what pyproject.toml asks for with one extra; "" is what it always asks for."""
    project = tomllib.loads(PROJECT.read_text())["project"]
    return project["optional-dependencies"][extra] if extra else project["dependencies"]


def applying(texts: Iterable[str], extras: Iterable[str] = ()) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield name and extras of those requirements that hold on this machine."""
    for requirement in map(Requirement, texts):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield canonicalize_name(requirement.name), frozenset(requirement.extras)


def closure(extra: str) -> set[str]:
    """Return the names of all that neuroloom needs with one extra, direct or not."""
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = list(applying(direct(extra)))
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) not in seen:
            seen.add((name, extras))
            found = find(name)
            waiting += applying(found.requires or (), extras) if found else ()
    return {name for name, _ in seen} - {ROOT}


def licence_of(found: Distribution) -> str:
    """Return the licence that a package's metadata state."""
    said = found.metadata
    if "License-Expression" in said:
        return said["License-Expression"]
    classified = [
        line.split(" :: ")[-1]
        for line in said.get_all("Classifier") or ()
        if line.startswith("License ::") and line.count(" :: ") > 1
    ]
    text = said["License"].strip() if "License" in said else ""
    if text not in ("", "UNKNOWN") and "\n" not in text and len(text) < 60:
        return text
    if classified:
        return ", ".join(classified)
    return next((name for sign, name in TEXTS.items() if sign in text), None) or from_file(found) or UNKNOWN


def from_file(found: Distribution) -> str | None:
    """Return what the licence file that comes with a package begins with or says."""
    for path in found.files or ():
        place = Path(str(path.locate()))
        if re.match(r"(licen[cs]e|copying)", path.name, re.IGNORECASE) and place.is_file():
            text = " ".join(place.read_text(errors="replace").split())
            for sign, name in TEXTS.items():
                if sign in text:
                    return name
    return None


def rows() -> list[Row]:
    """Return every package once, with the smallest part of neuroloom that needs it."""
    of: dict[str, str] = {}
    for extra in SHIPPED:
        for name in closure(extra):
            of.setdefault(name, extra)
    table = []
    for name, extra in sorted(of.items(), key=lambda item: (SHIPPED.index(item[1]), item[0])):
        found = find(name)
        version, licence = (found.version.split("+")[0], licence_of(found)) if found else ("", ABSENT)
        table.append(Row(name, version, licence.replace("|", "/"), f"[{extra}]" if extra else "always"))
    return table


def page(table: list[Row]) -> str:
    """Return the list as Markdown."""
    lines = [
        INTRODUCTION,
        "| package | version | licence | needed |",
        "|---|---|---|---|",
        *(f"| {row.name} | {row.version} | {row.licence} | {row.needed_by} |" for row in table),
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    """Write the page; exit code 1 if the licence of an installed package is not stated."""
    parser = argparse.ArgumentParser(description="What neuroloom depends on, and under which licences.")
    parser.add_argument("--out", type=Path, required=True, help="Markdown file to write")
    chosen = parser.parse_args()
    table = rows()
    chosen.out.write_text(page(table))
    silent = [row.name for row in table if row.licence == UNKNOWN]
    print(f"wrote {chosen.out}  ({len(table)} packages)")
    if silent:
        print(f"no licence is stated by {', '.join(silent)}", file=sys.stderr)
    return 1 if silent else 0


if __name__ == "__main__":
    sys.exit(main())
