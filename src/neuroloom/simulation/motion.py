"""Rigid drift of the tissue along the shank: slow wandering and sudden jumps."""

import numpy as np

from neuroloom.seeds import stream
from neuroloom.simulation.scenario import Scenario

MOTION_RATE_HZ = 10.0  # drift is constant between these samples


def displacement(scenario: Scenario, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return how far the tissue has moved towards +y (along the shank), in time.

    Parameters
    ----------
    scenario
        Its ``drift_um`` is the range of the slow part, a sum of three sinusoids of up to three cycles in
        the recording; ``jumps`` steps of ``jump_um`` up or down are added at random times.
    seed
        Of phases, times and directions.

    Returns
    -------
    (times_s, moved_um)
        Shape ``(times,)`` each, at 10 Hz; the first value is 0 where there are no jumps.

    Examples
    --------
    >>> times_s, moved_um = displacement(Scenario(duration_s=30, drift_um=12))
    >>> len(times_s), float(np.ptp(moved_um).round(6))
    (301, 12.0)
    """
    times_s = np.arange(int(np.ceil(scenario.duration_s * MOTION_RATE_HZ)) + 1) / MOTION_RATE_HZ
    random = stream(seed, "motion")
    cycles = random.uniform(0.3, 3.0, 3) * times_s[:, None] / scenario.duration_s
    slow = np.sin(2 * np.pi * (cycles + random.random(3))) @ (1 / np.arange(1, 4))
    slow -= slow[0]
    moved_um = scenario.drift_um * slow / max(float(np.ptp(slow)), 1e-9)
    for _ in range(scenario.jumps):
        when = random.uniform(0.1, 0.9) * scenario.duration_s
        moved_um = moved_um + (times_s >= when) * scenario.jump_um * random.choice([-1.0, 1.0])
    return times_s, moved_um


def positions(moved_um: np.ndarray, *, step_um: float) -> np.ndarray:
    """Return the multiples of `step_um` that enclose a drift, shape ``(positions,)``; 0 without drift."""
    if not np.any(moved_um):
        return np.zeros(1)
    first, last = np.floor(moved_um.min() / step_um), np.ceil(moved_um.max() / step_um)
    return step_um * np.arange(first, last + 1)
