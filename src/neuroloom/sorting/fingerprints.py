"""What a result was made from, as one short string."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neuroloom import __version__
from neuroloom.artifacts import file_sha256, fingerprint

if TYPE_CHECKING:
    from spikeinterface import BaseRecording

N_LOOKS, LOOK_S = 32, 0.1
_NUMBERS_COME_FROM = ("numpy", "scipy", "scikit-learn", "torch", "spikeinterface")


def recording_fingerprint(recording: "BaseRecording") -> str:
    """Return a sha256 over layout, probe and 32 evenly spaced looks of .1 s at the voltage.

    Hashing every sample of hours of voltage would cost as much as filtering it; a recording that agrees in
    all of this and differs elsewhere is not one that arises by accident.
    """
    n_samples, rate_hz = recording.get_num_samples(segment_index=0), recording.get_sampling_frequency()
    look = min(n_samples, max(1, int(LOOK_S * rate_hz)))
    starts = np.unique(np.linspace(0, n_samples - look, N_LOOKS).astype(np.int64))
    looks = [
        recording.get_traces(segment_index=0, start_frame=int(s), end_frame=int(s) + look) for s in starts
    ]
    contacts = recording.get_channel_locations() if recording.has_probe() else np.zeros((0, 2))
    channels = [str(channel) for channel in recording.channel_ids]
    return fingerprint(n_samples, rate_hz, channels, np.asarray(contacts, float), *looks)


def sorter_fingerprint() -> str:
    """Return a sha256 over the sorter: its source and weights, and the versions of what it computes with.

    The version alone would let a sorter that was changed go on from what it left before the change.
    """
    room = Path(__file__).parent
    files = [*sorted(room.glob("*.py")), *sorted(room.glob("weights/*/manifest.json"))]
    versions = {}
    for name in _NUMBERS_COME_FROM:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return fingerprint(__version__, versions, {path.name: file_sha256(path) for path in files})
