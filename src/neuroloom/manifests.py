"""The manifest of a folder: the size and sha256 of every file in it, and of its own content."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neuroloom.errors import CorruptArtifact, MissingFile
from neuroloom.fingerprints import file_sha256, fingerprint, to_json

FORMAT, MANIFEST = 1, "manifest.json"
AGAIN = "restore the folder from a copy, or make it again with the command that wrote it"


def seal(
    folder: Path, *, kind: str, provenance: Mapping[str, Any] | None = None, theirs: Sequence[str] = ()
) -> None:
    """Write the manifest of every file now in `folder`, but for those in the folders `theirs`.

    Those are for people to work in with other programs, which change them.
    """
    files = {
        str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path != folder / MANIFEST
        and not any(path.is_relative_to(folder / name) for name in theirs)
    }
    manifest = {"format": FORMAT, "kind": kind, "files": files, "provenance": dict(provenance or {})}
    manifest["sha256"] = fingerprint(manifest)
    (folder / MANIFEST).write_text(to_json(manifest))


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
    manifest = read_manifest(folder)
    for name, entry in manifest["files"].items():
        _check_file(folder, name, n_bytes=entry["bytes"], sha256=entry["sha256"])
    return manifest


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of `folder`, which is as it was written; the files may not be.

    Raises
    ------
    CorruptArtifact
        If it is absent or damaged, or of another version.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        files, _, _ = manifest["files"], manifest["kind"], dict(manifest["provenance"])
        if not all(
            isinstance(each["bytes"], int) and isinstance(each["sha256"], str) for each in files.values()
        ):
            raise ValueError("its entries are not sizes and hashes")
        _check_own_hash(manifest)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CorruptArtifact(
            f"{folder / MANIFEST} cannot be read ({error})", expected="a neuroloom manifest", remedy=AGAIN
        ) from None
    if manifest.get("format") != FORMAT:
        raise CorruptArtifact(
            f"{folder} has format {manifest.get('format')!r}",
            expected=f"format {FORMAT}",
            remedy="use the neuroloom version that wrote it",
        )
    return manifest


def _check_file(folder: Path, name: str, *, n_bytes: int, sha256: str) -> None:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise CorruptArtifact(f"{folder} lists {name!r}", expected="files inside it", remedy=AGAIN)
    if not path.is_file():
        raise CorruptArtifact(f"{path} is missing", expected=f"{n_bytes} bytes", remedy=AGAIN)
    if path.stat().st_size != n_bytes:
        raise CorruptArtifact(
            f"{path} has {path.stat().st_size} bytes", expected=f"{n_bytes} bytes", remedy=AGAIN
        )
    try:
        found = file_sha256(path)
    except OSError as error:
        raise CorruptArtifact(
            f"{path} cannot be read ({error})", expected=f"{n_bytes} bytes", remedy=AGAIN
        ) from None
    if found != sha256:
        raise CorruptArtifact(
            f"{path} was altered after writing", expected=f"sha256 {sha256[:12]}..", remedy=AGAIN
        )


def _check_own_hash(manifest: dict[str, Any]) -> None:
    content = {key: value for key, value in manifest.items() if key != "sha256"}
    # Manifests of before had no hash of their own, and no other entries: a damaged name is not taken for age.
    if unknown := set(content) - {"format", "kind", "files", "provenance"}:
        raise ValueError(f"unknown entries {', '.join(sorted(unknown))}")
    if "sha256" in manifest and manifest["sha256"] != fingerprint(content):
        raise ValueError("it was altered after writing")
