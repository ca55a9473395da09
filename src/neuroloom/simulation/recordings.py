"""Recordings whose spikes are known: any spike trains, put as template spikes into noise or real voltage."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from neuroloom.errors import DataError
from neuroloom.seeds import derive, stream
from neuroloom.simulation.motion import displacement, positions
from neuroloom.simulation.populations import Animal, simulate_reaching
from neuroloom.simulation.probes import make_probe
from neuroloom.simulation.scenario import Scenario

if TYPE_CHECKING:
    import pandas as pd
    from probeinterface import Probe
    from spikeinterface.core import BaseRecording, BaseSorting

_MS_BEFORE, _MS_AFTER = 1.0, 2.5
_DRIFT_STEP_UM = 2.0  # spikes are computed at positions this far apart, and interpolated between them
# Brisk and clearly tuned, so that few units near one probe suffice to follow the hand.
_ANIMAL = Animal(
    name="simulated",
    mean_speed_cm_s=14.0,
    reaction_s=0.2,
    hold_s=0.25,
    mean_rate_hz=9.0,
    refractory_s=0.003,
    preferred_axis_rad=0.0,
    axis_strength=0.0,
    lead_s=0.1,
    noise=0.1,
)


@dataclass(frozen=True)
class SimulatedReaching:
    """A recording of a population that drives a reaching hand, with everything that is true about it.

    Attributes
    ----------
    recording
        Lazy voltage in microvolt.
    sorting
        The true units.
    behavior
        ``position`` (cm) and ``velocity`` (cm/s): name -> (times in s (t,), values (t, 2)).
    trials
        One row per reach: ``start``, ``end`` (s) and ``direction`` (E, NE, .. SE).
    """

    recording: "BaseRecording"
    sorting: "BaseSorting"
    behavior: dict[str, tuple[np.ndarray, np.ndarray]]
    trials: "pd.DataFrame"


def inject(
    spike_times_s: Sequence[np.ndarray] | Mapping[object, np.ndarray],
    *,
    probe: "str | Probe" = "tetrode",
    rate_hz: float = 30_000.0,
    duration_s: float | None = None,
    noise_uv: float = 10.0,
    drift_um: float = 0.0,
    amplitudes_uv: Sequence[float] | tuple[float, float] = (60.0, 250.0),
    amplitude_jitter: float = 0.05,
    background: "BaseRecording | None" = None,
    seed: int = 0,
) -> tuple["BaseRecording", "BaseSorting"]:
    """Put spike trains as template spikes into a noisy recording (hybrid ground truth).

    Every unit gets a place near the probe and a waveform shape of its own. Nothing is computed before
    traces are asked for, so the length is not bounded by memory.

    Parameters
    ----------
    spike_times_s
        Spike times in seconds of every unit, as a list, or as a mapping from unit id.
    probe
        A built-in name (`neuroloom.simulation.probes.PROBE_NAMES`) or a wired probe; not used with
        `background`, whose own probe counts.
    rate_hz
        Sampling rate; not used with `background`.
    duration_s
        Length; ``None`` ends .1 s after the last spike. Not used with `background`.
    noise_uv
        Standard deviation of the noise; not used with `background`.
    drift_um
        Range of a slow drift of the tissue along the probe (`neuroloom.simulation.motion.displacement`).
    amplitudes_uv
        Height of the trough on the nearest contact, before any drift: one per unit, or (lowest, highest)
        to draw from.
    amplitude_jitter
        Standard deviation of the height from spike to spike, relative.
    background
        A real single-segment recording in microvolt to put the spikes into, instead of noise.
    seed
        Of places, shapes, heights, drift and noise.

    Returns
    -------
    (BaseRecording, BaseSorting)
        The voltage (float32, microvolt) and the true units.

    Raises
    ------
    DataError
        If times are not finite, negative, or past the end, heights do not match the units, or the drift
        is negative.

    Examples
    --------
    >>> recording, truth = inject([np.arange(0.1, 1.9, 0.1)], duration_s=2.0)
    >>> recording.get_num_channels(), recording.get_total_duration(), truth.count_total_num_spikes()
    (4, 2.0, 18)
    """
    from spikeinterface.core import NumpySorting
    from spikeinterface.generation import InjectTemplatesRecording

    from neuroloom.simulation.drifting import inject_drifting

    named = spike_times_s if isinstance(spike_times_s, Mapping) else dict(enumerate(spike_times_s))
    trains_s = {unit: np.asarray(times, dtype=np.float64) for unit, times in named.items()}
    if background is None:
        last_s = max((times.max() for times in trains_s.values() if len(times)), default=0.0)
        duration_s = float(last_s) + 0.1 if duration_s is None else duration_s
        background = _noise(probe, rate_hz=rate_hz, duration_s=duration_s, noise_uv=noise_uv, seed=seed)
    rate_hz, n_samples = background.get_sampling_frequency(), background.get_num_samples(0)
    trains = {unit: _samples(times, unit, rate_hz, n_samples) for unit, times in trains_s.items()}
    sorting = NumpySorting.from_unit_dict([trains], sampling_frequency=rate_hz)
    if not trains:
        return background, sorting
    heights_uv = _heights(amplitudes_uv, n_units=len(trains), seed=seed)
    moved_um = _moved(drift_um, n_samples / rate_hz, seed=seed)
    grid_um = positions(moved_um, step_um=_DRIFT_STEP_UM)
    templates, n_before = _templates(background, heights_uv, grid_um, seed=seed)
    n_spikes = sum(map(len, trains.values()))
    factors = 1 + amplitude_jitter * stream(seed, "recordings", "jitter").standard_normal(n_spikes)
    factors = np.maximum(factors, 0.2)
    if len(grid_um) > 1:
        recording = inject_drifting(
            background,
            sorting,
            templates,
            grid_um=grid_um,
            moved_um=moved_um,
            n_before=n_before,
            factors=factors,
        )
    else:
        recording = InjectTemplatesRecording(
            sorting,
            templates[0],
            nbefore=n_before,
            amplitude_factor=factors.tolist(),
            parent_recording=background,
            num_samples=[n_samples],
        )
    recording.set_channel_gains(1.0)
    recording.set_channel_offsets(0.0)
    recording.annotate(is_filtered=False)
    sorting.register_recording(recording)
    return recording, sorting


def demo_recording(
    *,
    probe: "str | Probe" = "columns-32",
    n_units: int = 20,
    duration_s: float = 240.0,
    rate_hz: float = 30_000.0,
    noise_uv: float = 10.0,
    drift_um: float = 0.0,
    seed: int = 0,
) -> SimulatedReaching:
    """Simulate a small motor population while a hand reaches from a centre to eight targets and back.

    Movements and spikes come from `neuroloom.simulation.populations.simulate_reaching`.

    Parameters
    ----------
    probe
        A built-in name or a wired probe.
    n_units
        Neurons near the probe.
    duration_s
        Length of the recording.
    rate_hz
        Sampling rate of the voltage.
    noise_uv
        Standard deviation of the noise.
    drift_um
        Range of a slow drift of the tissue along the probe.
    seed
        Of everything.

    Raises
    ------
    DataError
        If the probe is unknown or the recording is shorter than 5 s.
    """
    import pandas as pd

    reaching = simulate_reaching(_ANIMAL, n_units=n_units, duration_s=duration_s, seed=seed)
    recording, sorting = inject(
        reaching.spike_times_s,
        probe=probe,
        rate_hz=rate_hz,
        duration_s=duration_s,
        noise_uv=noise_uv,
        drift_um=drift_um,
        seed=seed,
    )
    behavior = {
        "position": (reaching.times_s, reaching.position_cm),
        "velocity": (reaching.times_s, reaching.velocity_cm_s),
    }
    trials = pd.DataFrame({name: reaching.trials[name] for name in ("start", "end", "direction")})
    return SimulatedReaching(recording, sorting, behavior, trials)


def _noise(
    probe: "str | Probe", *, rate_hz: float, duration_s: float, noise_uv: float, seed: int
) -> "BaseRecording":
    from spikeinterface.generation import NoiseGeneratorRecording

    for name, value in (("duration", duration_s), ("sampling rate", rate_hz)):
        if not (np.isfinite(value) and value > 0):
            raise DataError(f"{name} is {value:g}", expected="a positive number", remedy="pass another")
    probe = make_probe(os.fspath(probe)) if isinstance(probe, str) else probe
    noise = NoiseGeneratorRecording(
        num_channels=probe.get_contact_count(),
        sampling_frequency=float(rate_hz),
        durations=[float(duration_s)],
        noise_levels=float(noise_uv),
        dtype="float32",
        seed=derive(seed, "recordings", "noise") % 2**31,
        strategy="on_the_fly",
    )
    noise.set_probe(probe)
    noise.set_channel_gains(1.0)
    noise.set_channel_offsets(0.0)
    return noise


def _samples(times_s: np.ndarray, unit: object, rate_hz: float, n_samples: int) -> np.ndarray:
    wrong = ~((times_s >= 0) & (times_s <= n_samples / rate_hz))  # true for NaN as well
    if wrong.any():
        raise DataError(
            f"unit {unit} has {int(wrong.sum())} spikes outside it, such as {times_s[wrong][0]:g} s",
            expected=f"times from 0 to {n_samples / rate_hz:g} s",
            remedy="shift or cut the spike trains, or lengthen the recording",
        )
    return np.unique(np.minimum(np.round(times_s * rate_hz).astype(np.int64), n_samples - 1))


def _heights(amplitudes_uv: Sequence[float], *, n_units: int, seed: int) -> np.ndarray:
    if isinstance(amplitudes_uv, tuple) and len(amplitudes_uv) == 2:
        low, high = amplitudes_uv
        # Evenly spread, so that a small population always has large and small units.
        spread = (np.arange(n_units) + 0.5) / max(n_units, 1)
        return stream(seed, "recordings", "heights").permutation(low + (high - low) * spread)
    heights = np.asarray(amplitudes_uv, dtype=np.float64)
    if heights.shape != (n_units,):
        raise DataError(
            f"{heights.size} amplitudes for {n_units} units",
            expected="one per unit, or a tuple (lowest, highest)",
            remedy="pass as many as there are units",
        )
    return heights


def _moved(drift_um: float, duration_s: float, *, seed: int) -> np.ndarray:
    """Return the displacement of the tissue (times,)."""
    scenario = Scenario(duration_s=duration_s, drift_um=drift_um)
    return displacement(scenario, seed=derive(seed, "recordings", "drift"))[1]


def _templates(
    recording: "BaseRecording", heights_uv: np.ndarray, grid_um: np.ndarray, *, seed: int
) -> tuple[np.ndarray, int]:
    """Return templates (positions, units, samples, channels) and the peak's sample.

    With the tissue where it was at first, their troughs have the heights asked for.
    """
    from spikeinterface.core.generate import generate_unit_locations
    from spikeinterface.generation import generate_templates

    contacts = recording.get_channel_locations()
    places = generate_unit_locations(
        len(heights_uv),
        contacts,
        margin_um=20.0,
        minimum_z=5.0,
        maximum_z=40.0,
        minimum_distance=15.0,
        max_iteration=200,
        distance_strict=False,
        seed=derive(seed, "recordings", "places") % 2**31,
    )
    rate_hz = recording.get_sampling_frequency()

    def with_tissue_at(moved_um: float) -> np.ndarray:
        return generate_templates(
            contacts,
            places + np.array([0.0, moved_um, 0.0]),
            sampling_frequency=rate_hz,
            ms_before=_MS_BEFORE,
            ms_after=_MS_AFTER,
            seed=derive(seed, "recordings", "shapes") % 2**31,
            mode="ellipsoid",
        )

    trough = -with_tissue_at(0.0).min(axis=(1, 2))
    scaled = [with_tissue_at(moved) * (heights_uv / trough)[:, None, None] for moved in grid_um]
    return np.stack(scaled).astype(np.float32), int(_MS_BEFORE * rate_hz / 1000)
