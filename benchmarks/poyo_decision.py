"""Visual decisions of 11 sessions in one POYO, beside one logistic regression per session.

The labels are the side of the stronger stimulus, and the feedback (reward or not). The files hold no record
of the turn of the wheel: on rewarded trials the choice is the stimulus side, on the others it is either of
two, so feedback is what can be asked about choice. Every fifth trial, drawn by the seed, is the test;
balanced accuracy, with its mean and 95 % interval over sessions (Student's t), and of the paired difference.

The regression reads the square root of every unit's count in the 0.4 s after the stimulus, its penalty
chosen in cross-validation on the training trials, classes weighted alike in both models.

POYO's settings were chosen on a quarter of the training trials of seed 0 (stimulus). docs/decoding-poyo.md
has what the earlier ones reached. The last weights are kept.

    python benchmarks/poyo_decision.py --labels stimulus feedback --seeds 0 --json decision.json
"""

import argparse
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from table import Row, conditions, finish

from neuroloom import PoyoDecoder, Session
from neuroloom.decoding.poyo import PoyoConfig
from neuroloom.decoding.scores import balanced_accuracy
from neuroloom.decoding.targets import trial_labels
from neuroloom.errors import MissingFile
from neuroloom.sessions.splits import split_trials
from neuroloom.sessions.windows import count_windows, flatten
from neuroloom.threads import set_threads

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
from visual_decision_sessions import read

DATA = Path(__file__).parents[2] / "shared" / "data" / "visual_decision"
TRIAL_S = 0.4
BIN_S = 0.01
CONFIG = PoyoConfig(
    context_s=TRIAL_S,
    latent_step_s=0.1,
    latents_per_step=4,
    depth=1,
    linear_dropout=0.3,
    ffn_dropout=0.3,
    shortest_period_s=10 * BIN_S,  # the spikes come from counts in these bins
)
SETTINGS: dict[str, Any] = {
    "unit_dropout": (50, 150, 300),
    "jitter_s": BIN_S,
    "steps": 200,
    "batch_size": 256,
    "validation_fraction": 0.0,
}


def read_all() -> list[Session]:
    """Return the eleven sessions."""
    files = sorted(DATA.glob("session*.npz"))
    if not files:
        raise MissingFile(f"{DATA} has no sessions", expected="the shared data", remedy="fetch it first")
    return [read(path) for path in files]


def known_trials(session: Session, label: str) -> Session:
    """Return the trials that have the label, with a weight that makes its classes count alike."""
    assert session.trials is not None
    labels = np.asarray([str(each) for each in trial_labels(session, label)])
    known = (labels != "") & (labels != "nan") & (labels != "None")
    session = session.restrict(session.trials[known])
    assert session.trials is not None
    classes, code = np.unique(labels[known], return_inverse=True)
    share = np.bincount(code) / len(code)
    session.trials.set_info(balance=1 / (len(classes) * share[code]))
    return session


def features(session: Session) -> np.ndarray:
    """Return the square root of every unit's count in each trial, (trials, units)."""
    assert session.trials is not None
    starts = np.asarray(session.trials.start)
    return np.sqrt(count_windows(flatten(session), starts, window_s=TRIAL_S, bin_s=TRIAL_S)[:, 0])


def logistic(learn: Session, test: Session, label: str) -> np.ndarray:
    """Return the predicted labels of the test trials."""
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(
        StandardScaler(),
        LogisticRegressionCV(
            Cs=np.logspace(-5, 0, 6).tolist(),
            cv=5,
            class_weight="balanced",
            scoring="balanced_accuracy",
            max_iter=500,
        ),
    )
    classes, code = np.unique(texts(learn, label), return_inverse=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return classes[model.fit(features(learn), code).predict(features(test))]


def texts(session: Session, label: str) -> np.ndarray:
    """Return a trial label as text."""
    return np.asarray([str(each) for each in trial_labels(session, label)])


def by_trial(decoder: PoyoDecoder, session: Session) -> np.ndarray:
    """Return the most likely label of every trial, as text."""
    chances = decoder.predict_probabilities(session)
    return np.asarray(chances.columns)[chances.values.argmax(axis=1)]


def compare(label: str, seed: int, args: argparse.Namespace) -> tuple[list[float], list[float], float]:
    """Return balanced accuracies by session, of POYO and of the regressions, and POYO's CPU seconds."""
    sessions = [known_trials(each, label) for each in read_all()]
    parts = [split_trials(each, (0.8, 0.2), order="shuffled", seed=seed) for each in sessions]
    learn = [each.restrict(part[0]) for each, part in zip(sessions, parts, strict=True)]
    test = [each.restrict(part[1]) for each, part in zip(sessions, parts, strict=True)]
    settings: dict[str, Any] = {**SETTINGS, "seed": seed} | ({"steps": 5} if args.quick else {})
    began = time.process_time()
    decoder = PoyoDecoder(
        label,
        config=CONFIG,
        bin_s=TRIAL_S,
        weights="balance",
        device="cpu",
        quiet=not args.progress,
        **settings,
    ).fit(learn)
    seconds = time.process_time() - began
    print(f"trained {seconds:.0f} CPU s, last loss {decoder.training_.records[-1]['loss']:.3f}", flush=True)
    ours, theirs = [], []
    for before, after in zip(learn, test, strict=True):
        ours.append(balanced_accuracy(texts(after, label), by_trial(decoder, after)))
        theirs.append(balanced_accuracy(texts(after, label), logistic(before, after, label)))
        print(f"{label}, {after.id}: POYO {ours[-1]:.3f}, logistic {theirs[-1]:.3f}", flush=True)
    return ours, theirs, seconds


def interval(values: np.ndarray) -> list[float]:
    """Return the mean and the 95 % interval of it (Student's t)."""
    from scipy.stats import t

    half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return [round(float(each), 4) for each in (values.mean(), values.mean() - half, values.mean() + half)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a few steps, to see that it runs")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the rows as JSON")
    parser.add_argument("--labels", nargs="+", default=["stimulus", "feedback"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--progress", action="store_true", help="show progress bars")
    args = parser.parse_args()
    set_threads(1)
    rows = []
    for label in args.labels:
        runs = [compare(label, seed, args) for seed in args.seeds]
        ours, theirs = (np.mean([run[column] for run in runs], axis=0) for column in (0, 1))
        told = conditions(
            "torch",
            "scikit-learn",
            peer="logistic regression per session",
            seeds=args.seeds,
            ours=interval(ours),
            peers=interval(theirs),
            difference=interval(ours - theirs),
            each={"poyo": ours.round(4).tolist(), "logistic": theirs.round(4).tolist()},
            cpu_s=[round(run[2]) for run in runs],
            **SETTINGS,
        )
        print(f"{label}: POYO {told['ours']}, logistic {told['peers']}, difference {told['difference']}")
        better = (1 - theirs.mean()) / (1 - ours.mean())
        name = f"{label}: balanced accuracy, {len(ours)} sessions"
        rows.append(Row(name, float(ours.mean()), float(theirs.mean()), "", float(better), told))
    finish(rows, args)


if __name__ == "__main__":
    main()
