"""Principal components of spike waveforms, channel by channel, as Phy shows them."""

from typing import TYPE_CHECKING

import numpy as np

from neuroloom.errors import DataError

if TYPE_CHECKING:
    from spikeinterface.core import SortingAnalyzer

_CHUNK_SAMPLES = 2**16
# Spikes of one unit that shape the components; more change nothing that can be seen.
_MOST_PER_UNIT = 200


def waveform_features(analyzer: "SortingAnalyzer", *, n_components: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Project every spike onto the leading components of the waveforms on each of its unit's channels.

    Parameters
    ----------
    analyzer
        With its recording and the extension ``waveforms``.
    n_components
        Components per channel.

    Returns
    -------
    features
        (spikes, components, channels), float32, spikes in the order of the sorting's spike vector;
        zero where a unit has fewer channels than another.
    channels
        (units, channels): which channel each column is, -1 where there is none.

    Raises
    ------
    DataError
        If the analyzer has no waveforms.
    """
    extension = analyzer.get_extension("waveforms")
    if extension is None:
        raise DataError(
            "an analyzer without waveforms", expected="one made by analyze", remedy="analyze again"
        )
    n_before, n_after = int(extension.nbefore), int(extension.nafter)
    units = list(analyzer.unit_ids)
    sparse = analyzer.sparsity
    seen_on = [
        np.arange(analyzer.get_num_channels())
        if sparse is None
        else np.asarray(sparse.unit_id_to_channel_indices[unit])
        for unit in units
    ]
    width = max(map(len, seen_on))
    channels = np.full((len(units), width), -1, dtype=np.int64)
    for row, indices in zip(channels, seen_on, strict=True):
        row[: len(indices)] = indices
    waveforms = [extension.get_waveforms_one_unit(unit, force_dense=False) for unit in units]
    bases = _bases(waveforms, seen_on, analyzer.get_num_channels(), n_components)
    spikes: np.ndarray = np.asarray(analyzer.sorting.to_spike_vector(concatenated=True))
    features = np.zeros((len(spikes), n_components, width), dtype=np.float32)
    recording, n_samples = analyzer.recording, analyzer.recording.get_num_samples(0)
    for start in range(0, n_samples, _CHUNK_SAMPLES):
        stop = min(start + _CHUNK_SAMPLES, n_samples)
        inside = slice(*np.searchsorted(spikes["sample_index"], [start, stop]))
        if inside.start == inside.stop:
            continue
        first, last = max(start - n_before, 0), min(stop + n_after, n_samples)
        traces = recording.get_traces(segment_index=0, start_frame=first, end_frame=last)
        # Spikes at the very ends of the recording have silence beyond it.
        margins = (n_before - (start - first), n_after - (last - stop))
        traces = np.pad(traces.astype(np.float32), (margins, (0, 0)))
        in_chunk = spikes[inside]
        for unit in np.unique(in_chunk["unit_index"]):
            rows = np.flatnonzero(in_chunk["unit_index"] == unit)
            window = in_chunk["sample_index"][rows, None] - start + np.arange(n_before + n_after)
            # (spikes, time, channels) x (channels, time, components) -> (spikes, components, channels)
            snippets = traces[window][:, :, seen_on[unit]]
            projected = np.einsum("stc,ctk->skc", snippets, bases[seen_on[unit]])
            features[inside.start + rows, :, : len(seen_on[unit])] = projected
    return features, channels


def _bases(
    waveforms: list[np.ndarray], seen_on: list[np.ndarray], n_channels: int, n_components: int
) -> np.ndarray:
    """Return the leading components (channels, time, components) of (spikes, time, channels) waveforms."""
    n_time = waveforms[0].shape[1]
    moments = np.zeros((n_channels, n_time, n_time))
    for snippets, channels in zip(waveforms, seen_on, strict=True):
        step = max(len(snippets) // _MOST_PER_UNIT, 1)
        few = snippets[::step].astype(np.float64)
        moments[channels] += np.einsum("stc,suc->ctu", few, few, optimize=True)
    _, vectors = np.linalg.eigh(moments)
    bases = vectors[:, :, : -n_components - 1 : -1]
    # An eigenvector's sign is arbitrary; this choice makes exports repeatable.
    largest = np.take_along_axis(bases, np.abs(bases).argmax(axis=1, keepdims=True), axis=1)
    return (bases * np.sign(largest)).astype(np.float32)
