"""EIT on reaching monkeys (Mihi, Chewie), within and across animals.

reaching
    The direction (of 8) of a reach in every 100 ms bin, from windows of two bins; the first 80 % of the
    trials train, the last 20 % test. Every window of two bins that fits in a test trial counts, both its
    bins. Beside logistic regression on the same two bins, a GRU and an NDT-like transformer, also on
    windows of two; eit-trained is EIT with the readout that learned with it, as released, where EIT's is
    solved afterwards. Each method twice: as trained, and after `Decoder.recalibrate` on the test trials,
    which looks at how much units fire there and at no label. --everything trains networks on the slow bins of
    the training trials too, and on bins shifted by half a bin (one animal has files with them).
transfer
    The network learns one animal; then all of T rests, and only a linear head on it learns the other animal's
    training trials: all numbers of T (mode "head"), or one for each unit (mode "bottleneck", as published).
    Beside training on that animal, and the same heads on a T that was never trained.
curve
    The same from 5, 10, 25, 50 and 100 % of the new animal's training trials (drawn by the seed), beside
    training from nothing and logistic regression on these trials.

Settings were chosen on the last fifth of the training trials (--validate measures there); the network then
learns all training trials and its last weights are kept. --kept names a file of finished results: the same
command goes on from it.

    OMP_NUM_THREADS=1 python benchmarks/eit_neural.py --kept kept.json --json eit_neural.json
"""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from eit_animals import BIN_S, FILES, TARGET, WINDOW, Animal
from kept import Kept
from table import Row, conditions, finish

from neuroloom import EITDecoder, GRUDecoder, NDTDecoder, load_decoder
from neuroloom.decoding.binning import UnitScale
from neuroloom.decoding.estimator import Decoder
from neuroloom.decoding.logistic import DEFAULT_CHOICE, choose_logistic, fit_logistic
from neuroloom.decoding.recalibration import KNOWN_BINS
from neuroloom.threads import set_threads

GOALS = {"mihi": 0.87, "chewie": 0.83}
EIT: dict[str, Any] = {
    "config": {"answer": "concatenated", "interaction_dropout": 0.5, "individual_dropout": 0.0},
    "steps": 1000,
    "batch_size": 16,
    "learning_rate": 3e-3,
    "weight_decay": 1e-2,
    "unit_dropout": 0.5,
    "validation_fraction": 0.0,
}
NDT: dict[str, Any] = {"width": 64, "depth": 2, "dropout": 0.4, "steps": 1000, "learning_rate": 1e-3}
GRU: dict[str, Any] = {"width": 64, "hidden": 128, "dropout": 0.4, "steps": 1000, "warmup_s": 0.0}
HEAD_STEPS = 300
FRACTIONS = (0.05, 0.1, 0.25, 0.5, 1.0)
PEERS = ("from nothing", "logistic")
HOW = ("as trained", "rates anew")  # the two figures of `both`


def accuracy(decoder: Decoder, animal: Animal) -> float:
    """Return the share of right bins in all windows of the test trials."""
    right, n = 0.0, 0
    for session in animal.windows(animal.test):
        scores = decoder.evaluate(session)
        right, n = right + scores.value * scores.n_scored, n + scores.n_scored
    return right / n


def logistic(animal: Animal, trials: np.ndarray, *, anew: bool = False) -> float:
    """Return the accuracy of logistic regression on the two bins; `anew`: scaled as `Decoder.recalibrate`."""
    x, y, owner = animal.table(trials)
    test, true, _ = animal.table(animal.test)
    _, codes = np.unique(y, return_inverse=True)
    names = np.unique(y)
    columns = [str(column) for column in range(x.shape[1])]
    scale = later = UnitScale.of(columns, x)
    if anew:
        later = scale.towards(UnitScale.of(columns, test), len(test) / (len(test) + KNOWN_BINS))
    x, test = (x - scale.mean) / scale.spread, (test - later.mean) / later.spread
    choice = choose_logistic(x, codes, owner) or DEFAULT_CHOICE
    weights, intercept = fit_logistic(x, codes, len(names), choice)
    return float((names[(test @ weights + intercept).argmax(axis=1)] == true).mean())


def eit(seed: int, args: argparse.Namespace, **changes: Any) -> EITDecoder:
    """Return EIT with the benchmark's settings."""
    settings = {**EIT, **json.loads(args.settings)}
    settings["config"] = {**EIT["config"], **settings["config"]}
    if args.quick:
        changes["steps"] = 3
    window_s = WINDOW * BIN_S
    common = {"bin_s": BIN_S, "window_s": window_s, "seed": seed, "device": "cpu", "quiet": True}
    return EITDecoder(TARGET, **settings | common | changes)


def peer(kind: str, seed: int, args: argparse.Namespace) -> Decoder:
    """Return a baseline; its own last part of the training trials decides which weights are kept."""
    common: dict[str, Any] = {"bin_s": BIN_S, "window_s": WINDOW * BIN_S, "seed": seed}
    common |= {"device": "cpu", "quiet": True} | ({"steps": 3} if args.quick else {})
    if kind == "ndt":
        return NDTDecoder(TARGET, **NDT | common)
    return GRUDecoder(TARGET, **GRU | common)


def fitted(animal: Animal, seed: int, args: argparse.Namespace) -> EITDecoder:
    """Return EIT that has learned an animal, from the folder of models where it was kept."""
    folder = args.models / f"{animal.name}-{seed}" if args.models else None
    if folder is not None and folder.exists():
        decoder = load_decoder(folder)
        assert isinstance(decoder, EITDecoder)
        return decoder
    decoder = eit(seed, args).fit(animal.session(animal.learn))
    if folder is not None:
        decoder.save(folder)
    return decoder


def both(decoder: Decoder, animal: Animal, *, everything: bool = False) -> list[float]:
    """Return the accuracy as trained, and with units' rates measured anew on the test trials."""
    as_trained = accuracy(decoder, animal)
    part = animal.everything if everything else animal.session
    return [as_trained, accuracy(decoder.recalibrate(part(animal.test)), animal)]


def within(kind: str, seed: int, animal: Animal, args: argparse.Namespace) -> list[float]:
    """Return `both` for one method that learns the training trials."""
    if kind == "logistic":
        return [logistic(animal, animal.learn, anew=anew) for anew in (False, True)]
    part = animal.everything if args.everything else animal.session
    if not kind.startswith("eit"):
        return both(peer(kind, seed, args).fit(part(animal.learn)), animal, everything=args.everything)
    if kind == "eit-trained":
        decoder = eit(seed, args, readout="trained").fit(part(animal.learn))
    else:
        decoder = eit(seed, args).fit(part(animal.learn)) if args.everything else fitted(animal, seed, args)
    return both(decoder, animal, everything=args.everything)


def reaching(args: argparse.Namespace, kept: Kept) -> list[Row]:
    """Return accuracies within animals."""
    rows = []
    for name in args.animals:
        animal = Animal(name, validate=args.validate)
        data = ", all bins" if args.everything else ""
        scores: dict[str, list[list[float]]] = {}
        for kind in args.kinds:
            for seed in args.seeds[:1] if kind == "logistic" else args.seeds:
                label, fit = f"{name} {kind} seed {seed}{data}: both", partial(within, kind, seed, animal)
                score = kept(label, partial(fit, args))
                scores.setdefault(kind, []).append(score)
        for column, how in enumerate(HOW):
            means = {kind: round(float(np.mean(each, axis=0)[column]), 4) for kind, each in scores.items()}
            print(f"{name}{data}, {how}: {means}, goal {GOALS[name]}", flush=True)
            if "eit" not in scores:
                continue
            told = conditions("torch", "scikit-learn", seeds=args.seeds, each=scores, goal=GOALS[name], **EIT)
            for kind in [kind for kind in scores if kind != "eit"] or [None]:
                theirs = means[kind] if kind else None
                ratio = None if theirs is None else (1 - theirs) / (1 - means["eit"])
                label = f"{name}{data}: accuracy of a bin, {how}"
                rows.append(Row(label, means["eit"], theirs, "", ratio, told | {"peer": kind}))
    return rows


def transfer(args: argparse.Namespace, kept: Kept) -> list[Row]:
    """Return accuracies of heads on a T of another animal, and on one that was never trained."""
    rows = []
    for source, goal in (("mihi", "chewie"), ("chewie", "mihi")):
        old, new = Animal(source, validate=args.validate), Animal(goal, validate=args.validate)
        learn = new.session(new.learn)
        for mode in args.modes:
            scores: dict[str, list[list[float]]] = {"transfer": [], "trained": [], "random": []}
            for seed in args.seeds:

                def adapted(decoder: EITDecoder) -> list[float]:
                    steps = 3 if args.quick else args.head_steps
                    return both(decoder.adapt(learn, mode=mode, steps=steps), new)  # noqa: B023

                def random(seed: int = seed) -> EITDecoder:
                    return eit(seed, args, steps=1, learning_rate=1e-12).fit(old.session(old.learn))  # noqa: B023

                ways = {
                    f"{goal} eit seed {seed}: both": lambda: both(fitted(new, seed, args), new),  # noqa: B023
                    f"{source} to {goal}, {mode}, seed {seed}: both": lambda: adapted(
                        fitted(old, seed, args)  # noqa: B023
                    ),
                    f"random to {goal}, {mode}, seed {seed}: both": lambda: adapted(random()),
                }
                for name, (label, way) in zip(("trained", "transfer", "random"), ways.items(), strict=True):
                    scores[name].append(kept(label, way))
            for column, how in enumerate(HOW):
                means = {name: float(np.mean(each, axis=0)[column]) for name, each in scores.items()}
                print(f"{source} to {goal}, {mode}, {how}: {means}", flush=True)
                told = conditions("torch", seeds=args.seeds, each=scores, head_steps=args.head_steps, **EIT)
                for other in ("trained", "random"):
                    ratio = (1 - means[other]) / (1 - means["transfer"])
                    label = f"{mode} on T of {source}, on {goal}, {how}"
                    peer_of = {"peer": f"{other} T"}
                    rows.append(Row(label, means["transfer"], means[other], "", ratio, told | peer_of))
    return rows


def curve(args: argparse.Namespace, kept: Kept) -> list[Row]:
    """Return accuracies from parts of the new animal's training trials."""
    rows = []
    for source, goal in (("mihi", "chewie"), ("chewie", "mihi")):
        old, new = Animal(source, validate=args.validate), Animal(goal, validate=args.validate)
        for fraction in FRACTIONS:
            scores: dict[str, list[list[float]]] = {"transfer": [], "from nothing": [], "logistic": []}
            for seed in args.seeds[: args.curve_seeds]:
                trials = new.some(fraction, seed)

                def adapted(seed: int = seed, trials: np.ndarray = trials) -> list[float]:
                    decoder = fitted(old, seed, args)  # noqa: B023
                    return both(decoder.adapt(new.session(trials), mode="head"), new)  # noqa: B023

                def from_nothing(seed: int = seed, trials: np.ndarray = trials) -> list[float]:
                    return both(eit(seed, args).fit(new.session(trials)), new)  # noqa: B023

                def regression(trials: np.ndarray = trials) -> list[float]:
                    return [logistic(new, trials, anew=anew) for anew in (False, True)]  # noqa: B023

                name = f"{goal}, {fraction:.0%} of the trials, seed {seed}"
                scores["transfer"].append(kept(f"{name}: head on all of T of {source}: both", adapted))
                whole = f"{goal} eit seed {seed}: both" if fraction == 1 else f"{name}: from nothing: both"
                scores["from nothing"].append(kept(whole, from_nothing))
                scores["logistic"].append(kept(f"{name}: logistic: both", regression))
            for column, how in enumerate(HOW):
                means = {
                    name: round(float(np.mean(each, axis=0)[column]), 4) for name, each in scores.items()
                }
                print(f"{goal} from {fraction:.0%}, {how}: {means}", flush=True)
                told = conditions("torch", seeds=args.seeds[: args.curve_seeds], each=scores, **EIT)
                for other in PEERS:
                    ratio = (1 - means[other]) / (1 - means["transfer"])
                    label = f"{goal}, {fraction:.0%} of its trials, {how}"
                    peer_of = {"peer": other}
                    rows.append(Row(label, means["transfer"], means[other], "", ratio, told | peer_of))
    return rows


def draw(rows: list[Row], path: Path) -> None:
    """Draw accuracy against the share of the new animal's trials, rates anew, a panel for each animal."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(8.2, 3.6), layout="constrained", sharey=True)
    for axes, name in zip(panels, ("chewie", "mihi"), strict=True):
        end = f"its trials, {HOW[1]}"
        mine = [row for row in rows if row.name.startswith(f"{name}, ") and row.name.endswith(end)]
        shares = sorted({float(row.name.split()[1].rstrip("%")) for row in mine})
        lines = {"head on T of the other animal": [row.ours for row in mine[::2]]}
        lines |= {f"{peer}": [row.peer for row in mine if row.conditions["peer"] == peer] for peer in PEERS}
        for (label, values), colour in zip(lines.items(), ("#1769b5", "#c2410c", "#6b7280"), strict=True):
            axes.plot(shares, values, "o-", color=colour, linewidth=1.8, markersize=4, label=label)
        axes.set_xscale("log")
        axes.set_xticks(shares, [f"{each:g}" for each in shares])
        axes.minorticks_off()
        axes.set_title(name.capitalize())
        axes.set_xlabel("% of the training trials")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", linewidth=0.4)
    panels[0].set_ylabel("accuracy of a bin, 8 directions")
    panels[1].legend(frameon=False, fontsize=8, loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    print(f"wrote {path}")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", nargs="*", default=["reaching", "transfer", "curve"])
    parser.add_argument("--animals", nargs="+", default=list(FILES), choices=list(FILES))
    parser.add_argument("--kinds", nargs="+", default=["eit", "eit-trained", "ndt", "gru", "logistic"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--curve-seeds", type=int, default=3, help="how many of the seeds make the curve")
    parser.add_argument("--modes", nargs="+", default=["head", "bottleneck"], help="of adapting, in transfer")
    parser.add_argument("--head-steps", type=int, default=HEAD_STEPS, help="of bottlenecks")
    parser.add_argument("--validate", action="store_true", help="measure on the last part of training")
    parser.add_argument(
        "--everything", action="store_true", help="train on slow bins and half bins of the trials too"
    )
    parser.add_argument("--settings", default="{}", help="JSON: other arguments of EITDecoder")
    parser.add_argument("--kept", type=Path, help="file of finished results")
    parser.add_argument("--models", type=Path, help="folder that keeps fitted networks")
    parser.add_argument("--figure", type=Path, help="draw the curve here")
    parser.add_argument("--quick", action="store_true", help="a few steps, to see that it runs")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the rows as JSON")
    args = parser.parse_args()
    set_threads(1)
    kept = Kept(args.kept)
    makers = {"reaching": reaching, "transfer": transfer, "curve": curve}
    rows = [row for table in args.tables for row in makers[table](args, kept)]
    finish(rows, args)
    if args.figure and "curve" in args.tables:
        draw(rows, args.figure)


if __name__ == "__main__":
    main()
