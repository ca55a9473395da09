"""Movements of a reaching arm: targets and times of trials, and the minimum-jerk path through them."""

from typing import Any, Literal

import numpy as np

Task = Literal["center_out", "random_target"]
_REACH_CM = 8.0
_HALF_WORKSPACE_CM = 10.0
TRIAL_COLUMNS = ("start", "end", "onset", "direction_rad", "direction", "target_x", "target_y")


def lay_reaches(
    task: Task,
    *,
    duration_s: float,
    mean_speed_cm_s: float,
    reaction_s: float,
    hold_s: float,
    random: np.random.Generator,
) -> dict[str, Any]:
    """Lay trials end to end: wait, reach, hold.

    Parameters
    ----------
    task
        ``"center_out"``: to one of eight targets and back; ``"random_target"``: from target to target.
    duration_s
        Trials that would end later are left out.
    mean_speed_cm_s, reaction_s, hold_s
        Mean speed within a reach, and mean times before and after it.
    random
        Source of targets and times.

    Returns
    -------
    dict
        Arrays of equal length: those of `TRIAL_COLUMNS`, and of every movement its length in time
        (``moving``) and its origin (``from_x``, ``from_y``).
    """
    here, now, rows = np.zeros(2), 0.0, []
    while True:
        if task == "random_target":
            target = random.uniform(-_HALF_WORKSPACE_CM, _HALF_WORKSPACE_CM, 2)
        elif len(rows) % 2:
            target = np.zeros(2)
        else:
            angle = random.integers(8) * np.pi / 4
            target = _REACH_CM * np.array([np.cos(angle), np.sin(angle)])
        way = target - here
        wait = reaction_s * random.gamma(8, 1 / 8)
        # Longer reaches are faster, as Fitts' law has it.
        moving = 0.25 + np.linalg.norm(way) / mean_speed_cm_s * random.gamma(40, 1 / 40)
        end = now + wait + moving + hold_s * random.gamma(8, 1 / 8)
        if end > duration_s:
            break
        direction = float(np.arctan2(way[1], way[0]) % (2 * np.pi))
        rows.append((now, end, now + wait, moving, *here, *target, direction))
        here, now = target, end
    columns = np.array(rows).reshape(-1, 9).T
    names = ("start", "end", "onset", "moving", "from_x", "from_y", "target_x", "target_y", "direction_rad")
    trials: dict[str, Any] = dict(zip(names, columns, strict=True))
    octant = np.round(trials["direction_rad"] / (np.pi / 4)).astype(int) % 8
    trials["direction"] = np.array(["E", "NE", "N", "NW", "W", "SW", "S", "SE"])[octant]
    return trials


def kinematics(trials: dict[str, Any], times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Position and velocity of minimum-jerk movements (Flash & Hogan 1985), each (samples, 2)."""
    number = np.clip(np.searchsorted(trials["start"], times_s, side="right") - 1, 0, None)
    moving = trials["moving"][number]
    phase = np.clip((times_s - trials["onset"][number]) / moving, 0, 1)
    origin = np.column_stack([trials["from_x"], trials["from_y"]])[number]
    way = np.column_stack([trials["target_x"], trials["target_y"]])[number] - origin
    progress = phase**3 * (10 - 15 * phase + 6 * phase**2)
    pace = 30 * phase**2 * (1 - phase) ** 2 / moving
    return origin + progress[:, None] * way, pace[:, None] * way
