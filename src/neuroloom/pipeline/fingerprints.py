"""What a stage was made from, as one short string."""

from typing import TYPE_CHECKING

import numpy as np

from neuroloom.artifacts import fingerprint
from neuroloom.sorting.fingerprints import recording_fingerprint

if TYPE_CHECKING:
    from spikeinterface import BaseSorting

__all__ = ["recording_fingerprint", "sorting_fingerprint"]


def sorting_fingerprint(sorting: "BaseSorting") -> str:
    """Return a sha256 over units and their spikes."""
    units = [str(unit) for unit in sorting.unit_ids]
    trains = [
        np.asarray(sorting.get_unit_spike_train(unit_id=unit, segment_index=0)) for unit in sorting.unit_ids
    ]
    return fingerprint(sorting.get_sampling_frequency(), units, *trains)
