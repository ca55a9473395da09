"""A pre-trained POYO meets an animal that it never saw, beside models that start from its minutes alone.

The animal, its units and its movements are simulated and in no training set. Every model learns from the
last minutes before the same three test minutes:

    units   the bundled poyo-reaching-small (or --weights), unit identification alone
    full    the same, then as many steps in which everything moves
    alone   the same network without pre-training
    gru     a GRU on 50 ms bins, causal by construction
    wiener  a Wiener filter that reads 10 bins up to the decoded one and 6 after it

    python benchmarks/poyo_transfer.py --json transfer.json --figure docs/images/poyo-transfer.svg
    python benchmarks/poyo_transfer.py --json transfer.json --figure FILE --draw-only

What --json already holds is not measured again.
"""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from table import Row, conditions, finish

from neuroloom import GRUDecoder, PoyoDecoder, Session, WienerDecoder, load_decoder, load_pretrained
from neuroloom.decoding.poyo_pretraining import CONFIG, KEEP_UNITS, NAME, TARGET, unseen_session
from neuroloom.threads import set_threads

LABELS = {
    "units": "pre-trained, unit identification",
    "full": "pre-trained, all weights",
    "alone": "POYO on these minutes alone",
    "gru": "GRU on these minutes (causal)",
    "wiener": "Wiener filter on these minutes",
}

COLOURS = {"units": "#ea580c", "full": "#7c2d12", "alone": "#2563eb", "gru": "#059669", "wiener": "#6b7280"}


def measure(args: argparse.Namespace) -> list[Row]:
    """Return a row for each animal, length of data and peer of unit identification."""
    found = {row.name: row.conditions for row in _earlier(args.json)}
    for number in args.animals:
        longest = max(args.minutes)
        learn, test = unseen_session(number, minutes=longest, seed=args.seed)
        for minutes in args.minutes:
            name = f"{learn.subject}, {minutes:g} min: R²"
            told = found.setdefault(name, {"session": learn.id, "minutes": minutes, "each": {}, "cpu_s": {}})
            part = learn.restrict((60.0 * (longest - minutes), 60.0 * longest))
            for kind in args.kinds:
                if kind in told["each"]:
                    continue
                began = time.process_time()
                told["each"][kind] = learned(kind, part, args).score(test)
                told["cpu_s"][kind] = round(time.process_time() - began, 1)
                print(f"{name} {kind} {told['each'][kind]:.3f}, {told['cpu_s'][kind]} CPU s", flush=True)
            _keep(_rows(found, args), args.json)
    return _rows(found, args)


def _rows(found: dict[str, dict[str, Any]], args: argparse.Namespace) -> list[Row]:
    rows = []
    steps = {"steps": args.steps, "adapt_steps": args.adapt_steps, "seed": args.seed}
    for name, told in found.items():
        scores, told = told["each"], conditions("torch", **steps) | told
        ours = scores.get("units")
        for peer in [kind for kind in LABELS if kind in scores and kind != "units"]:
            ratio = None if ours is None else (1 - scores[peer]) / (1 - ours)
            rows.append(Row(name, ours, scores[peer], "R²", ratio, told | {"peer": peer}))
    return rows


def learned(kind: str, part: Session, args: argparse.Namespace):
    """Return a decoder that has learned from some minutes."""
    if kind in ("units", "full"):
        decoder = load_decoder(args.weights) if args.weights else load_pretrained(NAME)
        assert isinstance(decoder, PoyoDecoder)
        decoder.quiet = True
        return decoder.adapt(part, mode=kind, steps=5 if args.quick else args.adapt_steps)
    if kind == "alone":
        return PoyoDecoder(
            TARGET,
            config=CONFIG,
            unit_dropout=KEEP_UNITS,
            steps=5 if args.quick else args.steps,
            batch_size=32,
            seed=args.seed,
            device="cpu",
            quiet=True,
        ).fit(part)
    if kind == "gru":
        return GRUDecoder(TARGET, steps=20 if args.quick else 600, seed=args.seed, quiet=True).fit(part)
    return WienerDecoder(TARGET, past_bins=10, future_bins=6).fit(part)


def draw(rows: list[Row], path: Path) -> None:
    """Draw R² against minutes of data, one panel for each animal."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    sessions: dict[str, dict[float, dict[str, float]]] = {}
    for row in rows:
        told = row.conditions
        sessions.setdefault(told["session"], {})[told["minutes"]] = told["each"]
    figure, panels = plt.subplots(
        1, len(sessions), figsize=(1.0 + 3.6 * len(sessions), 3.8), layout="constrained", squeeze=False
    )
    for axes, (session, table) in zip(panels[0], sessions.items(), strict=True):
        minutes = sorted(table)
        for kind, label in LABELS.items():
            known = [each for each in minutes if kind in table[each]]
            values = [table[each][kind] for each in known]
            if known:
                axes.plot(known, values, "o-", color=COLOURS[kind], linewidth=1.8, markersize=4, label=label)
        axes.set_xscale("log")
        axes.set_xticks(minutes, [f"{each:g}" for each in minutes])
        axes.minorticks_off()
        axes.set_title(
            session.replace("-center_out-0", ", centre-out").replace("-random_target-0", ", random")
        )
        axes.set_xlabel("minutes of data")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", linewidth=0.4)
    panels[0][0].set_ylabel("R² of hand velocity, three later minutes")
    panels[0][0].legend(frameon=False, fontsize=8, loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    print(f"wrote {path}")


def _earlier(path: Path | None) -> list[Row]:
    if path is None or not path.exists():
        return []
    return [Row(**row) for row in json.loads(path.read_text())]


def _keep(rows: list[Row], path: Path | None) -> None:
    if path is not None:
        path.write_text(json.dumps([asdict(row) for row in rows], indent=2, default=str) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a few steps, to see that it runs")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the rows as JSON")
    parser.add_argument("--figure", type=Path, help="draw the learning curve here")
    parser.add_argument("--draw-only", action="store_true", help="draw what is in --json")
    parser.add_argument("--weights", type=Path, help="another pre-trained decoder")
    parser.add_argument("--animals", type=int, nargs="+", default=[0, 1], help="numbers of unseen animals")
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0, 2.0, 5.0, 10.0, 20.0])
    parser.add_argument("--steps", type=int, default=600, help="of training alone")
    parser.add_argument("--adapt-steps", type=int, default=200)
    parser.add_argument("--kinds", nargs="+", default=list(LABELS), choices=list(LABELS), help="which models")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    set_threads(1)
    rows = _earlier(args.json) if args.draw_only else measure(args)
    finish(rows, args)
    if args.figure:
        draw(rows, args.figure)


if __name__ == "__main__":
    main()
