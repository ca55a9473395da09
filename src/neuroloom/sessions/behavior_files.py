"""Behaviour and trials from files: a neuroloom session, NWB, or comma-separated text."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neuroloom.errors import DataError, MissingFile

if TYPE_CHECKING:
    import pandas as pd
    import pynapple as nap


def read_behavior(path: Path) -> "tuple[dict[str, nap.Tsd | nap.TsdFrame], nap.IntervalSet | None]":
    """Return the behaviour and the trials that a file holds.

    Parameters
    ----------
    path
        A ``.session`` folder, an ``.nwb`` file, or a ``.csv`` table whose column ``time_s`` (seconds) is
        followed by one column per dimension; the behaviour is then called like the file.

    Raises
    ------
    MissingFile, DataError
        If the file is absent, or its table cannot be read as described.
    """
    import pynapple as nap

    path = Path(path)
    if path.suffix != ".csv":
        from neuroloom.sessions.session import Session

        session = Session.load(path)
        return session.behavior, session.trials
    table = _read_table(path, required=["time_s"])
    times_s = _numbers(table, ["time_s"], path)[:, 0]
    table = table.drop(columns="time_s")
    if table.shape[1] == 0 or len(table) == 0:
        raise DataError(
            f"{path} has {len(table)} rows and {table.shape[1]} columns beside time_s",
            expected="at least one of each",
            remedy="export the behaviour again",
        )
    if not (np.isfinite(times_s).all() and (times_s[1:] > times_s[:-1]).all()):
        raise DataError(
            f"the times in {path} do not increase (or are missing)",
            expected="increasing times in seconds",
            remedy="sort the table by time_s and drop repeated rows",
        )
    values = _numbers(table, list(table.columns), path)
    if len(values) < 2:
        raise DataError(
            f"{path} has one row", expected="at least two times, which give it a duration",
            remedy="export the behaviour again",
        )  # fmt: skip
    if values.shape[1] == 1:
        return {path.stem: nap.Tsd(times_s, values[:, 0])}, None
    return {path.stem: nap.TsdFrame(times_s, values, columns=list(table.columns))}, None


def read_trials(path: Path) -> "nap.IntervalSet":
    """Return trials from a ``.csv`` table with columns ``start``, ``end`` (seconds) and any labels.

    Raises
    ------
    MissingFile, DataError
        If the file is absent, or a trial ends before it starts.
    """
    from neuroloom.sessions.intervals import make_intervals

    table = _read_table(Path(path), required=["start", "end"])
    table = table.sort_values("start", ignore_index=True)
    starts_s, ends_s = _numbers(table, ["start", "end"], path).T
    bad = np.flatnonzero(~(ends_s > starts_s))
    if len(bad):
        raise DataError(
            f"a trial in {path} runs from {starts_s[bad[0]]} to {ends_s[bad[0]]} s",
            expected="an end after its start",
            remedy="mend or drop that row",
        )
    overlap = np.flatnonzero(starts_s[1:] < ends_s[:-1])
    if len(overlap):
        raise DataError(
            f"the trial at {starts_s[overlap[0] + 1]} s in {path} starts before the one before it ends",
            expected="trials that do not overlap",
            remedy="mend or drop that row",
        )
    labels = {name: table[name].to_numpy() for name in table.columns if name not in ("start", "end")}
    return make_intervals(starts_s, ends_s, labels=labels, where=f"trials of {path}")[0]


def _numbers(table: "pd.DataFrame", columns: list[str], path: Path) -> np.ndarray:
    try:
        return np.column_stack([np.asarray(table[name], float) for name in columns])
    except ValueError as error:
        raise DataError(
            f"{path} has text where a number belongs ({error})",
            expected="numbers, or nothing where a value is missing",
            remedy="mend the table",
        ) from None


def _read_table(path: Path, *, required: list[str]) -> "pd.DataFrame":
    import pandas as pd

    if not path.is_file():
        raise MissingFile(f"{path} does not exist", expected="a .csv file", remedy="check the path")
    try:
        table = pd.read_csv(path)
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read ({error})", expected="a comma-separated table", remedy="export it again"
        ) from None
    missing = [name for name in required if name not in table.columns]
    if missing:
        raise DataError(
            f"{path} has the columns {list(table.columns)}",
            expected=f"also {', '.join(missing)}",
            remedy="rename the columns",
        )
    return table
