"""POYO on real recordings of reaching monkeys, beside a Wiener filter and a GRU, in the last 15 % of time.

velocity
    R² of hand velocity in m1_stevenson and m1_contdata95 (50 ms counts, placed inside their bins), for
    every seed. POYO starts from the bundled weights, which come from simulated animals alone; with
    --from-scratch, from nothing. Without --causal, POYO reads a window around each output and the Wiener
    filter 6 future bins; the GRU is causal by construction. With --causal, all read only what came before.
joint
    One POYO on both centre-out sessions and the first part of one m1 recording, then unit identification
    on the other m1 recording's first minutes, beside the same POYO and a Wiener filter on those alone.

POYO's settings were chosen with seed 0 on m1_stevenson in the 15 % of time before the last, which is part
of training here. The velocity of m1_contdata95 has an odd autocorrelation: a model with long memory gains
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
STEPS, KEEP_JOINT = 2500, (20, 50, 90)
TARGET, BIN_S, TEST_FRACTION = "velocity", 0.05, 0.15
# POYO starts from the bundled weights: steps of unit identification, then of all weights together.
SETTINGS: dict[str, Any] = {
    "unit_dropout": (20, 50, 100),
    "batch_size": 16,
    "jitter_s": BIN_S,
    "validation_fraction": 0.1,
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
    steps, unit_steps = (5, 5) if args.quick else (args.steps, UNIT_STEPS)
    settings = SETTINGS | {"causal": args.causal, "seed": seed, "device": "cpu", "quiet": not args.progress}
    if args.from_scratch:
        fresh = PoyoDecoder(TARGET, config=CONFIG, steps=steps, learning_rate=RATE, **settings)
        return fresh.fit(learn)
    decoder = load_pretrained(NAME)
    assert isinstance(decoder, PoyoDecoder)
    for name, value in settings.items():
        setattr(decoder, name, value)
    decoder.adapt(learn, mode="units", steps=unit_steps, learning_rate=UNIT_RATE)
    return decoder.adapt(learn, mode="all", steps=steps, learning_rate=10 * RATE)


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
        for peer in ("gru", "wiener"):
            if not scores[peer]:
                continue
            theirs = float(np.mean(scores[peer]))
            # How many times smaller the unexplained part is.
            rows.append(Row(label, ours, theirs, "R²", (1 - theirs) / (1 - ours), told | {"peer": peer}))
    return rows


def joint(args: argparse.Namespace) -> list[Row]:
    """Return a row for each length of the held-out session's data and peer."""
    others = [read_reaching(DATA / "reaching" / f"{stem}.npz") for stem in REACHING]
    learn, test = halves(args.held_out)
    other = next(name for name in NAMES if name != args.held_out)
    settings: dict[str, Any] = {
        "config": CONFIG,
        "unit_dropout": KEEP_JOINT,
        "jitter_s": BIN_S,
        "device": "cpu",
    }
    settings |= {"steps": 5 if args.quick else args.steps, "quiet": not args.progress}
    seed = args.seeds[0]
    pretrained = PoyoDecoder(TARGET, seed=seed, **settings).fit([*others, halves(other)[0]])
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        saved = pretrained.save(Path(scratch) / "joint")
        for minutes in args.minutes:
            end = learn.time_support.end[-1]
            part = learn.restrict((max(end - 60.0 * minutes, 0.0), end))
            scores = {}
            for mode in ("units", "full"):
                adapted = load_decoder(saved)
                assert isinstance(adapted, PoyoDecoder)
                adapted.adapt(part, mode=mode, steps=5 if args.quick else args.adapt_steps)
                scores[mode] = adapted.score(test)
            scores["alone"] = PoyoDecoder(TARGET, seed=seed, **settings).fit(part).score(test)
            scores["wiener"] = WienerDecoder(TARGET, past_bins=10, future_bins=6).fit(part).score(test)
            print(f"{args.held_out}, {minutes:g} minutes: {scores}", flush=True)
            told = conditions("torch", seed=seed, trained_on=[*REACHING, other], each=scores, **settings)
            for peer in ("alone", "wiener"):
                name = f"{args.held_out} after {minutes:g} minutes, unit identification: R²"
                ratio = (1 - scores[peer]) / (1 - scores["units"])
                rows.append(Row(name, scores["units"], scores[peer], "R²", ratio, told | {"peer": peer}))
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
    parser.add_argument("--adapt-steps", type=int, default=200, help="for joint")
    parser.add_argument("--progress", action="store_true", help="show progress bars")
    args = parser.parse_args()
    set_threads(1)
    finish({"velocity": velocity, "joint": joint}[args.what](args), args)


if __name__ == "__main__":
    main()
