"""What a stage was made from, as one short string."""

from typing import TYPE_CHECKING

import numpy as np

from neuroloom.artifacts import fingerprint

if TYPE_CHECKING:
    from spikeinterface import BaseRecording, BaseSorting

N_LOOKS, LOOK_S = 32, 0.1


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


def sorting_fingerprint(sorting: "BaseSorting") -> str:
    """Return a sha256 over units and their spikes."""
    units = [str(unit) for unit in sorting.unit_ids]
    trains = [
        np.asarray(sorting.get_unit_spike_train(unit_id=unit, segment_index=0)) for unit in sorting.unit_ids
    ]
    return fingerprint(sorting.get_sampling_frequency(), units, *trains)
