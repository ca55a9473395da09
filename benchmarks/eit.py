"""EIT on two pairs of bodies under gravity: who is tied to whom, and which body is the heavier of its pair.

500 trials of 50 points, each system cropped to 10 points at a random start, positions alone; the first 400
trials train, the last 100 test in all 24 orders of the bodies. Three ways to answer:

- EIT by pairs and individuals: log-odds of every pair (or body), which hold for any order and number.
  The class is the most likely of the 3 pairings (or of the 6 choices of the two heavier bodies).
- EIT concatenated: the class of the order, with an embedding and a weight for each place, as released; in all
  24 orders.
- The peer: a plain PyTorch TransformerEncoder over time that takes all bodies of a moment as one token
  (NDT-like: 64 wide, learned place in time, 2 layers; the released one is 8 wide), with all 24 orders.

Chance is 1/3 for connections and 1/6 for types. All models learn from the same `--crops` crops of every
training trial; steps and rates are in the conditions, and were not chosen on the test trials.

    OMP_NUM_THREADS=1 python benchmarks/eit.py --seed 0 --json eit.json
"""

import argparse
import time
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from table import Row, conditions, finish
from torch import nn

from neuroloom import EITClassifier
from neuroloom.simulation.many_body import simulate_many_body, two_body
from neuroloom.simulation.many_body_trials import ManyBodyTrials, Question
from neuroloom.threads import set_threads

PAIRINGS = [((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2))]
HEAVIER = list(combinations(range(4), 2))
EIT_SIZE: dict[str, Any] = {"individual_depth": 1, "interaction_depth": 1, "interaction_dropout": 0.0}


def together(parts: list[ManyBodyTrials], field: str) -> np.ndarray:
    """Return a field of several sets of trials, end to end."""
    return np.concatenate([getattr(part, field) for part in parts])


class OneToken(nn.Module):
    """All bodies of a moment as one token; a transformer over time; classes at every moment."""

    def __init__(self, n_numbers: int, n_steps: int, n_classes: int, *, width: int = 64):
        super().__init__()
        self.enter = nn.Linear(n_numbers, width)
        self.place = nn.Parameter(torch.randn(1, n_steps, width))
        layer = nn.TransformerEncoderLayer(
            width, nhead=4, dim_feedforward=4 * width, dropout=0.0, activation="gelu", batch_first=True,
            norm_first=True,
        )  # fmt: skip
        self.encoder = nn.TransformerEncoder(layer, num_layers=2, enable_nested_tensor=False)
        self.out = nn.Linear(width, n_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (B, T, bodies x 2) -> (B, T, classes)."""
        return self.out(self.encoder(self.enter(x) + self.place))


def wide(trials: np.ndarray) -> torch.Tensor:
    """Return positions (trials, bodies, T, 2) as (trials, T, bodies x 2)."""
    x = torch.from_numpy(trials.astype(np.float32)).transpose(1, 2)
    return x.flatten(2)


def peer(
    learn: list[ManyBodyTrials], y: np.ndarray, test: np.ndarray, args: argparse.Namespace
) -> np.ndarray:
    """Train the plain transformer and return its classes of the test trials."""
    torch.manual_seed(args.seed)
    x, labels = wide(together(learn, "positions")), torch.from_numpy(y)
    model = OneToken(x.shape[2], x.shape[1], int(y.max()) + 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.peer_rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, args.peer_rate, total_steps=args.peer_steps, pct_start=0.1
    )
    for _ in range(args.peer_steps):
        chosen = torch.randint(len(x), (64,))
        outputs = model(x[chosen])
        loss = nn.functional.cross_entropy(
            outputs.transpose(1, 2), labels[chosen][:, None].expand(-1, x.shape[1])
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        return model(wide(test)).mean(dim=1).argmax(dim=1).numpy()


def by_parts(
    question: Question, parts: list[ManyBodyTrials], test: ManyBodyTrials, args: argparse.Namespace
) -> tuple[float, float, EITClassifier]:
    """Train EIT on pairs or bodies; return its share of right classes, of right parts, and the model."""
    answer, field = ("pair", "interactions") if question == "connection" else ("individual", "role")
    model = eit(answer, args).fit(
        together(parts, "positions"), together(parts, field), groups=together(parts, "trial")
    )
    p = np.asarray(model.predict_proba(test.positions))
    row = np.arange(len(test))[:, None]
    if question == "connection":
        odds = np.log(np.clip(p, 1e-9, 1)) - np.log(np.clip(1 - p, 1e-9, 1))
        guess = np.stack([odds[:, a, b] + odds[:, c, d] for (a, b), (c, d) in PAIRINGS], axis=1).argmax(
            axis=1
        )
        first = np.array([pairs[0] for pairs in PAIRINGS])[guess]
        right = np.ptp(test.system[row, first], axis=1) == 0
    else:
        odds = np.log(np.clip(p[..., 1], 1e-9, 1)) - np.log(np.clip(p[..., 0], 1e-9, 1))
        guess = np.stack([odds[:, a] + odds[:, b] for a, b in HEAVIER], axis=1).argmax(axis=1)
        right = test.role[row, np.array(HEAVIER)[guess]].all(axis=1)
    return float(right.mean()), model.score(test.positions, getattr(test, field)), model


def eit(answer: Any, args: argparse.Namespace) -> EITClassifier:
    """Return an estimator of the benchmark's size."""
    return EITClassifier(
        answer,
        identity=answer == "concatenated",
        config=EIT_SIZE,
        steps=args.steps,
        learning_rate=args.rate,
        device="cpu",
        seed=args.seed,
        quiet=True,
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--questions", nargs="+", default=["connection", "type"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=4000, help="of EIT")
    parser.add_argument("--rate", type=float, default=3e-3, help="of EIT")
    parser.add_argument("--peer-steps", type=int, default=20000)
    parser.add_argument("--peer-rate", type=float, default=3e-3)
    parser.add_argument("--crops", type=int, default=8, help="crops of every training trial")
    parser.add_argument("--cache", type=Path, help="folder that keeps the simulated trials")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the rows as JSON")
    args = parser.parse_args()
    if args.quick:
        args.steps, args.peer_steps, args.crops = 20, 20, 1
    set_threads(1)
    trials = simulate_many_body(two_body(), 500, seed=args.seed, cache=args.cache)
    parts = [trials[:400].crop(10, seed=crop) for crop in range(args.crops)]
    test = trials[400:].crop(10, seed=1000).in_orders()
    ordered = [part.in_orders() for part in parts]
    rows: list[Row] = []
    questions: tuple[tuple[Question, float], ...] = (("connection", 1 / 3), ("type", 1 / 6))
    for question, chance in questions:
        if question not in args.questions:
            continue
        # All have all orders, so that classes have the same numbers.
        labels = [part.labels(question) for part in (*ordered, test)]
        true = labels.pop()
        began = time.process_time()
        right, of_parts, model = by_parts(question, parts, test, args)
        eit_s = time.process_time() - began
        print(
            f"{question}: by parts {right:.3f} ({of_parts:.3f} of the parts), {eit_s:.0f} CPU s", flush=True
        )
        began = time.process_time()
        theirs = float((peer(ordered, np.concatenate(labels), test.positions, args) == true).mean())
        peer_s = time.process_time() - began
        print(f"{question}: peer {theirs:.3f}, {peer_s:.0f} CPU s", flush=True)
        began = time.process_time()
        flat = eit("concatenated", args).fit(
            together(ordered, "positions"), np.concatenate(labels), groups=together(ordered, "trial")
        )
        released = float(flat.score(test.positions, true))
        about = conditions(
            "torch", seed=args.seed, chance=round(chance, 3), peer="plain TransformerEncoder, one token",
            steps=args.steps, rate=args.rate, peer_steps=args.peer_steps, peer_rate=args.peer_rate,
            crops=args.crops, cpu_s=[round(eit_s), round(peer_s), round(time.process_time() - began)],
        )  # fmt: skip
        rows.append(Row(f"{question}: EIT by parts", right, theirs, "accuracy", right / theirs, about))
        rows.append(
            Row(f"{question}: EIT concatenated", released, theirs, "accuracy", released / theirs, about)
        )
        rows.append(Row(f"{question}: right pairs or bodies", of_parts, None, "accuracy", None, about))
        print(f"{question}: concatenated {released:.3f}", flush=True)
        if question == "connection":
            three = simulate_many_body(two_body(systems=(2, 2, 2)), 100, seed=args.seed + 1).crop(
                10, seed=1000
            )
            more = model.score(three.positions, three.interactions)
            rows.append(
                Row("connection: pairs among 6 bodies, never met", more, None, "accuracy", None, about)
            )
    finish(rows, args)


if __name__ == "__main__":
    main()
