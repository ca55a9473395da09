"""From events to units: cluster, match, leave out what is no neuron, split what is two, and match again."""

from collections.abc import Callable, Iterator

import numpy as np

from neuroloom.seeds import derive
from neuroloom.sorting.clustering import cluster_embeddings
from neuroloom.sorting.confidence import (
    MUCH_LARGER,
    believable,
    contamination,
    followers,
    without_remainders,
)
from neuroloom.sorting.events import Events
from neuroloom.sorting.merging import merge_alike, resembling_none, shapes_of_one, without_composites
from neuroloom.sorting.residuals import Left, Subtraction, own_waveforms, sharper
from neuroloom.sorting.splitting import MOST_SPIKES, split_spikes
from neuroloom.sorting.spotting import Spotter
from neuroloom.sorting.templates import FOR_TEMPLATE, LENGTH, Units, core, mean_waveforms
from neuroloom.sorting.workspace import Workspace

_LEAST_DISTANCE = 6.0  # of a template from nothing, in standard deviations; noise itself makes 4
# On its largest channel: far below it, on many, is what a reference leaves of others. At 3, neurons went of
# which most spikes had been found, and what a reference leaves is now known by its company.
_LEAST_DEPTH = 2.0
_FAINT = 8.0
_LEAST_PURE = 0.6
_CLOSE = 4.0  # standard deviations of noise between two templates
# How much the spikes of one neuron usually vary in height, and how much on each contact by itself.
_VARIES = {"height_sd": 0.08, "contact_sd": 0.05}
_MOST_REPEATS = 6
_MOST_IN_MAP = 5000
STAGES = 3  # that `Learner.learn` enters


class Learner:
    """Learn the units of a recording, without being told how many there are.

    Parameters
    ----------
    work
        The voltage.
    spotter
        Finds and embeds its events.
    enter
        Called with the name of every stage.
    """

    def __init__(self, work: Workspace, spotter: Spotter, *, enter: Callable[[str], None]):
        self.work, self.spotter, self.enter = work, spotter, enter

    def learn(self) -> dict[str, np.ndarray]:
        """Return the units' templates, whose neurons they are, and a map of their spikes' embeddings."""
        self.enter("events")
        events, embeddings = self.spotter.first_events()
        units = self._units(events, embeddings, stage=0)
        for stage in range(1, self.work.options.rounds):
            events, embeddings = self.spotter.clean_events(units)
            before, units = units, self._units(events, embeddings, stage=stage)
            # A faint unit may be a cluster in one round and not in another; matching will tell.
            before = before.take(np.abs(before.templates).max(axis=(1, 2), initial=0) < _FAINT)
            lost = resembling_none(before, units, self.work.locations_um, self.work.noise, nearest=_CLOSE)
            units = units.and_also(before.take(lost))
        self.enter("units")
        units, _, _ = self._found(units)
        units, sample, unit = self._settled(units)
        # Neighbourhoods that see the same neuron each see its spikes at their largest. What is this close is
        # taken for one, and parted again only if its spikes are two neurons'.
        merged = merge_alike(units, self.work.locations_um, self.work.noise, nearest=_CLOSE)
        if len(merged) < len(units):
            units, sample, unit = self._settled(merged)
        self.enter("splits")
        for _ in range(self.work.options.splits):
            n_before, units = len(units), self._split(units, sample, unit)
            if len(units) == n_before:
                break
            units, sample, unit = self._settled(units)
            if len(units) <= n_before:
                break  # parts that did not last would be parted again
        neuron = shapes_of_one(
            units,
            sample,
            unit,
            self.work.locations_um,
            self.work.noise,
            refractory=self.work.refractory,
            n_samples=self.work.n_samples,
            moved=self.work.moved,
        )
        found = {"templates": units.templates, "neuron": neuron, "sample": sample, "unit": unit}
        return found | self._map(events, embeddings, sample, unit)

    def _found(self, units: Units) -> tuple[Units, np.ndarray, np.ndarray]:
        """Return spikes that look like their units', and the units with templates sharpened on them."""
        sample, unit = self.work.match(units)
        height, misfit = np.ones(len(sample)), np.ones(len(sample))

        def seen() -> Iterator[Left]:
            for left in Subtraction(units.templates).chunks(
                self.work.scaled, sample, unit, chunk=self.work.chunk
            ):
                height[left.rows], misfit[left.rows] = left.height, left.misfit
                yield left

        templates = unless_blurred(sharper(units.templates, seen()), units.templates)
        kept = believable(unit, height, misfit)
        return Units(templates, units.count, units.whole), sample[kept], unit[kept]

    def _settled(self, units: Units) -> tuple[Units, np.ndarray, np.ndarray]:
        """Find all spikes, and leave out units until those that remain keep their refractory periods."""
        for _ in range(_MOST_REPEATS):
            units, sample, unit = self._found(units)
            trains = [sample[unit == one] for one in range(len(units))]
            pure = np.array(
                [
                    1 - contamination(t, refractory=self.work.refractory, n_samples=self.work.n_samples)
                    for t in trains
                ]
            )
            nothing = np.array([len(t) for t in trains], int) < self.work.fewest(self.work.n_samples)
            energy = np.einsum("utc,utc->u", units.templates, units.templates)
            nothing |= np.abs(units.templates).max(axis=(1, 2), initial=0) < _LEAST_DEPTH
            nothing |= followers(trains, energy, self.work.near[np.ix_(units.peak, units.peak)])
            # What keeps no refractory period is left over from others, and has taken some of their spikes:
            # without it they may turn out to be sound.
            unsound = nothing | self._worst(units, np.where(nothing, 1.0, pure))
            units = Units(units.templates, np.array([len(t) for t in trains], np.int64), units.whole)
            if not unsound.any():
                return units, sample, unit
            units = units.take(~unsound)
        return self._found(units)

    def _worst(self, units: Units, pure: np.ndarray) -> np.ndarray:
        """Return the units that are not to be trusted and less than all around them."""
        unsound = pure < _LEAST_PURE
        for unit in np.argsort(pure, kind="stable")[: int(unsound.sum())]:
            if unsound[unit]:
                unsound &= ~self.work.near[units.peak[unit], units.peak]
                unsound[unit] = True
        return unsound

    def _split(self, units: Units, sample: np.ndarray, unit: np.ndarray) -> Units:
        """Part units whose spikes, freed of all others, are those of several neurons."""
        if units.whole.all():
            return units
        channels, templates = self.work.compared(units), self.work.whitener.templates(units.templates)
        waveforms: list[list[np.ndarray]] = [[] for _ in range(len(units))]
        samples: list[list[np.ndarray]] = [[] for _ in range(len(units))]
        # Spikes of every unit from all over the recording.
        order = np.argsort(np.random.default_rng(derive(self.work.seed, "look")).random(len(unit)))
        chosen = np.zeros(len(unit), bool)
        for one in np.flatnonzero(~units.whole):
            chosen[order[unit[order] == one][:MOST_SPIKES]] = True
        for left in Subtraction(templates).chunks(self.work.white, sample, unit, chunk=self.work.chunk):
            left = left.take(chosen[left.rows])
            for one in np.unique(left.unit):
                own = own_waveforms(left, templates, int(one), channels[one], **_VARIES)
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
                fewest=self.work.fewest(self.work.n_samples),
                refractory=self.work.refractory,
                seed=derive(self.work.seed, "split", one),
            )
            label = without_remainders(label, mine, self._larger(units, one, sample, unit))
            n_parts = int(label.max(initial=0)) + 1
            if n_parts < 2 and label.min() == 0:
                parted.append(Units(units.templates[[one]], units.count[[one]], np.ones(1, bool)))
                continue
            seed = derive(self.work.seed, "parts", one)
            means = mean_waveforms(self.work.scaled, mine, label, n_parts, seed=seed)
            parted.append(Units(means, np.bincount(label[label >= 0], minlength=n_parts)))
        columns = zip(*((part.templates, part.count, part.whole) for part in parted), strict=True)
        return Units(*(np.concatenate(column) for column in columns))

    def _larger(self, units: Units, one: int, sample: np.ndarray, unit: np.ndarray) -> np.ndarray:
        """Return the spikes of much larger units around a unit, in order."""
        energy = np.einsum("utc,utc->u", units.templates, units.templates)
        larger = (energy > MUCH_LARGER * energy[one]) & self.work.near[units.peak[one], units.peak]
        return sample[larger[unit]]

    def _units(self, events: Events, embeddings: np.ndarray, *, stage: int) -> Units:
        """Cluster each neighbourhood's events, and merge units that several of them see."""
        fewest = self.work.fewest(self.work.n_samples)
        label = np.full(len(events), -1, np.int64)
        n_units = 0
        for number in range(len(self.work.places)):
            mine = np.flatnonzero(self.work.home[events.channel] == number)
            if len(mine) < fewest:
                continue
            found = cluster_embeddings(embeddings[mine], seed=derive(self.work.seed, "units", stage, number))
            for cluster in range(int(found.max()) + 1):
                members = mine[found == cluster]
                if len(members) >= fewest:
                    label[members] = n_units
                    n_units += 1
        seed = derive(self.work.seed, "templates", stage)
        templates = mean_waveforms(self.work.scaled, events.sample, label, n_units, seed=seed)
        units = Units(templates, np.bincount(label[label >= 0], minlength=n_units))
        units = merge_alike(units, self.work.locations_um, self.work.noise)
        units = units.take(self._distance_from_noise(units) > _LEAST_DISTANCE)
        sums = without_composites(
            units, self.work.locations_um, self.work.noise, n_samples=self.work.n_samples
        )
        return units.take(sums)

    def _distance_from_noise(self, units: Units) -> np.ndarray:
        """Return how many standard deviations of noise each template is from nothing."""
        energy = np.zeros(len(units))
        for unit, template in enumerate(core(units.templates)):
            channels = np.flatnonzero(self.work.near[units.peak[unit]])
            energy[unit] = self.work.noise.energy(template[None][:, :, channels], channels)[0]
            # A median of few spikes is noisy itself.
            energy[unit] -= 1.57 * LENGTH * len(channels) / min(units.count[unit], FOR_TEMPLATE)
        return np.sqrt(np.maximum(energy, 0))

    def _map(
        self, events: Events, embeddings: np.ndarray, sample: np.ndarray, unit: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Return the embeddings of sorted spikes on their two leading axes."""
        empty = np.zeros(0, np.int64)
        if not len(events) or not len(sample):
            return {"map_sample": empty, "map_unit": empty, "map_points": np.zeros((0, 2))}
        at = np.clip(np.searchsorted(sample, events.sample), 1, len(sample) - 1) if len(sample) > 1 else 0
        before = sample[np.maximum(np.asarray(at) - 1, 0)]
        nearer = np.abs(before - events.sample) < np.abs(sample[at] - events.sample)
        nearest = np.where(nearer, np.maximum(np.asarray(at) - 1, 0), at)
        rows = np.flatnonzero(np.abs(sample[nearest] - events.sample) <= LENGTH // 8)
        random = np.random.default_rng(derive(self.work.seed, "map"))
        rows = np.sort(random.permutation(rows)[:_MOST_IN_MAP])
        points = embeddings[rows] - embeddings[rows].mean(axis=0)
        axes = np.linalg.eigh(points.T @ points)[1][:, ::-1][:, :2]
        return {
            "map_sample": sample[nearest[rows]],
            "map_unit": unit[nearest[rows]],
            "map_points": (points @ axes).astype(np.float64),
        }


def unless_blurred(templates: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Return templates, ``(units, samples, channels)``, those of faint units as before if they were larger.

    Noise decides when a faint spike is found, and blurs their mean, which then finds them worse still.
    """
    blurred = np.abs(before).max(axis=(1, 2), initial=0) < _FAINT
    blurred &= (templates**2).sum(axis=(1, 2)) < (before**2).sum(axis=(1, 2))
    return np.where(blurred[:, None, None], before, templates)
