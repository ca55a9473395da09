"""Mixtures of linear dynamical systems on reaching: how many, how well held-out trials are predicted, and
whether the components are the targets.

Outputs are the first principal components of square-root counts, inputs the hand velocity. The principal axes
and the mixture are fitted on training trials only; the score is the log-likelihood of held-out trials per
bin.
The baselines: one system for all trials (K = 1); one regression per trial, then k-means; the tensor alone.
Held-out trials are five folds of shuffled trials. By default components share their output noise R and
the feedthrough D, which 20 trials of nine bins each could not tell apart.

    python examples/dynamics_reaching.py ../shared/data/reaching/chewie_2013-10-03_100ms_whole_trials.npz \
        --bins 9 --components 1 3 4 5
"""

import argparse

import numpy as np
from sklearn.metrics import normalized_mutual_info_score
from sklearn.model_selection import KFold

from neuroloom.dynamics.mixture import MixtureOfLDS


def load(path: str, *, bins: int) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """Return square-root counts (bins, units), scaled velocities (bins, 2) and targets of all trials."""
    with np.load(path, allow_pickle=False) as data:
        ends = np.cumsum(data["trial_lengths"])[:-1]
        counts = np.split(np.sqrt(data["spike_counts"].astype(float)), ends)
        velocity = data["velocity"].astype(float)
        speeds = np.split(velocity / velocity.std(), ends)
        targets = data["target"]
    return [c[:bins] for c in counts], [v[:bins] for v in speeds], targets


def project(counts: list[np.ndarray], train: np.ndarray, n_pcs: int) -> list[np.ndarray]:
    """Project all trials on the principal axes of the training trials."""
    every = np.concatenate([counts[i] for i in train])
    mean = every.mean(axis=0)
    axes = np.linalg.eigh(np.cov((every - mean).T))[1][:, ::-1][:, :n_pcs]
    return [(trial - mean) @ axes for trial in counts]


def chosen(values: list[np.ndarray], indices: np.ndarray) -> list[np.ndarray]:
    """Return the trials of the given indices."""
    return [values[i] for i in indices]


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
    parser.add_argument("--starts", nargs="+", default=["auto", "kmeans", "tensor"])
    parser.add_argument("--shared", nargs="*", default=["R", "D"], help="parameters common to all components")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    counts, velocity, targets = load(args.path, bins=args.bins)
    folds = list(KFold(args.folds, shuffle=True, random_state=args.seed).split(counts))
    print(f"{len(counts)} trials, {np.concatenate(counts).shape[1]} units, {len(np.unique(targets))} targets")
    print("start    K   held-out log-likelihood per bin   NMI, all trials   NMI, held out   BIC")
    everyone = np.arange(len(counts))
    for n_components in args.components:
        for start in args.starts if n_components > 1 else args.starts[:1]:
            model = MixtureOfLDS(
                n_components,
                args.state_dim,
                init=start,
                n_init=4,
                shared=args.shared,
                tol=1e-6,
                max_iter=100,
                seed=args.seed,
            )
            outputs = project(counts, everyone, args.pcs)
            model.fit(outputs, velocity)
            nmi, bic = normalized_mutual_info_score(targets, model.labels_), model.bic(outputs, velocity)
            scores, held_out = [], []
            for train, test in folds:
                outputs = project(counts, train, args.pcs)
                model.fit(chosen(outputs, train), chosen(velocity, train))
                unseen = chosen(outputs, test), chosen(velocity, test)
                scores.append(model.score(*unseen))
                held_out.append(normalized_mutual_info_score(targets[test], model.predict(*unseen)))
            error = np.std(scores) / len(scores) ** 0.5
            print(
                f"{start:8s} {n_components}   {np.mean(scores):.3f} +- {error:.3f}"
                f"   {nmi:.2f}   {np.mean(held_out):.2f}   {bic:.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
