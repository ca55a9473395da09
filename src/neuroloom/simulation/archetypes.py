"""Kinds of neurons: ranges of channel densities from which distinct cells are drawn.

The ranges surround the perisomatic models of the Allen Cell Types database (Gouwens et al. 2018) and leave
room for narrow and broad, weak and strong, adapting and bursting spikes. Whether a drawn cell is a neuron
at all is not decided here but by simulating it (`neuroloom.simulation.library`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neuroloom.seeds import stream
from neuroloom.simulation.cells import CellSpec

Range = tuple[float, float]


@dataclass(frozen=True)
class Archetype:
    """Ranges of a kind of neuron; every conductance is drawn log-uniformly, in S/cm2.

    Attributes
    ----------
    morphologies
        Names of bundled morphologies.
    soma, axon, dendrite
        Mechanism -> range.
    length_factor, radius_factor, axon_um, axon_diameter_um
        Ranges of the shape.
    calcium_gamma, calcium_decay_ms
        Ranges of the calcium pool.
    """

    morphologies: tuple[str, ...]
    soma: Mapping[str, Range]
    axon: Mapping[str, Range]
    dendrite: Mapping[str, Range]
    length_factor: Range = (0.7, 1.2)
    radius_factor: Range = (0.8, 1.5)
    axon_um: Range = (20.0, 60.0)
    axon_diameter_um: Range = (0.8, 1.8)
    calcium_gamma: Range = (0.0005, 0.01)
    calcium_decay_ms: Range = (20.0, 400.0)


PYRAMIDAL_SHAPES = ("Nr5a1_471087815", "Rorb_325404214", "Scnn1a_473845048")
INTERNEURON_SHAPES = ("Pvalb_469628681", "Pvalb_470522102")

ARCHETYPES: dict[str, Archetype] = {
    # Broad spikes: little Kv3, slow delayed rectifiers.
    "pyramidal": Archetype(
        morphologies=PYRAMIDAL_SHAPES,
        soma={
            "NaTs": (0.6, 2.5),
            "Nap": (2e-5, 2e-4),
            "Kv3_1": (0.4, 3.0),
            "K_P": (0.01, 0.1),
            "K_T": (1e-4, 5e-3),
            "Im": (2e-4, 3e-3),
            "SK": (1e-4, 2e-3),
            "Ca_HVA": (1e-4, 1e-3),
            "Ca_LVA": (5e-4, 7e-3),
            "Ih": (1e-5, 1e-4),
        },
        axon={"NaTs": (1.0, 4.0), "Kv3_1": (0.1, 0.8), "Kd": (1e-3, 1e-2)},
        dendrite={"NaTs": (0.003, 0.06), "Kv3_1": (0.01, 0.12), "Ih": (5e-6, 5e-5)},
        radius_factor=(1.0, 1.9),
    ),
    # Pyramidal with low-threshold calcium and persistent sodium: bursts whose spikes shrink.
    "bursting": Archetype(
        morphologies=PYRAMIDAL_SHAPES,
        soma={
            "NaTs": (0.4, 1.5),
            "Nap": (1e-4, 6e-4),
            "Kv3_1": (0.08, 0.4),
            "K_P": (0.002, 0.01),
            "Im": (1e-4, 1e-3),
            "SK": (5e-4, 4e-3),
            "Ca_HVA": (2e-4, 1.5e-3),
            "Ca_LVA": (5e-3, 1.5e-2),
            "Ih": (1e-5, 1e-4),
        },
        axon={"NaTs": (0.8, 3.0), "Kv3_1": (0.1, 0.5), "Kd": (5e-4, 5e-3)},
        dendrite={
            "NaTs": (0.005, 0.05),
            "Kv3_1": (0.003, 0.04),
            "Ca_HVA": (2e-5, 2e-4),
            "Ca_LVA": (2e-4, 2e-3),
            "Ih": (5e-6, 5e-5),
        },
        radius_factor=(1.0, 1.9),
        calcium_gamma=(0.001, 0.02),
    ),
    # Narrow spikes: strong Kv3.
    "fast_spiking": Archetype(
        morphologies=INTERNEURON_SHAPES,
        soma={
            "NaV": (0.04, 0.2),
            "Kv3_1": (0.3, 1.2),
            "Kv2like": (0.01, 0.08),
            "Kd": (1e-4, 4e-3),
            "K_T": (1e-3, 0.03),
            "Im_v2": (5e-4, 8e-3),
            "Ih": (1e-5, 8e-5),
        },
        axon={"NaV": (0.1, 0.6), "Kv3_1": (0.4, 1.5), "Kd": (1e-3, 1e-2)},
        dendrite={"NaV": (1e-4, 3e-3), "Kv3_1": (0.001, 0.05)},
        radius_factor=(0.8, 1.4),
    ),
    # Neither as narrow nor as regular: somatostatin- and VIP-like.
    "interneuron": Archetype(
        morphologies=INTERNEURON_SHAPES,
        soma={
            "NaTs": (0.4, 2.0),
            "Kv3_1": (0.15, 0.8),
            "Kv2like": (0.01, 0.08),
            "K_T": (1e-3, 0.02),
            "Im": (1e-4, 2e-3),
            "SK": (1e-4, 2e-3),
            "Ca_HVA": (5e-5, 5e-4),
            "Ca_LVA": (5e-4, 5e-3),
            "Ih": (1e-5, 8e-5),
        },
        axon={"NaTs": (0.6, 3.0), "Kv3_1": (0.2, 1.0)},
        dendrite={"NaTs": (0.001, 0.03), "Kv3_1": (0.001, 0.05)},
        radius_factor=(0.9, 1.8),
    ),
}


def draw_cell(archetype: str, *, index: int, seed: int = 0) -> CellSpec:
    """Return the `index`-th cell of an archetype; the same arguments always give the same cell."""
    kind = ARCHETYPES[archetype]
    random = stream(seed, "cell", archetype, index)

    def uniform(bounds: Range) -> float:
        return float(random.uniform(*bounds))

    def conductances(ranges: Mapping[str, Range]) -> dict[str, float]:
        return {name: float(np.exp(random.uniform(*np.log(bounds)))) for name, bounds in ranges.items()}

    soma, axon, dendrite = conductances(kind.soma), conductances(kind.axon), conductances(kind.dendrite)
    soma_leak = float(np.exp(random.uniform(*np.log((1e-4, 6e-4)))))
    dendrite_capacitance = uniform((1.0, 2.2))
    passive_dendrite = (float(np.exp(random.uniform(*np.log((8e-6, 4e-5))))), dendrite_capacitance)
    return CellSpec(
        name=f"{archetype}-{index:03d}",
        archetype=archetype,
        morphology=str(random.choice(kind.morphologies)),
        densities={"soma": soma, "axon": axon, "dend": dendrite, "apic": dendrite},
        passive={
            "soma": (soma_leak, 1.0),
            "axon": (soma_leak, 1.0),
            "dend": passive_dendrite,
            "apic": passive_dendrite,
        },
        length_factor=uniform(kind.length_factor),
        radius_factor=uniform(kind.radius_factor),
        pruned_fraction=float(random.choice([0.0, 0.25, 0.5])),
        axon_um=uniform(kind.axon_um),
        axon_diameter_um=uniform(kind.axon_diameter_um),
        leak_mv=uniform((-90.0, -70.0)),
        axial_ohm_cm=uniform((80.0, 180.0)),
        calcium=(uniform(kind.calcium_gamma), uniform(kind.calcium_decay_ms)),
        seed=seed,
    )
