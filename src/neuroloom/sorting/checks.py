"""What is wrong with a recording or a sorting, before work starts on it."""

import math
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neuroloom.errors import DataError
from neuroloom.findings import Finding
from neuroloom.sorting.folders import DROPPED_BYTES, UNKNOWN_GAIN
from neuroloom.sorting.probes import check_wiring
from neuroloom.sorting.scanning import Scan, bad_channels, scan_recording

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording, BaseSorting

SHORTEST_S = 0.1
SHORT_S = 10.0
# More missing samples than this are no recording any more; fewer are interpolated.
MOST_MISSING = 0.01
# Without a probe, so few channels are taken for neighbours.
MOST_CHANNELS_WITHOUT_PROBE = 4


def check_recording(
    recording: "BaseRecording",
    *,
    scan: Scan | None = None,
    work_folder: str | os.PathLike | None = None,
) -> list[Finding]:
    """Return what is wrong with a recording, the gravest first.

    The samples are read once, chunk by chunk; memory does not grow with the recording.

    Parameters
    ----------
    recording
        Any SpikeInterface recording.
    scan
        The result of `scan_recording`, where the caller has it.
    work_folder
        Where the sorter will write; its free space is compared with what it needs.
    """
    n_channels, rate_hz = recording.get_num_channels(), float(recording.get_sampling_frequency())
    if not (math.isfinite(rate_hz) and rate_hz > 0):
        return [
            _error(f"sampling rate is {rate_hz:g} Hz", "recording", "pass the rate of the recording system")
        ]
    n_segments = recording.get_num_segments()
    if n_channels == 0 or n_segments == 0 or recording.get_total_samples() == 0:
        return [_error("it is empty", "recording", "check that the right file was recorded and passed")]
    findings = _check_layout(recording, n_segments=n_segments, rate_hz=rate_hz)
    findings += _check_probe(recording)
    if work_folder is not None:
        findings += _check_space(recording, Path(work_folder))
    try:
        scan = scan or scan_recording(recording)
    except DataError as error:
        findings.append(_error(error.found, "recording", error.remedy))
    else:
        findings += _check_samples(recording, scan)
    return sorted(findings, key=lambda finding: ("error", "warning", "info").index(finding.level))


def check_sorting(sorting: "BaseSorting", recording: "BaseRecording | None" = None) -> list[Finding]:
    """Return what is wrong with a sorting, the gravest first.

    Parameters
    ----------
    sorting
        Any SpikeInterface sorting.
    recording
        The recording that it belongs to, for times past the end.
    """
    if len(sorting.unit_ids) == 0:
        return [
            Finding("warning", "it has no units", "sorting", "there is nothing to decode; look at the traces")
        ]
    findings = []
    if recording is not None and not math.isclose(
        sorting.get_sampling_frequency(), recording.get_sampling_frequency(), rel_tol=1e-6
    ):
        what = f"sampling rate {sorting.get_sampling_frequency():g} Hz"
        findings.append(
            _error(what, "sorting", f"use the recording's {recording.get_sampling_frequency():g} Hz")
        )
    if len(sorting.unit_ids) == 1:
        findings.append(Finding("info", "it has one unit", "sorting", "population methods need more"))
    for unit in sorting.unit_ids:
        trains = [
            np.asarray(sorting.get_unit_spike_train(unit_id=unit, segment_index=segment))
            for segment in range(sorting.get_num_segments())
        ]
        ends = [recording.get_num_samples(segment) for segment in range(len(trains))] if recording else None
        findings += _check_trains(trains, ends=ends, where=f"unit {unit}")
    return sorted(findings, key=lambda finding: ("error", "warning", "info").index(finding.level))


def repair_sorting(sorting: "BaseSorting", recording: "BaseRecording | None" = None) -> "BaseSorting":
    """Return a sorting in order, without duplicates and without spikes outside the recording.

    Raises
    ------
    DataError
        If spike times were NaN, which no repair can give a time.
    """
    from spikeinterface.core import NumpySorting

    trains = []
    for segment in range(sorting.get_num_segments()):
        units = {}
        for unit in sorting.unit_ids:
            times = np.asarray(sorting.get_unit_spike_train(unit_id=unit, segment_index=segment))
            if np.any(_was_nan(times)):
                raise DataError(
                    f"unit {unit} has {int(_was_nan(times).sum())} spike times that were NaN",
                    expected="finite times",
                    remedy="mend the file that the times came from",
                )
            end = recording.get_num_samples(segment) if recording is not None else np.inf
            units[unit] = np.unique(times[(times >= 0) & (times < end)])
        trains.append(units)
    repaired = NumpySorting.from_unit_dict(trains, sampling_frequency=sorting.get_sampling_frequency())
    for name in sorting.get_property_keys():
        repaired.set_property(name, sorting.get_property(name))
    return repaired


def _check_layout(recording: "BaseRecording", *, n_segments: int, rate_hz: float) -> list[Finding]:
    findings = []
    if n_segments > 1:
        remedy = "join them with spikeinterface.concatenate_recordings, or choose one with select_segments"
        findings.append(_error(f"it has {n_segments} segments, and neuroloom takes one", "recording", remedy))
    duration_s = recording.get_total_samples() / rate_hz
    if duration_s < SHORTEST_S:
        what = f"it lasts {duration_s:.4f} s, too short to filter"
        findings.append(_error(what, "recording", f"pass at least {SHORTEST_S} s"))
    elif duration_s < SHORT_S:
        what = f"it lasts {duration_s:.1f} s"
        findings.append(
            Finding("warning", what, "recording", f"units are found reliably from about {SHORT_S:g} s")
        )
    if not 5_000 <= rate_hz <= 200_000:
        what = f"sampling rate is {rate_hz:g} Hz"
        findings.append(Finding("warning", what, "recording", "spikes need 10 to 40 kHz; check the rate"))
    if recording.get_annotation(UNKNOWN_GAIN):
        what = "the gain is not known, so stored units are taken for microvolt"
        findings.append(Finding("info", what, "recording", "pass the gain for amplitudes in microvolt"))
    if recording.get_annotation(DROPPED_BYTES):
        what = f"the file ends inside a frame; {recording.get_annotation(DROPPED_BYTES)} bytes were dropped"
        findings.append(Finding("warning", what, "recording", "copy the file again if it was cut"))
    return findings


def _check_probe(recording: "BaseRecording") -> list[Finding]:
    n_channels = recording.get_num_channels()
    if not recording.has_probe():
        if n_channels <= MOST_CHANNELS_WITHOUT_PROBE:
            what = f"no probe; the {n_channels} channels are taken for neighbours"
            return [Finding("warning", what, "probe", "pass the probe, e.g. tetrode")]
        remedy = f"pass a probeinterface file or a built-in name such as linear-{n_channels}"
        return [_error(f"no probe for {n_channels} channels", "probe", remedy)]
    try:
        check_wiring(recording.get_probegroup(), n_channels=n_channels)
    except DataError as error:
        return [_error(error.found.removeprefix("probe: "), "probe", error.remedy)]
    return []


def _check_space(recording: "BaseRecording", folder: Path) -> list[Finding]:
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    # The sorter works on a filtered copy of four bytes a sample, and the results come on top.
    needed = int(recording.get_total_samples() * recording.get_num_channels() * 4 * 1.1)
    if needed <= free:
        return []
    what = f"sorting needs {needed:,} bytes, and {free:,} are free"
    return [_error(what, str(folder), "free some space, write elsewhere, or pass a part of the recording")]


def _check_samples(recording: "BaseRecording", scan: Scan) -> list[Finding]:
    if np.nanmax(np.nan_to_num(scan.sd)) == 0 and scan.n_missing.sum() == 0:
        return [
            Finding("warning", "it is silent: every channel is constant", "recording", "check the amplifier")
        ]
    findings = []
    bad = bad_channels(recording, scan)
    for channel, reason in bad.items():
        findings.append(Finding("warning", f"{reason}; left out", f"channel {channel}", "check the contact"))
    if len(bad) == len(scan.sd):
        reasons = ", ".join(dict.fromkeys(bad.values()))
        what = f"no channel is usable ({reasons})"
        findings.append(_error(what, "recording", "check the amplifier and the layout"))
    good = [index for index, channel in enumerate(recording.channel_ids) if str(channel) not in bad]
    n_missing = int(scan.n_missing[good].sum())
    share = n_missing / max(scan.n_samples * len(good), 1)
    if share > MOST_MISSING:
        what = f"{share:.1%} of the samples are NaN or infinite"
        findings.append(_error(what, "recording", f"cut them out; up to {MOST_MISSING:.0%} are interpolated"))
    elif n_missing:
        what = f"{n_missing:,} samples are NaN or infinite; interpolated"
        findings.append(Finding("warning", what, "recording", "check the file if you did not expect any"))
    return findings


def _check_trains(trains: list[np.ndarray], *, ends: list[int] | None, where: str) -> list[Finding]:
    findings = []
    if sum(map(len, trains)) == 0:
        findings.append(Finding("warning", "no spikes", where, "kept; it carries no information"))
    counts = {
        "times that were NaN": sum(int(_was_nan(train).sum()) for train in trains),
        "negative times": sum(int(((train < 0) & ~_was_nan(train)).sum()) for train in trains),
        "times past the end": 0
        if ends is None
        else sum(int((train >= end).sum()) for train, end in zip(trains, ends, strict=True)),
        "duplicated times": sum(len(train) - len(np.unique(train)) for train in trains),
        "times out of order": sum(int((np.diff(train) < 0).sum()) for train in trains),
    }
    for what, count in counts.items():
        if count and what == "times that were NaN":
            findings.append(_error(f"{count} {what}", where, "mend the file that the times came from"))
        elif count:
            action = "sorted" if what == "times out of order" else "dropped"
            findings.append(Finding("warning", f"{count} {what}; {action}", where, "check their source"))
    return findings


def _was_nan(train: np.ndarray) -> np.ndarray:
    # Casting NaN to an integer gives the smallest one.
    return np.isnan(train) if train.dtype.kind == "f" else train == np.iinfo(train.dtype).min


def _error(what: str, where: str, remedy: str) -> Finding:
    return Finding("error", what, where, remedy)
