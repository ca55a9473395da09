"""What attention between individuals says about who interacts with whom."""

from collections.abc import Sequence

import numpy as np

from neuroloom.errors import DataError


def interaction_auc(weights: Sequence[np.ndarray], graphs: Sequence[np.ndarray]) -> np.ndarray:
    """Score attention as a guess of the true interactions: the area under the ROC curve over pairs.

    Parameters
    ----------
    weights
        For each trial (.., individuals, individuals), e.g. with layers and heads before; from
        `EITClassifier.attention`. A pair has the mean of both directions; nobody is a pair with itself.
    graphs
        For each trial (individuals, individuals) bool, symmetric: who interacts with whom.

    Returns
    -------
    ndarray
        Shape of what is before the individuals: 1 where every pair that interacts has more weight than any
        that does not, 0.5 for a guess, below where attention avoids the partner.

    Raises
    ------
    DataError
        If there is no trial, or all pairs are alike.

    Examples
    --------
    >>> graph = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=bool)
    >>> interaction_auc([graph * 0.8 + 0.1], [graph])
    array(1.)
    """
    from scipy.stats import rankdata

    scores, truth = [], []
    for weight, graph in zip(weights, graphs, strict=True):
        first, second = np.triu_indices(len(graph), 1)
        scores.append((weight + np.swapaxes(weight, -1, -2))[..., first, second])
        truth.append(np.asarray(graph, dtype=bool)[first, second])
    tied = np.concatenate(truth) if truth else np.zeros(0, dtype=bool)
    n_tied, n_free = int(tied.sum()), int((~tied).sum())
    if not (n_tied and n_free):
        raise DataError(
            f"{n_tied} pairs that interact and {n_free} that do not", expected="some of both",
            remedy="pass more trials",
        )  # fmt: skip
    ranks = rankdata(np.concatenate(scores, axis=-1), axis=-1)
    return np.asarray((ranks[..., tied].sum(axis=-1) - n_tied * (n_tied + 1) / 2) / (n_tied * n_free))


def best_head(weights: Sequence[np.ndarray], graphs: Sequence[np.ndarray]) -> tuple[int, int]:
    """Return the layer and head whose attention tells interactions best.

    Pass trials that are not scored afterwards: the best of many heads looks good by chance alone. Some heads
    attend to everyone but the partner, so that a mean over heads may say nothing.

    Parameters
    ----------
    weights
        For each trial (layers, heads, individuals, individuals).
    graphs
        As of `interaction_auc`.
    """
    scores = interaction_auc(weights, graphs)
    layer, head = np.unravel_index(scores.argmax(), scores.shape)
    return int(layer), int(head)
