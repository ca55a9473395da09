"""A session: what one subject's neurons, body and task did over one stretch of time."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pynapple as nap

from neuroloom.artifacts import fingerprint
from neuroloom.errors import DataError
from neuroloom.findings import Finding
from neuroloom.sessions.columns import label_values
from neuroloom.sessions.intervals import as_support, inside, intersect, trials_inside

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from spikeinterface import BaseSorting


@dataclass(frozen=True, eq=False, repr=False)
class Session:
    """Spikes, behaviour and trials of one recording session, as pynapple objects.

    Attributes
    ----------
    id
        Name of the session; models know units by it.
    subject
        Name of the animal or person.
    spikes
        Unit key (integer) -> spike times; metadata columns describe the units.
    behavior
        Name -> samples over time, shape (samples,) or (samples, dimensions).
    trials
        One interval per trial, its labels in metadata columns; None where there are no trials.
    time_support
        When the session was observed. A stretch without spikes inside it is silence, outside it is unknown.
    findings
        What had to be mended to build the session (not part of its identity).

    Examples
    --------
    >>> session = Session.from_arrays(id="a", spike_times_s=[[0.1, 0.5], []], time_support=(0, 1))
    >>> session.unit_ids
    ['a/0', 'a/1']
    >>> len(session.restrict((0, 0.3)).spikes[0])
    1
    """

    id: str
    subject: str
    spikes: nap.TsGroup
    behavior: dict[str, nap.Tsd | nap.TsdFrame]
    trials: nap.IntervalSet | None
    time_support: nap.IntervalSet
    findings: tuple[Finding, ...] = field(default=())

    def __post_init__(self):
        for name in ("id", "subject"):
            text = getattr(self, name)
            if not isinstance(text, str) or not text or "\0" in text:
                raise DataError(f"{name} {text!r}", expected="a name", remedy=f"pass {name}='..'")
        if not isinstance(self.spikes, nap.TsGroup):
            raise DataError(
                f"spikes of type {type(self.spikes).__name__}",
                expected="a pynapple TsGroup",
                remedy="build the session with Session.from_arrays",
            )
        if not isinstance(self.trials, nap.IntervalSet | None):
            raise DataError(
                f"trials of type {type(self.trials).__name__}",
                expected="a pynapple IntervalSet or None",
                remedy="build the session with Session.from_arrays",
            )
        for name, series in self.behavior.items():
            if not isinstance(name, str) or not name or not isinstance(series, nap.Tsd | nap.TsdFrame):
                raise DataError(
                    f"behaviour {name!r} of type {type(series).__name__}",
                    expected="a name and a pynapple Tsd or TsdFrame",
                    remedy="build the session with Session.from_arrays",
                )
        support = as_support(self.time_support)
        object.__setattr__(self, "time_support", support)
        object.__setattr__(self, "findings", tuple(self.findings))
        for key, train in self.spikes.data.items():
            # pynapple sorts NaN to the end.
            if len(train) and not np.isfinite(train.t[-1]):
                raise DataError(
                    f"unit {key} has NaN spike times", expected="finite times", remedy="remove them"
                )
        # Everything inside shares the one support, so that rates and restrictions agree.
        if not _same(self.spikes.time_support, support):
            object.__setattr__(self, "spikes", self.spikes.restrict(support))
        behavior = {
            name: series if _same(series.time_support, support) else _restrict_series(series, support)
            for name, series in self.behavior.items()
        }
        object.__setattr__(self, "behavior", behavior)
        if self.trials is not None:
            whole = trials_inside(self.trials, support)
            if len(whole) < len(self.trials):
                n_lost = len(self.trials) - len(whole)
                what = f"{n_lost} of {len(self.trials)} reach outside the time support and were dropped"
                lost = Finding("warning", what, "trials", "check time_support and the clock")
                object.__setattr__(self, "findings", (*self.findings, lost))
                object.__setattr__(self, "trials", whole)

    @classmethod
    def from_arrays(
        cls,
        *,
        id: str,
        spike_times_s: Mapping[int, Any] | Sequence[Any],
        behavior: Mapping[str, Any] | None = None,
        trials: "pd.DataFrame | nap.IntervalSet | None" = None,
        subject: str = "unknown",
        time_support: Any = None,
        unit_metadata: "Mapping[str, Any] | pd.DataFrame | None" = None,
    ) -> "Session":
        """Build a session from arrays of times; see `neuroloom.sessions.convert.from_arrays`."""
        from neuroloom.sessions import convert

        return convert.from_arrays(
            id=id,
            spike_times_s=spike_times_s,
            behavior=behavior,
            trials=trials,
            subject=subject,
            time_support=time_support,
            unit_metadata=unit_metadata,
        )

    @classmethod
    def from_counts(
        cls,
        counts: Any,
        *,
        bin_size_s: float,
        id: str,
        subject: str = "unknown",
        behavior: Mapping[str, Any] | None = None,
        trial_lengths: Any = None,
        trial_labels: Mapping[str, Any] | None = None,
        unit_metadata: "Mapping[str, Any] | pd.DataFrame | None" = None,
        start_s: float = 0.0,
        trial_gap_s: float = 0.0,
    ) -> "Session":
        """Build a session from binned spike counts; see `neuroloom.sessions.convert.from_counts`."""
        from neuroloom.sessions import convert

        return convert.from_counts(
            counts,
            bin_size_s=bin_size_s,
            id=id,
            subject=subject,
            behavior=behavior,
            trial_lengths=trial_lengths,
            trial_labels=trial_labels,
            unit_metadata=unit_metadata,
            start_s=start_s,
            trial_gap_s=trial_gap_s,
        )

    @classmethod
    def from_sorting(
        cls,
        sorting: "BaseSorting",
        *,
        id: str,
        behavior: Mapping[str, Any] | None = None,
        trials: "pd.DataFrame | nap.IntervalSet | None" = None,
        subject: str = "unknown",
        time_support: Any = None,
    ) -> "Session":
        """Build a session from a SpikeInterface sorting; see `neuroloom.sessions.convert.from_sorting`."""
        from neuroloom.sessions import convert

        return convert.from_sorting(
            sorting, id=id, behavior=behavior, trials=trials, subject=subject, time_support=time_support
        )

    @classmethod
    def from_nwb(cls, path: str | os.PathLike) -> "Session":
        """Read a session from an NWB file; see `neuroloom.sessions.nwb.read_nwb`."""
        from neuroloom.sessions.nwb import read_nwb

        return read_nwb(path)

    @classmethod
    def from_temporaldata(
        cls, path: str | os.PathLike, *, spikes: str = "spikes", trials: str = "trials"
    ) -> "Session":
        """Read a session from a brainset; see `neuroloom.sessions.temporaldata.read_temporaldata`."""
        from neuroloom.sessions.temporaldata import read_temporaldata

        return read_temporaldata(path, spikes=spikes, trials=trials)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Session":
        """Read a session folder or an NWB file; see `neuroloom.sessions.folder.load_session`."""
        from neuroloom.sessions.folder import load_session

        return load_session(path)

    def to_nwb(self, path: str | os.PathLike, *, metadata: Mapping[str, Any] | None = None) -> "Path":
        """Write the session as an NWB file, atomically; see `neuroloom.sessions.nwb.write_nwb`."""
        from neuroloom.sessions.nwb import write_nwb

        return write_nwb(self, path, metadata=metadata)

    def save(self, folder: str | os.PathLike) -> "Path":
        """Write the session as an artifact folder; see `neuroloom.sessions.folder.save_session`."""
        from neuroloom.sessions.folder import save_session

        return save_session(self, folder)

    def restrict(self, intervals: Any) -> "Session":
        """Return the session inside `intervals` (an `IntervalSet` or (start, end) pairs in seconds).

        A trial is kept where all of it is inside; one cut by a border would carry its label to both sides.

        Raises
        ------
        DataError
            If no part of the session is inside.
        """
        wanted = as_support(intervals)
        pieces = intersect(self.time_support, wanted)
        if not len(pieces):
            raise DataError(
                f"session {self.id!r} has no time inside [{wanted.start[0]:g}, {wanted.end[-1]:g}] s",
                expected=f"a part of [{self.time_support.start[0]:g}, {self.time_support.end[-1]:g}] s",
                remedy="give the intervals in seconds on the session's clock",
            )
        support = nap.IntervalSet(pieces[:, 0], pieces[:, 1])
        return Session(
            id=self.id,
            subject=self.subject,
            spikes=self.spikes.restrict(support),
            behavior={name: _restrict_series(series, support) for name, series in self.behavior.items()},
            trials=None if self.trials is None else trials_inside(self.trials, support),
            time_support=support,
            findings=self.findings,
        )

    @property
    def unit_ids(self) -> list[str]:
        """One name per unit, in the order of `spikes`: session id and unit key. Models match units by it."""
        return [f"{self.id}/{key}" for key in self.spikes.index]

    @property
    def duration_s(self) -> float:
        """Observed time in seconds, without the holes of the time support."""
        return float(self.time_support.tot_length())

    def fingerprint(self) -> str:
        """Return a sha256 of all but the findings: equal sessions have equal fingerprints."""
        times = [self.spikes.data[key].t for key in self.spikes.index]
        parts: list[Any] = [self.id, self.subject, self.time_support.values, np.asarray(self.spikes.index)]
        parts += [np.array([len(t) for t in times], dtype=np.int64), np.concatenate([*times, np.zeros(0)])]
        parts += _columns_of(self.spikes)
        for name, series in sorted(self.behavior.items()):
            columns = [str(column) for column in series.columns] if isinstance(series, nap.TsdFrame) else None
            parts += [name, columns, series.t, np.asarray(series.values)]
        if self.trials is not None:
            parts += ["trials", self.trials.values, *_columns_of(self.trials)]
        return fingerprint(*parts)

    def __eq__(self, other: object) -> bool:
        return self.fingerprint() == other.fingerprint() if isinstance(other, Session) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.id, self.subject, len(self.spikes)))

    def __repr__(self) -> str:
        n_spikes = sum(len(self.spikes.data[key].t) for key in self.spikes.index)
        pieces = len(self.time_support)
        lines = [
            f"Session {self.id!r} of {self.subject!r}: {len(self.spikes)} units, {n_spikes:,} spikes, "
            f"{self.duration_s:.6g} s" + (f" in {pieces} intervals" if pieces > 1 else "")
        ]
        for name, series in self.behavior.items():
            shape = "x".join(str(size) for size in series.shape)
            lines.append(f"  behavior {name!r}: {shape} samples")
        if self.trials is not None:
            labels = ", ".join(self.trials.metadata_columns) or "none"
            lines.append(f"  trials: {len(self.trials)}, labels: {labels}")
        if self.findings:
            lines.append(f"  findings: {len(self.findings)}, see .findings")
        return "\n".join(lines)


def _same(a: nap.IntervalSet, b: nap.IntervalSet) -> bool:
    return a is b or np.array_equal(a.values, b.values)


def _restrict_series(series: nap.Tsd | nap.TsdFrame, support: nap.IntervalSet) -> nap.Tsd | nap.TsdFrame:
    # Not by series.restrict, which gives a series without samples an empty support.
    within = inside(series.t, support)
    times, values = series.t[within], np.asarray(series.values)[within]
    if isinstance(series, nap.TsdFrame):
        return nap.TsdFrame(times, values, time_support=support, columns=list(series.columns))
    return nap.Tsd(times, values, time_support=support)


def _columns_of(metadata: nap.TsGroup | nap.IntervalSet) -> list[Any]:
    parts: list[Any] = []
    for name in sorted(metadata.metadata_columns):
        column = label_values(metadata, name)
        if name != "rate":
            parts += [name, column.tolist() if column.dtype.kind == "U" else column]
    return parts
