"""Recordings of simulated neurons: their membrane currents become voltage at a probe, lazily.

Spikes are put in by `neuroloom.simulation.drifting`, noise is made by `neuroloom.simulation.backgrounds`;
memory is bounded by the chunk and the number of shapes, not by length.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from neuroloom.errors import DataError
from neuroloom.seeds import derive, stream
from neuroloom.simulation.drifting import inject_drifting
from neuroloom.simulation.electrodes import contact_positions
from neuroloom.simulation.firing import kept_spikes, own_train, poisson_train, spike_for_interval
from neuroloom.simulation.library import CellLibrary
from neuroloom.simulation.motion import MOTION_RATE_HZ, displacement, positions
from neuroloom.simulation.placement import PlacedCell, n_before, place_cells, place_distant
from neuroloom.simulation.probes import make_probe
from neuroloom.simulation.scenario import Scenario

if TYPE_CHECKING:
    from probeinterface import Probe
    from spikeinterface.core import BaseRecording, BaseSorting

MOST_BYTES = 2**31  # of shapes in memory
_RECOVERY_S = 0.01  # of amplitude after a spike, where a scenario asks for a decay in bursts


@dataclass(frozen=True)
class BiophysicalRecording:
    """A recording of simulated neurons with everything that is true about it.

    Attributes
    ----------
    recording
        Lazy voltage in microvolt, float32.
    sorting
        The true units near the probe; properties ``cell``, ``archetype``, ``trough_uv`` (depth of the
        largest spike on the best contact, unfiltered) and ``gt_unit_locations`` (um).
    placed
        The neurons of those units.
    moved_um
        Displacement of the tissue towards +y at `times_s`, shape ``(times,)``.
    times_s
        Shape ``(times,)``.
    """

    recording: "BaseRecording"
    sorting: "BaseSorting"
    placed: tuple[PlacedCell, ...]
    times_s: np.ndarray
    moved_um: np.ndarray


def biophysical_recording(
    library: CellLibrary,
    *,
    probe: "str | Probe" = "tetrode",
    scenario: Scenario | None = None,
    spike_times_s: Sequence[np.ndarray] | Mapping[object, np.ndarray] | None = None,
    placed: Sequence[PlacedCell] | None = None,
    background: "BaseRecording | None" = None,
    seed: int = 0,
) -> BiophysicalRecording:
    """Simulate the recording of neurons around a probe.

    Parameters
    ----------
    library
        The cells.
    probe
        A built-in name or any wired probe; not used with `background`, whose own probe counts.
    scenario
        Units, noise, drift; see `Scenario`.
    spike_times_s
        Trains in seconds, as a list or by unit id; their number replaces the scenario's. ``None`` lets
        every cell fire with the intervals of its own simulation. Either way, a spike has the shape that
        the simulated cell had after such an interval, so bursts shrink where they did in the simulation.
    placed
        The neurons, one per unit, to choose places and rotations oneself; drawn if ``None``.
    background
        A real single-segment recording in microvolt to put the spikes into; the scenario's length, rate,
        noise and distant units are then not used.
    seed
        Of places, trains, drift and noise.

    Raises
    ------
    DataError
        If trains reach outside the recording, do not match `placed`, or the shapes need over 2 GiB.

    Examples
    --------
    >>> from neuroloom.simulation.library import DEFAULT_CELLS
    >>> cells = CellLibrary.load(DEFAULT_CELLS)
    >>> made = biophysical_recording(cells, scenario=Scenario(duration_s=2.0, units=3))
    >>> made.recording.get_num_channels(), len(made.sorting.unit_ids)
    (4, 3)
    """
    from spikeinterface.core import NumpySorting

    scenario = scenario or Scenario()
    parent = background
    if parent is None:
        parent = _background(library, probe, scenario, seed=seed)
    rate_hz, n_samples = parent.get_sampling_frequency(), parent.get_num_samples(0)
    duration_s = n_samples / rate_hz
    contacts = contact_positions(parent.get_probe())
    placed, ids = _who(library, contacts, scenario, placed=placed, trains=spike_times_s, seed=seed)
    if spike_times_s is None:
        trains = [_own(p, scenario, duration_s, seed=seed, unit=i) for i, p in enumerate(placed)]
    else:
        given = spike_times_s.values() if isinstance(spike_times_s, Mapping) else spike_times_s
        trains = [_checked(train, unit, duration_s) for unit, train in zip(ids, given, strict=True)]
    times_s, moved_um = displacement(scenario, seed=derive(seed, "biophysical"))
    if background is not None:
        times_s = np.arange(int(np.ceil(duration_s * MOTION_RATE_HZ)) + 1) / MOTION_RATE_HZ
        moved_um = np.interp(times_s, np.linspace(0, duration_s, len(moved_um)), moved_um)
    recording, depths = _with_spikes(
        parent,
        placed,
        trains,
        n_shapes=scenario.shapes,
        moved_um=moved_um,
        step_um=scenario.drift_step_um,
        burst_decay=scenario.burst_decay,
        seed=derive(seed, "biophysical", "shapes"),
    )
    samples = {unit: _samples(train, rate_hz, n_samples) for unit, train in zip(ids, trains, strict=True)}
    sorting = NumpySorting.from_unit_dict([samples], sampling_frequency=rate_hz)
    sorting.register_recording(recording)
    if placed:
        sorting.set_property("cell", np.array([p.cell.name for p in placed]))
        sorting.set_property("archetype", np.array([p.cell.archetype for p in placed]))
        sorting.set_property("trough_uv", depths)
        sorting.set_property("gt_unit_locations", np.stack([p.position_um for p in placed]))
    return BiophysicalRecording(recording, sorting, tuple(placed), times_s, moved_um)


def _background(library, probe, scenario: Scenario, *, seed: int) -> "BaseRecording":
    from neuroloom.simulation.backgrounds import coloured_noise_recording

    probe = make_probe(os.fspath(probe)) if isinstance(probe, str) else probe
    noise = coloured_noise_recording(
        probe,
        rate_hz=scenario.rate_hz,
        duration_s=scenario.duration_s,
        noise_uv=scenario.noise_uv,
        colour=scenario.noise_colour,
        shared=scenario.shared_noise,
        hum_uv=scenario.hum_uv,
        hum_hz=scenario.hum_hz,
        seed=derive(seed, "biophysical", "noise") % 2**31,
    )
    random = stream(seed, "biophysical", "distant")
    contacts = contact_positions(noise.get_probe())
    distant = place_distant(library, contacts, n_cells=scenario.distant_units, random=random)
    rates = np.exp(random.uniform(np.log(0.5), np.log(10), len(distant)))
    trains = [poisson_train(duration_s=scenario.duration_s, rate_hz=rate, random=random) for rate in rates]
    still = np.zeros(int(np.ceil(scenario.duration_s * MOTION_RATE_HZ)) + 1)
    return _with_spikes(noise, distant, trains, n_shapes=1, moved_um=still, step_um=1.0, seed=seed)[0]


def _who(library, contacts, scenario: Scenario, *, placed, trains, seed) -> tuple[list[PlacedCell], list]:
    """Return the neurons and their unit ids."""
    n_trains = None if trains is None else len(trains)
    if placed is None:
        placed = place_cells(
            library,
            contacts,
            n_cells=scenario.units if n_trains is None else n_trains,
            reach_um=scenario.reach_um,
            smallest_uv=scenario.smallest_uv,
            random=stream(seed, "biophysical", "places"),
        )
    if n_trains is not None and n_trains != len(placed):
        raise DataError(
            f"{n_trains} spike trains for {len(placed)} placed cells",
            expected="one train per cell",
            remedy="pass as many trains as cells, or leave one of them out",
        )
    ids = list(trains) if isinstance(trains, Mapping) else list(range(len(placed)))
    return list(placed), ids


def _own(placed: PlacedCell, scenario: Scenario, duration_s: float, *, seed: int, unit: int) -> np.ndarray:
    random = stream(seed, "biophysical", "train", unit)
    rate = np.exp(random.uniform(np.log(scenario.slowest_hz), np.log(scenario.fastest_hz)))
    return own_train(placed.cell, duration_s=duration_s, rate_hz=float(rate), random=random)


def _checked(train: np.ndarray, unit: object, duration_s: float) -> np.ndarray:
    times = np.sort(np.asarray(train, dtype=np.float64))
    wrong = ~((times >= 0) & (times <= duration_s))  # true for NaN as well
    if wrong.any():
        raise DataError(
            f"unit {unit} has {int(wrong.sum())} spikes outside it, such as {times[wrong][0]:g} s",
            expected=f"times from 0 to {duration_s:g} s",
            remedy="shift or cut the spike trains, or lengthen the recording",
        )
    return times


def _samples(times_s: np.ndarray, rate_hz: float, n_samples: int) -> np.ndarray:
    return np.minimum(np.round(times_s * rate_hz).astype(np.int64), n_samples - 1)


def _with_spikes(
    parent: "BaseRecording",
    placed: Sequence[PlacedCell],
    trains: Sequence[np.ndarray],
    *,
    n_shapes: int,
    moved_um: np.ndarray,
    step_um: float,
    burst_decay: float = 0.0,
    seed: int,
) -> tuple["BaseRecording", np.ndarray]:
    """Add spikes to a recording; also return the depth of each neuron's deepest trough in uV."""
    from spikeinterface.core import NumpySorting
    from spikeinterface.core.base import minimum_spike_dtype

    if not placed:
        return parent, np.zeros(0)
    rate_hz, n_samples = parent.get_sampling_frequency(), parent.get_num_samples(0)
    contacts = contact_positions(parent.get_probe())
    grid = positions(moved_um, step_um=step_um)
    _refuse_too_large(len(placed) * n_shapes * len(grid) * len(contacts) * 6e-3 * rate_hz * 4)
    kept = [kept_spikes(p.cell, n_shapes) for p in placed]
    shapes = [p.shapes(contacts, rate_hz=rate_hz, n_shapes=n_shapes, moved_um=grid) for p in placed]
    depths = np.array([-float(shape.min()) for shape in shapes])
    longest = max(shape.shape[2] for shape in shapes)
    moved = np.concatenate(
        [np.pad(s, [(0, 0), (0, 0), (0, longest - s.shape[2]), (0, 0)]) for s in shapes], axis=1
    )  # (positions, neurons x shapes, samples, contacts)
    first = np.concatenate([[0], np.cumsum([len(k) for k in kept])[:-1]])
    which = [
        first[i] + spike_for_interval(t, p.cell.interval_ms[k], random=stream(seed, "shape", i))
        for i, (p, k, t) in enumerate(zip(placed, kept, trains, strict=True))
    ]
    samples = np.concatenate([_samples(train, rate_hz, n_samples) for train in trains])
    labels = np.concatenate(which).astype(np.int64)
    intervals_s = np.concatenate([np.diff(train, prepend=-np.inf) for train in trains])
    size = 1 - burst_decay * np.exp(-intervals_s / _RECOVERY_S)
    order = np.lexsort((labels, samples))
    spikes = np.zeros(len(samples), dtype=minimum_spike_dtype)
    spikes["sample_index"], spikes["unit_index"] = samples[order], labels[order]
    sorting = NumpySorting(spikes, rate_hz, np.arange(moved.shape[1]))
    recording = inject_drifting(
        parent,
        sorting,
        moved,
        grid_um=grid,
        moved_um=moved_um,
        n_before=n_before(rate_hz),
        factors=size[order],
    )
    recording.set_channel_gains(1.0)
    recording.set_channel_offsets(0.0)
    recording.annotate(is_filtered=False)
    return recording, depths


def _refuse_too_large(n_bytes: float) -> None:
    if n_bytes > MOST_BYTES:
        raise DataError(
            f"the shapes of all spikes at all positions need {n_bytes / 2**30:.1f} GiB",
            expected=f"at most {MOST_BYTES / 2**30:g} GiB",
            remedy="lower units or shapes, or make drift_um smaller or drift_step_um larger",
        )
