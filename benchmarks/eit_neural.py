"""EIT on reaching monkeys (Mihi, Chewie), within and across animals.

reaching
    The direction (of 8) of a reach in every 100 ms bin, from windows of two bins; the first 80 % of the
    trials train, the last 20 % test. Every window of two bins that fits in a test trial counts, both its
    bins. Beside logistic regression on the same two bins, a GRU and an NDT-like transformer, also on
    windows of two.
transfer
    The network learns one animal; then all of T rests, and only a linear head on it learns the other animal's
    training trials. Beside training on that animal, and the same head on a T that was never trained.
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
from pathlib import Path
from typing import Any

import numpy as np
from kept import Kept
from table import Row, conditions, finish

from neuroloom import EITDecoder, GRUDecoder, NDTDecoder, Session, load_decoder
from neuroloom.decoding.estimator import Decoder
from neuroloom.decoding.logistic import choose_inverse_penalty, fit_logistic
from neuroloom.errors import MissingFile
from neuroloom.seeds import stream
from neuroloom.threads import set_threads

DATA = Path(__file__).parents[2] / "shared" / "data" / "reaching"
FILES = {"mihi": "mihi_2014-03-03_100ms", "chewie": "chewie_2013-10-03_100ms"}
GOALS = {"mihi": 0.87, "chewie": 0.83}
TARGET, BIN_S, WINDOW = "direction", 0.1, 2
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
# Training from nothing on a few trials is over sooner.
FEW, FEW_STEPS = 0.25, 500
PEERS = ("from nothing", "logistic")


class Animal:
    """One recording, with its trials split in the order in which they came."""

    def __init__(self, name: str, *, validate: bool = False):
        path = DATA / f"{FILES[name]}.npz"
        if not path.exists():
            raise MissingFile(f"{path} does not exist", expected="the shared data", remedy="fetch it first")
        with np.load(path, allow_pickle=False) as data:
            self.counts, lengths, self.target = data["spike_counts"], data["trial_lengths"], data["target"]
        self.name = name
        self.bins = np.split(np.arange(len(self.counts)), np.cumsum(lengths)[:-1])
        n = len(lengths)
        cuts = (round(0.64 * n), round(0.8 * n)) if validate else (round(0.8 * n), n)
        self.learn, self.test = np.arange(cuts[0]), np.arange(*cuts)

    def some(self, fraction: float, seed: int) -> np.ndarray:
        """Return a part of the training trials, drawn by the seed."""
        drawn = stream(seed, "trials", self.name).permutation(self.learn)
        return np.sort(drawn[: max(2, round(fraction * len(drawn)))])

    def session(self, trials: np.ndarray) -> Session:
        """Return whole trials as a session."""
        return self._session([self.bins[trial] for trial in trials], self.target[trials])

    def windows(self, trials: np.ndarray) -> list[Session]:
        """Return every window of two bins as a trial of its own, in sessions in which none overlap."""
        sessions = []
        for first in range(WINDOW):
            pieces, owners = [], []
            for trial in trials:
                mine = self.bins[trial][first:]
                mine = mine[: len(mine) // WINDOW * WINDOW].reshape(-1, WINDOW)
                pieces += list(mine)
                owners += [trial] * len(mine)
            sessions.append(self._session(pieces, self.target[owners]))
        return sessions

    def _session(self, pieces: list[np.ndarray], target: np.ndarray) -> Session:
        return Session.from_counts(
            self.counts[np.concatenate(pieces)],
            bin_size_s=BIN_S,
            id=self.name,
            subject=self.name,
            trial_lengths=[len(each) for each in pieces],
            trial_labels={TARGET: target},
            trial_gap_s=1.0,
        )

    def table(self, trials: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return windows for a regression: (windows, 2 x units), their labels, and the trial of each."""
        rows, owners = [], []
        for trial in trials:
            mine = self.bins[trial]
            for first in range(len(mine) - WINDOW + 1):
                rows.append(self.counts[mine[first : first + WINDOW]].ravel())
                owners.append(trial)
        return np.array(rows, dtype=np.float64), self.target[owners], np.array(owners)


def accuracy(decoder: Decoder, animal: Animal) -> float:
    """Return the share of right bins in all windows of the test trials."""
    right, n = 0.0, 0
    for session in animal.windows(animal.test):
        scores = decoder.evaluate(session)
        right, n = right + scores.value * scores.n_scored, n + scores.n_scored
    return right / n


def logistic(animal: Animal, trials: np.ndarray) -> float:
    """Return the accuracy of logistic regression on the two bins, counts or their roots, whichever fits."""
    x, y, owner = animal.table(trials)
    test, true, _ = animal.table(animal.test)
    _, codes = np.unique(y, return_inverse=True)
    names = np.unique(y)
    mean, spread = x.mean(axis=0), np.sqrt(x.var(axis=0) + x.var(axis=0).mean())
    x, test = (x - mean) / spread, (test - mean) / spread
    inverse = choose_inverse_penalty(x, codes, owner) or 1e-2
    weights, intercept = fit_logistic(x, codes, len(names), inverse_penalty=inverse)
    return float((names[(test @ weights + intercept).argmax(axis=1)] == true).mean())


def eit(seed: int, args: argparse.Namespace, **changes: Any) -> EITDecoder:
    """Return EIT with the benchmark's settings."""
    settings = {**EIT, **json.loads(args.settings)}
    settings["config"] = {**EIT["config"], **settings["config"]}
    if args.quick:
        settings["steps"] = 3
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


def reaching(args: argparse.Namespace, kept: Kept) -> list[Row]:
    """Return accuracies within animals."""
    rows = []
    for name in args.animals:
        animal = Animal(name, validate=args.validate)
        scores: dict[str, list[float]] = {}
        if "logistic" in args.kinds:
            scores["logistic"] = [kept(f"{name} logistic", lambda: logistic(animal, animal.learn))]  # noqa: B023
        for seed in args.seeds:
            for kind in args.kinds:
                if kind == "logistic":
                    continue

                def score(kind: str = kind, seed: int = seed, animal: Animal = animal) -> float:
                    if kind == "eit":
                        return accuracy(fitted(animal, seed, args), animal)
                    return accuracy(peer(kind, seed, args).fit(animal.session(animal.learn)), animal)

                scores.setdefault(kind, []).append(kept(f"{name} {kind} seed {seed}", score))
        means = {kind: round(float(np.mean(each)), 4) for kind, each in scores.items()}
        print(f"{name}: {means}, goal {GOALS[name]}", flush=True)
        if "eit" in scores:
            told = conditions("torch", "scikit-learn", seeds=args.seeds, each=scores, goal=GOALS[name], **EIT)
            for kind in [kind for kind in scores if kind != "eit"] or [None]:
                theirs = means[kind] if kind else None
                ratio = None if theirs is None else (1 - theirs) / (1 - means["eit"])
                rows.append(
                    Row(f"{name}: accuracy of a bin", means["eit"], theirs, "", ratio, told | {"peer": kind})
                )
    return rows


def transfer(args: argparse.Namespace, kept: Kept) -> list[Row]:
    """Return accuracies of a head on a T of another animal, and on one that was never trained."""
    rows = []
    for source, goal in (("mihi", "chewie"), ("chewie", "mihi")):
        old, new = Animal(source, validate=args.validate), Animal(goal, validate=args.validate)
        scores: dict[str, list[float]] = {"transfer": [], "trained": [], "random": []}
        for seed in args.seeds:

            def head(decoder: EITDecoder, new: Animal = new) -> float:
                steps = 3 if args.quick else args.head_steps
                return accuracy(decoder.adapt(new.session(new.learn), mode="head", steps=steps), new)

            def random(old: Animal = old, seed: int = seed) -> EITDecoder:
                return eit(seed, args, steps=1, learning_rate=1e-12).fit(old.session(old.learn))

            scores["trained"].append(
                kept(f"{goal} eit seed {seed}", lambda: accuracy(fitted(new, seed, args), new))  # noqa: B023
            )
            scores["transfer"].append(
                kept(f"{source} to {goal} seed {seed}", lambda: head(fitted(old, seed, args)))  # noqa: B023
            )
            scores["random"].append(kept(f"random to {goal} seed {seed}", lambda: head(random())))
        means = {name: float(np.mean(each)) for name, each in scores.items()}
        print(f"{source} to {goal}: {means}", flush=True)
        told = conditions("torch", seeds=args.seeds, each=scores, head_steps=args.head_steps, **EIT)
        for other in ("trained", "random"):
            ratio = (1 - means[other]) / (1 - means["transfer"])
            name = f"head on T of {source}, on {goal}"
            rows.append(Row(name, means["transfer"], means[other], "", ratio, told | {"peer": f"{other} T"}))
    return rows


def curve(args: argparse.Namespace, kept: Kept) -> list[Row]:
    """Return accuracies from parts of the new animal's training trials."""
    rows = []
    for source, goal in (("mihi", "chewie"), ("chewie", "mihi")):
        old, new = Animal(source, validate=args.validate), Animal(goal, validate=args.validate)
        for fraction in FRACTIONS:
            scores: dict[str, list[float]] = {"transfer": [], "from nothing": [], "logistic": []}
            for seed in args.seeds[: args.curve_seeds]:
                trials = new.some(fraction, seed)

                def adapted(seed: int = seed, trials: np.ndarray = trials) -> float:
                    decoder = fitted(old, seed, args)  # noqa: B023
                    steps = 3 if args.quick else args.head_steps
                    return accuracy(decoder.adapt(new.session(trials), mode="head", steps=steps), new)  # noqa: B023

                def from_nothing(seed: int = seed, trials: np.ndarray = trials) -> float:
                    steps = {"steps": FEW_STEPS} if fraction <= FEW and not args.quick else {}  # noqa: B023
                    return accuracy(eit(seed, args, **steps).fit(new.session(trials)), new)  # noqa: B023

                def regression(trials: np.ndarray = trials) -> float:
                    return logistic(new, trials)  # noqa: B023

                name = f"{goal}, {fraction:.0%} of the trials, seed {seed}"
                scores["transfer"].append(kept(f"{name}: head on T of {source}", adapted))
                whole = f"{goal} eit seed {seed}" if fraction == 1 else f"{name}: from nothing"
                scores["from nothing"].append(kept(whole, from_nothing))
                scores["logistic"].append(kept(f"{name}: logistic", regression))
            means = {name: round(float(np.mean(each)), 4) for name, each in scores.items()}
            print(f"{goal} from {fraction:.0%}: {means}", flush=True)
            told = conditions("torch", seeds=args.seeds[: args.curve_seeds], each=scores, **EIT)
            for other in PEERS:
                ratio = (1 - means[other]) / (1 - means["transfer"])
                row = Row(f"{goal}, {fraction:.0%} of its trials", means["transfer"], means[other], "", ratio)
                rows.append(Row(row.name, row.ours, row.peer, "", row.ratio, told | {"peer": other}))
    return rows


def draw(rows: list[Row], path: Path) -> None:
    """Draw accuracy against the share of the new animal's trials, a panel for each animal."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(8.2, 3.6), layout="constrained", sharey=True)
    for axes, name in zip(panels, ("chewie", "mihi"), strict=True):
        mine = [row for row in rows if row.name.startswith(f"{name}, ") and row.name.endswith("its trials")]
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
    parser.add_argument("--kinds", nargs="+", default=["eit", "ndt", "gru", "logistic"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--curve-seeds", type=int, default=3, help="how many of the seeds make the curve")
    parser.add_argument("--head-steps", type=int, default=HEAD_STEPS)
    parser.add_argument("--validate", action="store_true", help="measure on the last part of training")
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
