"""Candidate events: troughs that stand out of the noise and are the deepest in their surroundings."""

from dataclasses import dataclass

import numpy as np

from neuroloom.sorting.mapped import give_back

MODEL_RATE_HZ = 30_000.0


@dataclass(frozen=True)
class Events:
    """Troughs in a recording, in order of time.

    Attributes
    ----------
    sample, channel
        Where the trough is, shape ``(events,)``.
    depth
        Its depth in units of the channel's noise (positive), shape ``(events,)``.
    """

    sample: np.ndarray
    channel: np.ndarray
    depth: np.ndarray

    def __len__(self) -> int:
        return len(self.sample)

    def take(self, index: np.ndarray) -> "Events":
        """Return some of the events."""
        return Events(self.sample[index], self.channel[index], self.depth[index])


def near_channels(locations_um: np.ndarray, *, radius_um: float) -> np.ndarray:
    """Return which contacts lie within a radius of which, shape ``(contacts, contacts)``."""
    places = np.asarray(locations_um, dtype=float)[:, :2]
    return np.linalg.norm(places[:, None] - places[None], axis=-1) <= radius_um


def find_troughs(
    scaled: np.ndarray, near: np.ndarray, *, threshold: float, exclude_samples: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return samples and channels of troughs deeper than `threshold` and than all around them.

    Parameters
    ----------
    scaled
        Voltage in units of noise, shape ``(samples, channels)``.
    near
        Which channels compete, from `near_channels`.
    threshold
        Least depth.
    exclude_samples
        Of two troughs closer than this on competing channels the deeper one stays.
    """
    sample, channel = np.nonzero(scaled < -threshold)
    around = np.arange(-exclude_samples, exclude_samples + 1)
    own = _windows(scaled, sample, around, channel[:, None])
    lowest = scaled[sample, channel] <= own.min(axis=1, initial=np.inf)
    sample, channel = sample[lowest], channel[lowest]
    keep = np.ones(len(sample), bool)
    for one in np.unique(channel):  # few troughs are left to be compared with other channels
        here = np.flatnonzero(channel == one)
        for rival in np.flatnonzero(near[one]).tolist():
            rivals = _windows(scaled, sample[here], around, rival).min(axis=1, initial=np.inf)
            keep[here] &= scaled[sample[here], one] <= rivals
    return sample[keep], channel[keep]


def _windows(
    scaled: np.ndarray, sample: np.ndarray, around: np.ndarray, channel: "np.ndarray | int"
) -> np.ndarray:
    index = np.minimum(np.maximum(sample[:, None] + around, 0), len(scaled) - 1)
    return scaled[index, channel]


def find_events(
    scaled: np.ndarray,
    near: np.ndarray,
    *,
    threshold: float,
    exclude_samples: int,
    margin: int,
    chunk: int = 1 << 21,
) -> Events:
    """Return the candidate events of a whole recording, chunk by chunk.

    Parameters
    ----------
    scaled
        Voltage in units of noise, shape ``(samples, channels)``; may be a memory map.
    near, threshold, exclude_samples
        As in `find_troughs`.
    margin
        Events closer than this to either end have no whole snippet and are left out.
    chunk
        Values held in memory at a time.
    """
    n_samples, n_channels = scaled.shape
    length = max(chunk // n_channels, 10 * exclude_samples)
    edge = 2 * exclude_samples
    found = []
    for start in range(0, n_samples, length):
        stop, first = min(start + length, n_samples), max(start - edge, 0)
        traces = np.asarray(scaled[first : min(stop + edge, n_samples)])
        sample, channel = find_troughs(traces, near, threshold=threshold, exclude_samples=exclude_samples)
        depth = -traces[sample, channel]
        sample = sample + first
        inside = (sample >= max(start, margin)) & (sample < min(stop, n_samples - margin))
        found.append((sample[inside], channel[inside], depth[inside]))
        give_back(scaled)
    if not found:
        return Events(np.zeros(0, int), np.zeros(0, int), np.zeros(0))
    return Events(*(np.concatenate(column) for column in zip(*found, strict=True)))


class SnippetReader:
    """Cut snippets out of a recording at the models' sampling rate.

    Parameters
    ----------
    scaled
        Voltage in units of noise, shape ``(samples, channels)``.
    rate_hz
        Its sampling rate; snippets come at 30 kHz whatever it is.
    before, after
        Samples at 30 kHz before and after the trough.
    """

    def __init__(self, scaled: np.ndarray, *, rate_hz: float, before: int, after: int):
        self.scaled = scaled
        ratio = rate_hz / MODEL_RATE_HZ
        self.first = -int(np.ceil(before * ratio)) - _SINC_REACH
        self.last = int(np.ceil(after * ratio)) + _SINC_REACH
        self.resample = _sinc_matrix(
            np.arange(-before, after) * ratio, np.arange(self.first, self.last), cutoff=min(1.0, 1 / ratio)
        )
        self.direct = (-before, after) if abs(ratio - 1) < 1e-9 else None

    @property
    def margin(self) -> int:
        """Samples that a snippet needs on either side."""
        return max(-self.first, self.last) + 1

    def read(self, sample: np.ndarray, channels: np.ndarray) -> np.ndarray:
        """Return snippets of some channels, shape ``(events, channels, before + after)``, float32."""
        first, last = self.direct or (self.first, self.last)
        index = sample[:, None] + np.arange(first, last)
        snippets = self.scaled[index[:, :, None], channels[None, None, :]]  # (events, samples, channels)
        give_back(self.scaled)
        snippets = np.ascontiguousarray(snippets.transpose(0, 2, 1), dtype=np.float32)
        return snippets if self.direct else snippets @ self.resample.T


_SINC_REACH = 8


def _sinc_matrix(wanted: np.ndarray, given: np.ndarray, *, cutoff: float) -> np.ndarray:
    """Windowed-sinc interpolation: rows are wanted times, columns given samples."""
    lag = wanted[:, None] - given[None, :]
    window = np.where(np.abs(lag) < _SINC_REACH, 0.5 + 0.5 * np.cos(np.pi * lag / _SINC_REACH), 0.0)
    return (cutoff * np.sinc(cutoff * lag) * window).astype(np.float32)
