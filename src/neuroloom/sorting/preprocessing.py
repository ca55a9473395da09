"""Prepare a recording for sorting: fill gaps, leave out bad channels, band-pass, common reference."""

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from neuroloom.errors import DataError
from neuroloom.findings import Finding, refuse_errors
from neuroloom.seeds import derive
from neuroloom.simulation.probes import make_probe
from neuroloom.sorting.checks import check_recording
from neuroloom.sorting.folders import PREPARED, SILENT, write_recording
from neuroloom.sorting.medians import median
from neuroloom.sorting.probes import attach_probe
from neuroloom.sorting.scanning import Scan, bad_channels, iterate_chunks, scan_recording
from neuroloom.sorting.spikeinterface_runs import quiet

if TYPE_CHECKING:
    from probeinterface import Probe
    from spikeinterface.core import BaseRecording

BAND_HZ = (300.0, 6000.0)
# The median of fewer channels carries the spikes of each of them.
FEWEST_FOR_REFERENCE = 16
# Two large spikes at once move the median, so it is subtracted only where it takes noise with it: what is
# left of the noise must be less than this share of what would be left if channels had none in common.
_WORTH_A_REFERENCE = 0.97
# Beyond these multiples of the median noise a channel is broken rather than noisy.
_NOISE_LIMITS = (0.1, 6.0)
_FEW_CHUNKS = 3  # evenly spread, tell what all channels have in common


@dataclass(frozen=True)
class Prepared:
    """A recording that is ready to be sorted.

    Attributes
    ----------
    recording
        Lazy, float32, in the units of the file with its gain; without the bad channels.
    findings
        What `check_recording` and the noise of the filtered channels had to say.
    removed
        Channel id -> why it was left out.
    steps
        What was done, in order, for people to read.
    """

    recording: "BaseRecording"
    findings: list[Finding] = field(default_factory=list)
    removed: dict[str, str] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)


def prepare(
    recording: "BaseRecording",
    *,
    band_hz: tuple[float, float] = BAND_HZ,
    reference: bool | None = None,
    scan: Scan | None = None,
    seed: int = 0,
    folder: str | os.PathLike | None = None,
    n_jobs: int = 1,
    progress: bool = False,
) -> Prepared:
    """Fill gaps, leave out bad channels, band-pass, and reference to the median of channels that share noise.

    Parameters
    ----------
    recording
        Any single-segment recording.
    band_hz
        Lower and upper edge; the upper one is lowered to .45 of the sampling rate where needed.
    reference
        Subtract the median over channels; ``None`` does so from 16 good channels on, if that lowers their
        noise.
    scan
        The result of `scan_recording`, where the caller has it.
    seed
        Of the chunks at which the noise is measured.
    folder
        Where to write the prepared recording, so that sorting and analysis need not filter it again
        for every pass; ``None`` keeps it lazy.
    n_jobs
        Processes that compute when writing.
    progress
        Whether to show a progress bar when writing.

    Raises
    ------
    DataError
        If `check_recording` finds an error, or the disk has too little room.
    """
    from spikeinterface.preprocessing.common_reference import CommonReferenceRecording
    from spikeinterface.preprocessing.filter import BandpassFilterRecording

    if recording.get_annotation(PREPARED):
        return Prepared(recording)
    if scan is None and recording.get_total_samples() and recording.get_num_channels():
        scan = scan_recording(recording)
    findings = refuse_errors(check_recording(recording, scan=scan))
    if scan is None:
        raise DataError("an empty recording", expected="samples", remedy="check the file")
    steps = []
    lazy = recording
    if not recording.has_probe():
        lazy = attach_probe(
            recording.select_channels(recording.channel_ids), _assumed_probe(recording.get_num_channels())
        )
        steps.append("assumed neighbouring contacts")
    removed = {} if not np.any(scan.sd > 0) else bad_channels(recording, scan)
    if removed:
        lazy = _without(lazy, removed)
    kept = [index for index, channel in enumerate(recording.channel_ids) if str(channel) not in removed]
    if scan.n_missing[kept].any():
        from neuroloom.sorting.filling import FilledRecording

        lazy = FilledRecording(lazy, longest_gap=int(scan.longest_gap[kept].max()))
        steps.append(f"interpolated {int(scan.n_missing[kept].sum()):,} missing samples")
    low_hz, high_hz = band_hz[0], min(band_hz[1], 0.45 * recording.get_sampling_frequency())
    with quiet():
        lazy = BandpassFilterRecording(lazy, freq_min=low_hz, freq_max=high_hz, dtype="float32")
        steps.append(f"band-pass {low_hz:g} to {high_hz:g} Hz")
        # Silence leaves the filter as rounding errors, which must not be taken for voltage.
        silent = not bool(np.any(scan.sd > 0))
        broken = {} if silent else _broken_channels(lazy, seed=seed)
        if broken:
            lazy = _without(lazy, broken)
            removed |= broken
            findings += [
                Finding("warning", f"{reason}; left out", f"channel {channel}", "check the contact")
                for channel, reason in broken.items()
            ]
        if removed:
            steps.append(f"left out channels {', '.join(removed)}")
        if _share_noise(lazy) if reference is None else reference:
            lazy = CommonReferenceRecording(lazy, reference="global", operator="median")
            steps.append("median reference over channels")
    lazy.annotate(**{PREPARED: True, SILENT: silent})
    if folder is not None:
        lazy = write_recording(lazy, folder, n_jobs=n_jobs, progress=progress)
    return Prepared(lazy, findings, removed, steps)


def noise_uv(recording: "BaseRecording", *, seed: int = 0) -> np.ndarray:
    """Return the noise level of every channel in microvolt (median absolute deviation / .6745)."""
    from spikeinterface.core import get_noise_levels

    slices = {"seed": derive(seed, "noise") % 2**32}
    return get_noise_levels(
        recording,
        return_in_uV=True,
        force_recompute=True,
        random_slices_kwargs=slices,
        n_jobs=1,
        progress_bar=False,
    )


def _share_noise(recording: "BaseRecording") -> bool:
    """Return whether the median over channels is noise that they share."""
    if recording.get_num_channels() < FEWEST_FOR_REFERENCE:
        return False
    traces = np.concatenate([traces for _, _, traces in iterate_chunks(recording, max_chunks=_FEW_CHUNKS)])
    shift = len(traces) // recording.get_num_channels()
    apart = np.stack([np.roll(line, k * shift) for k, line in enumerate(traces.T)], axis=1)
    return _left_by_median(traces) < _WORTH_A_REFERENCE * _left_by_median(apart)


def _left_by_median(traces: np.ndarray) -> float:
    alone = traces - median(traces, axis=1)[:, None]
    return float(np.median(median(np.abs(alone), axis=0)))


def _broken_channels(recording: "BaseRecording", *, seed: int) -> dict[str, str]:
    """Return the channels that repeat another, or whose noise in the spike band is far from the others'."""
    return _copies(recording) | _odd_noise(recording, seed=seed)


def _copies(recording: "BaseRecording") -> dict[str, str]:
    # Whitening divides by the variance in which two channels differ, and so blows up what is rounding error.
    chunks = [traces for _, _, traces in iterate_chunks(recording, max_chunks=_FEW_CHUNKS)]
    traces = np.concatenate(chunks).astype(np.float64)
    traces = traces - traces.mean(axis=0)
    norms = np.linalg.norm(traces, axis=0)
    if not norms.all():
        return {}
    alike = np.triu((traces / norms).T @ (traces / norms), k=1) > 1 - 1e-6
    names = [str(channel) for channel in recording.channel_ids]
    return {names[later]: f"a copy of channel {names[first]}" for first, later in np.argwhere(alike)}


def _odd_noise(recording: "BaseRecording", *, seed: int) -> dict[str, str]:
    if recording.get_num_channels() < 3:
        return {}
    noise = noise_uv(recording, seed=seed)
    typical = float(np.median(noise))
    return {
        str(channel): f"noise {level:.3g} uV where the median channel has {typical:.3g} uV"
        for channel, level in zip(recording.channel_ids, noise, strict=True)
        if typical > 0 and not _NOISE_LIMITS[0] * typical <= level <= _NOISE_LIMITS[1] * typical
    }


def _without(recording: "BaseRecording", removed: dict[str, str]) -> "BaseRecording":
    return recording.select_channels(
        [channel for channel in recording.channel_ids if str(channel) not in removed]
    )


def _assumed_probe(n_channels: int) -> "Probe":
    return make_probe({1: "single", 2: "stereotrode", 4: "tetrode"}.get(n_channels, f"linear-{n_channels}"))
