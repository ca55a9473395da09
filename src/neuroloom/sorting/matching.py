"""The final pass of template matching, by one of SpikeInterface's peelers on whitened voltage."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom.sorting.events import near_channels
from neuroloom.sorting.noise import NoiseModel
from neuroloom.sorting.spikeinterface_runs import keep_compiled, quiet

if TYPE_CHECKING:
    from probeinterface import Probe

_BEFORE_S, _AFTER_S = 0.001, 0.002
_RADIUS_UM = 100.0
# Wobble's objective is twice the log-likelihood gained by a spike. A neuron that fires a few times a second is
# silent in all but one of some thousand samples: this is what outweighs that, and needs no tuning.
_WOBBLE = {"threshold": 24.0, "amplitude_variance": 0.03}
_MOST_FOR_TEMPLATE = 500


def write_whitened(scaled: np.ndarray, noise: NoiseModel, near: np.ndarray, path: Path) -> np.ndarray:
    """Write a recording whose noise is white in time and across channels to a memory map and return it.

    SpikeInterface's whitening takes the covariance of all voltage, spikes included, and so makes the spikes of
    crowded tetrodes faint; here it is that of quiet stretches alone.

    Parameters
    ----------
    scaled
        In units of noise, shape ``(samples, channels)``.
    noise, near
        From `measure_noise` and `near_channels`.
    path
        Where to write; 4 bytes per value.
    """
    from numpy.lib.format import open_memmap
    from scipy.signal import oaconvolve

    course = noise.filter_in_time().astype(np.float32)[:, None]
    across = noise.matrix_across(near).astype(np.float32)
    n_samples, n_channels = scaled.shape
    white = open_memmap(path, mode="w+", dtype=np.float32, shape=scaled.shape)
    reach = len(course) // 2
    chunk = max((1 << 21) // n_channels, 8 * reach)
    for start in range(0, n_samples, chunk):
        stop, first = min(start + chunk, n_samples), max(start - reach, 0)
        traces = np.asarray(scaled[first : min(stop + reach, n_samples)])
        traces = oaconvolve(traces, course, mode="same", axes=0)
        white[start:stop] = traces[start - first : stop - first] @ across
    white.flush()
    return np.load(path, mmap_mode="r")


def match_templates(
    white: np.ndarray,
    sample: np.ndarray,
    unit: np.ndarray,
    *,
    rate_hz: float,
    probe: "Probe",
    peeler: str = "wobble",
) -> tuple[np.ndarray, np.ndarray]:
    """Find every spike of the units that some spikes are known of.

    Parameters
    ----------
    white
        From `write_whitened`.
    sample, unit
        Known spikes, in order of time; units are 0, 1, ...
    rate_hz, probe
        Of the recording; channel k of `white` is contact k of the probe.
    peeler
        ``"wobble"``, ``"tdc-peeler"`` or another of SpikeInterface's.

    Returns
    -------
    ndarray, ndarray
        Samples and units of all spikes, in order of time.
    """
    from spikeinterface.core import NumpyRecording, Templates
    from spikeinterface.sortingcomponents.matching import find_spikes_from_templates

    jobs: dict[str, Any] = {"n_jobs": 1, "chunk_duration": "1s", "progress_bar": False}
    n_units, before = int(unit.max()) + 1, round(_BEFORE_S * rate_hz)
    arrays = _means(white, sample, unit, n_units, before, round(_AFTER_S * rate_hz))
    places = np.asarray(probe.contact_positions, dtype=float)
    near = near_channels(places, radius_um=_RADIUS_UM)
    mask = near[np.abs(arrays).max(axis=1).argmax(axis=1)]
    keep_compiled()
    with quiet():
        recording = NumpyRecording([white], rate_hz)
        recording.set_probe(probe, in_place=True)
        templates = Templates(
            templates_array=arrays * mask[:, None, :],
            sampling_frequency=rate_hz,
            nbefore=before,
            channel_ids=recording.channel_ids,
            unit_ids=np.arange(n_units),
            probe=recording.get_probe(),
            is_in_uV=False,
        )
        templates = templates.to_sparse(_sparsity(mask, templates.unit_ids, recording.channel_ids))
        options = {"parameters": _WOBBLE} if peeler == "wobble" else {}
        found: Any = find_spikes_from_templates(
            recording, templates, method=peeler, method_kwargs=options, job_kwargs=jobs
        )
    order = np.lexsort((found["cluster_index"], found["sample_index"]))
    return found["sample_index"][order].astype(np.int64), found["cluster_index"][order].astype(np.int64)


def _means(
    white: np.ndarray, sample: np.ndarray, unit: np.ndarray, n_units: int, before: int, after: int
) -> np.ndarray:
    """Return the mean waveform of evenly chosen spikes of every unit, ``(units, samples, channels)``."""
    means = np.zeros((n_units, before + after, white.shape[1]), np.float32)
    window = np.arange(-before, after)
    for one in range(n_units):
        mine = sample[unit == one]
        mine = mine[(mine >= before) & (mine < len(white) - after)]
        if len(mine) > _MOST_FOR_TEMPLATE:
            mine = mine[np.linspace(0, len(mine) - 1, _MOST_FOR_TEMPLATE).astype(int)]
        if len(mine):
            means[one] = np.median(white[mine[:, None] + window], axis=0)
    return means


def _sparsity(mask: np.ndarray, unit_ids: np.ndarray, channel_ids: np.ndarray) -> Any:
    from spikeinterface.core import ChannelSparsity

    return ChannelSparsity(mask, unit_ids, channel_ids)
