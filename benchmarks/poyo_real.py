"""POYO on real recordings of reaching monkeys, beside a Wiener filter and a GRU, in the last 15 % of time.

velocity
    R² of hand velocity in m1_stevenson and m1_contdata95 (50 ms counts, placed inside their bins), for
    every seed. POYO starts from the bundled weights, which come from simulated animals alone. Offline, POYO
    reads a window around each output and the Wiener filter 6 future bins; causally, all read only what came
    before, as the GRU always does. Every run is a row of --json as soon as it ends; what is there already
    is not measured again.
joint
    The bundled weights learn both centre-out sessions and one m1 recording together, then meet the other
    m1 recording in its last training minutes; beside the bundled weights without the real sessions,
    a POYO that starts from nothing, and a Wiener filter, on the same minutes.

POYO's settings were chosen on training time alone: rates and unit dropout with seed 0 on m1_stevenson,
causally, 1,250 steps, in the last tenth of the training time (R² .844 with 20, 50, 100 units and .002; .891
with 60, 110, 171 units, .895 with .004 too; .895 and .892 with 100, 140, 171 units); the steps by this
program, on each recording with seed 0, offline: they are doubled from 1,250 up to 10,000 for as long as R² in
that tenth gains .005. The same tenth, which no POYO here learns from, decides which weights are kept.
The velocity of m1_contdata95 has an odd autocorrelation: a model with long memory gains much there, so its
score says little about decoding.

    python benchmarks/poyo_real.py velocity --json real.json          # all of it: some hours of one core
    python benchmarks/poyo_real.py joint --json joint.json
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict
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
MODES, KINDS = ("offline", "causal"), ("wiener", "gru", "poyo")
STEPS, ENOUGH = (1250, 2500, 5000, 10000), 0.005
TARGET, BIN_S, TEST_FRACTION = "velocity", 0.05, 0.15
# POYO starts from the bundled weights: steps of unit identification, then of all weights together.
SETTINGS: dict[str, Any] = {
    "unit_dropout": (60, 110, 171),
    "batch_size": 16,
    "jitter_s": BIN_S,
    "validation_fraction": 0.1,
    "learning_rate": 4e-3,
}
UNIT_STEPS, UNIT_RATE, RATE = 150, 1e-2, 4e-3


def halves(name: str) -> tuple[Session, Session]:
    """Return the training part of a recording, and its last 15 % of time."""
    path = DATA / "continuous_reaching" / f"{name}.npz"
    if not path.exists():
        raise MissingFile(f"{path} does not exist", expected="the shared data", remedy="fetch it first")
    session = read_continuous(path)
    learn, test = split_time(session, (1 - TEST_FRACTION, TEST_FRACTION), bin_s=BIN_S)
    return session.restrict(learn), session.restrict(test)


def wiener(learn: Session, *, causal: bool) -> Decoder:
    """Return a Wiener filter that has learned."""
    return WienerDecoder(TARGET, past_bins=10, future_bins=0 if causal else 6).fit(learn)


def gru(learn: Session, seed: int, args: argparse.Namespace) -> Decoder:
    """Return a GRU that has learned."""
    return GRUDecoder(TARGET, steps=20 if args.quick else 1000, seed=seed, quiet=True).fit(learn)


def poyo(learn: Session, seed: int, steps: int, args: argparse.Namespace, *, causal: bool) -> PoyoDecoder:
    """Return a POYO that started from the bundled weights."""
    decoder = from_bundled(args, seed, causal=causal)
    decoder.adapt(learn, mode="units", steps=5 if args.quick else UNIT_STEPS, learning_rate=UNIT_RATE)
    return decoder.adapt(learn, mode="all", steps=5 if args.quick else steps, learning_rate=10 * RATE)


def from_bundled(args: argparse.Namespace, seed: int, *, causal: bool = False) -> PoyoDecoder:
    """Return the bundled decoder with the settings of this benchmark."""
    decoder = load_pretrained(NAME)
    assert isinstance(decoder, PoyoDecoder)
    settings = SETTINGS | {"causal": causal, "seed": seed, "device": "cpu", "quiet": not args.progress}
    for name, value in settings.items():
        setattr(decoder, name, value)
    return decoder


def validation_r2(decoder: PoyoDecoder) -> float:
    """Return R² of the weights that were kept, in the last tenth of the training time."""
    return max(row["r2"] for row in decoder.curve_ if row["r2"] is not None)


def velocity(args: argparse.Namespace) -> list[Row]:
    """Return a row for each run, and print their means over seeds."""
    done = {row.name: row for row in earlier(args.json)}
    for name in args.recordings:
        learn, test = halves(name)

        def run(mode: str, kind: str, seed: int, steps: int = 0, name=name, learn=learn, test=test) -> Row:
            label = f"{name}, {mode}, {kind}, seed {seed}" + (f", {steps} steps" if steps else "")
            if label not in done:
                done[label] = measure(label, learn, test, mode, kind, seed, steps, args)
                keep(list(done.values()), args.json)
            return done[label]

        steps = args.steps[0]
        for more in args.steps[1:]:
            gain = _validated(run("offline", "poyo", 0, more)) - _validated(run("offline", "poyo", 0, steps))
            print(f"{name}: {more} steps gain {gain:+.4f} in validation over {steps}", flush=True)
            if gain < ENOUGH:
                break
            steps = more
        for mode in MODES:
            table: dict[str, list[Row]] = {}
            for kind in KINDS:
                seeds = args.seeds[:1] if kind == "wiener" else args.seeds
                where = "causal" if kind == "gru" else mode
                table[kind] = [run(where, kind, seed, steps if kind == "poyo" else 0) for seed in seeds]
            for kind, rows in table.items():
                scores, cpu_s = [row.ours or 0.0 for row in rows], [row.conditions["cpu_s"] for row in rows]
                spread = f"{np.std(scores, ddof=1):.3f}" if len(scores) > 1 else "-"
                told = f"R² {np.mean(scores):.3f} (SD {spread} of {len(scores)}), {np.mean(cpu_s):.0f} CPU s"
                print(f"{name}, {mode}, {kind}: {told}", flush=True)
    return list(done.values())


def measure(
    label: str,
    learn: Session,
    test: Session,
    mode: str,
    kind: str,
    seed: int,
    steps: int,
    args: argparse.Namespace,
) -> Row:
    """Train one decoder and score it on the test."""
    began, causal = time.process_time(), mode == "causal"
    told: dict[str, Any] = {"mode": mode, "kind": kind, "seed": seed}
    if kind == "poyo":
        decoder: Decoder = poyo(learn, seed, steps, args, causal=causal)
        assert isinstance(decoder, PoyoDecoder)
        told |= {"steps": steps, "validation_r2": validation_r2(decoder), **SETTINGS}
    else:
        decoder = gru(learn, seed, args) if kind == "gru" else wiener(learn, causal=causal)
    told["cpu_s"] = round(time.process_time() - began, 1)
    score = decoder.score(test)
    print(f"{label}: R² {score:.4f}, {told['cpu_s']:.0f} CPU s", flush=True)
    return Row(label, score, None, "R²", None, conditions("torch", **told))


def _validated(row: Row) -> float:
    return row.conditions["validation_r2"]


def earlier(path: Path | None) -> list[Row]:
    """Return the rows that are there already."""
    return [Row(**row) for row in json.loads(path.read_text())] if path and path.exists() else []


def keep(rows: list[Row], path: Path | None) -> None:
    """Write what is finished."""
    if path is not None:
        path.write_text(json.dumps([asdict(row) for row in rows], indent=2, default=str) + "\n")


def joint(args: argparse.Namespace) -> list[Row]:
    """Return a row for each length of the held-out session's data and peer."""
    learn, test = halves(args.held_out)
    other = next(name for name in NAMES if name != args.held_out)
    others = [read_reaching(DATA / "reaching" / f"{stem}.npz") for stem in REACHING] + [halves(other)[0]]
    seed, rows = args.seeds[0], []
    quick = args.quick
    met = from_bundled(args, seed)
    met.adapt(others, mode="units", steps=5 if quick else UNIT_STEPS, learning_rate=UNIT_RATE)
    met.adapt(others, mode="all", steps=5 if quick else args.joint_steps, learning_rate=10 * RATE)
    print(f"joint training: validation R² {validation_r2(met):.3f}", flush=True)
    end_s = float(learn.time_support.end[-1])
    with tempfile.TemporaryDirectory() as scratch:
        saved = met.save(Path(scratch) / "joint")
        for minutes in args.minutes:
            part = learn.restrict((max(end_s - 60.0 * minutes, 0.0), end_s))
            scores = {"wiener": wiener(part, causal=False).score(test)}
            for start in ("joint", "simulated"):
                decoder = load_decoder(saved) if start == "joint" else from_bundled(args, seed)
                assert isinstance(decoder, PoyoDecoder)
                steps = 5 if quick else 2 * UNIT_STEPS
                decoder.quiet = not args.progress
                decoder.adapt(part, mode="units", steps=steps, learning_rate=UNIT_RATE)
                scores[f"{start}, units"] = decoder.score(test)
                decoder.adapt(
                    part, mode="all", steps=5 if quick else args.adapt_steps, learning_rate=10 * RATE
                )
                scores[f"{start}, all weights"] = decoder.score(test)
            alone = PoyoDecoder(
                TARGET,
                config=CONFIG,
                steps=5 if quick else 2 * UNIT_STEPS + args.adapt_steps,
                seed=seed,
                device="cpu",
                quiet=not args.progress,
                **SETTINGS,
            )
            scores["alone"] = alone.fit(part).score(test)
            for name, score in scores.items():
                print(f"{args.held_out} after {minutes:g} minutes, {name}: R² {score:.3f}", flush=True)
                told = conditions("torch", seed=seed, steps=args.joint_steps, each=scores, **SETTINGS)
                rows.append(Row(f"{args.held_out}, {minutes:g} min, {name}", score, None, "R²", None, told))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["velocity", "joint"], nargs="?", default="velocity")
    parser.add_argument("--quick", action="store_true", help="a few steps, to see that it runs")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the rows as JSON")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--recordings", nargs="+", default=list(NAMES), choices=NAMES)
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS, help="of POYO: to choose among")
    parser.add_argument("--held-out", default="m1_stevenson", choices=NAMES, help="for joint")
    parser.add_argument("--minutes", type=float, nargs="+", default=[2.0, 5.0], help="for joint")
    parser.add_argument("--joint-steps", type=int, default=1500, help="for joint")
    parser.add_argument("--adapt-steps", type=int, default=600, help="for joint: with all weights")
    parser.add_argument("--progress", action="store_true", help="show progress bars")
    args = parser.parse_args()
    set_threads(1)
    finish({"velocity": velocity, "joint": joint}[args.what](args), args)


if __name__ == "__main__":
    main()
