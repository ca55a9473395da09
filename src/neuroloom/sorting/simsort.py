"""SimSort: events -> embeddings by a network trained on simulated cells -> clusters -> template matching.

After Zhang et al. 2025 (arXiv:2502.03198), whose idea is to learn from simulation. Detection, embedding and
clustering work on neighbourhoods of contacts, so that the same weights serve 1 to 384 channels. Overlapping
spikes are taken apart by template matching; what that leaves is embedded and clustered again, and units whose
spikes turn out to be two neurons' are split.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn
from tqdm import tqdm

from neuroloom.sorting.confidence import apart, believable, companions, contamination, spike_confidence
from neuroloom.sorting.learning import STAGES, Learner
from neuroloom.sorting.mapped import give_back
from neuroloom.sorting.medians import median
from neuroloom.sorting.pretrained import bundled_weights, load_weights
from neuroloom.sorting.residuals import Subtraction
from neuroloom.sorting.scanning import iterate_chunks, spread
from neuroloom.sorting.spotting import Spotter
from neuroloom.sorting.templates import LENGTH, LONG, Units
from neuroloom.sorting.whitening import whitened_recording
from neuroloom.sorting.workspace import SimSortOptions, Workspace

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording

    from neuroloom.sorting.stages import StageCache

LEARN_FROM_S, _LEARN_PART_S = 300.0, 10.0  # of recording, in evenly spread parts, to learn the units from
_SPIKES = ("sample", "unit")
_NOISE_CHUNKS = 20  # evenly spread, tell how much noise there is
_DEAD_S = 0.001  # no neuron fires twice within this

__all__ = ["SimSortOptions", "SimSortResult", "Spikes", "simsort"]


@dataclass(frozen=True)
class Spikes:
    """Spikes in order of time.

    Attributes
    ----------
    sample, unit
        When and of which unit, shape ``(spikes,)``.
    amplitude
        Relative to the unit's template.
    confidence
        Probability that it is of this unit rather than of another or of none.
    """

    sample: np.ndarray
    unit: np.ndarray
    amplitude: np.ndarray
    confidence: np.ndarray

    def __len__(self) -> int:
        return len(self.sample)


@dataclass(frozen=True)
class SimSortResult:
    """Sorted spikes.

    Attributes
    ----------
    spikes
        In order of time.
    templates
        In units of noise, shape ``(units, 128, channels)``, troughs at sample 40.
    confidence
        Of each unit: mean confidence of its spikes times the share that refractory periods say is its own.
    map
        Sample, unit and place on the two leading axes of the embedding, ``(n,), (n,), (n, 2)``, of up to
        5,000 spikes.
    """

    spikes: Spikes
    templates: np.ndarray
    confidence: np.ndarray
    map: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    @classmethod
    def empty(cls, n_channels: int) -> "SimSortResult":
        """Return the result of a recording without units."""
        whole, real = np.zeros(0, np.int64), np.zeros(0)
        return cls(Spikes(whole, whole, real, real), np.zeros((0, LONG, n_channels), np.float32), real)


def simsort(
    recording: "BaseRecording",
    scratch: Path,
    *,
    options: SimSortOptions | None = None,
    extractor: nn.Module | None = None,
    detector: nn.Module | None = None,
    seed: int = 0,
    cache: "StageCache | None" = None,
    progress: bool = False,
) -> SimSortResult:
    """Sort a prepared recording.

    Parameters
    ----------
    recording
        From `neuroloom.sorting.preprocessing.prepare`: one segment, filtered, with a probe.
    scratch
        Folder for two copies of up to 300 s of it (4 bytes per value each).
    options
        See `SimSortOptions`.
    extractor, detector
        From `load_weights`; the bundled ones by default.
    seed
        Of everything drawn at random; the same seed gives the same spikes.
    cache
        Where finished stages are kept, so that a sorting that was stopped goes on.
    progress
        Whether to show a progress bar, on the standard error.
    """
    options = options or SimSortOptions()
    extractor = extractor or load_weights(bundled_weights("extractor"))
    if detector is None and bundled_weights("detector").exists():
        detector = load_weights(bundled_weights("detector"))
    part, starts = _to_learn_from(recording)
    if part.get_num_samples(0) < 8 * LENGTH:
        return SimSortResult.empty(recording.get_num_channels())
    with tqdm(total=STAGES + 2, desc="simsort: noise", disable=not progress) as bar:
        measured: list[np.ndarray] = []  # by the writing, if there is no copy yet
        scaled = _copy(cache, scratch, "scaled", lambda path: measured.append(write_scaled(part, path)), part)
        levels = measured[0] if measured else noise_levels(part)
        work = Workspace(scaled, recording, options=options, seed=seed)
        work.white = _copy(cache, scratch, "white", lambda path: work.whitener.write(scaled, path), part)
        spotter = Spotter(work, extractor=extractor, detector=detector)

        def enter(stage: str) -> None:
            bar.set_description(f"simsort: {stage}")
            bar.update()

        learned = _kept(cache, "units", Learner(work, spotter, enter=enter).learn)
        enter("confidence")
        found, traces = learned, work.white
        if len(starts) > 1:
            white = whitened_recording(recording, levels, work.whitener)
            units = Units(learned["templates"], np.ones(len(learned["templates"]), np.int64))
            found = _kept(cache, "spikes", lambda: dict(zip(_SPIKES, work.match(units, white), strict=True)))
            traces = _Traces(white)
            learned["map_sample"] = _in_all(learned["map_sample"], starts, work.n_samples // len(starts))
        result = _judged(work, learned, found["sample"], found["unit"], traces)
        bar.update()
        return result


def _kept(cache: "StageCache | None", name: str, make: Callable[[], dict[str, np.ndarray]]) -> dict:
    """Return a finished stage, or make it and keep it."""
    found = None if cache is None else cache.get(name)
    if found is None:
        found = make()
        if cache is not None:
            cache.put(name, found)
    return found


def _to_learn_from(recording: "BaseRecording") -> tuple["BaseRecording", np.ndarray]:
    """Return the recording, or evenly spread parts of a long one laid end to end, and where they start."""
    from spikeinterface.core import concatenate_recordings

    n_samples, rate_hz = recording.get_num_samples(0), recording.get_sampling_frequency()
    if n_samples <= LEARN_FROM_S * rate_hz:
        return recording, np.zeros(1, np.int64)
    length = round(_LEARN_PART_S * rate_hz)
    starts = np.linspace(0, n_samples - length, round(LEARN_FROM_S / _LEARN_PART_S)).astype(np.int64)
    parts = [recording.frame_slice(start, start + length) for start in starts.tolist()]
    return concatenate_recordings(parts), starts


def _copy(
    cache: "StageCache | None", scratch: Path, name: str, write: Any, part: "BaseRecording"
) -> np.ndarray:
    if cache is None:
        path = scratch / f"{name}.npy"
        write(path)
    else:
        n_bytes = 4 * part.get_num_samples(0) * part.get_num_channels()
        path = cache.file(name, write, expected_bytes=n_bytes)
    return np.load(path, mmap_mode="r")


def noise_levels(recording: "BaseRecording") -> np.ndarray:
    """Return each channel's noise: median absolute deviation / .6745, infinite for silent ones."""
    return _levels(traces for _, _, traces in iterate_chunks(recording, max_chunks=_NOISE_CHUNKS))


def _levels(chunks: Iterable[np.ndarray]) -> np.ndarray:
    noise = np.median([median(np.abs(traces), axis=0) for traces in chunks], axis=0) / 0.6745
    return np.where(noise > 0, noise, np.inf)


def write_scaled(recording: "BaseRecording", path: Path) -> np.ndarray:
    """Write a recording in units of each channel's noise as an .npy file, and return its `noise_levels`."""
    from numpy.lib.format import open_memmap

    shape = recording.get_num_samples(0), recording.get_num_channels()
    scaled = open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    # Filtering costs more than reading again what was written: levels are measured on that.
    parts = []
    for _, start, traces in iterate_chunks(recording):
        parts.append(slice(start, start + len(traces)))
        scaled[parts[-1]] = traces
        give_back(scaled)
    levels = _levels(scaled[part] for part in spread(parts, most=_NOISE_CHUNKS))
    for part in parts:
        scaled[part] /= levels
        give_back(scaled)
    scaled.flush()
    return levels


def _in_all(sample: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """Return where samples of parts that were laid end to end are in the whole recording."""
    part = np.minimum(sample // length, len(starts) - 1)
    return sample - part * length + starts[part]


def _judged(
    work: Workspace, learned: dict[str, np.ndarray], sample: np.ndarray, unit: np.ndarray, traces: Any
) -> SimSortResult:
    """Say how far units and their spikes are to be trusted, and leave out what is not."""
    units = Units(learned["templates"], np.ones(len(learned["templates"]), np.int64))
    n_samples = len(traces)
    neuron, count = learned["neuron"], np.bincount(unit, minlength=len(units))
    kept = np.bincount(neuron, count)[neuron] >= work.fewest(n_samples) if len(units) else np.zeros(0, bool)
    if not kept.any():
        return SimSortResult.empty(len(work.locations_um))
    number = np.cumsum(kept) - 1
    sample, unit = sample[kept[unit]], number[unit[kept[unit]]]
    units = units.take(kept)
    templates = work.whitener.templates(units.templates)
    left = Subtraction(templates).chunks(traces, sample, unit, chunk=work.chunk)
    near = work.compared(units)
    confidence, amplitude, misfit = spike_confidence(
        left, templates, near, n_spikes=len(sample), neuron=neuron[kept]
    )
    rows = np.flatnonzero(believable(unit, amplitude, misfit))
    sample, unit, confidence, amplitude = sample[rows], unit[rows], confidence[rows], amplitude[rows]
    neuron = np.unique(neuron[kept], return_inverse=True)[1]
    # Of a neuron's templates the most frequent stands for all.
    main = np.lexsort((-count[kept], neuron))[np.searchsorted(np.sort(neuron), np.arange(neuron.max() + 1))]
    size = np.linalg.norm(templates, axis=(1, 2))
    amplitude *= size[unit] / size[main[neuron[unit]]]
    unit, number = neuron[unit], neuron[number]
    of_units = np.zeros(len(main))
    for one in range(len(main)):
        mine = unit == one
        foreign = contamination(sample[mine], refractory=work.refractory, n_samples=n_samples)
        of_units[one] = confidence[mine].mean() * (1 - foreign) if mine.any() else 0.0
    dead = round(_DEAD_S * work.rate_hz)
    rows = apart(sample, unit, confidence, dead=dead, refractory=work.refractory)
    # Only now: what is no neuron has kept its spikes from being taken for other units'.
    trains = [sample[rows & (unit == one)] for one in range(len(main))]
    real = ~companions(trains, of_units, n_samples=n_samples) & (of_units >= work.options.least_confidence)
    renumbered = np.cumsum(real) - 1
    rows = np.flatnonzero(rows & real[unit])
    spikes = Spikes(sample[rows], renumbered[unit[rows]], amplitude[rows], confidence[rows])
    on_map = kept[learned["map_unit"]] if len(learned["map_unit"]) else np.zeros(0, bool)
    on_map[on_map] = real[number[learned["map_unit"][on_map]]]
    shown = (
        learned["map_sample"][on_map],
        renumbered[number[learned["map_unit"][on_map]]],
        learned["map_points"][on_map],
    )
    return SimSortResult(spikes, units.templates[main[real]], of_units[real], shown)


class _Traces:
    """A recording that is sliced like an array of samples."""

    def __init__(self, recording: "BaseRecording"):
        self.recording = recording

    def __len__(self) -> int:
        return self.recording.get_num_samples(0)

    def __getitem__(self, samples: slice) -> np.ndarray:
        return self.recording.get_traces(start_frame=samples.start, end_frame=samples.stop)
