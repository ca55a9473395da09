"""From simulated animals to a POYO that meets unseen ones: ``neuroloom pretrain poyo``.

The sessions of the training animals teach what all animals share. Their own embeddings are then forgotten:
what is kept adapts to any session of the same behaviour by unit identification.
"""

import os
import shlex
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from neuroloom.artifacts import fingerprint
from neuroloom.decoding.poyo import PoyoConfig
from neuroloom.decoding.poyo_adapt import SESSIONS, UNITS
from neuroloom.decoding.poyo_decoder import PoyoDecoder
from neuroloom.errors import DataError
from neuroloom.sessions.session import Session
from neuroloom.simulation.populations import ReachingSession, simulate_cohort, simulate_reaching
from neuroloom.simulation.reaches import Task

NAME, TARGET = "poyo-reaching-small", "velocity"
# Animals from here on are never trained on.
UNSEEN_ANIMALS = 100
TEST_S = 180.0
GAP_S = 1.0
KEEP_UNITS = (20, 60, 100)
# Half the latents of "small": as many windows again for the same time of a processor.
CONFIG = PoyoConfig(latents_per_step=4, ffn_dropout=0.1, linear_dropout=0.1)


def make_pretrained(
    out: str | os.PathLike,
    *,
    n_sessions: int = 96,
    n_animals: int = 24,
    minutes_each: float = 8.0,
    config: str | PoyoConfig = CONFIG,
    steps: int = 16_000,
    batch_size: int = 32,
    learning_rate: float = 2e-3,
    seed: int = 0,
    device: str = "auto",
    quiet: bool = False,
) -> Path:
    """Train on simulated reaching sessions and write ``<out>/poyo-reaching-small`` with its card.

    Parameters
    ----------
    out
        Folder; checkpoints go to ``<out>/runs/poyo``, where an interrupted run is resumed.
    n_sessions, n_animals, minutes_each
        Sessions altogether, animals that they are dealt to, and training data of each session.
    config, steps, batch_size, learning_rate, seed, device, quiet
        As in `PoyoDecoder`.

    Returns
    -------
    Path
        The folder of the decoder, for `neuroloom.load_decoder`.

    Raises
    ------
    DataError
        If there are too few sessions or animals, or `out` holds another run.
    """
    if not 1 <= n_animals <= min(n_sessions, UNSEEN_ANIMALS):
        raise DataError(
            f"{n_sessions} sessions of {n_animals} animals",
            expected=f"at least one session an animal, and at most {UNSEEN_ANIMALS} animals",
            remedy="change the number of sessions or of animals",
        )
    train_s = 60.0 * minutes_each
    cohort = simulate_cohort(
        n_sessions=n_sessions,
        animals=range(n_animals),
        duration_s=train_s + GAP_S + TEST_S / 3,
        seed=seed,
    )
    sessions = [as_session(each) for each in cohort]
    decoder = PoyoDecoder(
        TARGET,
        config=config,
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        unit_dropout=KEEP_UNITS,
        validation_fraction=0.05,
        device=device,
        seed=seed,
        quiet=quiet,
    )
    began = time.process_time()
    out = Path(out)
    decoder.fit([each.restrict((0.0, train_s)) for each in sessions], folder=out / "runs" / "poyo")
    cpu_s = time.process_time() - began
    held_out = [
        decoder.score(each.restrict((train_s + GAP_S, each.time_support.end[-1]))) for each in sessions
    ]
    # Where it is adapted, and how much of a few minutes decides there, are other questions.
    decoder.device, decoder.validation_fraction = "auto", None
    options = {
        "sessions": n_sessions,
        "animals": n_animals,
        "minutes-each": f"{minutes_each:g}",
        "config": config if isinstance(config, str) else None,
        "steps": steps,
        "batch-size": batch_size,
        "learning-rate": f"{learning_rate:g}",
        "seed": seed,
        "device": device,
    }
    words = [
        word for name, value in options.items() if value is not None for word in (f"--{name}", str(value))
    ]
    decoder.card_ = {
        "name": NAME,
        "data": {
            "source": "neuroloom.simulation.populations.simulate_cohort (simulated; no recordings)",
            "sessions": n_sessions,
            "animals": n_animals,
            "units": len(decoder.rows_),
            "minutes_each": minutes_each,
            "bin_s": decoder.bin_s,
        },
        "seed": seed,
        "command": f"neuroloom pretrain poyo --out FOLDER {shlex.join(words)}",
        "date": datetime.now(UTC).date().isoformat(),
        "licence": "BSD-3-Clause",
        "training": {
            "best_step": decoder.training_.best_step,
            "validation_loss": decoder.training_.best_loss,
            "cpu_s_since_resume": round(cpu_s),
        },
        "figures": {
            "r2_held_out_time": _summary(held_out),
            "r2_unseen_animals": unseen_animals(forget_sessions(decoder), seed=seed, out=out),
        },
    }
    return decoder.save(out / NAME)


def as_session(simulated: ReachingSession) -> Session:
    """Return a simulated session as one of ours."""
    return Session.from_arrays(**simulated.as_session_arguments())


def unseen_session(
    number: int, *, minutes: float, seed: int = 0, n_units: int = 60
) -> tuple[Session, Session]:
    """Return minutes to adapt on and the three minutes after them, of an animal that is never trained on.

    Parameters
    ----------
    number
        Number of the animal among the unseen ones; even ones reach centre-out, odd ones at random.
    minutes
        The session's length before its last three minutes.
    seed, n_units
        As in `simulate_reaching`.
    """
    tasks: tuple[Task, Task] = ("center_out", "random_target")
    learn_s = 60.0 * minutes
    simulated = simulate_reaching(
        UNSEEN_ANIMALS + number,
        task=tasks[number % 2],
        n_units=n_units,
        duration_s=learn_s + GAP_S + TEST_S,
        seed=seed,
    )
    session = as_session(simulated)
    return session.restrict((0.0, learn_s)), session.restrict((learn_s + GAP_S, simulated.duration_s))


def unseen_animals(
    decoder: PoyoDecoder, *, seed: int, out: Path, numbers: Sequence[int] = (0, 1), minutes: float = 2.0
) -> dict[str, Any]:
    """Return R² on unseen animals after unit identification on some minutes."""
    from neuroloom.decoding.estimator import load_decoder

    scores, start = [], decoder.save(out / "runs" / "forgetful")
    for number in numbers:
        adapted = load_decoder(start)
        learn, test = unseen_session(number, minutes=minutes, seed=seed)
        scores.append(adapted.adapt(learn).score(test))
    return {"minutes": minutes} | _summary(scores)


def forget_sessions(decoder: PoyoDecoder) -> PoyoDecoder:
    """Drop the embeddings of units and sessions, keeping their means for new ones to start from.

    Returns
    -------
    PoyoDecoder
        The same decoder: it knows no session, and adapts to any with the same target.
    """
    model = decoder.model_
    for name in (UNITS, SESSIONS):
        known = model.get_submodule(name).get_parameter("weight").detach()
        decoder.centres_[name] = known.mean(0)
        setattr(model, name, nn.Embedding.from_pretrained(known[:0].clone(), freeze=False))
    decoder.sessions_, decoder.rows_, decoder.scales_ = [], {}, {}
    decoder.units_, decoder.findings_ = {}, []
    decoder.data_fingerprint_ = fingerprint(decoder.data_fingerprint_)
    return decoder


def _summary(scores: list[float]) -> dict[str, float]:
    return {
        "sessions": len(scores),
        "mean": round(float(np.mean(scores)), 4),
        "least": round(float(np.min(scores)), 4),
        "most": round(float(np.max(scores)), 4),
    }
