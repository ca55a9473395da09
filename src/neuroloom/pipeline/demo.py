"""The demonstration: the main job on a recording whose truth is known."""

import os
import shlex
from collections.abc import Callable
from pathlib import Path

from neuroloom.errors import DataError
from neuroloom.pipeline.chain import RunConfig, run

SHORTEST_MINUTES = 0.5
# Strong enough that the faintest neurons drown in it, as they do in a real recording.
NOISE_UV = 30.0


def run_demo(
    out: str | os.PathLike,
    *,
    probe: str = "columns-32",
    minutes: float = 2.0,
    seed: int = 0,
    say: Callable[[str], None] = lambda _: None,
) -> Path:
    """Simulate a small motor population during reaching, then sort, decode, audit and report it.

    Parameters
    ----------
    out
        Run folder; a rerun resumes.
    probe
        Name of a built-in probe.
    minutes
        Length of the recording.
    seed
        Of the simulation and of the run.
    say
        Called with one line of text per step.

    Returns
    -------
    Path
        The run folder.

    Raises
    ------
    DataError
        If the recording would be too short to hold out a part of it, or the probe is unknown.
    """
    import pynapple as nap

    from neuroloom.sessions.session import Session
    from neuroloom.simulation.recordings import demo_recording

    if not minutes >= SHORTEST_MINUTES:
        raise DataError(
            f"{minutes:g} minutes",
            expected=f"at least {SHORTEST_MINUTES:g}",
            remedy="pass a larger --minutes",
        )
    say(f"simulate: {minutes:g} minutes of reaching, recorded with {probe}")
    simulated = demo_recording(probe=probe, duration_s=60.0 * minutes, noise_uv=NOISE_UV, seed=seed)
    # The session of the true units brings behaviour and trials into the types that every other run has.
    truth = Session.from_sorting(
        simulated.sorting,
        id="truth",
        behavior={
            name: nap.TsdFrame(times_s, values, columns=["x", "y"])
            for name, (times_s, values) in simulated.behavior.items()
        },
        trials=simulated.trials,
        time_support=(0.0, simulated.recording.get_total_duration()),
    )
    n_neurons = len(simulated.sorting.unit_ids)
    command = ["neuroloom", "demo", "--probe", probe, "--minutes", f"{minutes:g}", "--seed", str(seed)]
    return run(
        simulated.recording,
        out=out,
        behavior=truth.behavior,
        trials=truth.trials,
        truth=simulated.sorting,
        session_id="simulated reaching",
        subject="simulation",
        source=f"{minutes:g} simulated minutes of {n_neurons} neurons tuned to hand velocity",
        command=shlex.join(command),
        config=RunConfig(target="velocity", seed=seed),
        say=say,
    )
