"""EIT on many-body systems: who is tied to whom, which body is of which type, and both.

Two pairs of bodies under gravity, 500 trials of 50 points, each system cropped to 10 points at a random
start, positions alone; the first 400 trials train, the last 100 test in all 24 orders of the bodies. The
answer is the class of the order: one of 3 (connection), 6 (type: which two are the heavier of their pairs) or
12 (both).

- EIT by parts: log-odds of every pair and body, which hold for any order and number; the most likely class
  of those that there are. Each trial comes in the order in which it was simulated.
- EIT concatenated: the class itself, with an embedding and a weight for each place, as released; all 24
  orders of every training trial.
- The peer: an NDT-like transformer over the concatenated population, with one random order of every
  training trial, and with all 24 (as in the paper, which lets it learn every order). For connection also
  with 16 of the 24, tested on the other 8.

Attention: the area under the ROC curve of attention between bodies as a guess of the true graph, on test
trials; of the mean over heads, and of the head that is best on training trials. Then more bodies than were
ever met, and two triples of bodies (crops of 50 of 200 points, 10 classes of connection; types leave no trace
there).

All learn from the same --crops crops of every training trial. Steps and rates were not chosen on test trials.
--kept names a file of finished results: the same command goes on from it.

    OMP_NUM_THREADS=1 python benchmarks/eit.py --cache trials --kept kept.json --json eit.json
"""

import argparse
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from kept import Kept
from table import Row, conditions, finish

from neuroloom import EITClassifier
from neuroloom.decoding.baselines import PopulationClassifier
from neuroloom.decoding.eit_attention import best_head, interaction_auc
from neuroloom.seeds import stream
from neuroloom.simulation.many_body import ManyBody, simulate_many_body, three_body, two_body
from neuroloom.simulation.many_body_trials import ManyBodyTrials, Question
from neuroloom.threads import set_threads

QUESTIONS: tuple[Question, ...] = ("connection", "type", "both")
CHANCE = {"connection": 1 / 3, "type": 1 / 6, "both": 1 / 12}
EIT_SIZE: dict[str, Any] = {"individual_depth": 1, "interaction_depth": 1, "interaction_dropout": 0.0}
N_TRAIN, N_UNSEEN = 400, 8


class Trials:
    """Trials of one seed: some crops of those that train, and those that test in many orders."""

    def __init__(self, config: ManyBody, seed: int, args: argparse.Namespace, *, n_steps: int, n_orders: int):
        trials = simulate_many_body(config, 500, seed=seed, cache=args.cache)
        self.seed, self.n_orders = seed, n_orders
        self.learn = [trials[:N_TRAIN].crop(n_steps, seed=crop) for crop in range(args.crops)]
        self.test = trials[N_TRAIN:].crop(n_steps, seed=1000).in_orders(n_orders, seed=seed)

    def ordered(self, orders: str) -> list[ManyBodyTrials]:
        """Return the training trials in one random order each, in all, or in those that are not held out."""
        if orders == "all":
            return [part.in_orders(self.n_orders, seed=self.seed) for part in self.learn]
        if orders == "most":
            return [part.in_orders()[~self.unseen(len(part))] for part in self.learn]
        random = stream(self.seed, "one order")
        drawn = np.argsort(random.random((N_TRAIN, self.learn[0].n_bodies)), axis=1)
        return [part.reorder(drawn) for part in self.learn]

    def unseen(self, n_trials: int) -> np.ndarray:
        """Say which of the trials in all 24 orders have one that is held out."""
        held_out = np.isin(np.arange(24), stream(self.seed, "unseen").permutation(24)[:N_UNSEEN])
        return np.tile(held_out, n_trials)


def field(parts: list[ManyBodyTrials], name: str) -> np.ndarray:
    """Return a field of several sets of trials, end to end."""
    return np.concatenate([getattr(part, name) for part in parts])


def partitions(n: int, size: int) -> list[tuple[tuple[int, ...], ...]]:
    """Return every way to put `n` bodies into systems of one size."""
    if not n:
        return [()]
    found = []
    for rest in combinations(range(1, n), size - 1):
        left = [body for body in range(1, n) if body not in rest]
        for others in partitions(len(left), size):
            found.append(((0, *rest), *(tuple(left[body] for body in each) for each in others)))
    return found


def most_likely(question: Question, pair: np.ndarray, heavy: np.ndarray, *, size: int) -> np.ndarray:
    """Return the most likely class of every trial, a row of numbers each: systems, roles or both.

    Parameters
    ----------
    question
        What is asked.
    pair, heavy
        Log-odds of every pair (trials, bodies, bodies) and body (trials, bodies).
    size
        Bodies of a system.
    """
    n = pair.shape[1]
    choices = []
    for systems in partitions(n, size):
        system = np.zeros(n, dtype=int)
        for number, bodies in enumerate(systems):
            system[list(bodies)] = number
        if question == "connection":
            choices.append((system, np.zeros(n, dtype=int)))
            continue
        for place in np.ndindex(*[size] * len(systems)):
            role = np.zeros(n, dtype=int)
            role[[bodies[at] for bodies, at in zip(systems, place, strict=True)]] = 1
            choices.append((system, role))
    score = np.zeros((len(pair), len(choices)))
    first, second = np.triu_indices(n, 1)
    for number, (system, role) in enumerate(choices):
        if question != "type":
            tied = system[first] == system[second]
            score[:, number] += pair[:, first[tied], second[tied]].sum(axis=1)
        score[:, number] += heavy[:, role == 1].sum(axis=1)
    best = score.argmax(axis=1)
    return np.array([[*(system[:, None] == system).ravel(), *role] for system, role in choices])[best]


def odds(p: np.ndarray) -> np.ndarray:
    """Return log-odds."""
    p = np.clip(p, 1e-9, 1 - 1e-9)
    return np.log(p) - np.log1p(-p)


def eit(answer: Any, args: argparse.Namespace, seed: int, *, steps: int) -> EITClassifier:
    """Return an estimator of the benchmark's size."""
    return EITClassifier(
        answer, identity=answer == "concatenated", config=EIT_SIZE, steps=steps, learning_rate=args.rate,
        device="cpu", seed=seed, quiet=True,
    )  # fmt: skip


def by_parts(trials: Trials, args: argparse.Namespace, *, size: int, steps: int) -> dict[str, float]:
    """Train EIT on pairs (and bodies); return shares of right classes, and what attention tells."""
    x, test = field(trials.learn, "positions"), trials.test
    pairs = eit("pair", args, trials.seed, steps=steps)
    pairs.fit(x, field(trials.learn, "interactions"), groups=field(trials.learn, "trial"))
    pair = odds(np.asarray(pairs.predict_proba(test.positions)))
    heavy, asked = np.zeros(pair.shape[:2]), QUESTIONS[:1]
    if size == 2:
        bodies = eit("individual", args, trials.seed, steps=steps)
        bodies.fit(x, field(trials.learn, "role"), groups=field(trials.learn, "trial"))
        heavy, asked = odds(np.asarray(bodies.predict_proba(test.positions))[..., 1]), QUESTIONS
    found: dict[str, float] = {}
    for question in asked:
        guess = most_likely(question, pair, heavy, size=size)
        same = (test.system[:, :, None] == test.system[:, None]).reshape(len(test), -1)
        role = test.role if question != "connection" else np.zeros_like(test.role)
        right = (guess[:, same.shape[1] :] == role).all(axis=1)
        if question != "type":
            right &= (guess[:, : same.shape[1]] == same).all(axis=1)
        found[question] = float(right.mean())
    found |= attention(pairs, trials)
    if size == 2:
        for n_systems in (3, 4):
            more = simulate_many_body(two_body(systems=(2,) * n_systems), 100, seed=trials.seed + 1)
            more = more.crop(10, seed=1000)
            found[f"pairs among {2 * n_systems}"] = pairs.score(more.positions, more.interactions)
            told = np.asarray(pairs.predict_proba(more.positions))
            found[f"area, pairs among {2 * n_systems}"] = float(
                interaction_auc(list(told), list(more.interactions))
            )
    return found


def attention(model: EITClassifier, trials: Trials) -> dict[str, float]:
    """Return the area under the curve of attention: of the mean over heads, and of the best head."""
    learn = trials.learn[0]
    layer, head = best_head(list(np.asarray(model.attention(learn.positions))), list(learn.interactions))
    weights, graph = np.asarray(model.attention(trials.test.positions)), list(trials.test.interactions)
    return {
        "attention, mean of heads": float(interaction_auc(list(weights.mean(axis=(1, 2))), graph)),
        "attention, best head": float(interaction_auc(list(weights[:, layer, head]), graph)),
    }


def of_orders(
    model: Any, trials: Trials, question: Question, orders: str, *, look: bool = False
) -> dict[str, float]:
    """Train a model on classes of orders; return its share of right classes of the test trials."""
    parts = trials.ordered(orders)
    # Classes are numbered among those that are met, so all are labelled together.
    sets = [*parts, trials.test]
    joined = ManyBodyTrials(
        *(field(sets, name) for name in ManyBodyTrials.__dataclass_fields__ if name != "times"),
        times=trials.test.times,
    )
    labels = joined.labels(question)
    n = len(labels) - len(trials.test)
    model.fit(joined.positions[:n], labels[:n], groups=joined.trial[:n])
    right = model.predict(trials.test.positions) == labels[n:]
    if orders == "most":
        right = right[trials.unseen(100)]
    return {"accuracy": float(right.mean())} | (attention(model, trials) if look else {})


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--peer-seeds", type=int, default=3, help="how many of the seeds peers and triples have"
    )
    parser.add_argument("--steps", type=int, default=3000, help="of EIT")
    parser.add_argument("--rate", type=float, default=3e-3, help="of EIT")
    parser.add_argument("--peer-steps", type=int, default=8000, help="with all orders; a quarter with one")
    parser.add_argument("--peer-rate", type=float, default=1e-3)
    parser.add_argument("--crops", type=int, default=8, help="crops of every training trial")
    parser.add_argument("--triple-steps", type=int, default=600, help="of EIT on two triples")
    parser.add_argument("--cache", type=Path, help="folder that keeps the simulated trials")
    parser.add_argument("--kept", type=Path, help="file of finished results")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the rows as JSON")
    args = parser.parse_args()
    if args.quick:
        args.seeds, args.steps, args.peer_steps, args.crops, args.triple_steps = [0], 5, 20, 1, 2
    set_threads(1)
    kept = Kept(args.kept)
    found: dict[str, list[float]] = {}

    def note(group: str, seed: int, compute: Callable[[], dict[str, float]]) -> None:
        for name, value in kept(f"{group}, seed {seed}", compute).items():
            found.setdefault(f"{group}: {name}", []).append(value)

    for seed in args.seeds:
        pairs = Trials(two_body(), seed, args, n_steps=10, n_orders=24)
        triples = Trials(three_body(), seed, args, n_steps=50, n_orders=24)
        triples.learn = triples.learn[:2]

        def peer(steps: int, seed: int = seed) -> PopulationClassifier:
            rate = args.peer_rate
            return PopulationClassifier(steps=steps, learning_rate=rate, device="cpu", seed=seed, quiet=True)

        def whole(steps: int, seed: int = seed) -> EITClassifier:
            return eit("concatenated", args, seed, steps=steps)

        many, few = args.peer_steps, args.peer_steps // 4
        note("two pairs, EIT by parts", seed, lambda: by_parts(pairs, args, size=2, steps=args.steps))  # noqa: B023
        name = "two pairs, EIT concatenated, all orders"
        note(
            f"{name}, connection", seed,
            lambda: of_orders(whole(args.steps), pairs, "connection", "all", look=True),  # noqa: B023
        )  # fmt: skip
        if seed not in args.seeds[: args.peer_seeds]:
            continue
        for question in QUESTIONS:
            for orders, steps in (("one", few), ("all", many)):
                note(
                    f"two pairs, peer, {orders} order{'s' * (orders == 'all')}, {question}", seed,
                    lambda q=question, o=orders, s=steps: of_orders(peer(s), pairs, q, o),  # noqa: B023
                )  # fmt: skip
        note(
            "two pairs, peer, 8 unseen orders, connection", seed,
            lambda: of_orders(peer(many), pairs, "connection", "most"),  # noqa: B023
        )  # fmt: skip
        note(
            "two triples, EIT by parts", seed,
            lambda: by_parts(triples, args, size=3, steps=args.triple_steps),  # noqa: B023
        )  # fmt: skip
        note(
            "two triples, peer, 24 orders, connection", seed,
            lambda: of_orders(peer(few), triples, "connection", "all"),  # noqa: B023
        )  # fmt: skip
    finish(table(found, args), args)


def table(found: dict[str, list[float]], args: argparse.Namespace) -> list[Row]:
    """Return a row for each result, and for each question the peers beside EIT by parts."""
    mean = {name: float(np.mean(each)) for name, each in found.items()}

    def about(*names: str, **more: Any) -> dict[str, Any]:
        sizes = {name: vars(args)[name] for name in ("steps", "rate", "peer_steps", "peer_rate", "crops")}
        each = {name: [round(value, 4) for value in found[name]] for name in names}
        return conditions("torch", seeds=args.seeds, each=each, **sizes, **more)

    pairs, triples = "two pairs, EIT by parts", "two triples, EIT by parts"
    beside = [
        (f"{pairs}: {question}", f"two pairs, peer, {orders}, {question}: accuracy", CHANCE[question])
        for question in QUESTIONS
        for orders in ("one order", "all orders")
    ]
    beside += [
        (f"{pairs}: connection", "two pairs, peer, 8 unseen orders, connection: accuracy", 1 / 3),
        (f"{triples}: connection", "two triples, peer, 24 orders, connection: accuracy", 0.1),
    ]
    rows = []
    for ours, theirs, chance in beside:
        if theirs in mean:
            told = about(ours, theirs, chance=round(chance, 3), peer="NDT-like, " + theirs.split(", ")[2])
            rows.append(Row(ours, mean[ours], mean[theirs], "", mean[ours] / mean[theirs], told))
    shown = {name for row in rows for name in row.conditions["each"]}
    return rows + [Row(name, mean[name], conditions=about(name)) for name in mean if name not in shown]


if __name__ == "__main__":
    main()
