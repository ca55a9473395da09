"""Labels of trials and of units: one column of strings, numbers or truth values each."""

import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pynapple as nap

from neuroloom.errors import DataError

# pynapple warns at every use of a metadata column that has the name of one of its own attributes.
_TAKEN = {"start", "end", "index", "values", "rate", "data", "metadata_index", "nap_class", "time_support"}
TAKEN_BY_TRIALS = frozenset(_TAKEN | set(dir(nap.IntervalSet)))
TAKEN_BY_UNITS = frozenset(_TAKEN | set(dir(nap.TsGroup)))


def trial_columns(columns: Mapping[str, Any], *, n_rows: int, where: str) -> dict[str, np.ndarray]:
    """Return clean label columns for trials.

    Raises
    ------
    DataError
        If a name cannot be used, or a column has another length or holds something else than labels.
    """
    return _clean(columns, n_rows=n_rows, where=where, taken=TAKEN_BY_TRIALS)


def unit_columns(columns: Mapping[str, Any], *, n_rows: int, where: str) -> dict[str, np.ndarray]:
    """Return clean metadata columns for units; the errors are those of `trial_columns`."""
    return _clean(columns, n_rows=n_rows, where=where, taken=TAKEN_BY_UNITS)


def label_values(labelled: nap.IntervalSet | nap.TsGroup, name: str) -> np.ndarray:
    """Return a label column of trials or units as an array of strings, integers, floats or booleans.

    pynapple itself gives a pandas Series, whose strings become objects in NumPy.

    Examples
    --------
    >>> trials = nap.IntervalSet([0, 2], [1, 3], metadata={"side": ["left", "right"]})
    >>> label_values(trials, "side").dtype.kind
    'U'
    """
    return label_array(labelled.get_info(name).to_numpy(), name=name)


def usable_name(name: str, *, taken: frozenset[str]) -> str:
    """Return `name`, changed as little as pynapple needs to take it as a metadata column.

    Examples
    --------
    >>> usable_name("peak-to-valley (ms)", taken=TAKEN_BY_UNITS)
    'peak_to_valley_ms'
    >>> usable_name("rate", taken=TAKEN_BY_UNITS)
    'rate_label'
    """
    if _is_usable(name, taken=taken):
        return name
    name = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")
    if not name or not name[0].isalpha():
        name = f"label_{name}".rstrip("_")
    return f"{name}_label" if name in taken else name


def label_array(values: Any, *, name: str) -> np.ndarray:
    """Return labels as an array of strings, integers, floats or booleans.

    A missing value among strings becomes the empty string and one among numbers becomes NaN; checks count
    both as missing labels.
    """
    array = np.asarray(values)
    if array.dtype.kind in "OT":
        array = _from_objects(np.asarray(array, dtype=object), name=name)
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    if array.ndim != 1 or array.dtype.kind not in "biufU":
        raise DataError(
            f"column {name!r} has shape {array.shape} and type {array.dtype}",
            expected="one string, number or truth value each",
            remedy="convert it, or leave the column out",
        )
    if array.dtype.kind == "U" and any("\0" in text for text in array):
        raise DataError(
            f"column {name!r} holds a NUL character", expected="text", remedy="remove the character"
        )
    return native(array)


def native(numbers: np.ndarray) -> np.ndarray:
    """Return a copy in the machine's byte order, in a type that files can hold."""
    wide = numbers.dtype.kind == "f" and numbers.dtype.itemsize > 8
    return numbers.astype(np.float64 if wide else numbers.dtype.newbyteorder("="))


def _is_usable(name: str, *, taken: frozenset[str]) -> bool:
    return name not in taken and re.fullmatch(r"[A-Za-z]\w*", name, flags=re.ASCII) is not None


def _from_objects(values: np.ndarray, *, name: str) -> np.ndarray:
    missing = pd.isna(values) if values.ndim == 1 else np.zeros(len(values), dtype=bool)
    present = values[~missing]
    if not len(values):
        return np.zeros(0, dtype=np.str_)
    if all(isinstance(value, str | bytes) for value in present) and len(present):
        texts = [value.decode() if isinstance(value, bytes) else str(value) for value in present]
        out = np.full(len(values), "", dtype=f"<U{max(1, *map(len, texts))}" if texts else "<U1")
        out[~missing] = texts
        return out
    if all(isinstance(value, bool | np.bool_) for value in present) and not missing.any():
        return values.astype(bool)
    if all(isinstance(value, int | np.integer) for value in present) and not missing.any():
        return values.astype(np.int64)
    if all(isinstance(value, int | float | np.number | bool) for value in present):
        out = np.full(len(values), np.nan)
        out[~missing] = present.astype(np.float64)
        return out
    kinds = sorted({type(value).__name__ for value in present})
    raise DataError(
        f"column {name!r} mixes {', '.join(kinds)}",
        expected="one string, number or truth value each",
        remedy="convert it, or leave the column out",
    )


def _clean(
    columns: Mapping[str, Any], *, n_rows: int, where: str, taken: frozenset[str]
) -> dict[str, np.ndarray]:
    clean = {}
    for name, values in columns.items():
        if not isinstance(name, str) or not _is_usable(name, taken=taken):
            raise DataError(
                f"{where} have a column named {name!r}",
                expected="a name of letters, digits and underscores that pynapple does not use itself",
                remedy=f"rename it, for example to {usable_name(str(name), taken=taken)!r}",
            )
        clean[name] = label_array(values, name=name)
        if len(clean[name]) != n_rows:
            raise DataError(
                f"{where} have {n_rows} rows and a column {name!r} of {len(clean[name])}",
                expected="one value each",
                remedy="pass columns of that length",
            )
    return clean


def behaviors_in(target: str, names: Collection[str]) -> list[str]:
    """Return the behaviours that a target means: one of that name, or several joined by ``+``; else none.

    Examples
    --------
    >>> behaviors_in("velocity+pupil", ["pupil", "velocity"]), behaviors_in("force", ["pupil"])
    (['velocity', 'pupil'], [])
    """
    if target in names:
        return [target]
    parts = target.split("+")
    return parts if len(parts) > 1 and all(part in names for part in parts) else []
