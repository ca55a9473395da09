"""SimSort: events -> embeddings by a network trained on simulated cells -> clusters -> template matching.

After Zhang et al. 2025 (arXiv:2502.03198), whose idea is to learn from simulation. Detection, embedding and
clustering work on neighbourhoods of contacts, so that the same weights serve 1 to 384 channels; overlapping
spikes are taken apart by template matching, and what they leave is embedded and clustered again.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from neuroloom.seeds import derive
from neuroloom.sorting.clustering import (
    FOR_TEMPLATE,
    Units,
    centre,
    cluster_embeddings,
    mean_waveforms,
    merge_alike,
    peak_channels,
    without_composites,
)
from neuroloom.sorting.embedding import apply_model
from neuroloom.sorting.events import Events, SnippetReader, find_events, find_troughs, near_channels
from neuroloom.sorting.matching import match_templates, write_whitened
from neuroloom.sorting.neighbourhoods import cover
from neuroloom.sorting.noise import measure_noise
from neuroloom.sorting.peeling import LENGTH, LONG, LONG_TROUGH, Peeler, Spikes, core
from neuroloom.sorting.pretrained import bundled_weights, load_weights
from neuroloom.sorting.scanning import iterate_chunks
from neuroloom.sorting.splitting import Waveforms, split_spikes

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording

SNIPPET_BEFORE, SNIPPET_AFTER = 20, 44  # samples at 30 kHz that the extractor sees
_EXCLUSIVE_UM = 75.0
_EXCLUSIVE_S = 0.00025
_CHUNK_VALUES = 1 << 21
_MOST_EVENTS = 20_000  # per neighbourhood, to learn the first units from
_LEARN_FROM_S = 300.0  # of recording, evenly spread, to learn the final units from
_SURELY = 6.0  # troughs as deep as this need no detector
_LEAST_LOGIT = 0.0
_LEFT_OVER_SAMPLES = 20  # nearer to a spike, what is left over is the spike's own
_LEAST_DISTANCE = 6.0  # of a template from nothing, in standard deviations; noise itself makes 4
_REFRACTORY_S = 0.0015
_LEAST_CONFIDENCE = 0.6
_MOST_REPEATS = 6


@dataclass(frozen=True)
class SimSortOptions:
    """What can be chosen; the defaults are the same for every probe.

    Attributes
    ----------
    threshold
        Depth of events that are clustered, in units of noise.
    faint
        Depth of events that template matching looks at, and that found units with what it leaves.
    fewest_spikes
        Smaller clusters are no units.
    lowest_rate_hz
        Slower ones neither.
    rounds
        How often spikes are embedded, clustered and matched.
    splits
        How often units are looked at for being two at the most.
    peeler
        SpikeInterface's peeler for the final pass; ``None`` keeps the spikes of our own.
    """

    threshold: float = 4.5
    faint: float = 3.5
    fewest_spikes: int = 20
    lowest_rate_hz: float = 0.2
    rounds: int = 2
    splits: int = 3
    peeler: str | None = "wobble"


@dataclass(frozen=True)
class SimSortResult:
    """Sorted spikes.

    Attributes
    ----------
    spikes
        In order of time; `Spikes.confidence` is per spike.
    templates
        In units of noise, shape ``(units, 128, channels)``, troughs at sample 40.
    confidence
        Of each unit: mean confidence of its spikes times the share that keep the refractory period.
    """

    spikes: Spikes
    templates: np.ndarray
    confidence: np.ndarray


def simsort(
    recording: "BaseRecording",
    scratch: Path,
    *,
    options: SimSortOptions | None = None,
    extractor: nn.Module | None = None,
    detector: nn.Module | None = None,
    seed: int = 0,
) -> SimSortResult:
    """Sort a prepared recording.

    Parameters
    ----------
    recording
        From `neuroloom.sorting.preprocessing.prepare`: one segment, filtered, with a probe.
    scratch
        Folder for a copy in units of noise (4 bytes per value).
    options
        See `SimSortOptions`.
    extractor, detector
        From `load_weights`; the bundled ones by default.
    seed
        Of everything drawn at random; the same seed gives the same spikes.
    """
    options = options or SimSortOptions()
    extractor = extractor or load_weights(bundled_weights("extractor"))
    if detector is None and bundled_weights("detector").exists():
        detector = load_weights(bundled_weights("detector"))
    scaled = scale_to_noise(recording, scratch / "scaled.npy")
    run = _Run(
        scaled=scaled,
        rate_hz=recording.get_sampling_frequency(),
        locations_um=np.asarray(recording.get_channel_locations(), dtype=float)[:, :2],
        options=options,
        extractor=extractor,
        detector=detector,
        seed=seed,
    )
    result = run.sort()
    if options.peeler is None or not len(result.spikes):
        return result
    white = write_whitened(scaled, run.noise, run.near, scratch / "white.npy")
    return _matched(result, white, recording, peeler=options.peeler)


def _matched(
    result: SimSortResult, white: np.ndarray, recording: "BaseRecording", *, peeler: str
) -> SimSortResult:
    """Find all spikes again by a peeler that weighs overlaps jointly; known spikes keep their confidence."""
    known = result.spikes
    sample, unit = match_templates(
        white,
        known.sample,
        known.unit,
        rate_hz=recording.get_sampling_frequency(),
        probe=recording.get_probe(),
        peeler=peeler,
    )
    confidence, amplitude, gain = np.full(len(sample), 0.5), np.ones(len(sample)), np.zeros(len(sample))
    row = unit.copy()
    reach = round(0.0004 * recording.get_sampling_frequency())
    for one in range(len(result.templates)):
        theirs, mine = np.flatnonzero(known.unit == one), np.flatnonzero(unit == one)
        if not len(theirs) or not len(mine):
            continue
        times = known.sample[theirs]
        after = np.clip(np.searchsorted(times, sample[mine]), 0, len(times) - 1)
        before = np.maximum(after - 1, 0)
        nearer = np.abs(times[before] - sample[mine]) < np.abs(times[after] - sample[mine])
        nearest = np.where(nearer, before, after)
        same = np.abs(times[nearest] - sample[mine]) <= reach
        to, source = mine[same], theirs[nearest[same]]
        confidence[to], amplitude[to] = known.confidence[source], known.amplitude[source]
        gain[to], row[to] = known.gain[source], known.row[source]
    spikes = Spikes(sample, unit, amplitude, gain, confidence, row)
    return SimSortResult(spikes, result.templates, result.confidence)


def contamination(sample: np.ndarray, *, refractory: int, n_samples: int) -> float:
    """Return which share of a unit's spikes would be foreign, from how many fire within a refractory period.

    Spikes of no neuron, a share f of all, make 1 - (1 - f)^2 of the violations that as many random ones make
    (Hill et al. 2011). A few violations too many are forgiven: small counts prove nothing.
    """
    met = np.count_nonzero(np.diff(sample) < refractory)
    by_chance = len(sample) ** 2 * refractory / n_samples
    return 1 - float(np.sqrt(1 - min(met / (by_chance + 3), 1.0)))


def scale_to_noise(recording: "BaseRecording", path: Path) -> np.ndarray:
    """Write a recording in units of each channel's noise to a memory map and return it."""
    from numpy.lib.format import open_memmap

    n_samples, n_channels = recording.get_num_samples(0), recording.get_num_channels()
    chunks = [traces for _, _, traces in iterate_chunks(recording, max_chunks=20)]
    noise = np.median([np.median(np.abs(traces), axis=0) for traces in chunks], axis=0) / 0.6745
    noise[noise <= 0] = np.inf
    scaled = open_memmap(path, mode="w+", dtype=np.float32, shape=(n_samples, n_channels))
    for _, start, traces in iterate_chunks(recording):
        scaled[start : start + len(traces)] = traces / noise
    scaled.flush()
    return np.load(path, mmap_mode="r")


@dataclass
class _Run:
    scaled: np.ndarray
    rate_hz: float
    locations_um: np.ndarray
    options: SimSortOptions
    extractor: nn.Module
    detector: nn.Module | None
    seed: int

    def __post_init__(self):
        self.n_samples, n_channels = self.scaled.shape
        self.places = cover(self.locations_um)
        self.home = np.zeros(n_channels, np.int64)  # channel -> its neighbourhood
        for number, place in enumerate(self.places):
            self.home[place.home] = number
        seconds = self.n_samples / self.rate_hz
        self.fewest = max(self.options.fewest_spikes, round(self.options.lowest_rate_hz * seconds))
        self.chunk = max(_CHUNK_VALUES // n_channels, 16 * LENGTH)
        self.near = near_channels(self.locations_um, radius_um=_EXCLUSIVE_UM)
        self.noise = measure_noise(
            self.scaled,
            n_samples=LENGTH,
            random=np.random.default_rng(derive(self.seed, "noise")),
        )

    def sort(self) -> SimSortResult:
        """Return spikes, templates and confidences."""
        if self.n_samples < 8 * LENGTH:
            return self._nothing()
        events, embeddings = self._first_events()
        units = self._units(events, embeddings, self._share(len(self.starts)), stage=0)
        for stage in range(1, self.options.rounds):
            starts = self._spread()
            events, embeddings = self._clean_events(units, starts)
            units = self._units(events, embeddings, self._share(len(starts)), stage=stage)
        if not len(units):
            return self._nothing()
        units, result = self._settled(units)
        for _ in range(self.options.splits if len(units) else 0):
            parts = self._split(units)
            if len(parts) == len(units):
                break
            units, result = self._settled(parts)
        return result if len(units) else self._nothing()

    def _settled(self, units: Units) -> tuple[Units, SimSortResult]:
        """Find all spikes, and leave out units until those that remain keep their refractory periods."""
        for _ in range(_MOST_REPEATS):
            result = self._result(self._peeler(units).peel(self.scaled, chunk=self.chunk), units)
            units = Units(result.templates, np.bincount(result.spikes.unit, minlength=len(result.templates)))
            # What keeps no refractory period is left over from others, and has taken some of their spikes:
            # without it they may turn out to be sound.
            unsound = self._worst(units, result.confidence)
            if not unsound.any():
                break
            units = units.take(~unsound)
        return units, result

    def _worst(self, units: Units, confidence: np.ndarray) -> np.ndarray:
        """Return the units that are not to be trusted and less than all around them."""
        unsound = confidence < _LEAST_CONFIDENCE
        for unit in np.argsort(confidence, kind="stable")[: int(unsound.sum())]:
            if unsound[unit]:
                around = self.near[peak_channels(units.templates)[unit], peak_channels(units.templates)]
                unsound &= ~around
                unsound[unit] = True
        return unsound

    @property
    def starts(self) -> np.ndarray:
        return np.arange(0, self.n_samples, self.chunk)

    def _spread(self) -> np.ndarray:
        """Chunks to learn units from: all, or as many as fill the limit, evenly spread."""
        most = max(int(_LEARN_FROM_S * self.rate_hz / self.chunk), 1)
        starts = self.starts
        return starts if len(starts) <= most else starts[np.linspace(0, len(starts) - 1, most).astype(int)]

    def _share(self, n_chunks: int) -> float:
        return n_chunks / max(len(self.starts), 1)

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

    def _clean_events(self, units: Units, starts: np.ndarray) -> tuple[Events, np.ndarray]:
        """Return spikes freed of all others, what is left over, and the embeddings of both."""
        peeler = self._peeler(units)
        peak = peak_channels(units.templates)
        own = self._template_snippets(peeler.long)
        samples, channels, depths, embeddings = [], [], [], []

        def collect(first: int, residual: np.ndarray, spikes: Spikes, inside: tuple[int, int]) -> None:
            reader = self._reader(residual)
            edge = max(reader.margin, LONG)
            spikes = spikes.take((spikes.sample >= edge) & (spikes.sample < len(residual) - edge))
            known = Events(spikes.sample, peak[spikes.unit], spikes.amplitude)
            added = (spikes.row, spikes.amplitude, own)
            left = self._left_over(residual, spikes, peak, edge, inside)
            for events, extra in ((known, added), (left, None)):
                if len(events):
                    samples.append(events.sample + first)
                    channels.append(events.channel)
                    depths.append(events.depth)
                    embeddings.append(self._embed(reader, events, added=extra))

        peeler.peel(self.scaled, chunk=self.chunk, starts=starts, on_residual=collect)
        if not samples:
            empty = np.zeros(0, np.int64)
            return Events(empty, empty, np.zeros(0)), np.zeros((0, 1))
        found = Events(np.concatenate(samples), np.concatenate(channels), np.concatenate(depths))
        return found, np.concatenate(embeddings)

    def _split(self, units: Units) -> Units:
        """Part units whose spikes, freed of all others, are those of several neurons."""
        peeler, starts = self._peeler(units), self._spread()
        waveforms = Waveforms(peeler, self.noise, len(units))
        samples, numbers = [], []

        def collect(first: int, residual: np.ndarray, spikes: Spikes, inside: tuple[int, int]) -> None:
            spikes = spikes.take((spikes.sample >= LONG) & (spikes.sample < len(residual) - LONG))
            waveforms.add(residual, spikes)
            samples.append(spikes.sample + first)
            numbers.append(spikes.unit)

        peeler.peel(self.scaled, chunk=self.chunk, starts=starts, on_residual=collect)
        fewest = max(self.options.fewest_spikes, round(self.fewest * self._share(len(starts))))
        sample, unit = np.concatenate(samples), np.concatenate(numbers)
        templates, count = [], []
        for one in range(len(units)):
            mine = sample[unit == one]
            white = waveforms.of(one)
            label = split_spikes(
                white,
                mine[: len(white)],
                fewest=fewest,
                refractory=round(_REFRACTORY_S * self.rate_hz),
                n_samples=round(self.n_samples * self._share(len(starts))),
                seed=derive(self.seed, "split", one),
            )
            n_parts = int(label.max(initial=0)) + 1
            if n_parts < 2:
                templates.append(units.templates[one][None])
                count.append([len(mine)])
                continue
            templates.append(
                mean_waveforms(
                    self.scaled, mine[: len(label)], label, n_parts, seed=derive(self.seed, "parts", one)
                )
            )
            count.append(np.bincount(label[label >= 0], minlength=n_parts) * len(mine) // len(label))
        return Units(np.concatenate(templates), np.concatenate(count).astype(np.int64))

    def _left_over(
        self,
        residual: np.ndarray,
        spikes: Spikes,
        peak: np.ndarray,
        edge: int,
        inside: tuple[int, int],
    ) -> Events:
        """Return faint troughs away from all spikes that were found."""
        sample, channel = find_troughs(
            residual,
            self.near,
            threshold=self.options.faint,
            exclude_samples=max(round(_EXCLUSIVE_S * self.rate_hz), 2),
        )
        first, last = max(inside[0], edge), min(inside[1], len(residual) - edge)
        kept = (sample >= first) & (sample < last)
        if len(spikes):
            at = np.clip(np.searchsorted(spikes.sample, sample), 0, len(spikes) - 1)
            for nearest in (at, np.maximum(at - 1, 0)):
                close = np.abs(spikes.sample[nearest] - sample) < _LEFT_OVER_SAMPLES
                kept &= ~(close & self.near[channel, peak[spikes.unit[nearest]]])
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

    def _embed(
        self,
        reader: SnippetReader,
        events: Events,
        *,
        added: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
    ) -> np.ndarray:
        rows = np.zeros((len(events), 0), np.float32)
        for number, place in enumerate(self.places):
            mine = np.flatnonzero(self.home[events.channel] == number)
            for part in np.array_split(mine, len(mine) // 2048 + 1):
                if not len(part):
                    continue
                snippets = reader.read(events.sample[part], place.channels)
                if added is not None:
                    row, amplitude, own = added
                    snippets = snippets + amplitude[part, None, None] * own[row[part]][:, place.channels]
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

    def _units(self, events: Events, embeddings: np.ndarray, share: float, *, stage: int) -> Units:
        """Cluster each neighbourhood's events, and merge units that several of them see."""
        fewest = max(self.options.fewest_spikes, round(self.fewest * share))
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
        templates = mean_waveforms(
            self.scaled, events.sample, label, n_units, seed=derive(self.seed, "templates", stage)
        )
        units = Units(templates, np.bincount(label[label >= 0], minlength=n_units))
        units = centre(units)
        units, _ = merge_alike(units, self.locations_um, self.noise)
        units = units.take(self._distance_from_noise(units) > _LEAST_DISTANCE)
        n_samples = round(self.n_samples * share)
        return units.take(without_composites(units, self.locations_um, self.noise, n_samples=n_samples))

    def _distance_from_noise(self, units: Units) -> np.ndarray:
        """Return how many standard deviations of noise each template is from nothing."""
        energy = np.zeros(len(units))
        for unit, template in enumerate(core(units.templates)):
            channels = np.flatnonzero(self.near[template.min(axis=0).argmin()])
            energy[unit] = self.noise.energy(template[None][:, :, channels], channels)[0]
            # A median of few spikes is noisy itself.
            energy[unit] -= 1.57 * LENGTH * len(channels) / min(units.count[unit], FOR_TEMPLATE)
        return np.sqrt(np.maximum(energy, 0))

    def _peeler(self, units: Units) -> Peeler:
        return Peeler(units.templates, self.locations_um, self.noise, threshold=self.options.faint)

    def _result(self, spikes: Spikes, units: Units) -> SimSortResult:
        """Leave out repeated spikes and rare units, and say how far each unit is to be trusted."""
        refractory = round(_REFRACTORY_S * self.rate_hz)
        kept, confidence, parts = [], [], []
        for unit in range(len(units)):
            mine = spikes.take(np.flatnonzero(spikes.unit == unit))
            mine = mine.take(np.diff(mine.sample, prepend=-LENGTH) > round(0.0005 * self.rate_hz))
            if len(mine) < self.fewest:
                continue
            pure = 1 - contamination(mine.sample, refractory=refractory, n_samples=self.n_samples)
            confidence.append(float(mine.confidence.mean()) * pure)
            parts.append(
                Spikes(
                    mine.sample,
                    np.full(len(mine), len(kept)),
                    mine.amplitude,
                    mine.gain,
                    mine.confidence,
                    mine.row,
                )
            )
            kept.append(unit)
        return SimSortResult(Spikes.join(parts), units.templates[kept], np.array(confidence))

    def _nothing(self) -> SimSortResult:
        n_channels = self.scaled.shape[1]
        return SimSortResult(Spikes.join([]), np.zeros((0, LONG, n_channels), np.float32), np.zeros(0))
