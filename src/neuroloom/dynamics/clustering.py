"""First guesses of which trajectory belongs to which component."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from neuroloom.dynamics.moments import (
    block_moments,
    complete_rows,
    impulse_features,
    lagged_inputs,
    pooled_moments,
)
from neuroloom.dynamics.predictors import Predictor
from neuroloom.dynamics.tensor import Decomposition, components_of
from neuroloom.dynamics.trajectories import Trajectories
from neuroloom.errors import DataError

_N_BLOCKS = 3
_LONGEST_LAG = 6


@dataclass(frozen=True)
class Regressions:
    """Every trajectory as a linear regression: outputs on lagged inputs, or on past outputs without inputs.

    Attributes
    ----------
    regressors, targets
        Lists of (rows_i, d) and (rows_i, p), centred and of unit variance.
    lag
        Number of past steps used.
    """

    regressors: list[np.ndarray]
    targets: list[np.ndarray]
    lag: int

    @property
    def typical_rows(self) -> float:
        """Median number of rows of a trajectory."""
        return float(np.median([len(v) for v in self.regressors]))

    @cached_property
    def products(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sums over rows of v v' (N, d, d), v y' (N, d, p) and y'y (N,)."""
        d, p, n = self.regressors[0].shape[1], self.targets[0].shape[1], len(self.targets)
        gram, cross, power = np.zeros((n, d, d)), np.zeros((n, d, p)), np.zeros(n)
        for i, pair in enumerate(zip(self.regressors, self.targets, strict=True)):
            v, y = complete_rows(*pair)
            gram[i], cross[i], power[i] = v.T @ v, v.T @ y, np.sum(y**2)
        return gram, cross, power

    def errors(self, means: np.ndarray) -> np.ndarray:
        """Return the squared error (N, K) that each regression (K, p d) leaves in each trajectory."""
        gram, cross, power = self.products
        p, d = cross.shape[2], cross.shape[1]
        weights = means.reshape(len(means), p, d)
        explained = np.einsum("kpd,ndp->nk", weights, cross, optimize=True)
        squares = np.einsum("kpd,kpe->kde", weights, weights, optimize=True)
        return power[:, None] - 2 * explained + np.einsum("kde,nde->nk", squares, gram, optimize=True)

    def regress(self, labels: np.ndarray, n_components: int) -> np.ndarray:
        """Return the pooled regression (K, p d) of each cluster; that of all where it is empty."""
        gram, cross, _ = self.products
        means = []
        for k in range(n_components):
            chosen = labels == k if np.any(labels == k) else np.ones(len(labels), bool)
            G = gram[chosen].sum(axis=0)
            size = np.trace(G) / len(G)
            G = G + (1e-3 * size + 1e-300) * np.eye(len(G))
            means.append(np.linalg.solve(G, cross[chosen].sum(axis=0)).T.ravel())
        return np.array(means)


def regressions(trajectories: Trajectories, *, lag: int | None = None, n_components: int = 1) -> Regressions:
    """Set the regressions up, with a lag that three blocks of a typical trajectory can carry."""
    every_y = np.concatenate(trajectories.outputs)
    driven = trajectories.input_dim > 0
    center, scale = np.nanmean(every_y, axis=0), np.nanstd(every_y, axis=0)
    scale = np.where(scale > 1e-12 * (np.abs(center) + 1e-300), scale, 1.0)
    outputs = [(y - center) / scale for y in trajectories.outputs]
    p = trajectories.output_dim
    if driven:
        every_u = np.concatenate(trajectories.inputs)
        u_scale = every_u.std(axis=0)
        u_scale = np.where(u_scale > 0, u_scale, 1.0)
        sources = [(u - every_u.mean(axis=0)) / u_scale for u in trajectories.inputs]
    else:
        sources = [np.nan_to_num(y) for y in outputs]
    width = sources[0].shape[1]
    if lag is None:
        typical = float(np.median(trajectories.lengths))
        if driven:
            carried = int((typical / _N_BLOCKS - 1.5 * width) / (1 + 1.5 * width))
            wanted = -(-n_components // (p * width)) - 1
            lag = int(np.clip(max(carried, wanted), 1, _LONGEST_LAG))
        else:
            lag = 2 if typical / _N_BLOCKS >= 4 * width else 1
        lag = max(min(lag, int(typical) - 2), 0 if driven else 1)
    usable = [i for i in range(len(outputs)) if len(outputs[i]) > lag]
    empty_x = np.zeros((0, width * (lag + 1) if driven else width * lag))
    regressors, targets = [empty_x] * len(outputs), [np.zeros((0, p))] * len(outputs)
    for i in usable:
        lagged = lagged_inputs(sources[i], lag)
        regressors[i] = lagged if driven else lagged[:, width:]
        targets[i] = outputs[i][lag:]
    return Regressions(regressors, targets, lag)


def tensor_labels(
    trajectories: Trajectories,
    predictor: Predictor,
    n_components: int,
    *,
    decomposition: Decomposition,
    rng: np.random.Generator,
) -> tuple[np.ndarray, dict]:
    """Cluster by the tensor of trajectory-level block moments.

    The number of blocks, the lag and gaps between blocks trade bias against noise; a handful of choices is
    tried, each polished by the one-step predictors, and the likeliest is kept.

    Returns
    -------
    labels
        (N,).
    details
        ``mass`` (near 1 for good moments), ``spectrum`` of the second moment, ``blocks``, ``lag``, and the
        ``raw_labels`` that the decomposition alone gives.

    Raises
    ------
    DataError
        If trajectories are too short for three blocks.
    """
    best: tuple[float, np.ndarray, dict] | None = None
    refusal: DataError | None = None
    usual = regressions(trajectories, n_components=n_components)
    shorter = max(usual.lag // 2, 1)
    lags = [usual] if shorter == usual.lag else [usual, regressions(trajectories, lag=shorter)]
    for data in lags:
        d, rows = data.regressors[0].shape[1], data.typical_rows
        for n_blocks, gap in ((3, data.lag), (3, 0), (4, data.lag), (4, 0), (6, 0)):
            per_block = (rows - gap * (n_blocks - 1)) / n_blocks
            if n_blocks > 3 and per_block < d:
                continue
            ridge = 0.1 if per_block >= 1.5 * d else 0.5
            try:
                features, _ = impulse_features(
                    data.regressors, data.targets, n_blocks=n_blocks, gap=gap, ridge=ridge
                )
                moments = block_moments(features, n_components)
            except DataError as error:
                refusal = error
                continue
            _, means, mass = components_of(moments, decomposition=decomposition, rng=rng)
            raw = data.errors(means).argmin(axis=1)
            labels, value = predictor.polish(raw, n_components)
            if best is None or value > best[0]:
                details = {"mass": mass, "spectrum": moments.spectrum, "blocks": n_blocks, "lag": data.lag}
                best = (value, labels, details | {"raw_labels": raw})
    if best is None:
        raise refusal or DataError(
            "no block of rows", expected="longer trajectories", remedy="use init='kmeans'"
        )
    return best[1], best[2]


def pooled_tensor_labels(
    data: Regressions, n_components: int, *, decomposition: Decomposition, rng: np.random.Generator
) -> tuple[np.ndarray, dict]:
    """Cluster by the pooled moments of the paper, on a random projection of the outputs."""
    p = data.targets[0].shape[1]
    projection = rng.standard_normal(p)
    targets = [y @ (projection / np.linalg.norm(projection)) for y in data.targets]
    order = rng.permutation(len(targets))
    moments = pooled_moments([data.regressors[i] for i in order], [targets[i] for i in order], n_components)
    _, means, mass = components_of(moments, decomposition=decomposition, rng=rng)
    errors = np.stack(
        [[np.nansum((y - v @ g) ** 2) for v, y in zip(data.regressors, targets, strict=True)] for g in means],
        axis=1,
    )
    # The scalar regression only sorted the trajectories; all outputs are regressed again per cluster.
    labels = data.errors(data.regress(errors.argmin(axis=1), n_components)).argmin(axis=1)
    return labels, {"mass": mass, "spectrum": moments.spectrum}


def kmeans_labels(
    trajectories: Trajectories, predictor: Predictor, n_components: int, *, rng: np.random.Generator
) -> tuple[np.ndarray, dict]:
    """Cluster one ridge regression per trajectory by k-means: one system each, then cluster.

    A short and a long lag are tried, each polished by the one-step predictors; the likelier is kept.

    Raises
    ------
    DataError
        If fewer trajectories than components are longer than the lag.
    """
    from sklearn.cluster import KMeans

    usual = regressions(trajectories, n_components=n_components)
    longer = min(2 * usual.lag + 1, int(usual.typical_rows + usual.lag) // 4)
    lags = [usual] if longer <= usual.lag else [usual, regressions(trajectories, lag=longer)]
    best: tuple[float, np.ndarray, dict] | None = None
    for data in lags:
        features, used = impulse_features(data.regressors, data.targets, n_blocks=1, gap=0, ridge=0.1)
        if len(used) < n_components:
            continue
        flat = features[:, 0]
        n_distinct = len(np.unique(flat, axis=0))
        model = KMeans(
            min(n_components, n_distinct),
            n_init=10,  # pyright: ignore[reportArgumentType]
            random_state=int(rng.integers(2**31)),
        )
        model.fit(flat)
        raw = data.errors(model.cluster_centers_).argmin(axis=1)
        raw[used] = model.labels_
        labels, value = predictor.polish(raw, n_components)
        if best is None or value > best[0]:
            best = (value, labels, {"raw_labels": raw, "lag": data.lag})
    if best is None:
        raise DataError(
            f"fewer than {n_components} trajectories longer than the lag of {usual.lag}",
            expected=f"at least {n_components}",
            remedy="use fewer components or longer trajectories",
        )
    return best[1], best[2]


def predictor_labels(
    predictor: Predictor, n_components: int, *, rng: np.random.Generator, n_starts: int = 10
) -> tuple[np.ndarray, dict]:
    """Cluster by one-step predictors alone: the likeliest of several random partitions after polishing."""
    n = predictor.n_trajectories
    runs = [
        predictor.polish(random_labels(n, n_components, rng=rng), n_components, rounds=40)
        for _ in range(n_starts)
    ]
    labels, _ = max(runs, key=lambda run: run[1])
    return labels, {}


def random_labels(n_trajectories: int, n_components: int, *, rng: np.random.Generator) -> np.ndarray:
    """Deal the trajectories out at random, evenly."""
    return rng.permutation(np.arange(n_trajectories) % n_components)
