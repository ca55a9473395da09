"""Many-body systems with a known graph of interactions: gravity, springs and charges in a plane.

A trial holds several systems at once that do not feel each other, e.g. two pairs of bodies. As in Liu et al.,
"Seeing the forest and the tree", NeurIPS 2022 (after Greydanus et al., "Hamiltonian neural networks", NeurIPS
2019) for gravity, and Kipf et al., "Neural relational inference", ICML 2018, for springs and charges. Units
have no dimension: the gravitational constant is 1.
"""

import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from neuroloom import seeds
from neuroloom.artifacts import fingerprint, load_artifact, save_artifact
from neuroloom.errors import CorruptArtifact, DataError
from neuroloom.simulation.many_body_trials import ManyBodyTrials

Law = Literal["gravity", "springs", "charges"]
LAWS = ("gravity", "springs", "charges")
KIND = "many-body-trials"
# Of scipy's DOP853. Over 200 trials of each law the energy drifts by at most 3e-8 of the kinetic energy.
RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE = 1e-9, 1e-9
# Trials in one file of the cache.
PIECE = 256


@dataclass(frozen=True, kw_only=True)
class ManyBody:
    """What is simulated; `two_body` and `three_body` are those of the paper.

    Attributes
    ----------
    systems
        Bodies of each system; bodies of different systems do not interact.
    law
        ``"gravity"``: m_i m_j / r² towards each other. ``"springs"``: strength x r towards each other,
        between pairs drawn at random. ``"charges"``: q_i q_j / r² away from each other.
    masses
        Range of the mass of each role in a system, (low, high); the last one holds for all further roles.
    strength, connected
        Of springs: stiffness, and probability that a pair of one system has one.
    charges
        Values that a charge is drawn from; a body of charge 0 interacts with none.
    softening
        Length added to distances (Plummer), so that unlike charges can pass through each other.
    radius
        Range of both coordinates of the first body of a system; the others stand around the same circle.
    turned
        Turn every system by a random angle. In the released code the first body always starts in the first
        quadrant, which tells something of its role.
    velocity_noise, shared_noise
        Relative noise of the velocity of a circular orbit of unit masses: normal and the same for all
        bodies of a system, or uniform for each body and coordinate.
    duration, n_steps
        Simulated time, and points in it.
    """

    systems: tuple[int, ...] = (2, 2)
    law: Law = "gravity"
    masses: tuple[tuple[float, float], ...] = ((1.0, 1.0),)
    strength: float = 1.0
    connected: float = 0.5
    charges: tuple[float, ...] = (-1.0, 1.0)
    softening: float = 0.0
    radius: tuple[float, float] = (0.5, 1.5)
    turned: bool = True
    velocity_noise: float = 0.05
    shared_noise: bool = True
    duration: float = 10.0
    n_steps: int = 50

    def __post_init__(self):
        # From JSON these come as lists.
        object.__setattr__(self, "systems", tuple(int(n) for n in self.systems))
        object.__setattr__(self, "masses", tuple((float(low), float(high)) for low, high in self.masses))
        object.__setattr__(self, "charges", tuple(float(each) for each in self.charges))
        object.__setattr__(self, "radius", (float(self.radius[0]), float(self.radius[1])))
        low, high = self.radius
        wanted = {
            "systems": (
                bool(self.systems) and min(self.systems) >= 1,
                "at least one, each of 1 body or more",
            ),
            "law": (self.law in LAWS, f"one of {', '.join(LAWS)}"),
            "masses": (
                bool(self.masses) and all(0 < a <= b < np.inf for a, b in self.masses),
                "positive ranges (low, high)",
            ),
            "strength": (0 < self.strength < np.inf, "a positive number"),
            "connected": (0 <= self.connected <= 1, "a probability"),
            "charges": (bool(self.charges) and bool(np.isfinite(self.charges).all()), "finite values"),
            "softening": (0 <= self.softening < np.inf, "0 or more"),
            "radius": (0 < low <= high < np.inf, "a positive range (low, high)"),
            "velocity_noise": (0 <= self.velocity_noise < np.inf, "0 or more"),
            "duration": (0 < self.duration < np.inf, "a positive time"),
            "n_steps": (self.n_steps >= 2, "at least 2 points in time"),
        }
        for name, (fits, expected) in wanted.items():
            if not fits:
                raise DataError(f"{name} is {getattr(self, name)!r}", expected=expected, remedy="change it")

    @property
    def n_bodies(self) -> int:
        """Bodies of a trial."""
        return sum(self.systems)

    def potential(self, positions: np.ndarray, couplings: np.ndarray) -> np.ndarray:
        """Return the potential energy (...) of bodies at positions (..., bodies, 2).

        `couplings` (..., bodies, bodies): -m_i m_j, stiffness, or q_i q_j; 0 where two do not interact.
        """
        apart = positions[..., :, None, :] - positions[..., None, :, :]
        squared = (apart**2).sum(axis=-1) + self.softening**2
        if self.law == "springs":
            return (couplings * squared).sum(axis=(-2, -1)) / 4  # every pair is met twice
        distance = np.where(couplings != 0, np.sqrt(squared), 1.0)
        return (couplings / distance).sum(axis=(-2, -1)) / 2

    def forces(self, positions: np.ndarray, couplings: np.ndarray) -> np.ndarray:
        """Return the force on every body, shape as `positions` (bodies, 2)."""
        apart = positions[:, None] - positions[None]  # (bodies, bodies, 2)
        if self.law == "springs":
            return -(couplings[..., None] * apart).sum(axis=1)
        squared = (apart**2).sum(axis=-1) + self.softening**2
        distance = np.where(couplings != 0, np.sqrt(squared), 1.0)
        return ((couplings / distance**3)[..., None] * apart).sum(axis=1)


def two_body(**changes: Any) -> ManyBody:
    """Return two pairs of bodies under gravity, a lighter and a heavier one in each.

    Examples
    --------
    >>> two_body().n_bodies
    4
    """
    return ManyBody(**{"masses": ((0.8, 1.2), (1.2, 1.6)), **changes})


def three_body(**changes: Any) -> ManyBody:
    """Return two triples of equal bodies under gravity, 200 points in time."""
    settings: dict[str, Any] = {
        "systems": (3, 3),
        "radius": (0.9 / np.sqrt(2), 1.2 / np.sqrt(2)),
        "velocity_noise": 0.1,
        "shared_noise": False,
        "n_steps": 200,
    }
    return ManyBody(**(settings | changes))


def simulate_many_body(
    config: ManyBody,
    n_trials: int,
    *,
    seed: int = 0,
    cache: str | os.PathLike | None = None,
    quiet: bool = True,
) -> ManyBodyTrials:
    """Simulate trials; a trial depends on config, seed and its number alone.

    Parameters
    ----------
    config
        The systems.
    n_trials
        How many.
    seed
        Names the random streams ``many-body/<trial>``.
    cache
        Folder that keeps the trials, 256 in a file: they are simulated once, also where more of them are
        asked for later, and a stopped run goes on. A damaged file is simulated again.
    quiet
        No progress bar.

    Raises
    ------
    DataError
        If there is nothing to simulate, or bodies come so close that the tolerance cannot be kept.

    Notes
    -----
    Pieces are simulated by joblib's workers; see `neuroloom.simulation.workers.workers`.

    Examples
    --------
    >>> simulate_many_body(two_body(), 3).positions.shape
    (3, 4, 50, 2)
    """
    from joblib import Parallel, delayed
    from tqdm import tqdm

    if n_trials < 1:
        raise DataError(f"{n_trials} trials", expected="at least 1", remedy="pass n_trials=500")
    size = min(PIECE, n_trials) if cache is None else PIECE
    firsts = range(0, n_trials, size)
    work = (delayed(_piece)(config, first, size, seed, cache) for first in firsts)
    parts = []
    with tqdm(total=n_trials, desc="trials", unit="", disable=quiet) as bar:
        for part in Parallel(return_as="generator")(work):
            parts.append(part)
            bar.update(min(size, n_trials - bar.n))
    joined = {name: np.concatenate([part[name] for part in parts])[:n_trials] for name in parts[0]}
    return ManyBodyTrials(
        **joined,
        trial=np.arange(n_trials),
        times=np.linspace(0, config.duration, config.n_steps),
    )


def simulate_trial(config: ManyBody, number: int, *, seed: int = 0) -> dict[str, np.ndarray]:
    """Simulate one trial; returns the fields of `ManyBodyTrials` without the axis of trials."""
    from scipy.integrate import solve_ivp

    random = seeds.stream(seed, "many-body", number)
    role = np.concatenate([np.arange(n) for n in config.systems])
    system = np.repeat(np.arange(len(config.systems)), config.systems)
    ranges = np.array(config.masses)[np.minimum(role, len(config.masses) - 1)]
    masses = random.uniform(ranges[:, 0], ranges[:, 1])
    couplings = _couplings(config, system, masses, random)
    starts = [_ring(config, n, random) for n in config.systems]
    start = np.concatenate([np.concatenate(each) for each in zip(*starts, strict=True)])
    n = config.n_bodies

    def change(_: float, state: np.ndarray) -> np.ndarray:
        moving = state.reshape(2, n, 2)
        pull = config.forces(moving[0], couplings) / masses[:, None]
        return np.concatenate([moving[1].ravel(), pull.ravel()])

    times = np.linspace(0, config.duration, config.n_steps)
    solved = solve_ivp(
        change, (0, config.duration), start.ravel(), method="DOP853", t_eval=times,
        rtol=RELATIVE_TOLERANCE, atol=ABSOLUTE_TOLERANCE,
    )  # fmt: skip
    if not solved.success:
        raise DataError(
            f"trial {number} cannot be integrated after t = {solved.t[-1] if len(solved.t) else 0:g} "
            f"({solved.message})",
            expected="bodies that keep a distance",
            remedy="pass softening=0.1, a larger radius or less velocity_noise",
        )
    path = solved.y.reshape(2, n, 2, config.n_steps).transpose(0, 1, 3, 2)  # (2, bodies, steps, 2)
    return {
        "positions": path[0],
        "velocities": path[1],
        "masses": masses,
        "couplings": couplings,
        "system": system,
        "role": role,
    }


def energy(config: ManyBody, trials: ManyBodyTrials) -> np.ndarray:
    """Return the total energy at every point in time, (trials, steps); it is constant in truth."""
    kinetic = (trials.masses[..., None] * (trials.velocities**2).sum(axis=-1)).sum(axis=1) / 2
    moving = trials.positions.swapaxes(1, 2)  # (trials, steps, bodies, 2)
    return kinetic + config.potential(moving, trials.couplings[:, None])


def _couplings(
    config: ManyBody, system: np.ndarray, masses: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """Return -m_i m_j, stiffnesses or q_i q_j within systems, (bodies, bodies)."""
    within = (system[:, None] == system) & ~np.eye(len(system), dtype=bool)
    if config.law == "gravity":
        strengths = -np.outer(masses, masses)
    elif config.law == "springs":
        drawn = np.triu(random.random(within.shape) < config.connected, 1)
        strengths = config.strength * (drawn | drawn.T)
    else:
        charges = random.choice(config.charges, len(system))
        strengths = np.outer(charges, charges)
    return np.where(within, strengths, 0.0)


def _ring(config: ManyBody, n: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Place n bodies around a circle, each with the velocity of a circular orbit of unit masses.

    Returns
    -------
    positions, velocities : ndarray
        Both (bodies, 2).
    """
    first = random.uniform(*config.radius, size=2)
    radius = np.hypot(*first)
    angle = np.arctan2(first[1], first[0]) + config.turned * random.uniform(0, 2 * np.pi)
    angles = angle + 2 * np.pi * np.arange(n) / n
    # Of n unit masses around a circle each feels (1 / 4 r²) sum_k 1 / sin(pi k / n) towards the centre.
    pull = (1 / np.sin(np.pi * np.arange(1, n) / n)).sum() / 4
    speed = np.sqrt(pull / radius)
    positions = radius * np.column_stack([np.cos(angles), np.sin(angles)])
    velocities = speed * np.column_stack([-np.sin(angles), np.cos(angles)])
    if config.shared_noise:
        velocities *= 1 + config.velocity_noise * random.standard_normal()
    else:
        velocities *= 1 + config.velocity_noise * random.uniform(-1, 1, size=(n, 2))
    return positions, velocities


def _piece(
    config: ManyBody, first: int, size: int, seed: int, cache: str | os.PathLike | None
) -> dict[str, np.ndarray]:
    """Return trials ``first`` to ``first + size``, from the cache if they are there."""
    identity = fingerprint(asdict(config), seed, first, size, RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE)
    folder = None if cache is None else Path(cache) / f"many-body-{identity[:16]}"
    if folder is not None and folder.exists():
        try:
            artifact = load_artifact(folder, kind=KIND)
            if artifact.provenance["data_fingerprint"] == identity:
                return artifact.arrays
        except CorruptArtifact:
            shutil.rmtree(folder)
    trials = [simulate_trial(config, number, seed=seed) for number in range(first, first + size)]
    arrays = {name: np.stack([each[name] for each in trials]) for name in trials[0]}
    if folder is not None:
        save_artifact(
            folder, kind=KIND, document={"first": first}, arrays=arrays, config=asdict(config), seed=seed,
            data_fingerprint=identity,
        )  # fmt: skip
    return arrays
