"""Sessions from arrays, from binned counts and from sortings."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pynapple as nap

from neuroloom.errors import DataError
from neuroloom.findings import Finding
from neuroloom.sessions.columns import TAKEN_BY_UNITS, label_array, label_values, unit_columns, usable_name
from neuroloom.sessions.intervals import as_support, make_intervals
from neuroloom.sessions.mending import behavior_samples, hull, keyed_spikes, mend_behavior, mend_spikes
from neuroloom.sessions.session import Session

if TYPE_CHECKING:
    import pandas as pd
    from spikeinterface import BaseSorting


def from_arrays(
    *,
    id: str,
    spike_times_s: Mapping[int, Any] | Sequence[Any],
    behavior: Mapping[str, Any] | None = None,
    trials: "pd.DataFrame | nap.IntervalSet | None" = None,
    subject: str = "unknown",
    time_support: Any = None,
    unit_metadata: "Mapping[str, Any] | pd.DataFrame | None" = None,
    findings: Sequence[Finding] = (),
) -> Session:
    """Build a session from arrays of times in seconds.

    Spikes out of order are sorted; repeated ones, and those outside the time support, are dropped; both are
    counted in `Session.findings`.

    Parameters
    ----------
    id, subject
        Names.
    spike_times_s
        One array of times per unit: a list, or a dictionary with integer keys.
    behavior
        Name -> (times, values), (times, values, names of the dimensions), or a pynapple `Tsd` or `TsdFrame`.
    trials
        A table with columns ``start`` and ``end`` (seconds) and one column per label.
    time_support
        When the session was observed: (start, end), an array of pairs, or an `IntervalSet`. By default all
        from the first to the last thing that happened (from 0 where there are only spikes).
    unit_metadata
        Name -> one value per unit, in the order of `spike_times_s`.
    findings
        What was found before, to be kept with the session.

    Raises
    ------
    DataError
        If a time is NaN, shapes do not agree, a name cannot be used, or nothing has a duration.
    """
    units = keyed_spikes(spike_times_s)
    given = list(spike_times_s) if isinstance(spike_times_s, Mapping) else list(units)
    found = list(findings)
    series = {name: behavior_samples(values, name=name) for name, values in (behavior or {}).items()}
    trial_set = None
    if trials is not None:
        trial_set, trial_findings = _trial_table(trials)
        found += trial_findings
    if time_support is None:
        known = [each.times_s for each in series.values()] + ([] if trial_set is None else [trial_set.values])
        support = hull(known, spikes_s=list(units.values()))
    else:
        support = as_support(time_support)
    clean, spike_findings = mend_spikes(units, support)
    mended = {name: mend_behavior(each, support, name=name) for name, each in series.items()}
    found += spike_findings + [finding for _, each in mended.values() for finding in each]
    # pynapple orders units by key, and so must be their metadata.
    order = np.argsort(np.array(given, dtype=np.int64), kind="stable")
    metadata = unit_columns(_columns(unit_metadata), n_rows=len(units), where="units")
    return Session(
        id=id,
        subject=subject,
        spikes=spike_group(clean, support, {name: column[order] for name, column in metadata.items()}),
        behavior={name: each for name, (each, _) in mended.items()},
        trials=trial_set,
        time_support=support,
        findings=tuple(found),
    )


def from_counts(
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
) -> Session:
    """Build a session from binned spike counts.

    A count of n in a bin becomes n spikes at the centres of n equal parts of the bin, so that binning again
    at the same bin size gives the same counts. Behaviour is placed at the bin centres. Trials are laid one
    after the other, and each is an interval of its own in the time support: their ends do not touch in
    reality, and no bin or lag should reach from one into the next.

    Parameters
    ----------
    counts
        Shape (bins, units), whole numbers of any type.
    bin_size_s
        Bin width in seconds.
    id, subject
        Names.
    behavior
        Name -> values of shape (bins,) or (bins, dimensions), one row per bin.
    trial_lengths
        Number of bins in each trial; their sum is the number of bins. Without it the bins are continuous.
    trial_labels
        Name -> one label per trial.
    unit_metadata
        Name -> one value per unit.
    start_s
        Time of the first bin's start.
    trial_gap_s
        Unobserved time put between trials; windows shorter than it never see two of them.

    Raises
    ------
    DataError
        If a count is negative, fractional or NaN, or shapes do not agree.
    """
    if not (np.isfinite(bin_size_s) and bin_size_s > 0 and np.isfinite(start_s) and trial_gap_s >= 0):
        raise DataError(
            f"bin_size_s={bin_size_s}, start_s={start_s}, trial_gap_s={trial_gap_s}",
            expected="a positive bin width, a finite start and no negative gap",
            remedy="give them in seconds",
        )
    counts = _whole_counts(counts)
    n_bins, n_units = counts.shape
    starts, ends, bin_starts = _lay_out(n_bins, trial_lengths, bin_size_s, start_s, trial_gap_s)
    labels = dict(trial_labels or {})
    if trial_lengths is None and labels:
        raise DataError(
            f"trial labels {sorted(labels)} without trial lengths",
            expected="the number of bins in each trial",
            remedy="pass trial_lengths",
        )
    trials, found = make_intervals(starts, ends, labels=labels, where="trials")
    centres = bin_starts + bin_size_s / 2
    support = nap.IntervalSet(trials.start, trials.end)
    values = {name: np.asarray(each) for name, each in (behavior or {}).items()}
    for name, each in values.items():
        if each.shape[:1] != (n_bins,):
            raise DataError(
                f"behaviour {name!r} has shape {each.shape}",
                expected=f"one row for each of {n_bins} bins",
                remedy="sample it in the same bins as the counts",
            )
    series = {name: behavior_samples((centres, each), name=name) for name, each in values.items()}
    mended = {name: mend_behavior(each, support, name=name) for name, each in series.items()}
    metadata = unit_columns(_columns(unit_metadata), n_rows=n_units, where="units")
    return Session(
        id=id,
        subject=subject,
        spikes=spike_group(dict(enumerate(_spread(counts, bin_starts, bin_size_s))), support, metadata),
        behavior={name: each for name, (each, _) in mended.items()},
        trials=None if trial_lengths is None else trials,
        time_support=support,
        findings=tuple(found),
    )


def from_sorting(
    sorting: "BaseSorting",
    *,
    id: str,
    behavior: Mapping[str, Any] | None = None,
    trials: "pd.DataFrame | nap.IntervalSet | None" = None,
    subject: str = "unknown",
    time_support: Any = None,
) -> Session:
    """Build a session from a SpikeInterface sorting of one segment.

    Times are on the clock of the recording that the sorting is registered with. Unit ids that are not
    integers are kept in the metadata column ``unit_name``; the sorting's one-dimensional properties become
    metadata columns.

    Parameters
    ----------
    sorting
        One segment.
    id, subject, behavior, trials, time_support
        As in `from_arrays`; by default the support is that of the registered recording, if there is one.

    Raises
    ------
    DataError
        If the sorting has several segments, and as in `from_arrays`.
    """
    if sorting.get_num_segments() != 1:
        raise DataError(
            f"a sorting of {sorting.get_num_segments()} segments",
            expected="one segment",
            remedy="select one with sorting.select_segments, or concatenate the recordings before sorting",
        )
    names = list(sorting.unit_ids)
    integers = all(isinstance(name, int | np.integer) for name in names)
    keys = [int(name) for name in names] if integers else list(range(len(names)))
    spikes = {
        key: np.asarray(
            sorting.get_unit_spike_train(name, segment_index=0, return_times=True), dtype=np.float64
        )
        for key, name in zip(keys, names, strict=True)
    }
    if time_support is None and sorting.has_recording():
        start = sorting.get_start_time(segment_index=0)
        end = sorting.get_end_time(segment_index=0) + 1 / sorting.sampling_frequency
        time_support = (start, end)
    metadata: dict[str, Any] = {} if integers or not names else {"unit_name": [str(name) for name in names]}
    found = []
    for name in sorting.get_property_keys():
        values, column = np.asarray(sorting.get_property(name)), usable_name(name, taken=TAKEN_BY_UNITS)
        try:
            metadata[column] = label_array(values, name=name)
        except DataError as error:
            found.append(Finding("info", f"property left out: {error.found}", "units", error.remedy))
    return from_arrays(
        id=id,
        spike_times_s=spikes,
        behavior=behavior,
        trials=trials,
        subject=subject,
        time_support=time_support,
        unit_metadata=metadata,
        findings=found,
    )


def spike_group(
    units: Mapping[int, np.ndarray], support: nap.IntervalSet, metadata: Mapping[str, np.ndarray]
) -> nap.TsGroup:
    """Return clean spike times (sorted, inside `support`), in order of their keys, as a `TsGroup`."""
    members = {key: nap.Ts(times, time_support=support) for key, times in units.items()}
    # Without units there is nothing that metadata could describe.
    columns = dict(metadata) if members else {}
    return nap.TsGroup(members, time_support=support, bypass_check=True, metadata=columns)


def _spread(counts: np.ndarray, bin_starts_s: np.ndarray, bin_size_s: float) -> list[np.ndarray]:
    by_unit = np.ascontiguousarray(counts.T)  # (units, bins)
    flat = by_unit.ravel()
    first = np.cumsum(flat) - flat  # index of each bin's first spike among all spikes
    n = np.repeat(flat, flat)
    within = np.arange(len(n)) - np.repeat(first, flat)
    start = np.repeat(np.tile(bin_starts_s, len(by_unit)), flat)
    times = start + (within + 0.5) / n * bin_size_s
    return np.split(times, np.cumsum(by_unit.sum(axis=1))[:-1]) if len(by_unit) else []


def _lay_out(
    n_bins: int, trial_lengths: Any, bin_size_s: float, start_s: float, gap_s: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    lengths = np.array([n_bins]) if trial_lengths is None else np.asarray(trial_lengths)
    if (
        lengths.ndim != 1
        or lengths.dtype.kind not in "iu"
        or (lengths <= 0).any()
        or lengths.sum() != n_bins
        or not n_bins
    ):
        raise DataError(
            f"{n_bins} bins in trials of {lengths.tolist()[:8]} bins"
            if trial_lengths is not None
            else "no bins",
            expected="at least one bin, and positive trial lengths that sum to the number of bins",
            remedy="pass all bins, and their number in each trial",
        )
    lengths = lengths.astype(np.int64)
    trial = np.repeat(np.arange(len(lengths)), lengths)
    first = np.cumsum(lengths) - lengths
    offsets = np.arange(len(lengths)) * gap_s
    starts = start_s + first * bin_size_s + offsets
    ends = start_s + (first + lengths) * bin_size_s + offsets
    # The arithmetic of windows.bin_starts, so that binning again gives bitwise the same centres.
    return starts, ends, starts[trial] + (np.arange(n_bins) - first[trial]) * bin_size_s


def _whole_counts(counts: Any) -> np.ndarray:
    counts = np.asarray(counts)
    remedy = "pass spike counts, not rates; for smoothed or normalised data there is no spike train to make"
    if counts.ndim != 2 or counts.dtype.kind not in "biuf":
        raise DataError(
            f"{counts.dtype} counts of shape {counts.shape}",
            expected="whole numbers, shape (bins, units)",
            remedy=remedy,
        )
    faulty = (
        ~np.isfinite(counts) | (counts < 0) | (counts != np.round(counts)) if counts.size else counts != 0
    )
    if faulty.any():
        at = tuple(int(i) for i in np.argwhere(faulty)[0])
        raise DataError(
            f"{np.count_nonzero(faulty)} counts such as {counts[at]} in bin {at[0]} of unit {at[1]}",
            expected="whole numbers, not negative",
            remedy=remedy,
        )
    return counts.astype(np.int64)


def _trial_table(trials: "pd.DataFrame | nap.IntervalSet") -> tuple[nap.IntervalSet, list[Finding]]:
    if isinstance(trials, nap.IntervalSet):
        labels = {name: label_values(trials, name) for name in trials.metadata_columns}
        return make_intervals(trials.start, trials.end, labels=labels, where="trials")
    names = [str(name) for name in getattr(trials, "columns", [])]
    if not {"start", "end"} <= set(names):
        raise DataError(
            f"trials of type {type(trials).__name__} with columns {names}",
            expected="a table with columns start and end, in seconds",
            remedy="rename its columns",
        )
    labels = {name: trials[name].to_numpy() for name in names if name not in ("start", "end")}
    starts, ends = trials["start"].to_numpy(dtype=np.float64), trials["end"].to_numpy(dtype=np.float64)
    return make_intervals(starts, ends, labels=labels, where="trials")


def _columns(metadata: "Mapping[str, Any] | pd.DataFrame | None") -> dict[str, Any]:
    return {} if metadata is None else {name: np.asarray(metadata[name]) for name in metadata}
