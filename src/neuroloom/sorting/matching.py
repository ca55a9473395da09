"""Template matching that resolves overlapping spikes, by one of SpikeInterface's peelers."""

from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom.errors import DataError
from neuroloom.sorting.events import near_channels
from neuroloom.sorting.mapped import mapped_recording
from neuroloom.sorting.spikeinterface_runs import keep_compiled, quiet
from neuroloom.sorting.templates import LONG_TROUGH

if TYPE_CHECKING:
    from probeinterface import Probe
    from spikeinterface.core import BaseRecording

_BEFORE, _AFTER = 28, 60  # samples of a template that are matched
_RADIUS_UM = 100.0
# Wobble's objective is twice the log-likelihood gained by a spike. A neuron that fires five times a second is
# silent in all but one of 6,000 samples, and twice the logarithm of that is what a spike must gain to be the
# likelier. More costs faint units up to a third of their spikes.
# Templates are matched as sums of products of a time course and a picture on the contacts. Three hold what
# noise does not hide; a fourth and fifth find no more spikes and cost a third of the time.
_WOBBLE = {"threshold": 17.0, "amplitude_variance": 0.03, "approx_rank": 3}
PEELERS = ("wobble", "tdc-peeler", "circus-omp")  # that resolve overlaps
_DEAD_S = 0.0005
_SEEN = 1.0  # in standard deviations of noise


def match_templates(
    white: "BaseRecording | np.ndarray",
    templates: np.ndarray,
    *,
    rate_hz: float,
    probe: "Probe",
    peeler: str = "wobble",
) -> tuple[np.ndarray, np.ndarray]:
    """Find every spike of the units.

    Parameters
    ----------
    white
        Voltage whose noise is white with unit variance, shape ``(samples, channels)``, or such a recording.
    templates
        In the same units, shape ``(units, 128, channels)``, troughs at sample 40.
    rate_hz, probe
        Of the recording; channel k is contact k of the probe.
    peeler
        ``"wobble"``, ``"tdc-peeler"`` or ``"circus-omp"``.

    Returns
    -------
    ndarray, ndarray
        Samples and units of all spikes, in order of time.

    Raises
    ------
    DataError
        For another peeler.
    """
    from spikeinterface.core import Templates
    from spikeinterface.sortingcomponents.matching import find_spikes_from_templates

    if peeler not in PEELERS:
        raise DataError(
            f"peeler={peeler!r}",
            expected=f"one of SpikeInterface's that resolve overlaps: {', '.join(PEELERS)}",
            remedy="name one of these, or leave it out",
        )
    if not len(templates):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    jobs: dict[str, Any] = {"n_jobs": 1, "chunk_duration": "1s", "progress_bar": False}
    arrays = templates[:, LONG_TROUGH - _BEFORE : LONG_TROUGH + _AFTER]
    near = near_channels(np.asarray(probe.contact_positions, dtype=float), radius_um=_RADIUS_UM)
    largest = np.abs(arrays).max(axis=1)  # (units, channels)
    # What a large spike is far away would be taken for a small one there.
    mask = (near[largest.argmax(axis=1)] & (largest > _SEEN / 2)) | (largest > _SEEN)
    mask[np.arange(len(mask)), largest.argmax(axis=1)] = True
    keep_compiled()
    with quiet():
        if isinstance(white, np.ndarray):
            recording: Any = mapped_recording(white, rate_hz=rate_hz, probe=probe)
        else:
            recording = white
        given = Templates(
            templates_array=arrays * mask[:, None, :],
            sampling_frequency=rate_hz,
            nbefore=_BEFORE,
            channel_ids=recording.channel_ids,
            unit_ids=np.arange(len(arrays)),
            probe=recording.get_probe(),
            is_in_uV=False,
        )
        given = given.to_sparse(_sparsity(mask, given.unit_ids, recording.channel_ids))
        options: dict[str, Any] = {}
        if peeler == "wobble":
            dead = {"refractory_period_frames": max(round(_DEAD_S * rate_hz), 1)}
            options = {"parameters": _WOBBLE | dead}
        elif peeler == "tdc-peeler":
            options = {"noise_levels": np.ones(recording.get_num_channels(), np.float32)}
        found: Any = find_spikes_from_templates(
            recording, given, method=peeler, method_kwargs=options, job_kwargs=jobs
        )
    order = np.lexsort((found["cluster_index"], found["sample_index"]))
    return found["sample_index"][order].astype(np.int64), found["cluster_index"][order].astype(np.int64)


def _sparsity(mask: np.ndarray, unit_ids: np.ndarray, channel_ids: np.ndarray) -> Any:
    from spikeinterface.core import ChannelSparsity

    return ChannelSparsity(mask, unit_ids, channel_ids)
