"""Spikes as a sorter gave them, and the sorting that they become."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from neuroloom.sorting.details import SortingDetails

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording, BaseSorting

    from neuroloom.sorting.simsort import SimSortResult

# Template matching leaves some units a handful of spikes of others.
_LOWEST_RATE_HZ = 0.05


@dataclass(frozen=True)
class FoundSpikes:
    """Spikes in the order, and under the numbers, of the sorter that found them.

    Attributes
    ----------
    sample, unit
        Of every spike, in any order; units are 0, 1, ..
    n_units
        How many units there are, also without spikes.
    result
        What simsort knows beyond that.
    """

    sample: np.ndarray
    unit: np.ndarray
    n_units: int
    result: "SimSortResult | None" = None

    @staticmethod
    def from_trains(trains: list[np.ndarray]) -> "FoundSpikes":
        """Return the spikes of one train per unit."""
        samples = np.concatenate([np.zeros(0, np.int64), *trains]).astype(np.int64)
        return FoundSpikes(samples, np.repeat(np.arange(len(trains)), list(map(len, trains))), len(trains))


def as_sorting(found: FoundSpikes, recording: "BaseRecording") -> "tuple[BaseSorting, SortingDetails | None]":
    """Return units by decreasing number of spikes, each spike once and inside the recording.

    Returns
    -------
    BaseSorting, SortingDetails or None
        The details' spikes are in the order of the sorting's spike vector; only simsort gives them.
    """
    from spikeinterface.core import NumpySorting
    from spikeinterface.core.basesorting import minimum_spike_dtype

    n_samples, rate_hz = recording.get_num_samples(0), recording.get_sampling_frequency()
    order = np.lexsort((found.unit, found.sample))
    sample, unit = found.sample[order], found.unit[order]
    again = np.zeros(len(order), bool)
    again[1:] = (np.diff(sample) == 0) & (np.diff(unit) == 0)
    order = order[(sample >= 0) & (sample < n_samples) & ~again]
    sample, unit = found.sample[order], found.unit[order]
    count = np.bincount(unit, minlength=found.n_units)
    first = np.full(found.n_units, n_samples)
    np.minimum.at(first, unit, sample)
    ids = np.lexsort((first, -count))
    ids = ids[count[ids] >= max(1, _LOWEST_RATE_HZ * n_samples / rate_hz)]
    number = np.full(found.n_units + 1, -1)  # the last is for what is of no unit
    number[ids] = np.arange(len(ids))
    order = order[number[unit] >= 0]
    order = order[np.lexsort((number[found.unit[order]], found.sample[order]))]
    spikes = np.zeros(len(order), dtype=minimum_spike_dtype)
    spikes["sample_index"], spikes["unit_index"] = found.sample[order], number[found.unit[order]]
    sorting = NumpySorting(spikes, rate_hz, np.arange(len(ids)))
    sorting.register_recording(recording)
    if found.result is None:
        return sorting, None
    details = _details(found.result, spikes, order=order, ids=ids, number=number)
    sorting.set_property("confidence", details.unit_confidence)
    return sorting, details


def _details(
    result: "SimSortResult", spikes: np.ndarray, *, order: np.ndarray, ids: np.ndarray, number: np.ndarray
) -> SortingDetails:
    """Return what the result knows of the spikes that are kept, under the numbers of the units."""
    shown: dict[str, np.ndarray] = {}
    # A map is optional: spikes, units (-1 for none) and points.
    if (drawn := getattr(result, "map", None)) is not None:
        shown = {
            "map_sample": np.asarray(drawn[0], np.int64),
            "map_unit": number[np.asarray(drawn[1], np.int64)],
            "map_points": np.asarray(drawn[2], np.float32).reshape(-1, 2),
        }
    return SortingDetails(
        unit_ids=np.arange(len(ids)),
        unit_confidence=np.asarray(result.confidence, float)[ids],
        spike_sample=spikes["sample_index"].copy(),
        spike_unit=spikes["unit_index"].copy(),
        spike_confidence=np.asarray(result.spikes.confidence, float)[order],
        spike_amplitude=np.asarray(result.spikes.amplitude, float)[order],
        **shown,
        events=dict(getattr(result, "events", None) or {}),
    )
