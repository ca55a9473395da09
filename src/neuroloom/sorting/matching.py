"""The final pass of template matching, by one of SpikeInterface's peelers on the whitened recording."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom.sorting.spikeinterface_runs import keep_compiled, quiet

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording

_BEFORE_S, _AFTER_S = 0.001, 0.0025
_RADIUS_UM = 100.0
# Of wobble, in squared standard deviations; its own 50 leaves out units that were found and are faint.
_WOBBLE_THRESHOLD = 33.0


def match_templates(
    recording: "BaseRecording",
    sample: np.ndarray,
    unit: np.ndarray,
    scratch: Path,
    *,
    peeler: str = "wobble",
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Find every spike of the units that some spikes are known of.

    Parameters
    ----------
    recording
        Prepared, with a probe.
    sample, unit
        Known spikes, in order of time; units are 0, 1, ...
    scratch
        Folder for a whitened copy.
    peeler
        ``"wobble"``, ``"tdc-peeler"`` or another of SpikeInterface's.
    seed
        Of the whitening.

    Returns
    -------
    ndarray, ndarray
        Samples and units of all spikes, in order of time.
    """
    from spikeinterface.core import NumpySorting, Templates, estimate_templates_with_accumulator
    from spikeinterface.preprocessing.whiten import WhitenRecording
    from spikeinterface.sortingcomponents.matching import find_spikes_from_templates

    jobs: dict[str, Any] = {"n_jobs": 1, "chunk_duration": "1s", "progress_bar": False}
    rate_hz, n_units = recording.get_sampling_frequency(), int(unit.max()) + 1
    keep_compiled()
    with quiet():
        whitened = WhitenRecording(
            recording,
            dtype="float32",
            mode="local" if recording.get_num_channels() > 1 else "global",
            radius_um=_RADIUS_UM,
            seed=seed,
        ).save(folder=scratch / "matching", **jobs, verbose=False)
        known = NumpySorting.from_samples_and_labels(sample, unit, rate_hz, unit_ids=np.arange(n_units))
        vector = np.asarray(known.to_spike_vector())
        before, after = round(_BEFORE_S * rate_hz), round(_AFTER_S * rate_hz)
        arrays = estimate_templates_with_accumulator(
            whitened,
            vector,
            known.unit_ids,
            before,
            after,
            return_in_uV=False,
            **jobs,
        )
        places = recording.get_channel_locations()
        peak = arrays.min(axis=1).argmin(axis=1)
        distance = np.linalg.norm(places[peak][:, None] - places[None], axis=2)
        mask = distance <= _RADIUS_UM
        templates = Templates(
            templates_array=arrays * mask[:, None, :],
            sampling_frequency=rate_hz,
            nbefore=before,
            channel_ids=whitened.channel_ids,
            unit_ids=known.unit_ids,
            probe=whitened.get_probe(),
            is_in_uV=False,
        )
        templates = templates.to_sparse(_sparsity(mask, known.unit_ids, whitened.channel_ids))
        options = {"parameters": {"threshold": _WOBBLE_THRESHOLD}} if peeler == "wobble" else {}
        found: Any = find_spikes_from_templates(
            whitened, templates, method=peeler, method_kwargs=options, job_kwargs=jobs
        )
    order = np.lexsort((found["cluster_index"], found["sample_index"]))
    return found["sample_index"][order].astype(np.int64), found["cluster_index"][order].astype(np.int64)


def _sparsity(mask: np.ndarray, unit_ids: np.ndarray, channel_ids: np.ndarray) -> Any:
    from spikeinterface.core import ChannelSparsity

    return ChannelSparsity(mask, unit_ids, channel_ids)
