"""How much units fire in a later recording: their scale, measured anew without any target."""

from collections.abc import Mapping, Sequence

import numpy as np

from neuroloom.decoding.binning import UnitScale, bin_for, counts_of
from neuroloom.decoding.targets import Target
from neuroloom.decoding.units import parts_by_id
from neuroloom.sessions.session import Session

# What is known from training counts as much as this many bins of the later recording.
KNOWN_BINS = 30


def measured_anew(
    scales: Mapping[str, UnitScale], sessions: Sequence[Session], target: Target, *, bin_s: float
) -> dict[str, UnitScale]:
    """Return scales that have moved towards the units' mean and spread in later parts of their sessions.

    Parameters
    ----------
    scales
        From training, by session id.
    sessions
        Parts of those; units that they lack keep the scale that they have.
    target
        Says only whether trials are binned, or all of the support.
    bin_s
        Bin width.

    Raises
    ------
    DataError
        As `neuroloom.decoding.binning.bin_for`.
    """
    moved = {}
    for session_id, parts in parts_by_id(sessions).items():
        old = scales[session_id]
        there = [unit for unit in old.ids if unit in parts[0].unit_ids]
        counts = np.concatenate([counts_of(there, part, bin_for(part, target, bin_s)) for part in parts])
        found, place = UnitScale.of(there, counts), np.isin(old.ids, there)
        mean, spread = old.mean.copy(), old.spread.copy()
        mean[place], spread[place] = found.mean, found.spread
        share = len(counts) / (len(counts) + KNOWN_BINS)
        moved[session_id] = old.towards(UnitScale(old.ids, mean, spread), share)
    return moved
