"""Fill missing samples (NaN, infinite) so that a filter does not spread them over a whole chunk."""

from typing import Any

import numpy as np
from spikeinterface.core import BaseRecording
from spikeinterface.preprocessing.basepreprocessor import BasePreprocessor, BasePreprocessorSegment


class FilledRecording(BasePreprocessor):
    """A recording whose missing samples lie on the straight line between their neighbours.

    Parameters
    ----------
    recording
        A floating-point recording.
    longest_gap
        The longest run of missing samples; so much is read beyond each side of a chunk, which makes
        the values independent of how the recording is cut into chunks.
    """

    def __init__(self, recording: BaseRecording, longest_gap: int):
        super().__init__(recording)
        for segment in recording.segments:
            self.add_recording_segment(_FilledSegment(segment, int(longest_gap)))
        self._kwargs = {"recording": recording, "longest_gap": int(longest_gap)}


class _FilledSegment(BasePreprocessorSegment):
    def __init__(self, parent: Any, longest_gap: int):
        super().__init__(parent)
        self.margin = longest_gap + 1

    def get_traces(self, start_frame: int, end_frame: int, channel_indices: Any) -> np.ndarray:
        first = max(start_frame - self.margin, 0)
        last = min(end_frame + self.margin, self.get_num_samples())
        traces = self.parent_recording_segment.get_traces(first, last, channel_indices)
        inner = slice(start_frame - first, end_frame - first)
        missing = ~np.isfinite(traces)
        if not missing.any():
            return traces[inner]
        traces = np.array(traces)
        index = np.arange(len(traces))
        for channel in np.flatnonzero(missing.any(axis=0)):
            gap = missing[:, channel]
            known = traces[~gap, channel]
            traces[gap, channel] = np.interp(index[gap], index[~gap], known) if len(known) else 0.0
        return traces[inner]
