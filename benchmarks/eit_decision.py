"""Visual decisions of mice: EIT that learned two mice meets the third, beside logistic regression a session.

The label is the side of the stronger stimulus. For each of three mice, EIT learns all sessions of the other
two; then T rests, and a linear head on it learns four fifths of the trials (by the seed) of each session
of the third. The last fifth is the test: balanced accuracy of a trial's mean probabilities, divided by the
shares of the classes in training. No neuron corresponds to one of another mouse, and none is told to.

Controls: the same head on a T that was never trained; logistic regression on the square root of the summed
counts (that of poyo_decision.py). 95 % intervals are Student's t over sessions, also of the paired
differences.

    OMP_NUM_THREADS=1 python benchmarks/eit_decision.py --kept kept.json --json eit_decision.json
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from kept import Kept
from poyo_decision import interval, known_trials, logistic, read_all, texts
from table import Row, conditions, finish

from neuroloom import EITDecoder, Session
from neuroloom.decoding.scores import balanced_accuracy
from neuroloom.sessions.splits import split_trials
from neuroloom.threads import set_threads

LABEL, BIN_S, TRIAL_S = "stimulus", 0.1, 0.4
SETTINGS: dict[str, Any] = {
    "config": {"answer": "concatenated"},
    "readout": "trained",  # heads are on T, and S is not asked
    "steps": 300,
    "batch_size": 16,
    "learning_rate": 3e-3,
    "unit_dropout": 0.9,  # of a thousand units
    "validation_fraction": 0.0,
}


def eit(seed: int, args: argparse.Namespace, **changes: Any) -> EITDecoder:
    """Return EIT with the benchmark's settings."""
    settings: dict[str, Any] = {**SETTINGS, "bin_s": BIN_S, "window_s": TRIAL_S, "seed": seed}
    if args.quick:
        settings["steps"] = 3
    return EITDecoder(LABEL, **{**settings, "device": "cpu", "quiet": True, **changes})


def score(decoder: EITDecoder, learn: Session, test: Session) -> float:
    """Return the balanced accuracy over trials."""
    chances = decoder.predict_probabilities(test)
    assert test.trials is not None
    trial = np.searchsorted(test.trials.start, chances.t, side="right") - 1
    total = np.zeros((len(test.trials), chances.shape[1]))
    np.add.at(total, trial, chances.values)
    names = np.asarray(chances.columns)
    shares = np.array([(texts(learn, LABEL) == name).mean() for name in names])
    return balanced_accuracy(texts(test, LABEL), names[(total / np.maximum(shares, 1e-9)).argmax(axis=1)])


def adapted(decoder: EITDecoder, learn: Session, test: Session) -> float:
    """Return how well a head on the decoder's T does in a session."""
    return score(decoder.adapt(learn, mode="head"), learn, test)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--validate", action="store_true", help="measure on a fifth of the training trials")
    parser.add_argument("--sessions", type=int, nargs="+", help="numbers of the sessions to meet; all")
    parser.add_argument("--no-control", action="store_true", help="leave the random T out")
    parser.add_argument("--kept", type=Path, help="file of finished results")
    parser.add_argument("--quick", action="store_true", help="a few steps, to see that it runs")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the rows as JSON")
    args = parser.parse_args()
    set_threads(1)
    kept, sessions = Kept(args.kept), [known_trials(each, LABEL) for each in read_all()]
    kinds = ("transfer", "logistic") if args.no_control else ("transfer", "logistic", "random")
    scores: dict[str, list[list[float]]] = {kind: [] for kind in kinds}
    met: list[str] = []
    for seed in args.seeds:
        found: dict[str, list[float]] = {name: [] for name in scores}
        met = []
        for mouse in dict.fromkeys(each.subject for each in sessions):
            others = [each for each in sessions if each.subject != mouse]
            fitted: list[EITDecoder] = []
            for number, session in enumerate(sessions, start=1):
                if session.subject != mouse or (args.sessions and number not in args.sessions):
                    continue
                learn, test = halves(session, seed, validate=args.validate)

                def transfer(learn: Session = learn, test: Session = test, others: Any = others) -> float:
                    if not fitted:  # noqa: B023
                        fitted.append(eit(seed, args).fit(others))  # noqa: B023
                    return adapted(fitted[0], learn, test)  # noqa: B023

                def random(learn: Session = learn, test: Session = test, others: Any = others) -> float:
                    untrained = eit(seed, args, steps=1, learning_rate=1e-12)  # noqa: B023
                    return adapted(untrained.fit(others[:1]), learn, test)

                def regression(learn: Session = learn, test: Session = test) -> float:
                    return balanced_accuracy(texts(test, LABEL), logistic(learn, test, LABEL))

                name = f"{session.id}, seed {seed}"
                met.append(session.id)
                found["logistic"].append(kept(f"{name}: logistic", regression))
                if not args.no_control:
                    found["random"].append(kept(f"{name}: head on a random T", random))
                found["transfer"].append(kept(f"{name}: head on T of the other mice", transfer))
        for name, each in found.items():
            scores[name].append(each)
    mean = {name: np.mean(each, axis=0) for name, each in scores.items()}
    told = {name: interval(each) for name, each in mean.items()} if len(met) > 1 else {}
    rows = []
    for peer in kinds[1:]:
        difference = interval(mean["transfer"] - mean[peer]) if told else None
        each = {name: dict(zip(met, values.round(4).tolist(), strict=True)) for name, values in mean.items()}
        about = conditions(
            "torch", "scikit-learn", peer=peer, seeds=args.seeds, intervals=told, difference=difference,
            each=each, **SETTINGS,
        )  # fmt: skip
        print(f"against {peer}: {told} difference {difference}")
        ours, theirs = float(mean["transfer"].mean()), float(mean[peer].mean())
        rows.append(
            Row("side of the stimulus, a new mouse", ours, theirs, "", (1 - theirs) / (1 - ours), about)
        )
    finish(rows, args)


def halves(session: Session, seed: int, *, validate: bool) -> tuple[Session, Session]:
    """Return four fifths of the trials and the rest; for choices, the same of those four fifths."""
    for _ in range(1 + validate):
        learn, test = split_trials(session, (0.8, 0.2), order="shuffled", seed=seed)
        session, rest = session.restrict(learn), session.restrict(test)
    return session, rest


if __name__ == "__main__":
    main()
