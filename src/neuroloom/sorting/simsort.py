"""SimSort: events -> embeddings by a network trained on simulated cells -> clusters -> template matching.

After Zhang et al. 2025 (arXiv:2502.03198), whose idea is to learn from simulation. Detection, embedding and
clustering work on neighbourhoods of contacts, so that the same weights serve 1 to 384 channels. Overlapping
spikes are taken apart by template matching; what that leaves is embedded and clustered again, and units whose
spikes turn out to be two neurons' are split.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from neuroloom.seeds import derive
from neuroloom.sorting.clustering import cluster_embeddings, merge_alike, without_composites
from neuroloom.sorting.confidence import (
    MUCH_LARGER,
    believable,
    contamination,
    followers,
    spike_confidence,
    without_remainders,
)
from neuroloom.sorting.embedding import apply_model
from neuroloom.sorting.events import Events, SnippetReader, find_events, find_troughs, near_channels
from neuroloom.sorting.matching import match_templates
from neuroloom.sorting.neighbourhoods import cover
from neuroloom.sorting.noise import measure_noise
from neuroloom.sorting.pretrained import bundled_weights, load_weights
from neuroloom.sorting.residuals import Left, Subtraction, own_waveforms, sharper
from neuroloom.sorting.scanning import iterate_chunks
from neuroloom.sorting.splitting import MOST_SPIKES, split_spikes
from neuroloom.sorting.templates import (
    FOR_TEMPLATE,
    LENGTH,
    LONG,
    LONG_TROUGH,
    Units,
    centred,
    core,
    mean_waveforms,
)
from neuroloom.sorting.whitening import Whitener, whitened_recording

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording

    from neuroloom.sorting.stages import StageCache

SNIPPET_BEFORE, SNIPPET_AFTER = 20, 44  # samples at 30 kHz that the extractor sees
_EXCLUSIVE_UM = 75.0
_EXCLUSIVE_S = 0.00025
_COMPARED_UM, _COMPARED_CHANNELS = 90.0, 10  # around a unit, where its spikes are told from others
_CHUNK_VALUES = 1 << 21
_MOST_EVENTS = 20_000  # per neighbourhood, to learn the first units from
_LEARN_FROM_S, _LEARN_PART_S = 300.0, 10.0  # of recording, in evenly spread parts, to learn the units from
_SURELY = 6.0  # troughs as deep as this need no detector
_LEAST_LOGIT = 0.0
_LEFT_OVER_SAMPLES = 20  # nearer to a spike, what is left over is the spike's own
_LEAST_DISTANCE = 6.0  # of a template from nothing, in standard deviations; noise itself makes 4
_REFRACTORY_S = 0.0015
_LEAST_PURE = 0.6
_HEIGHT_SD = 0.08  # how much the spikes of one neuron usually vary in height
_MOST_REPEATS = 6
_MOST_IN_MAP = 5000


@dataclass(frozen=True)
class SimSortOptions:
    """What can be chosen; the defaults are the same for every probe.

    Attributes
    ----------
    threshold
        Depth of events that are clustered, in units of noise.
    faint
        Depth of events that found units with what template matching leaves.
    fewest_spikes
        Smaller clusters are no units.
    lowest_rate_hz
        Slower ones neither.
    rounds
        How often spikes are embedded and clustered.
    splits
        How often units are looked at for being two, at the most.
    peeler
        SpikeInterface's peeler that resolves overlaps.
    """

    threshold: float = 4.5
    faint: float = 3.5
    fewest_spikes: int = 20
    lowest_rate_hz: float = 0.2
    rounds: int = 2
    splits: int = 3
    peeler: str = "wobble"


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


def simsort(
    recording: "BaseRecording",
    scratch: Path,
    *,
    options: SimSortOptions | None = None,
    extractor: nn.Module | None = None,
    detector: nn.Module | None = None,
    seed: int = 0,
    cache: "StageCache | None" = None,
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
    """
    options = options or SimSortOptions()
    extractor = extractor or load_weights(bundled_weights("extractor"))
    if detector is None and bundled_weights("detector").exists():
        detector = load_weights(bundled_weights("detector"))
    part, starts = _to_learn_from(recording)
    if part.get_num_samples(0) < 8 * LENGTH:
        return _nothing(recording.get_num_channels())
    levels = noise_levels(part)
    scaled = _copy(cache, scratch, "scaled", lambda path: write_scaled(part, levels, path), part)
    run = _Run(scaled, recording, starts, options, extractor, detector, seed)
    white = _copy(cache, scratch, "white", lambda path: run.whitener.write(scaled, path), part)
    run.white = white
    learned = cache.get("units") if cache is not None else None
    if learned is None:
        learned = run.learn()
        if cache is not None:
            cache.put("units", learned)
    lazy = whitened_recording(recording, levels, run.whitener) if len(starts) > 1 else white
    return run.result(learned, lazy)


def _nothing(n_channels: int) -> SimSortResult:
    whole, real = np.zeros(0, np.int64), np.zeros(0)
    templates = np.zeros((0, LONG, n_channels), np.float32)
    return SimSortResult(Spikes(whole, whole, real, real), templates, real)


def _to_learn_from(recording: "BaseRecording") -> tuple["BaseRecording", np.ndarray]:
    """Return the recording, or evenly spread parts of a long one laid end to end, and where they start."""
    from spikeinterface.core import concatenate_recordings

    n_samples, rate_hz = recording.get_num_samples(0), recording.get_sampling_frequency()
    if n_samples <= _LEARN_FROM_S * rate_hz:
        return recording, np.zeros(1, np.int64)
    length = round(_LEARN_PART_S * rate_hz)
    starts = np.linspace(0, n_samples - length, round(_LEARN_FROM_S / _LEARN_PART_S)).astype(np.int64)
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
    chunks = [traces for _, _, traces in iterate_chunks(recording, max_chunks=20)]
    noise = np.median([np.median(np.abs(traces), axis=0) for traces in chunks], axis=0) / 0.6745
    return np.where(noise > 0, noise, np.inf)


def write_scaled(recording: "BaseRecording", levels: np.ndarray, path: Path) -> None:
    """Write a recording in units of each channel's noise as an .npy file."""
    from numpy.lib.format import open_memmap

    shape = recording.get_num_samples(0), recording.get_num_channels()
    scaled = open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    for _, start, traces in iterate_chunks(recording):
        scaled[start : start + len(traces)] = traces / levels
    scaled.flush()


class _Run:
    """One sorting: learns units from `scaled`, and finds their spikes."""

    white: np.ndarray

    def __init__(
        self,
        scaled: np.ndarray,
        recording: "BaseRecording",
        starts: np.ndarray,
        options: SimSortOptions,
        extractor: nn.Module,
        detector: nn.Module | None,
        seed: int,
    ):
        self.scaled, self.starts, self.options, self.seed = scaled, starts, options, seed
        self.extractor, self.detector = extractor, detector
        self.rate_hz, self.probe = recording.get_sampling_frequency(), recording.get_probe()
        self.all_samples = recording.get_num_samples(0)
        self.n_samples, n_channels = scaled.shape
        self.locations_um = np.asarray(recording.get_channel_locations(), dtype=float)[:, :2]
        self.places = cover(self.locations_um)
        self.home = np.zeros(n_channels, np.int64)  # channel -> its neighbourhood
        for number, place in enumerate(self.places):
            self.home[place.home] = number
        self.refractory = round(_REFRACTORY_S * self.rate_hz)
        self.chunk = max(_CHUNK_VALUES // n_channels, 16 * LONG)
        self.near = near_channels(self.locations_um, radius_um=_EXCLUSIVE_UM)
        self.noise = measure_noise(
            scaled, n_samples=LENGTH, random=np.random.default_rng(derive(seed, "noise"))
        )
        self.whitener = Whitener.of(self.noise, self.locations_um)

    def learn(self) -> dict[str, np.ndarray]:
        """Return the units' templates, and a map of their spikes' embeddings."""
        events, embeddings = self._first_events()
        units = self._units(events, embeddings, stage=0)
        for stage in range(1, self.options.rounds):
            events, embeddings = self._clean_events(units)
            units = self._units(events, embeddings, stage=stage)
        units, sample, unit = self._settled(units)
        for _ in range(self.options.splits):
            n_before, units = len(units), self._split(units, sample, unit)
            if len(units) == n_before:
                break
            units, sample, unit = self._settled(units)
        found = {"templates": units.templates, "sample": sample, "unit": unit}
        return found | self._map(events, embeddings, sample, unit)

    def result(self, learned: dict[str, np.ndarray], white: Any) -> SimSortResult:
        """Find the spikes of learned units in all of the recording, and how far they are to be trusted."""
        units = Units(learned["templates"], np.ones(len(learned["templates"]), np.int64))
        # What the units were learned from may be all there is.
        known = self.n_samples == self.all_samples
        sample, unit = (learned["sample"], learned["unit"]) if known else self._match(units, white)
        count = np.bincount(unit, minlength=len(units))
        kept = count >= self._fewest(self.all_samples)
        if not kept.any():
            return _nothing(len(self.locations_um))
        number = np.cumsum(kept) - 1
        sample, unit = sample[kept[unit]], number[unit[kept[unit]]]
        units = units.take(kept)
        templates = self.whitener.templates(units.templates)
        traces = white if isinstance(white, np.ndarray) else _Traces(white)
        left = Subtraction(templates).chunks(traces, sample, unit, chunk=self.chunk)
        near = self._compared(units)
        confidence, amplitude, misfit = spike_confidence(left, templates, near, n_spikes=len(sample))
        rows = np.flatnonzero(believable(unit, amplitude, misfit))
        sample, unit, confidence, amplitude = sample[rows], unit[rows], confidence[rows], amplitude[rows]
        of_units = np.zeros(len(units))
        for one in range(len(units)):
            mine = unit == one
            foreign = contamination(sample[mine], refractory=self.refractory, n_samples=self.all_samples)
            of_units[one] = confidence[mine].mean() * (1 - foreign) if mine.any() else 0.0
        on_map = kept[learned["map_unit"]] if len(learned["map_unit"]) else np.zeros(0, bool)
        shown = (
            learned["map_sample"][on_map],
            number[learned["map_unit"][on_map]],
            learned["map_points"][on_map],
        )
        return SimSortResult(Spikes(sample, unit, amplitude, confidence), units.templates, of_units, shown)

    def _match(self, units: Units, white: Any) -> tuple[np.ndarray, np.ndarray]:
        return match_templates(
            white,
            self.whitener.templates(units.templates),
            rate_hz=self.rate_hz,
            probe=self.probe,
            peeler=self.options.peeler,
        )

    def _settled(self, units: Units) -> tuple[Units, np.ndarray, np.ndarray]:
        """Find all spikes, and leave out units until those that remain keep their refractory periods."""
        units, sample, unit = self._found(units)
        for _ in range(_MOST_REPEATS):
            units, sample, unit = self._found(units)
            trains = [sample[unit == one] for one in range(len(units))]
            pure = np.array(
                [1 - contamination(t, refractory=self.refractory, n_samples=self.n_samples) for t in trains]
            )
            rare = np.array([len(t) for t in trains], int) < self._fewest(self.n_samples)
            energy = np.einsum("utc,utc->u", units.templates, units.templates)
            rare |= followers(trains, energy, self.near[np.ix_(units.peak, units.peak)])
            # What keeps no refractory period is left over from others, and has taken some of their spikes:
            # without it they may turn out to be sound.
            unsound = rare | self._worst(units, np.where(rare, 1.0, pure))
            units = Units(units.templates, np.array([len(t) for t in trains], np.int64), units.whole)
            if not unsound.any():
                break
            units = units.take(~unsound)
        return units, sample, unit

    def _found(self, units: Units) -> tuple[Units, np.ndarray, np.ndarray]:
        """Return spikes that look like their units', and the units with templates sharpened on them."""
        sample, unit = self._match(units, self.white)
        height, misfit = np.ones(len(sample)), np.ones(len(sample))

        def seen() -> Iterator[Left]:
            for left in Subtraction(units.templates).chunks(self.scaled, sample, unit, chunk=self.chunk):
                height[left.rows], misfit[left.rows] = left.height, left.misfit
                yield left

        units = Units(sharper(units.templates, seen()), units.count, units.whole)
        kept = believable(unit, height, misfit)
        return units, sample[kept], unit[kept]

    def _worst(self, units: Units, pure: np.ndarray) -> np.ndarray:
        """Return the units that are not to be trusted and less than all around them."""
        unsound = pure < _LEAST_PURE
        for unit in np.argsort(pure, kind="stable")[: int(unsound.sum())]:
            if unsound[unit]:
                unsound &= ~self.near[units.peak[unit], units.peak]
                unsound[unit] = True
        return unsound

    def _fewest(self, n_samples: int) -> int:
        by_rate = round(self.options.lowest_rate_hz * n_samples / self.rate_hz)
        return max(self.options.fewest_spikes, by_rate)

    def _compared(self, units: Units) -> list[np.ndarray]:
        """Return the channels around each unit on which its spikes are told from others."""
        found = []
        for channel in units.peak:
            distance = np.linalg.norm(self.locations_um - self.locations_um[channel], axis=1)
            nearest = np.argsort(distance, kind="stable")[:_COMPARED_CHANNELS]
            found.append(np.sort(nearest[distance[nearest] <= _COMPARED_UM]))
        return found

    def _split(self, units: Units, sample: np.ndarray, unit: np.ndarray) -> Units:
        """Part units whose spikes, freed of all others, are those of several neurons."""
        if units.whole.all():
            return units
        channels, templates = self._compared(units), self.whitener.templates(units.templates)
        waveforms: list[list[np.ndarray]] = [[] for _ in range(len(units))]
        samples: list[list[np.ndarray]] = [[] for _ in range(len(units))]
        # Spikes of every unit from all over the recording.
        order = np.argsort(np.random.default_rng(derive(self.seed, "look")).random(len(unit)))
        chosen = np.zeros(len(unit), bool)
        for one in np.flatnonzero(~units.whole):
            chosen[order[unit[order] == one][:MOST_SPIKES]] = True
        for left in Subtraction(templates).chunks(self.white, sample, unit, chunk=self.chunk):
            left = left.take(chosen[left.rows])
            for one in np.unique(left.unit):
                own = own_waveforms(left, templates, int(one), channels[one], height_sd=_HEIGHT_SD)
                waveforms[one].append(own.astype(np.float16))
                samples[one].append(left.sample[left.unit == one] + left.first)
        parted = []
        for one in range(len(units)):
            if not samples[one]:
                parted.append(units.take(np.array([one])))
                continue
            mine = np.concatenate(samples[one])
            label = split_spikes(
                np.concatenate(waveforms[one]).astype(np.float32),
                mine,
                fewest=self._fewest(self.n_samples),
                refractory=self.refractory,
                n_samples=self.n_samples,
                seed=derive(self.seed, "split", one),
            )
            label = without_remainders(label, mine, self._larger(units, one, sample, unit))
            n_parts = int(label.max(initial=0)) + 1
            if n_parts < 2 and label.min() == 0:
                parted.append(Units(units.templates[[one]], units.count[[one]], np.ones(1, bool)))
                continue
            seed = derive(self.seed, "parts", one)
            means = mean_waveforms(self.scaled, mine, label, n_parts, seed=seed)
            parted.append(Units(means, np.bincount(label[label >= 0], minlength=n_parts)))
        columns = zip(*((part.templates, part.count, part.whole) for part in parted), strict=True)
        return Units(*(np.concatenate(column) for column in columns))

    def _larger(self, units: Units, one: int, sample: np.ndarray, unit: np.ndarray) -> np.ndarray:
        """Return the spikes of much larger units around a unit, in order."""
        energy = np.einsum("utc,utc->u", units.templates, units.templates)
        larger = (energy > MUCH_LARGER * energy[one]) & self.near[units.peak[one], units.peak]
        return sample[larger[unit]]

    def _first_events(self) -> tuple[Events, np.ndarray]:
        """Return troughs of the recording and their embeddings."""
        reader = self._reader(self.scaled)
        events = find_events(
            self.scaled,
            self.near,
            threshold=self.options.threshold,
            exclude_samples=max(round(_EXCLUSIVE_S * self.rate_hz), 2),
            margin=max(reader.margin, LONG),
        )
        chosen = []
        for number in range(len(self.places)):
            mine = np.flatnonzero(self.home[events.channel] == number)
            random = np.random.default_rng(derive(self.seed, "events", number))
            chosen.append(np.sort(random.permutation(mine)[:_MOST_EVENTS]))
        events = events.take(np.sort(np.concatenate(chosen)))
        events = events.take(self._believed(self.scaled, events))
        return events, self._embed(reader, events)

    def _clean_events(self, units: Units) -> tuple[Events, np.ndarray]:
        """Return spikes freed of all others, what is left over, and the embeddings of both."""
        samples, channels, depths, embeddings = [], [], [], []
        for first, events, own, reader in self._freed(units):
            if len(events):
                samples.append(events.sample + first)
                channels.append(events.channel)
                depths.append(events.depth)
                embeddings.append(self._embed(reader, events, added=own))
        if not samples:
            empty = np.zeros(0, np.int64)
            return Events(empty, empty, np.zeros(0)), np.zeros((0, 1))
        found = Events(np.concatenate(samples), np.concatenate(channels), np.concatenate(depths))
        return found, np.concatenate(embeddings)

    def _freed(self, units: Units) -> Iterator[tuple[int, Events, np.ndarray | None, SnippetReader]]:
        """Yield known spikes, with the waveforms that were subtracted, and troughs of what is left."""
        sample, unit = self._match(units, self.white)
        own = self._template_snippets(units.templates)
        subtraction = Subtraction(units.templates)
        for left in subtraction.chunks(self.scaled, sample, unit, chunk=self.chunk):
            reader = self._reader(left.residual)
            edge = max(reader.margin, LONG)
            whole = (left.sample >= edge) & (left.sample < len(left.residual) - edge)
            known = Events(left.sample[whole], units.peak[left.unit[whole]], left.height[whole])
            added = left.height[whole, None, None].astype(np.float32) * own[left.unit[whole]]
            yield left.first, known, added, reader
            yield left.first, self._left_over(left, units.peak, edge), None, reader

    def _left_over(self, left: Left, peak: np.ndarray, edge: int) -> Events:
        """Return faint troughs away from all spikes that were found."""
        residual = left.residual
        sample, channel = find_troughs(
            residual,
            self.near,
            threshold=self.options.faint,
            exclude_samples=max(round(_EXCLUSIVE_S * self.rate_hz), 2),
        )
        first, last = max(left.inside[0], edge), min(left.inside[1], len(residual) - edge)
        kept = (sample >= first) & (sample < last)
        if len(left.sample):
            at = np.clip(np.searchsorted(left.sample, sample), 0, len(left.sample) - 1)
            for nearest in (at, np.maximum(at - 1, 0)):
                close = np.abs(left.sample[nearest] - sample) < _LEFT_OVER_SAMPLES
                kept &= ~(close & self.near[channel, peak[left.unit[nearest]]])
        sample, channel = sample[kept], channel[kept]
        events = Events(sample, channel, -residual[sample, channel])
        return events.take(self._believed(residual, events))

    def _believed(self, scaled: np.ndarray, events: Events) -> np.ndarray:
        """Return which events are deep, or spikes in the eyes of the detector."""
        believed = events.depth >= _SURELY
        if self.detector is None:
            return believed | (events.depth >= self.options.threshold)
        reader = SnippetReader(scaled, rate_hz=self.rate_hz, before=64, after=64)
        inside = (events.sample >= reader.margin) & (events.sample < len(scaled) - reader.margin)
        asked = ~believed & inside
        for number, place in enumerate(self.places):
            mine = np.flatnonzero(asked & (self.home[events.channel] == number))
            if len(mine):
                logits = apply_model(self.detector, reader.read(events.sample[mine], place.channels), place)
                believed[mine] = logits[:, 62:67].max(axis=1) > _LEAST_LOGIT
        return believed

    def _embed(self, reader: SnippetReader, events: Events, *, added: np.ndarray | None = None) -> np.ndarray:
        rows = np.zeros((len(events), 0), np.float32)
        for number, place in enumerate(self.places):
            mine = np.flatnonzero(self.home[events.channel] == number)
            for part in np.array_split(mine, len(mine) // 2048 + 1):
                if not len(part):
                    continue
                snippets = reader.read(events.sample[part], place.channels)
                if added is not None:
                    snippets = snippets + added[part][:, place.channels]
                found = apply_model(self.extractor, snippets, place)
                if not rows.shape[1]:
                    rows = np.zeros((len(events), found.shape[1]), np.float32)
                rows[part] = found
        return rows

    def _reader(self, scaled: np.ndarray) -> SnippetReader:
        return SnippetReader(scaled, rate_hz=self.rate_hz, before=SNIPPET_BEFORE, after=SNIPPET_AFTER)

    def _template_snippets(self, templates: np.ndarray) -> np.ndarray:
        """Return templates as the extractor would see them, ``(templates, channels, 64)``."""
        pad = self._reader(self.scaled).margin
        channels = np.arange(templates.shape[2])
        snippets = []
        for template in templates:
            reader = self._reader(np.pad(template, ((pad, pad), (0, 0))))
            snippets.append(reader.read(np.array([pad + LONG_TROUGH]), channels)[0])
        return np.array(snippets, np.float32).reshape(-1, len(channels), SNIPPET_BEFORE + SNIPPET_AFTER)

    def _units(self, events: Events, embeddings: np.ndarray, *, stage: int) -> Units:
        """Cluster each neighbourhood's events, and merge units that several of them see."""
        fewest = self._fewest(self.n_samples)
        label = np.full(len(events), -1, np.int64)
        n_units = 0
        for number in range(len(self.places)):
            mine = np.flatnonzero(self.home[events.channel] == number)
            if len(mine) < fewest:
                continue
            found = cluster_embeddings(embeddings[mine], seed=derive(self.seed, "units", stage, number))
            for cluster in range(int(found.max()) + 1):
                members = mine[found == cluster]
                if len(members) >= fewest:
                    label[members] = n_units
                    n_units += 1
        seed = derive(self.seed, "templates", stage)
        templates = mean_waveforms(self.scaled, events.sample, label, n_units, seed=seed)
        units = centred(Units(templates, np.bincount(label[label >= 0], minlength=n_units)))
        units, _ = merge_alike(units, self.locations_um, self.noise)
        units = units.take(self._distance_from_noise(units) > _LEAST_DISTANCE)
        sums = without_composites(units, self.locations_um, self.noise, n_samples=self.n_samples)
        return units.take(sums)

    def _distance_from_noise(self, units: Units) -> np.ndarray:
        """Return how many standard deviations of noise each template is from nothing."""
        energy = np.zeros(len(units))
        for unit, template in enumerate(core(units.templates)):
            channels = np.flatnonzero(self.near[units.peak[unit]])
            energy[unit] = self.noise.energy(template[None][:, :, channels], channels)[0]
            # A median of few spikes is noisy itself.
            energy[unit] -= 1.57 * LENGTH * len(channels) / min(units.count[unit], FOR_TEMPLATE)
        return np.sqrt(np.maximum(energy, 0))

    def _map(
        self, events: Events, embeddings: np.ndarray, sample: np.ndarray, unit: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Return the embeddings of sorted spikes on their two leading axes, in time of the recording."""
        empty = np.zeros(0, np.int64)
        if not len(events) or not len(sample):
            return {"map_sample": empty, "map_unit": empty, "map_points": np.zeros((0, 2))}
        at = np.clip(np.searchsorted(sample, events.sample), 1, len(sample) - 1) if len(sample) > 1 else 0
        before = sample[np.maximum(np.asarray(at) - 1, 0)]
        nearer = np.abs(before - events.sample) < np.abs(sample[at] - events.sample)
        nearest = np.where(nearer, np.maximum(np.asarray(at) - 1, 0), at)
        rows = np.flatnonzero(np.abs(sample[nearest] - events.sample) <= LENGTH // 8)
        random = np.random.default_rng(derive(self.seed, "map"))
        rows = np.sort(random.permutation(rows)[:_MOST_IN_MAP])
        points = embeddings[rows] - embeddings[rows].mean(axis=0)
        axes = np.linalg.eigh(points.T @ points)[1][:, ::-1][:, :2]
        times, length = sample[nearest[rows]], self.n_samples // len(self.starts)
        part = np.minimum(times // length, len(self.starts) - 1)
        return {
            "map_sample": times - part * length + self.starts[part],
            "map_unit": unit[nearest[rows]],
            "map_points": (points @ axes).astype(np.float64),
        }


class _Traces:
    """A recording that is sliced like an array of samples."""

    def __init__(self, recording: "BaseRecording"):
        self.recording = recording

    def __len__(self) -> int:
        return self.recording.get_num_samples(0)

    def __getitem__(self, samples: slice) -> np.ndarray:
        return self.recording.get_traces(start_frame=samples.start, end_frame=samples.stop)
