"""Reaching sessions with truth: arm movements, and the spikes of motor units tuned to them.

An animal has its habits (speed, reaction time, firing rates, the distribution of preferred directions, shared
noise); every session of it has new units. So whatever a decoder carries from session to session, and from
animal to animal, it has learned about the code and not about single units.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuroloom import seeds
from neuroloom.errors import DataError
from neuroloom.simulation.reaches import TRIAL_COLUMNS, Task, kinematics, lay_reaches

_STEP_S = 0.005


@dataclass(frozen=True)
class Animal:
    """Habits of one animal, drawn by `make_animal`.

    Attributes
    ----------
    name
        Name of the animal.
    mean_speed_cm_s
        Mean speed within a reach.
    reaction_s, hold_s
        Mean waiting time before a reach, and at its target.
    mean_rate_hz, refractory_s
        Median baseline rate of its units, and their dead time after a spike (0: Poisson).
    preferred_axis_rad, axis_strength
        Preferred directions crowd around this axis, and how much (0: uniform, below 1).
    lead_s
        Mean time by which firing leads movement.
    noise
        Standard deviation of the shared fluctuations of log rate.
    """

    name: str
    mean_speed_cm_s: float
    reaction_s: float
    hold_s: float
    mean_rate_hz: float
    refractory_s: float
    preferred_axis_rad: float
    axis_strength: float
    lead_s: float
    noise: float


@dataclass(frozen=True)
class ReachingSession:
    """One simulated session: plain arrays, and the truth about its units.

    Attributes
    ----------
    id, subject
        Names of session and animal.
    duration_s
        The session is observed from 0 to here.
    spike_times_s
        One ascending array per unit.
    times_s
        Behaviour samples, shape (samples,).
    position_cm, velocity_cm_s
        Shape (samples, 2).
    trials
        Arrays of equal length: start, end (seconds), onset (start of the movement), direction_rad,
        direction (one of eight, as text), target_x, target_y.
    units
        Truth, arrays of shape (units,): preferred_direction_rad, baseline_hz, direction_gain, speed_gain,
        position_gain_x, position_gain_y, lead_s.
    """

    id: str
    subject: str
    duration_s: float
    spike_times_s: list[np.ndarray]
    times_s: np.ndarray
    position_cm: np.ndarray
    velocity_cm_s: np.ndarray
    trials: dict[str, np.ndarray]
    units: dict[str, np.ndarray]

    def as_session_arguments(self) -> dict[str, Any]:
        """Return the keyword arguments of ``Session.from_arrays``."""
        import pandas as pd

        return {
            "id": self.id,
            "subject": self.subject,
            "spike_times_s": self.spike_times_s,
            "behavior": {
                "velocity": (self.times_s, self.velocity_cm_s),
                "position": (self.times_s, self.position_cm),
            },
            "trials": pd.DataFrame(self.trials),
            "time_support": (0.0, self.duration_s),
            "unit_metadata": dict(self.units),
        }


def make_animal(number: int, *, seed: int = 0) -> Animal:
    """Draw the habits of an animal.

    Examples
    --------
    >>> make_animal(3).name
    'animal-3'
    """
    random = seeds.stream(seed, "animal", number)
    return Animal(
        name=f"animal-{number}",
        mean_speed_cm_s=random.uniform(9, 16),
        reaction_s=random.uniform(0.15, 0.35),
        hold_s=random.uniform(0.15, 0.5),
        mean_rate_hz=random.uniform(2, 5),
        refractory_s=float(random.choice([0.0, 0.002, 0.004])),
        preferred_axis_rad=random.uniform(0, np.pi),
        axis_strength=random.uniform(0.0, 0.5),
        lead_s=random.uniform(0.06, 0.14),
        noise=random.uniform(0.4, 0.7),
    )


def simulate_reaching(
    animal: Animal | int = 0,
    *,
    session: int = 0,
    task: Task = "center_out",
    n_units: int = 60,
    duration_s: float = 300.0,
    rate_hz: float = 50.0,
    seed: int = 0,
) -> ReachingSession:
    """Simulate one session of minimum-jerk reaches and the spikes of units tuned to them.

    The log rate of a unit is linear in the velocity along its preferred direction, in speed and in position,
    all taken `lead_s` later, plus slow fluctuations that the units share; spikes are Poisson, or Poisson
    with a dead time whose mean rate is the same.

    Parameters
    ----------
    animal
        An `Animal`, or the number of one.
    session
        Number of the session; other numbers have other units and movements.
    task
        ``"center_out"``: to one of eight targets and back; ``"random_target"``: from target to target.
    n_units
        Number of units.
    duration_s
        Length of the session.
    rate_hz
        Sampling rate of the behaviour.
    seed
        Seed of all of it.

    Raises
    ------
    DataError
        If the task is unknown or a number is out of range.

    Examples
    --------
    >>> session = simulate_reaching(0, n_units=5, duration_s=20.0)
    >>> len(session.spike_times_s), session.velocity_cm_s.shape
    (5, (1000, 2))
    """
    if task not in ("center_out", "random_target"):
        raise DataError(
            f"task {task!r}", expected="'center_out' or 'random_target'", remedy="pass one of them"
        )
    if n_units < 1 or not duration_s >= 5 or not rate_hz > 0:
        raise DataError(
            f"{n_units} units, {duration_s} s, {rate_hz} Hz",
            expected="at least one unit, five seconds and a positive rate",
            remedy="change the argument that is out of range",
        )
    animal = make_animal(animal, seed=seed) if isinstance(animal, int) else animal
    path = (animal.name, "session", session, task)
    trials = lay_reaches(
        task,
        duration_s=duration_s,
        mean_speed_cm_s=animal.mean_speed_cm_s,
        reaction_s=animal.reaction_s,
        hold_s=animal.hold_s,
        random=seeds.stream(seed, *path, "movement"),
    )
    times = (np.arange(round(duration_s * rate_hz)) + 0.5) / rate_hz
    position, velocity = kinematics(trials, times)
    units = _units(animal, n_units, seeds.stream(seed, *path, "units"))
    spikes = _spikes(animal, trials, units, duration_s, seeds.stream(seed, *path, "spikes"))
    return ReachingSession(
        id=f"{animal.name}-{task}-{session}",
        subject=animal.name,
        duration_s=duration_s,
        spike_times_s=spikes,
        times_s=times,
        position_cm=position,
        velocity_cm_s=velocity,
        trials={name: trials[name] for name in TRIAL_COLUMNS},
        units=units,
    )


def simulate_cohort(
    *,
    n_sessions: int = 40,
    animals: Sequence[int] = range(6),
    units_per_session: tuple[int, int] = (40, 100),
    duration_s: float = 600.0,
    seed: int = 0,
) -> list[ReachingSession]:
    """Simulate sessions of several animals, both tasks in turn, with different numbers of units.

    Parameters
    ----------
    n_sessions
        Sessions altogether, dealt to the animals in turn.
    animals
        Their numbers.
    units_per_session
        Smallest and largest number of units.
    duration_s
        Length of every session.
    seed
        Seed of all of it.
    """
    sessions = []
    for number in range(n_sessions):
        n_units = int(seeds.stream(seed, "cohort", number).integers(*units_per_session, endpoint=True))
        sessions.append(
            simulate_reaching(
                animals[number % len(animals)],
                session=number,
                task="center_out" if number // len(animals) % 2 == 0 else "random_target",
                n_units=n_units,
                duration_s=duration_s,
                seed=seed,
            )
        )
    return sessions


def _units(animal: Animal, n_units: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw tuning; preferred directions are pulled towards the animal's axis."""
    angle = random.uniform(0, 2 * np.pi, n_units)
    pull = animal.axis_strength * np.sin(2 * (animal.preferred_axis_rad - angle)) / 2
    return {
        "preferred_direction_rad": (angle + pull) % (2 * np.pi),
        "baseline_hz": animal.mean_rate_hz * random.lognormal(0, 0.6, n_units),
        "direction_gain": random.gamma(1.5, 0.6, n_units),  # log rate per 20 cm/s
        "speed_gain": random.normal(0.2, 0.3, n_units),  # log rate per 20 cm/s
        "position_gain_x": random.normal(0, 0.2, n_units),  # log rate per 10 cm
        "position_gain_y": random.normal(0, 0.2, n_units),
        "lead_s": np.clip(random.normal(animal.lead_s, 0.03, n_units), 0, 0.25),
    }


def _spikes(
    animal: Animal,
    trials: dict[str, Any],
    units: dict[str, np.ndarray],
    duration_s: float,
    random: np.random.Generator,
) -> list[np.ndarray]:
    grid = np.arange(round(duration_s / _STEP_S)) * _STEP_S + _STEP_S / 2
    n_units = len(units["lead_s"])
    shared = _slow_noise(len(grid), 3, random)  # (grid, 3)
    loading = random.normal(0, animal.noise / np.sqrt(3), (3, n_units))
    trains = []
    for unit in range(n_units):
        position, velocity = kinematics(trials, grid + units["lead_s"][unit])
        preferred = units["preferred_direction_rad"][unit]
        along = velocity @ np.array([np.cos(preferred), np.sin(preferred)])
        speed = np.linalg.norm(velocity, axis=1)
        log_rate = (
            np.log(units["baseline_hz"][unit])
            + (units["direction_gain"][unit] * along + units["speed_gain"][unit] * speed) / 20
            + position @ np.array([units["position_gain_x"][unit], units["position_gain_y"][unit]]) / 10
            + shared @ loading[:, unit]
        )
        rate = np.minimum(np.exp(log_rate), 150.0)
        # A dead time d lowers a rate r to r / (1 + r d); start from the rate that ends at the one wanted.
        trains.append(_draw(rate / (1 - rate * animal.refractory_s), duration_s, animal.refractory_s, random))
    return trains


def _slow_noise(n_steps: int, n_sources: int, random: np.random.Generator) -> np.ndarray:
    """Ornstein-Uhlenbeck processes of unit variance and 0.5 s correlation time, (steps, sources)."""
    from scipy.signal import lfilter

    decay = np.exp(-_STEP_S / 0.5)
    shocks = random.normal(size=(n_steps, n_sources)) * np.sqrt(1 - decay**2)
    shocks[0] /= np.sqrt(1 - decay**2)
    return lfilter([1.0], [1.0, -decay], shocks, axis=0)  # pyright: ignore[reportReturnType]


def _draw(
    rate_hz: np.ndarray, duration_s: float, refractory_s: float, random: np.random.Generator
) -> np.ndarray:
    """Draw spikes of an inhomogeneous Poisson process by its time change, then apply the dead time."""
    expected = np.concatenate([[0.0], np.cumsum(rate_hz) * _STEP_S])
    arrivals = np.sort(random.uniform(0, expected[-1], random.poisson(expected[-1])))
    times = np.interp(arrivals, expected, np.linspace(0, duration_s, len(expected)))
    if not refractory_s:
        return times
    kept, last = [], -np.inf
    for time in times:
        if time - last >= refractory_s:
            kept.append(time)
            last = time
    return np.array(kept)
