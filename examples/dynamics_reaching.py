"""Mixtures of linear dynamical systems on reaching: how many, how well held-out trials are predicted, and
whether the components are the targets.

Outputs are the first principal components of square-root counts, inputs the hand velocity. The principal axes
and the mixture are fitted on training trials only; the score is the log-likelihood of held-out trials per
bin, over five folds of shuffled trials, and its gain over one system for all trials (K = 1), fold by fold.
Without EM stand beside it: the tensor alone, and one system per trial, clustered by k-means.

    python examples/dynamics_reaching.py ../shared/data/reaching/chewie_2013-10-03_100ms_whole_trials.npz \
        --components 1 2 3 4 5 6 8
"""

import argparse
from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import normalized_mutual_info_score
from sklearn.model_selection import KFold

from neuroloom.dynamics.initialisation import labels_for, realise_clusters
from neuroloom.dynamics.mixture import MixtureOfLDS
from neuroloom.dynamics.predictors import Predictor
from neuroloom.dynamics.trajectories import pack
from neuroloom.seeds import stream

Trials = list[np.ndarray]
Fit = Callable[[Trials, Trials], MixtureOfLDS]
ALONE = ("tensor alone", "per trial")


def load(path: str, *, bins: int) -> tuple[Trials, Trials, np.ndarray]:
    """Return square-root counts (bins, units), scaled velocities (bins, 2) and targets of all trials."""
    with np.load(path, allow_pickle=False) as data:
        ends = np.cumsum(data["trial_lengths"])[:-1]
        counts = np.split(np.sqrt(data["spike_counts"].astype(float)), ends)
        velocity = data["velocity"].astype(float)
        speeds = np.split(velocity / velocity.std(), ends)
        targets = data["target"]
    return [c[:bins] for c in counts], [v[:bins] for v in speeds], targets


def project(counts: Trials, train: np.ndarray, n_pcs: int) -> Trials:
    """Project all trials on the principal axes of the training trials."""
    every = np.concatenate([counts[i] for i in train])
    mean = every.mean(axis=0)
    axes = np.linalg.eigh(np.cov((every - mean).T))[1][:, ::-1][:, :n_pcs]
    return [(trial - mean) @ axes for trial in counts]


def chosen(values: Trials, indices: np.ndarray) -> Trials:
    """Return the trials of the given indices."""
    return [values[i] for i in indices]


def tensor_alone(model: MixtureOfLDS, outputs: Trials, inputs: Trials) -> MixtureOfLDS:
    """Sort by the tensor and realise a system per cluster, without polishing and without EM."""
    trials, k = pack(outputs, inputs), int(model.n_components)
    labels, details = labels_for(
        "tensor", trials, Predictor.of(trials), k, decomposition="smd", rng=stream(model.seed, "alone")
    )
    model.labels_ = details.get("raw_labels", labels)
    mixture = realise_clusters(trials, model.labels_, k, model.state_dim)
    model.components_, model.weights_ = mixture.systems, mixture.weights
    return model


def system_per_trial(model: MixtureOfLDS, outputs: Trials, inputs: Trials) -> MixtureOfLDS:
    """Fit one system to each trial, cluster their impulse responses, and fit one system to each cluster."""
    of_one = MixtureOfLDS(1, model.state_dim, ridge=max(model.ridge, 1.0), max_iter=50, tol=1e-5)
    single = [
        copy(of_one).fit([y], [u]).markov_parameters(6).ravel() for y, u in zip(outputs, inputs, strict=True)
    ]
    k = int(model.n_components)
    model.labels_ = KMeans(k, n_init=20, random_state=model.seed).fit_predict(np.array(single))  # pyright: ignore
    parts = [np.flatnonzero(model.labels_ == cluster) for cluster in range(k)]
    of_one = copy(model)
    of_one.n_components = 1
    fits = [copy(of_one).fit(chosen(outputs, part), chosen(inputs, part)) for part in parts]
    model.components_ = [fit.components_[0] for fit in fits]
    model.weights_ = np.array([len(part) for part in parts]) / len(outputs)
    return model


def fit_of(start: Any, n_components: int, args: argparse.Namespace) -> Fit:
    """Return what fits a mixture from this start."""

    def fit(outputs: Trials, inputs: Trials) -> MixtureOfLDS:
        model = MixtureOfLDS(
            n_components,
            args.state_dim,
            init="auto" if start in ALONE else start,
            n_init=4,
            shared=args.shared,
            ridge=args.ridge,
            tol=1e-7,
            max_iter=500,
            seed=args.seed,
        )
        if start == "tensor alone":
            return tensor_alone(model, outputs, inputs)
        if start == "per trial":
            return system_per_trial(model, outputs, inputs)
        return model.fit(outputs, inputs)

    return fit


def main() -> None:
    """Print one line for each number of components and start."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path")
    parser.add_argument("--bins", type=int, default=1000, help="keep the first bins of each trial")
    parser.add_argument("--pcs", type=int, default=6)
    parser.add_argument("--state-dim", type=int, default=4)
    parser.add_argument("--components", type=int, nargs="+", default=[1, 2, 3, 4, 5, 6, 8])
    parser.add_argument("--starts", nargs="+", default=["auto", "tensor", "kmeans", *ALONE])
    parser.add_argument("--shared", nargs="*", default=["A", "Q", "R"], help="common to all components")
    parser.add_argument("--ridge", type=float, default=1.0)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="of the folds and of the starts")
    args = parser.parse_args()
    counts, velocity, targets = load(args.path, bins=args.bins)
    everyone = np.arange(len(counts))
    folds = list(KFold(args.folds, shuffle=True, random_state=args.seed).split(counts))
    print(f"{len(counts)} trials, {np.concatenate(counts).shape[1]} units, {len(np.unique(targets))} targets")
    print("start         K   held-out log-likelihood per bin, gain   NMI of all trials, held out   BIC")
    single: np.ndarray | None = None
    for n_components in args.components:
        for start in args.starts if n_components > 1 else ["auto"]:
            fit = fit_of(start, n_components, args)
            outputs = project(counts, everyone, args.pcs)
            model = fit(outputs, velocity)
            nmi, bic = normalized_mutual_info_score(targets, model.labels_), model.bic(outputs, velocity)
            scores, held_out = [], []
            for train, test in folds:
                outputs = project(counts, train, args.pcs)
                model = fit(chosen(outputs, train), chosen(velocity, train))
                unseen = chosen(outputs, test), chosen(velocity, test)
                scores.append(model.score(*unseen))
                held_out.append(normalized_mutual_info_score(targets[test], model.predict(*unseen)))
            single = np.array(scores) if n_components == 1 else single
            gain = "" if single is None else _spread(np.array(scores) - single)
            print(
                f"{start:12s}  {n_components}   {_spread(np.array(scores))}   {gain}"
                f"   {nmi:.2f}  {np.mean(held_out):.2f}   {bic:.0f}",
                flush=True,
            )


def _spread(values: np.ndarray) -> str:
    return f"{values.mean():.3f} +- {values.std(ddof=1) / len(values) ** 0.5:.3f}"


if __name__ == "__main__":
    main()
