"""Multi-compartment neurons driven by noise; what comes out is their membrane currents (Arbor)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neuroloom.errors import DataError, MissingDependency
from neuroloom.seeds import stream
from neuroloom.simulation.morphology import REGIONS, Morphology, bundled_morphologies, read_swc

SPIKE_LEVEL_MV = -20.0  # the truth of the published simulation: soma crossing this level


@dataclass(frozen=True)
class CellSpec:
    """Everything that makes one neuron.

    Attributes
    ----------
    name
        Unique name.
    archetype
        ``"pyramidal"``, ``"bursting"``, ``"interneuron"``, ..: where its densities were drawn from.
    morphology
        Name of a bundled morphology.
    length_factor, radius_factor, pruned_fraction
        How the morphology is varied.
    axon_um, axon_diameter_um
        Length of the initial segment and its diameter.
    densities
        Region -> mechanism of Arbor's Allen catalogue -> conductance in S/cm2.
    passive
        Region -> (leak S/cm2, capacitance uF/cm2).
    leak_mv, axial_ohm_cm
        Leak reversal and axial resistivity.
    calcium
        (gamma, decay_ms) of the calcium pool where a calcium channel sits.
    seed
        Which branches are pruned, and the noise.
    """

    name: str
    archetype: str
    morphology: str
    densities: Mapping[str, Mapping[str, float]]
    passive: Mapping[str, tuple[float, float]]
    length_factor: float = 1.0
    radius_factor: float = 1.0
    pruned_fraction: float = 0.0
    axon_um: float = 40.0
    axon_diameter_um: float = 1.2
    leak_mv: float = -85.0
    axial_ohm_cm: float = 120.0
    calcium: tuple[float, float] = (0.003, 80.0)
    seed: int = 0


@dataclass(frozen=True)
class MembraneRun:
    """One simulation of one neuron.

    Attributes
    ----------
    times_ms
        Sample times, shape ``(samples,)``.
    soma_mv
        Membrane potential of the soma, shape ``(samples,)``.
    spike_times_ms
        Upward crossings of -20 mV, shape ``(spikes,)``.
    segment_start_um, segment_end_um
        Ends of the segments that carry the currents, shape ``(segments, 3)``.
    currents_na
        Membrane current of each segment, outward positive, in nA, shape ``(segments, current samples)``;
        its columns sum to zero.
    current_times_ms
        Times of those columns.
    """

    times_ms: np.ndarray
    soma_mv: np.ndarray
    spike_times_ms: np.ndarray
    segment_start_um: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    segment_end_um: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    currents_na: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    current_times_ms: np.ndarray = field(default_factory=lambda: np.zeros(0))


def shape(spec: CellSpec) -> Morphology:
    """Return the morphology of a spec, varied as the spec says."""
    known = bundled_morphologies()
    if spec.morphology not in known:
        raise DataError(
            f"no morphology {spec.morphology!r}",
            expected=f"one of {sorted(known)}",
            remedy="choose one of those",
        )
    tree = read_swc(known[spec.morphology]).scaled(spec.length_factor, radius_factor=spec.radius_factor)
    if spec.pruned_fraction:
        tree = tree.pruned(spec.pruned_fraction, random=stream(spec.seed, "prune", spec.name))
    return tree.with_axon(initial_um=spec.axon_um, diameter_um=spec.axon_diameter_um)


def pink_noise(n_samples: int, *, seed: int) -> np.ndarray:
    """Return 1/f noise of zero mean and unit standard deviation, shape ``(n_samples,)``."""
    random = stream(seed, "pink")
    frequency = np.fft.rfftfreq(n_samples)
    spectrum = random.normal(size=len(frequency)) + 1j * random.normal(size=len(frequency))
    spectrum[0] = 0
    spectrum[1:] /= np.sqrt(frequency[1:])
    noise = np.fft.irfft(spectrum, n_samples)
    return noise / noise.std()


def simulate(
    spec: CellSpec,
    *,
    duration_ms: float,
    mean_na: float,
    noise_na: float,
    current_times_ms: np.ndarray | None = None,
    dt_ms: float = 0.025,
    max_extent_um: float = 40.0,
    seed: int = 0,
) -> MembraneRun:
    """Drive the soma of one neuron by pink noise and record its membrane currents.

    Parameters
    ----------
    spec
        The neuron.
    duration_ms
        Simulated time.
    mean_na, noise_na
        Mean and standard deviation of the injected current.
    current_times_ms
        When to record membrane currents; ``None`` records none. The simulation is deterministic, so a
        first run finds the spikes and a second records around them.
    dt_ms
        Integration step and the sampling interval of the soma's potential.
    max_extent_um
        Longest compartment.
    seed
        Seed of the noise.

    Notes
    -----
    The injected current is counted as membrane current of the soma (as a synapse's would be), so that no
    net current leaves the neuron: sum over segments = 0.

    Raises
    ------
    MissingDependency
        If Arbor is not installed.
    """
    arbor = require_arbor()
    times_s = np.arange(0, duration_ms, 1.0)
    drive = mean_na + noise_na * pink_noise(len(times_s), seed=seed)
    model, tree = _cable_cell(arbor, spec, max_extent_um=max_extent_um, times_ms=times_s, drive_na=drive)
    probes = [arbor.cable_probe_membrane_voltage("(location 0 0.5)", "v")]
    if current_times_ms is not None:
        probes.append(arbor.cable_probe_total_current_cell("i"))
        probes.append(arbor.cable_probe_stimulus_current_cell("s"))

    class Recipe(arbor.recipe):
        def __init__(self):
            arbor.recipe.__init__(self)

        def num_cells(self):
            return 1

        def cell_kind(self, gid):
            return arbor.cell_kind.cable

        def cell_description(self, gid):
            return model

        def probes(self, gid):
            return probes

        def global_properties(self, kind):
            properties = arbor.neuron_cable_properties()
            properties.catalogue = arbor.allen_catalogue()
            properties.catalogue.extend(arbor.default_catalogue(), "default::")
            properties.set_ion(
                "ca",
                valence=2,
                int_con=1e-4 * arbor.units.mM,
                ext_con=2 * arbor.units.mM,
                rev_pot=132 * arbor.units.mV,
                method="default::nernst/x=ca",
            )
            return properties

    simulation = arbor.simulation(Recipe(), arbor.context(threads=1))
    ms = arbor.units.ms
    voltage = simulation.sample((0, "v"), arbor.regular_schedule(dt_ms * ms))
    handles = []
    if current_times_ms is not None:
        schedule = arbor.explicit_schedule([float(t) * ms for t in current_times_ms])
        handles = [simulation.sample((0, tag), schedule) for tag in ("i", "s")]
    simulation.run(tfinal=duration_ms * ms, dt=dt_ms * ms)
    samples = simulation.samples(voltage)[0][0]
    times, soma = samples[:, 0], samples[:, 1]
    crossings = np.flatnonzero((soma[:-1] < SPIKE_LEVEL_MV) & (soma[1:] >= SPIKE_LEVEL_MV))
    run = MembraneRun(times, soma, times[crossings])
    if current_times_ms is None:
        return run
    (currents, cables), (stimulus, stimulus_cables) = (simulation.samples(handle)[0] for handle in handles)
    return _with_currents(run, arbor, tree, currents, cables, stimulus, stimulus_cables)


def _with_currents(run, arbor, tree, currents, cables, stimulus, stimulus_cables) -> MembraneRun:
    placement = arbor.place_pwlin(arbor.morphology(tree))
    starts, ends, owner = [], [], []
    for index, cable in enumerate(cables):
        pieces = placement.segments([cable])
        # A cable may bend: its chord stands for it, which the line source needs.
        starts.append([pieces[0].prox.x, pieces[0].prox.y, pieces[0].prox.z])
        ends.append([pieces[-1].dist.x, pieces[-1].dist.y, pieces[-1].dist.z])
        owner.append(index)
    total = np.array(currents[:, 1:].T)  # (segments, samples)
    injected = np.array(stimulus[:, 1:]).sum(axis=1)
    soma = int(np.argmin([np.linalg.norm(np.add(a, b)) for a, b in zip(starts, ends, strict=True)]))
    total[soma] -= injected
    total -= total.sum(axis=0) / len(total)  # only rounding is left
    return MembraneRun(
        run.times_ms, run.soma_mv, run.spike_times_ms, np.array(starts), np.array(ends), total, currents[:, 0]
    )


def _cable_cell(arbor: Any, spec: CellSpec, *, max_extent_um: float, times_ms, drive_na):
    units = arbor.units
    body = shape(spec)
    tree = arbor.segment_tree()
    for i in range(len(body)):
        parent = arbor.mnpos if body.parent[i] < 0 else int(body.parent[i])
        start = arbor.mpoint(*body.start_um[i], float(body.start_radius_um[i]))
        end = arbor.mpoint(*body.end_um[i], float(body.end_radius_um[i]))
        tree.append(parent, start, end, tag=int(body.region[i]))
    decor = arbor.decor()
    decor.set_property(
        Vm=spec.leak_mv * units.mV,
        tempK=307.15 * units.Kelvin,
        rL=spec.axial_ohm_cm * units.Ohm * units.cm,
        cm=0.01 * units.F / units.m2,
    )
    for region, tag in REGIONS.items():
        if not np.any(body.region == tag):
            continue
        where = f"(tag {tag})"
        leak, capacitance = spec.passive[region]
        decor.paint(where, cm=capacitance * 0.01 * units.F / units.m2)
        decor.paint(where, arbor.density(f"default::pas/e={spec.leak_mv}", {"g": leak}))
        mechanisms = spec.densities.get(region, {})
        for mechanism, conductance in mechanisms.items():
            decor.paint(where, arbor.density(mechanism, {"gbar": conductance}))
        if any(name.startswith("Ca_") for name in mechanisms):
            gamma, decay = spec.calcium
            decor.paint(where, arbor.density("CaDynamics", {"gamma": gamma, "decay": decay}))
        decor.paint(where, ion="na", rev_pot=53.0 * units.mV)
        decor.paint(where, ion="k", rev_pot=-107.0 * units.mV)
    envelope = [(float(t) * units.ms, float(a) * units.nA) for t, a in zip(times_ms, drive_na, strict=True)]
    decor.place("(location 0 0.5)", arbor.i_clamp(envelope))
    policy = arbor.cv_policy_max_extent(max_extent_um * units.um)
    return arbor.cable_cell(tree, decor, arbor.label_dict(), policy), tree


def require_arbor() -> Any:
    try:
        import arbor
    except ImportError:
        raise MissingDependency(
            "arbor is not installed",
            expected="the simulator of the default cells",
            remedy="pip install 'neuroloom[biophysics]'",
        ) from None
    return arbor
