"""Values as strict JSON, and as one short string that changes whenever they do."""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np


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
