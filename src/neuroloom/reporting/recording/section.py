"""The page's section about the recording."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from neuroloom.reporting.layout import half, wide
from neuroloom.reporting.numbers import counted, spoken_duration, written
from neuroloom.reporting.page import Block, Facts, KeyFigure, Note, Section
from neuroloom.reporting.recording.figures import Excerpt, probe_layout, traces

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording

EXCERPT_S, NOISE_S, MAX_CHANNELS = 0.1, 0.5, 8


def recording_section(
    recording: "BaseRecording",
    *,
    preprocessed: "BaseRecording | None" = None,
    bad_channel_ids: Collection[object] = (),
    preprocessing: str = "",
) -> Section:
    """Describe a recording and show a tenth of a second from its middle.

    Parameters
    ----------
    recording
        As it was read; only the excerpt is read again.
    preprocessed
        What the sorter saw; shown beside it.
    bad_channel_ids
        Channels that were left out.
    preprocessing
        One sentence on what was done.
    """
    n_channels, duration_s = recording.get_num_channels(), recording.get_total_duration()
    rate_hz = recording.get_sampling_frequency()
    facts = [
        ("Channels", f"{n_channels}"),
        ("Sampling rate", written(rate_hz / 1e3, 3, unit="kHz").replace(".000", "")),
        ("Duration", spoken_duration(duration_s)),
        ("Segments", f"{recording.get_num_segments()}"),
        ("Samples stored as", str(recording.get_dtype())),
        ("Gain", _gain(recording)),
        ("Channels left out", ", ".join(map(str, bad_channel_ids)) or "none"),
    ]
    blocks: list[Block] = []
    if recording.has_probe():
        blocks.append(_probe(recording, preprocessed, bad_channel_ids))
    else:
        blocks.append(Note("The recording carries no probe, so positions are unknown."))
    blocks.append(Facts(facts, title="As stored", size="half"))
    excerpt = middle_excerpt(recording)
    if not len(excerpt.times_s):
        blocks.append(Note("The recording has no samples to draw."))
    else:
        channels = counted(len(excerpt.channel_ids), "channel")
        chosen = (
            channels if len(excerpt.channel_ids) == n_channels else f"The {channels} with the largest swings"
        )
        blocks.append(
            wide(
                lambda width_px: traces(excerpt, width_px=width_px),
                title="As recorded",
                alt=f"Voltage of {channels} over {EXCERPT_S * 1e3:.0f} milliseconds, before filtering.",
                caption=f"{chosen}, from the middle of the recording; each around its own median.",
            )
        )
        if preprocessed is not None:
            cleaned = middle_excerpt(preprocessed, channel_ids=excerpt.channel_ids)
            blocks.append(
                wide(
                    lambda width_px: traces(cleaned, width_px=width_px),
                    title="As sorted",
                    alt=f"The same stretch after preprocessing, on {len(cleaned.channel_ids)} channels.",
                    caption=preprocessing or "The same stretch after preprocessing.",
                )
            )
    return Section(
        "Recording",
        "recording",
        lead=f"{spoken_duration(duration_s)} of voltage on {counted(n_channels, 'channel')}.",
        blocks=blocks,
        key_figures=[KeyFigure(spoken_duration(duration_s), "recorded", counted(n_channels, "channel"))],
    )


def _gain(recording: "BaseRecording") -> str:
    if not recording.has_scaleable_traces():
        return "unknown; voltage in steps of the converter"
    return ", ".join(f"{gain:.4g} µV per step" for gain in np.unique(recording.get_channel_gains())[:3])


def _probe(
    recording: "BaseRecording", preprocessed: "BaseRecording | None", bad_channel_ids: Collection[object]
) -> Block:
    """Draw the contacts with the noise of each channel: of the preprocessed voltage where there is one."""
    source = recording if preprocessed is None else preprocessed
    stretch = middle_excerpt(source, duration_s=NOISE_S, max_channels=source.get_num_channels())
    known = {
        channel: _noise(stretch.voltage[:, column]) for column, channel in enumerate(stretch.channel_ids)
    }
    noise = np.array([known.get(channel, np.nan) for channel in recording.channel_ids])
    n_channels = recording.get_num_channels()
    middle = f", median {np.nanmedian(noise):.3g} {stretch.unit}" if np.isfinite(noise).any() else ""
    return half(
        lambda width_px: probe_layout(
            recording.get_channel_locations(),
            channel_ids=list(recording.channel_ids),
            bad_channel_ids=set(bad_channel_ids),
            noise=noise,
            noise_unit=stretch.unit,
            width_px=width_px,
        ),
        title="Probe and noise",
        alt=f"Positions of {counted(n_channels, 'contact')} and the noise of each channel{middle}.",
        caption=f"Contacts from the front; beside them the noise of each channel{middle} (scaled median "
        f"absolute deviation{'' if preprocessed is None else ' after preprocessing'})."
        + (" Crosses were left out." if bad_channel_ids else ""),
    )


def _noise(voltage: np.ndarray) -> float:
    """Return the noise's standard deviation, told from the median deviation, in which spikes hardly count."""
    known = voltage[np.isfinite(voltage)]
    return 1.4826 * float(np.median(np.abs(known - np.median(known)))) if len(known) else np.nan


def middle_excerpt(
    recording: "BaseRecording",
    *,
    duration_s: float = EXCERPT_S,
    max_channels: int = MAX_CHANNELS,
    channel_ids: Sequence[object] | None = None,
    start_s: float | None = None,
) -> Excerpt:
    """Return a short stretch of the first segment, by default from its middle.

    Parameters
    ----------
    max_channels
        The channels with the largest swings are taken, and kept in order of depth.
    channel_ids
        Take these (where the recording has them) instead.
    start_s
        Seconds from the first sample.
    """
    rate_hz = recording.get_sampling_frequency()
    n_total = recording.get_num_samples(segment_index=0)
    n_wanted = min(int(duration_s * rate_hz), n_total)
    first = (
        (n_total - n_wanted) // 2
        if start_s is None
        else int(np.clip(start_s * rate_hz, 0, n_total - n_wanted))
    )
    scaled = recording.has_scaleable_traces()
    present = list(recording.channel_ids)
    if channel_ids is not None:
        present = [channel for channel in channel_ids if channel in present]
    unit = "µV" if scaled else "steps"
    if not n_wanted or not present:
        return Excerpt(np.array([]), np.empty((0, len(present))), present, unit)
    voltage = recording.get_traces(
        segment_index=0,
        start_frame=first,
        end_frame=first + n_wanted,
        channel_ids=present,
        return_in_uV=scaled,
    ).astype(float)
    if len(present) > max_channels:
        swing = np.nan_to_num(
            np.nanpercentile(voltage, 99.9, axis=0) - np.nanpercentile(voltage, 0.1, axis=0)
        )
        kept = np.sort(np.argsort(-swing, kind="stable")[:max_channels])
        present, voltage = [present[index] for index in kept], voltage[:, kept]
    if recording.has_probe():
        depth = np.asarray(recording.get_channel_locations(channel_ids=present))[:, -1]
        order = np.argsort(-depth, kind="stable")
        present, voltage = [present[index] for index in order], voltage[:, order]
    return Excerpt((first + np.arange(n_wanted)) / rate_hz, voltage, present, unit)
