"""One pass over a recording, chunk by chunk: what every channel's samples look like."""

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from neuroloom.errors import DataError

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording

# Integers cannot hold NaN, so long integer recordings are sampled for dead and saturated channels.
_MAX_INTEGER_CHUNKS = 600
_CHUNK_VALUES = 2**20
# Checks, preprocessing and sorting all need the scan; the samples of a recording object never change.
_SCANS: "weakref.WeakKeyDictionary[BaseRecording, Scan]" = weakref.WeakKeyDictionary()
_Chunk = TypeVar("_Chunk")


@dataclass(frozen=True)
class Scan:
    """What one pass over a recording found, per channel.

    Attributes
    ----------
    n_samples
        Samples that were looked at.
    n_missing
        Samples that are NaN or infinite, (channels,).
    longest_gap
        Longest run of such samples, (channels,).
    lowest, highest
        Extremes of the finite samples in stored units, (channels,); NaN where there is none.
    clipped
        Share of samples that lie exactly on the lowest or the highest value, whichever has more, (channels,).
    mean, sd
        Of the finite samples, in stored units, (channels,).
    """

    n_samples: int
    n_missing: np.ndarray
    longest_gap: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    clipped: np.ndarray
    mean: np.ndarray
    sd: np.ndarray


def iterate_chunks(
    recording: "BaseRecording", *, max_chunks: int | None = None
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield (segment, first sample, traces (samples, channels)) in order, never more than a chunk in memory.

    Raises
    ------
    DataError
        If a chunk cannot be read from disk.
    """
    length = max(_CHUNK_VALUES // recording.get_num_channels(), 1000)
    chunks = [
        (segment, start, min(start + length, recording.get_num_samples(segment)))
        for segment in range(recording.get_num_segments())
        for start in range(0, recording.get_num_samples(segment), length)
    ]
    for segment, start, stop in spread(chunks, most=max_chunks):
        try:
            traces = recording.get_traces(segment_index=segment, start_frame=start, end_frame=stop)
        except Exception as error:  # every file format raises its own kinds
            from_s, to_s = (frame / recording.get_sampling_frequency() for frame in (start, stop))
            raise DataError(
                f"{from_s:.3f} s to {to_s:.3f} s cannot be read ({type(error).__name__}: {error})",
                expected="traces that can be read to their end",
                remedy="copy the recording again from where it was made",
            ) from error
        yield segment, start, traces


def spread(chunks: list[_Chunk], *, most: int | None) -> list[_Chunk]:
    """Return at most so many chunks, evenly spread over all; None keeps all."""
    if most is None or len(chunks) <= most:
        return chunks
    return [chunks[index] for index in np.linspace(0, len(chunks) - 1, most).astype(int)]


def scan_recording(recording: "BaseRecording") -> Scan:
    """Look at every sample once (very long integer recordings: at 600 chunks spread over them).

    The scan of a recording object is remembered for as long as the object lives.

    Raises
    ------
    DataError
        If a part cannot be read.
    """
    if recording not in _SCANS:
        _SCANS[recording] = _scan(recording)
    return _SCANS[recording]


def _scan(recording: "BaseRecording") -> Scan:
    n_channels = recording.get_num_channels()
    floating = recording.get_dtype().kind == "f"
    n_samples = 0
    n_missing, longest, open_gap = (np.zeros(n_channels, dtype=np.int64) for _ in range(3))
    lowest, highest = np.full(n_channels, np.inf), np.full(n_channels, -np.inf)
    at_lowest, at_highest = np.zeros(n_channels), np.zeros(n_channels)
    total, squares, reference = np.zeros(n_channels), np.zeros(n_channels), np.full(n_channels, np.nan)
    for _, start, traces in iterate_chunks(recording, max_chunks=None if floating else _MAX_INTEGER_CHUNKS):
        n_samples += len(traces)
        low_in = high_in = traces
        if start == 0:
            open_gap[:] = 0
        if floating and not np.isfinite(traces).all():
            missing = ~np.isfinite(traces)
            n_missing += missing.sum(axis=0)
            for channel in np.flatnonzero(missing.any(axis=0) | (open_gap > 0)):
                runs = _runs(missing[:, channel], int(open_gap[channel]))
                longest[channel] = max(longest[channel], *runs)
                open_gap[channel] = runs[-1]
            low_in, high_in = np.where(missing, np.inf, traces), np.where(missing, -np.inf, traces)
            finite = np.where(missing, np.nan, traces).astype(np.float64)
        else:
            open_gap[:] = 0
            finite = traces.astype(np.float64)
        # Sums of differences from the first value seen keep their precision at large offsets.
        first = np.where(np.isnan(reference), np.nan_to_num(finite[0]), reference)
        reference = first
        finite -= reference
        total += np.nansum(finite, axis=0)
        squares += np.nansum(finite**2, axis=0)
        low, high = low_in.min(axis=0), high_in.max(axis=0)
        at_lowest = np.where(low < lowest, 0, at_lowest) + (low_in == np.minimum(low, lowest)).sum(axis=0)
        at_highest = np.where(high > highest, 0, at_highest) + (high_in == np.maximum(high, highest)).sum(
            axis=0
        )
        lowest, highest = np.minimum(lowest, low), np.maximum(highest, high)
    n_finite = np.maximum(n_samples - n_missing, 1)
    mean = total / n_finite
    sd = np.sqrt(np.maximum(squares / n_finite - mean**2, 0))
    empty = n_missing == n_samples
    return Scan(
        n_samples=n_samples,
        n_missing=n_missing,
        longest_gap=longest,
        lowest=np.where(empty, np.nan, lowest),
        highest=np.where(empty, np.nan, highest),
        clipped=np.maximum(at_lowest, at_highest) / n_finite,
        mean=np.where(empty, np.nan, mean + np.nan_to_num(reference)),
        sd=np.where(empty, np.nan, sd),
    )


def bad_channels(recording: "BaseRecording", scan: Scan) -> dict[str, str]:
    """Return the channels that hold no usable voltage, with the reason.

    A channel is missing when more than 10 % of its samples are NaN or infinite, dead when it is constant
    or below a hundredth of the median channel, stuck when 90 % and saturated when .5 % of its samples lie
    on its extreme.
    """
    reasons: dict[str, str] = {}
    usable_sd = scan.sd[np.isfinite(scan.sd) & (scan.sd > 0)]
    quiet = 0.01 * float(np.median(usable_sd)) if len(usable_sd) > 2 else 0.0
    # A few discrete levels make extremes frequent without any clipping.
    step = 1.0 if recording.get_dtype().kind in "iu" else 0.0
    wide = scan.highest - scan.lowest > 20 * step
    for index, channel in enumerate(recording.channel_ids):
        if scan.n_missing[index] > 0.1 * scan.n_samples:
            share = scan.n_missing[index] / scan.n_samples
            reasons[str(channel)] = f"missing (NaN or inf in {share:.0%} of samples)"
        elif scan.sd[index] <= quiet:
            value = "constant" if scan.highest[index] == scan.lowest[index] else "nearly constant"
            reasons[str(channel)] = f"dead ({value} at {scan.mean[index]:.4g})"
        elif scan.clipped[index] > 0.9:
            reasons[str(channel)] = f"stuck ({scan.clipped[index]:.1%} of samples at one value)"
        elif wide[index] and scan.clipped[index] > 0.005:
            reasons[str(channel)] = f"saturated ({scan.clipped[index]:.1%} of samples at the limit)"
    return reasons


def _runs(missing: np.ndarray, before: int) -> list[int]:
    """Return the lengths of the runs of True, the first prolonged by `before`, the last possibly 0."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], missing.view(np.int8), [0]])))
    lengths = [int(stop - start) for start, stop in edges.reshape(-1, 2)]
    if not lengths:
        return [before, 0]
    if missing[0]:
        lengths[0] += before
    return [before, *lengths] if missing[-1] else [before, *lengths, 0]
