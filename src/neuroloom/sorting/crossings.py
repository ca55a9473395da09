"""Multi-unit activity without sorting: when each channel's voltage falls below a threshold."""

from typing import TYPE_CHECKING

import numpy as np

from neuroloom.errors import DataError
from neuroloom.seeds import derive
from neuroloom.sorting.preprocessing import prepare
from neuroloom.sorting.scanning import iterate_chunks
from neuroloom.sorting.spikeinterface_runs import quiet

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording, BaseSorting

THRESHOLD = 4.5
DEAD_TIME_S = 0.001


def threshold_crossings(
    recording: "BaseRecording", *, threshold: float = THRESHOLD, seed: int = 0
) -> "BaseSorting":
    """Return the threshold crossings of every channel, as one "unit" per channel that has any.

    Parameters
    ----------
    recording
        Any single-segment recording; prepared as for sorting (`neuroloom.sorting.preprocessing.prepare`).
    threshold
        How far the voltage must fall, in multiples of the channel's noise (median absolute deviation /
        .6745). After a crossing the channel is deaf for 1 ms, about the length of a spike.
    seed
        Of the chunks at which noise is measured.

    Returns
    -------
    BaseSorting
        Units are numbered as the recording's channels.

    Raises
    ------
    DataError
        If the recording has an error that `prepare` refuses, or the threshold is not positive.
    """
    from spikeinterface.core import NumpySorting, get_noise_levels

    if not (np.isfinite(threshold) and threshold > 0):
        raise DataError(
            f"threshold {threshold:g}", expected="a positive multiple of the noise", remedy="pass 4.5"
        )
    prepared = prepare(recording, seed=seed).recording
    with quiet():
        noise = get_noise_levels(
            prepared,
            return_in_uV=False,
            force_recompute=True,
            random_slices_kwargs={"seed": derive(seed, "crossings", "noise") % 2**32},
        )
    n_dead = round(DEAD_TIME_S * prepared.get_sampling_frequency())
    found: list[list[np.ndarray]] = [[] for _ in noise]
    was_below = np.zeros(len(noise), bool)
    for _, start, traces in iterate_chunks(prepared):
        # A silent channel has no noise, and never crosses.
        below = (traces < -threshold * noise) & (noise > 0)
        before = np.concatenate([was_below[None], below[:-1]])
        sample, channel = np.nonzero(below & ~before)
        for index in np.unique(channel):
            found[index].append(start + sample[channel == index])
        was_below = below[-1]
    numbers = [list(recording.channel_ids).index(channel) for channel in prepared.channel_ids]
    trains = {
        number: _apart(np.concatenate(parts), n_dead)
        for number, parts in zip(numbers, found, strict=True)
        if parts
    }
    return NumpySorting.from_unit_dict([trains], prepared.get_sampling_frequency())


def _apart(samples: np.ndarray, n_dead: int) -> np.ndarray:
    """Return the crossings at which the channel is not deaf from an earlier one.

    Examples
    --------
    >>> _apart(np.array([0, 20, 31, 50, 70]), 30).tolist()
    [0, 31, 70]
    """
    kept: list[int] = []
    for sample in samples.tolist():
        if not kept or sample - kept[-1] >= n_dead:
            kept.append(sample)
    return np.array(kept, np.int64)
