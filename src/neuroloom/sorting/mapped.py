"""Voltage in a file that is mapped into memory.

The system counts every page that was touched as memory of the process until somebody needs it; a pass over
300 s of 64 channels would hold 2.3 GB that way. So each pass gives back what it has read.
"""

import mmap
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from probeinterface import Probe


def give_back(array: Any) -> None:
    """Let go of the memory of a mapped file; what is there is read again when it is needed.

    Parameters
    ----------
    array
        From ``np.load(path, mmap_mode="r")`` or ``open_memmap``; nothing happens to any other.
    """
    pages = getattr(array, "base", None)
    # What was written stays: a shared mapping's pages are the file's own. A private copy's are not.
    shared = getattr(array, "mode", "c") != "c"
    if shared and isinstance(pages, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)


def mapped_recording(array: np.ndarray, *, rate_hz: float, probe: "Probe") -> Any:
    """Return an array, mapped or not, as a recording that never holds more of it than one chunk.

    Parameters
    ----------
    array
        Shape ``(samples, channels)``.
    rate_hz, probe
        Channel k is contact k of the probe.
    """
    from spikeinterface.core import BaseRecording, BaseRecordingSegment

    class Segment(BaseRecordingSegment):
        def get_num_samples(self) -> int:
            return len(array)

        def get_traces(self, start_frame=None, end_frame=None, channel_indices=None):
            traces = np.array(array[start_frame:end_frame])
            give_back(array)
            return traces if channel_indices is None else traces[:, channel_indices]

    recording = BaseRecording(
        sampling_frequency=rate_hz, channel_ids=np.arange(array.shape[1]), dtype=array.dtype
    )
    recording.add_recording_segment(Segment(sampling_frequency=rate_hz))
    recording.set_probe(probe)
    return recording
