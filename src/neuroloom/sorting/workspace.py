"""What every step of simsort shares: the voltage in two forms, its noise, its probe and the options."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom.seeds import derive
from neuroloom.sorting.events import near_channels
from neuroloom.sorting.folders import MOVED
from neuroloom.sorting.matching import match_templates
from neuroloom.sorting.neighbourhoods import cover
from neuroloom.sorting.noise import measure_noise
from neuroloom.sorting.templates import LENGTH, LONG, Units
from neuroloom.sorting.whitening import Whitener

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording

_EXCLUSIVE_UM = 75.0
_COMPARED_UM, _COMPARED_CHANNELS = 90.0, 10  # around a unit, where its spikes are told from others
_CHUNK_VALUES = 1 << 21
_REFRACTORY_S = 0.0015


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
    least_confidence
        Units that are trusted less are left out, at the very end.
    """

    threshold: float = 4.5
    faint: float = 3.5
    fewest_spikes: int = 20
    lowest_rate_hz: float = 0.2
    rounds: int = 2
    splits: int = 3
    peeler: str = "wobble"
    least_confidence: float = 0.5


class Workspace:
    """A recording, or the part of it that units are learned from, ready to be worked on.

    Parameters
    ----------
    scaled
        Voltage in units of each channel's noise, shape ``(samples, channels)``.
    recording
        Where it comes from.
    options
        See `SimSortOptions`.
    seed
        Of everything drawn at random.

    Attributes
    ----------
    white
        The same voltage with white noise; set once it is written.
    places, home
        The neighbourhoods of contacts, and which of them each channel belongs to.
    near
        Which channels see the same spikes, shape ``(channels, channels)``.
    moved
        Whether the voltage was shifted back, because the tissue moved.
    chunk
        Samples that are worked on at a time.
    """

    white: np.ndarray

    def __init__(self, scaled: np.ndarray, recording: "BaseRecording", *, options: SimSortOptions, seed: int):
        self.scaled, self.options, self.seed = scaled, options, seed
        self.rate_hz, self.probe = recording.get_sampling_frequency(), recording.get_probe()
        self.moved = bool(recording.get_annotation(MOVED))
        self.n_samples, n_channels = scaled.shape
        self.locations_um = np.asarray(recording.get_channel_locations(), dtype=float)[:, :2]
        self.places = cover(self.locations_um)
        self.home = np.zeros(n_channels, np.int64)
        for number, place in enumerate(self.places):
            self.home[place.home] = number
        self.refractory = round(_REFRACTORY_S * self.rate_hz)
        self.chunk = max(_CHUNK_VALUES // n_channels, 16 * LONG)
        self.near = near_channels(self.locations_um, radius_um=_EXCLUSIVE_UM)
        self.noise = measure_noise(
            scaled, n_samples=LENGTH, random=np.random.default_rng(derive(seed, "noise"))
        )
        self.whitener = Whitener.of(self.noise, self.locations_um)

    def match(self, units: Units, white: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Return samples and units of all spikes, in this voltage or in another that was whitened alike."""
        return match_templates(
            self.white if white is None else white,
            self.whitener.templates(units.templates),
            rate_hz=self.rate_hz,
            probe=self.probe,
            peeler=self.options.peeler,
        )

    def fewest(self, n_samples: int) -> int:
        """Return how many spikes make a unit in so many samples."""
        by_rate = round(self.options.lowest_rate_hz * n_samples / self.rate_hz)
        return max(self.options.fewest_spikes, by_rate)

    def compared(self, units: Units) -> list[np.ndarray]:
        """Return the channels around each unit on which its spikes are told from others."""
        found = []
        for channel in units.peak:
            distance = np.linalg.norm(self.locations_um - self.locations_um[channel], axis=1)
            nearest = np.argsort(distance, kind="stable")[:_COMPARED_CHANNELS]
            found.append(np.sort(nearest[distance[nearest] <= _COMPARED_UM]))
        return found
