"""What a simulated recording contains, in one dataclass: units, noise, hum and drift."""

import math
from dataclasses import dataclass

from neuroloom.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Everything about a simulated recording but its cells, its probe and its seed."""

    duration_s: float = 60.0
    """Length in seconds."""
    rate_hz: float = 30_000.0
    """Sampling rate in Hz."""
    units: int = 10
    """Neurons near the probe: the true units."""
    smallest_uv: float = 25.0
    """Depth of a unit's trough on its best contact below which it is placed again, in uV."""
    reach_um: float = 40.0
    """How far from the probe's face a unit's soma may lie, and half of that past its outermost contacts."""
    slowest_hz: float = 1.0
    """Lowest mean rate of a unit."""
    fastest_hz: float = 15.0
    """Highest mean rate of a unit; a cell never fires faster than it did in its own simulation."""
    shapes: int = 4
    """Spikes of each cell that are used, from its shortest interval to its longest; bursts shrink by them."""
    burst_decay: float = 0.0
    """Beyond what the cells themselves do: a spike right after another is smaller by this share, and
    recovers with 10 ms."""
    distant_units: int = 30
    """Neurons too far away to be sorted (60 to 150 um), whose spikes are background."""
    noise_uv: float = 5.0
    """Standard deviation of the noise in uV."""
    noise_colour: float = 0.3
    """Its amplitude falls as frequency to the power of minus this, above 100 Hz; 0 is white."""
    shared_noise: float = 0.1
    """Share of the noise's variance that is common to all channels."""
    hum_uv: float = 0.0
    """Amplitude of the mains hum in uV; its third harmonic is a third as large."""
    hum_hz: float = 50.0
    """Frequency of the hum."""
    drift_um: float = 0.0
    """Range of a slow rigid drift along the shank, in um, peak to peak."""
    jumps: int = 0
    """Sudden rigid displacements, at random times."""
    jump_um: float = 20.0
    """Size of each jump, up or down."""
    drift_step_um: float = 4.0
    """Spikes are computed at positions this far apart and interpolated linearly between them."""

    def __post_init__(self):
        for name in ("duration_s", "rate_hz", "drift_step_um", "reach_um", "slowest_hz", "hum_hz"):
            self._require(name, lambda value: value > 0, "a positive number")
        for name in ("smallest_uv", "noise_uv", "noise_colour", "hum_uv", "drift_um", "jump_um"):
            self._require(name, lambda value: value >= 0, "zero or more")
        for name in ("units", "distant_units", "jumps"):
            self._require(name, lambda value: value >= 0, "zero or more")
        self._require("shapes", lambda value: value >= 1, "one or more")
        self._require("burst_decay", lambda value: 0 <= value < 1, "a fraction below 1")
        self._require("shared_noise", lambda value: 0 <= value <= 1, "a fraction between 0 and 1")
        self._require("fastest_hz", lambda value: value >= self.slowest_hz, f"at least {self.slowest_hz:g}")

    def _require(self, name: str, accepts, expected: str) -> None:
        value = getattr(self, name)
        if not (math.isfinite(value) and accepts(value)):
            raise DataError(f"{name} is {value!r}", expected=expected, remedy=f"pass another {name}")
