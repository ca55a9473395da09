"""Fit a tiny POYO from the command line: the subject of the torchrun test."""

import json
import os
import sys

from neuroloom import artifacts
from neuroloom.decoding.poyo_decoder import PoyoDecoder
from neuroloom.sessions.session import Session
from neuroloom.simulation.populations import simulate_reaching

TINY = {"dim": 16, "depth": 1, "dim_head": 8, "latents_per_step": 2, "cross_heads": 1, "self_heads": 2}


def main(out: str) -> None:
    """Fit two sessions, adapt to a third, and write every loss met."""
    sessions = [
        Session.from_arrays(**simulate_reaching(animal, n_units=6, duration_s=20.0).as_session_arguments())
        for animal in range(3)
    ]
    decoder = PoyoDecoder(
        "velocity",
        config=TINY,
        steps=10,
        batch_size=32,
        unit_dropout=(2, 4, 6),
        jitter_s=0.01,
        device="cpu",
        quiet=True,
    ).fit(sessions[:2])
    curves = [decoder.curve_]
    decoder.adapt(sessions[2], steps=5)
    curves.append(decoder.curve_)
    if os.environ.get("RANK", "0") == "0":
        curves.append([float(value) for value in decoder.predict(sessions[2]).values.ravel()[:40]])
        artifacts.write_text(out, json.dumps(curves))


if __name__ == "__main__":
    main(sys.argv[1])
