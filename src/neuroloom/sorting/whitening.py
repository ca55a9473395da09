"""Voltage whose noise is white in time and across channels, as the noise of its quiet stretches was."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom.sorting.events import near_channels
from neuroloom.sorting.mapped import give_back
from neuroloom.sorting.noise import NoiseModel

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording

_RADIUS_UM = 100.0


@dataclass(frozen=True)
class Whitener:
    """A filter in time and a matrix across channels.

    SpikeInterface's whitening takes the covariance of all voltage, spikes included, and so makes the small
    spikes of crowded tetrodes faint; here it is that of stretches without spikes.

    Attributes
    ----------
    course
        Symmetric filter, shape ``(taps,)``.
    across
        Shape ``(channels, channels)``, applied as ``traces @ across``.
    """

    course: np.ndarray
    across: np.ndarray

    @classmethod
    def of(cls, noise: NoiseModel, locations_um: np.ndarray) -> "Whitener":
        """Return the whitener of some noise; channels are whitened with those within 100 um."""
        near = near_channels(locations_um, radius_um=_RADIUS_UM)
        return cls(noise.filter_in_time().astype(np.float32), noise.matrix_across(near).astype(np.float32))

    @property
    def reach(self) -> int:
        """Samples that the filter needs on either side."""
        return len(self.course) // 2

    def traces(self, scaled: np.ndarray) -> np.ndarray:
        """Return whitened ``(samples, channels)``; the first and last `reach` samples lack neighbours."""
        from scipy.signal import oaconvolve

        return oaconvolve(scaled, self.course[:, None], mode="same", axes=0) @ self.across

    def templates(self, templates: np.ndarray) -> np.ndarray:
        """Return whitened ``(units, samples, channels)``."""
        from scipy.signal import fftconvolve

        if not len(templates):
            return templates
        filtered = fftconvolve(templates, self.course[None, :, None], mode="same", axes=1)
        return (filtered @ self.across).astype(np.float32)

    def write(self, scaled: np.ndarray, path: object) -> np.ndarray:
        """Write whitened traces chunk by chunk to a memory map (4 bytes per value) and return it."""
        from numpy.lib.format import open_memmap

        white = open_memmap(path, mode="w+", dtype=np.float32, shape=scaled.shape)  # type: ignore[arg-type]
        n_samples, n_channels = scaled.shape
        chunk = max((1 << 21) // n_channels, 8 * self.reach)
        for start in range(0, n_samples, chunk):
            stop, first = min(start + chunk, n_samples), max(start - self.reach, 0)
            traces = self.traces(np.asarray(scaled[first : min(stop + self.reach, n_samples)]))
            white[start:stop] = traces[start - first : stop - first]
            give_back(scaled)
            give_back(white)
        white.flush()
        return np.load(path, mmap_mode="r")  # type: ignore[arg-type]


def whitened_recording(recording: "BaseRecording", noise_levels: np.ndarray, whitener: Whitener) -> Any:
    """Return a lazy recording of whitened voltage, for passes over what is too long to be written again.

    Parameters
    ----------
    recording
        Prepared.
    noise_levels
        Of each channel, in the recording's units.
    whitener
        For voltage in units of those.
    """
    from spikeinterface.preprocessing.basepreprocessor import (
        BasePreprocessor,
        BasePreprocessorSegment,
    )

    reach = whitener.reach

    class Segment(BasePreprocessorSegment):
        def get_traces(self, start_frame, end_frame, channel_indices):
            n_samples = self.parent_recording_segment.get_num_samples()
            first, last = max(start_frame - reach, 0), min(end_frame + reach, n_samples)
            traces = self.parent_recording_segment.get_traces(first, last, slice(None))
            traces = whitener.traces(np.asarray(traces, np.float32) / noise_levels.astype(np.float32))
            traces = traces[start_frame - first : end_frame - first]
            return traces if channel_indices is None else traces[:, channel_indices]

    lazy = BasePreprocessor(recording, dtype="float32")
    for segment in recording.segments:
        lazy.add_recording_segment(Segment(segment))
    return lazy
