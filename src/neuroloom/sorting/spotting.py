"""Which events there are, and where the extractor puts them."""

from collections.abc import Iterator

import numpy as np
from torch import nn

from neuroloom.seeds import derive
from neuroloom.sorting.embedding import BATCH, apply_model
from neuroloom.sorting.events import Events, SnippetReader, find_events, find_troughs
from neuroloom.sorting.residuals import Left, Subtraction
from neuroloom.sorting.templates import LONG, LONG_TROUGH, Units
from neuroloom.sorting.workspace import Workspace

SNIPPET_BEFORE, SNIPPET_AFTER = 20, 44  # samples at 30 kHz that the extractor sees
_EXCLUSIVE_S = 0.00025
_MOST_EVENTS = 20_000  # per neighbourhood, to learn the first units from
_SURELY = 6.0  # troughs as deep as this need no detector
_LEAST_LOGIT = 0.0
_LEFT_OVER_SAMPLES = 20  # nearer to a spike, what is left over is the spike's own


class Spotter:
    """Find events and embed them.

    Parameters
    ----------
    work
        What to look at.
    extractor, detector
        From `load_weights`; without a detector every trough is an event.
    """

    def __init__(self, work: Workspace, *, extractor: nn.Module, detector: nn.Module | None):
        self.work, self.extractor, self.detector = work, extractor, detector

    def first_events(self) -> tuple[Events, np.ndarray]:
        """Return troughs of the recording and their embeddings."""
        reader = self._reader(self.work.scaled)
        events = find_events(
            self.work.scaled,
            self.work.near,
            threshold=self.work.options.threshold,
            exclude_samples=max(round(_EXCLUSIVE_S * self.work.rate_hz), 2),
            margin=max(reader.margin, LONG),
        )
        chosen = []
        for number in range(len(self.work.places)):
            mine = np.flatnonzero(self.work.home[events.channel] == number)
            random = np.random.default_rng(derive(self.work.seed, "events", number))
            chosen.append(np.sort(random.permutation(mine)[:_MOST_EVENTS]))
        events = events.take(np.sort(np.concatenate(chosen)))
        events = events.take(self._believed(self.work.scaled, events))
        return events, self._embed(reader, events)

    def clean_events(self, units: Units) -> tuple[Events, np.ndarray]:
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
        sample, unit = self.work.match(units)
        own = self._template_snippets(units.templates)
        subtraction = Subtraction(units.templates)
        for left in subtraction.chunks(self.work.scaled, sample, unit, chunk=self.work.chunk):
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
            self.work.near,
            threshold=self.work.options.faint,
            exclude_samples=max(round(_EXCLUSIVE_S * self.work.rate_hz), 2),
        )
        first, last = max(left.inside[0], edge), min(left.inside[1], len(residual) - edge)
        kept = (sample >= first) & (sample < last)
        if len(left.sample):
            at = np.clip(np.searchsorted(left.sample, sample), 0, len(left.sample) - 1)
            for nearest in (at, np.maximum(at - 1, 0)):
                close = np.abs(left.sample[nearest] - sample) < _LEFT_OVER_SAMPLES
                kept &= ~(close & self.work.near[channel, peak[left.unit[nearest]]])
        sample, channel = sample[kept], channel[kept]
        events = Events(sample, channel, -residual[sample, channel])
        return events.take(self._believed(residual, events))

    def _believed(self, scaled: np.ndarray, events: Events) -> np.ndarray:
        """Return which events are deep, or spikes in the eyes of the detector."""
        believed = events.depth >= _SURELY
        if self.detector is None:
            return believed | (events.depth >= self.work.options.threshold)
        reader = SnippetReader(scaled, rate_hz=self.work.rate_hz, before=64, after=64)
        inside = (events.sample >= reader.margin) & (events.sample < len(scaled) - reader.margin)
        asked = ~believed & inside
        for number, place in enumerate(self.work.places):
            mine = np.flatnonzero(asked & (self.work.home[events.channel] == number))
            for start in range(0, len(mine), BATCH):
                part = mine[start : start + BATCH]
                logits = apply_model(self.detector, reader.read(events.sample[part], place.channels), place)
                believed[part] = logits[:, 62:67].max(axis=1) > _LEAST_LOGIT
        return believed

    def _embed(self, reader: SnippetReader, events: Events, *, added: np.ndarray | None = None) -> np.ndarray:
        rows = np.zeros((len(events), 0), np.float32)
        for number, place in enumerate(self.work.places):
            mine = np.flatnonzero(self.work.home[events.channel] == number)
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
        return SnippetReader(scaled, rate_hz=self.work.rate_hz, before=SNIPPET_BEFORE, after=SNIPPET_AFTER)

    def _template_snippets(self, templates: np.ndarray) -> np.ndarray:
        """Return templates as the extractor would see them, ``(templates, channels, 64)``."""
        pad = self._reader(self.work.scaled).margin
        channels = np.arange(templates.shape[2])
        snippets = []
        for template in templates:
            reader = self._reader(np.pad(template, ((pad, pad), (0, 0))))
            snippets.append(reader.read(np.array([pad + LONG_TROUGH]), channels)[0])
        return np.array(snippets, np.float32).reshape(-1, len(channels), SNIPPET_BEFORE + SNIPPET_AFTER)
