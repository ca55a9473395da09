"""From embedded spikes to clusters, without being told how many there are."""

import numpy as np

from neuroloom.seeds import derive
from neuroloom.sorting.spikeinterface_runs import keep_compiled, quiet

_DIMS = 6  # principal axes of the embeddings that clusters are looked for in
_DIP = 2.0  # of isosplit: how far from unimodal two neighbouring clusters must be
_MOST_EVENTS = 30_000  # per neighbourhood; the others are found again by their templates


def cluster_embeddings(embeddings: np.ndarray, *, seed: int, n_dims: int = _DIMS) -> np.ndarray:
    """Return labels 0, 1, .. of embedded spikes; -1 for those left out.

    Isosplit (Magland & Barnett 2015, arXiv:1508.04841) on the leading principal axes: clusters are what is
    unimodal along every line between two of them.

    Parameters
    ----------
    embeddings
        Shape ``(spikes, dimensions)``.
    seed
        Of the first division.
    n_dims
        Principal axes.
    """
    from spikeinterface.sortingcomponents.clustering.isosplit_isocut import isosplit

    n = len(embeddings)
    if n < 40:
        return np.zeros(n, np.int64)
    random = np.random.default_rng(derive(seed, "cluster"))
    chosen = np.sort(random.permutation(n)[:_MOST_EVENTS])
    centred = embeddings[chosen] - np.median(embeddings[chosen], axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    points = np.ascontiguousarray(centred @ axes[:, ::-1][:, :n_dims], dtype=np.float64)
    labels = np.full(n, -1, np.int64)
    keep_compiled()
    with quiet():
        labels[chosen] = isosplit(
            points,
            n_init=int(np.clip(len(points) // 20, 1, 200)),
            isocut_threshold=_DIP,
            seed=derive(seed, "isosplit") % 2**31,
        )
    return labels
