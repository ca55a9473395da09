"""Where EM starts: labels from a clustering, one realised system per cluster, and the portfolio."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from neuroloom.dynamics import clustering
from neuroloom.dynamics.em import Fit, Mixture, expectation_maximisation
from neuroloom.dynamics.kalman import log_likelihood
from neuroloom.dynamics.maximisation import Constraints, floored
from neuroloom.dynamics.predictors import Predictor
from neuroloom.dynamics.realisation import realise_impulse_response, realise_predictor, stabilised
from neuroloom.dynamics.tensor import Decomposition
from neuroloom.dynamics.trajectories import Trajectories
from neuroloom.errors import DataError
from neuroloom.seeds import stream
from neuroloom.simulation.linear_systems import LinearSystem

Init = Literal["auto", "tensor", "tensor-pooled", "kmeans", "predictors", "random"]
# E steps that each candidate of the portfolio gets before the best goes on.
SHORT_EM = 20
# Candidates that get as many again.
FINALISTS = 3


@dataclass(frozen=True)
class Candidate:
    """One way to start.

    Attributes
    ----------
    name
        ``"tensor"``, ``"kmeans"``, ``"random"``, ..
    labels
        (N,) clusters it started from.
    start
        The mixture realised from them.
    fit
        What a short EM made of it.
    details
        Diagnostics of the clustering.
    """

    name: str
    labels: np.ndarray
    start: Mixture
    fit: Fit
    details: dict = field(default_factory=dict)


def labels_for(
    method: str,
    trajectories: Trajectories,
    predictor: Predictor,
    n_components: int,
    *,
    decomposition: Decomposition,
    rng: np.random.Generator,
) -> tuple[np.ndarray, dict]:
    """Return the labels (N,) that a method starts from, and its diagnostics."""
    if n_components == 1:
        return np.zeros(len(trajectories), dtype=int), {}
    if method == "tensor":
        return clustering.tensor_labels(
            trajectories, predictor, n_components, decomposition=decomposition, rng=rng
        )
    if method == "tensor-pooled":
        data = clustering.regressions(trajectories, n_components=n_components)
        return clustering.pooled_tensor_labels(data, n_components, decomposition=decomposition, rng=rng)
    if method == "kmeans":
        return clustering.kmeans_labels(trajectories, predictor, n_components, rng=rng)
    if method == "predictors":
        return clustering.predictor_labels(predictor, n_components, rng=rng)
    return clustering.random_labels(len(trajectories), n_components, rng=rng), {}


def realise_clusters(
    trajectories: Trajectories, labels: np.ndarray, n_components: int, state_dim: int
) -> Mixture:
    """Realise one system per cluster; clusters too small for it get the system of all trajectories."""
    everyone = _realise(trajectories, np.arange(len(trajectories)), state_dim)
    systems, weights = [], np.empty(n_components)
    for k in range(n_components):
        members = np.flatnonzero(labels == k)
        weights[k] = len(members) + 1.0
        seen = any(np.isfinite(trajectories.outputs[i]).any() for i in members)
        system = _realise(trajectories, members, state_dim) if seen else None
        if system is None:
            # Wide noise lets an empty component pick up what no other explains.
            system = everyone or _plain(trajectories, state_dim)
            system = replace(system, Q=system.Q * (1.5 + k), R=system.R * (1.5 + k))
        systems.append(system)
    return Mixture(systems, weights / weights.sum())


def plain_clusters(
    trajectories: Trajectories, labels: np.ndarray, n_components: int, state_dim: int
) -> Mixture:
    """Return one plain system per cluster, which never rings and never grows."""
    weights = np.bincount(labels, minlength=n_components) + 1.0
    systems = []
    for k in range(n_components):
        members = np.flatnonzero(labels == k)
        seen = any(np.isfinite(trajectories.outputs[i]).all(axis=1).any() for i in members)
        systems.append(_plain(trajectories.subset(members) if seen else trajectories, state_dim))
    return Mixture(systems, weights / weights.sum())


def start_candidates(
    trajectories: Trajectories,
    *,
    n_components: int,
    state_dim: int,
    init: Init,
    n_init: int,
    decomposition: Decomposition,
    constraints: Constraints,
    tolerance: float,
    accelerate: bool,
    seed: int,
) -> list[Candidate]:
    """Run every start through a short EM and return them, best first.

    Raises
    ------
    DataError
        If the one method asked for cannot work on these trajectories; "auto" leaves such methods out.
    """
    methods = ["tensor", "kmeans", "predictors"] + ["random"] * n_init if init == "auto" else [init] * n_init
    if n_components == 1:
        methods = ["pooled", "plain"]
    predictor = Predictor.of(trajectories)

    def short(mixture: Mixture) -> Fit:
        return expectation_maximisation(
            mixture, trajectories, constraints, max_iter=SHORT_EM, tolerance=tolerance, accelerate=accelerate
        )

    candidates, refusals = [], []
    for attempt, method in enumerate(methods):
        rng = stream(seed, "dynamics", method, attempt)
        try:
            labels, details = labels_for(
                method, trajectories, predictor, n_components, decomposition=decomposition, rng=rng
            )
        except DataError as error:
            refusals.append(error)
            continue
        for partition in _distinct(labels, details.get("raw_labels")):
            # EM crosses a plateau on its way from a realised system to one whose states grow.
            realise = plain_clusters if method == "plain" else realise_clusters
            for make in (realise, plain_clusters):
                start = constrained(make(trajectories, partition, n_components, state_dim), constraints)
                fit = short(start)
                if np.isfinite(fit.trace[-1]):
                    candidates.append(Candidate(method, partition, start, fit, details))
                    break
    if not candidates and not refusals:
        raise DataError(
            "no start has a finite likelihood",
            expected="data that some linear system can follow",
            remedy="rescale the data, or freeze and share fewer parameters",
        )
    if not candidates:
        raise refusals[0]
    ranked = sorted(candidates, key=_objective, reverse=True)
    # A start that limps at first may win in the end: the front runners get more steps before one is chosen.
    finals = [replace(c, fit=short(c.fit.mixture)) for c in ranked[:FINALISTS]] if len(ranked) > 1 else ranked
    return sorted(finals, key=_objective, reverse=True) + ranked[len(finals) :]


def report(candidates: list[Candidate]) -> dict[str, Any]:
    """Return each candidate's log-likelihood after its short EM, best first, and the winner's name."""
    rows = [
        {
            "init": candidate.name,
            "log_likelihood": candidate.fit.log_likelihood,
            "n_iter": candidate.fit.n_iter,
            "mass": candidate.details.get("mass"),
        }
        for candidate in candidates
    ]
    return {"winner": candidates[0].name, "candidates": rows}


def _objective(candidate: Candidate) -> float:
    return float(candidate.fit.trace[-1])


def _distinct(labels: np.ndarray, raw: np.ndarray | None) -> list[np.ndarray]:
    """Return the polished labels, and the raw ones where polishing changed the partition."""
    if raw is None:
        return [labels]
    same = (
        np.unique(np.stack([labels, raw]), axis=1).shape[1] == len(np.unique(labels)) == len(np.unique(raw))
    )
    return [labels] if same else [labels, raw]


def constrained(mixture: Mixture, constraints: Constraints) -> Mixture:
    """Make a start obey what is frozen to zero or shared by all components."""
    systems = mixture.systems
    if "D" in constraints.frozen:
        systems = [replace(s, D=np.zeros_like(s.D)) for s in systems]
    if "B" in constraints.frozen:
        systems = [replace(s, B=np.zeros_like(s.B)) for s in systems]
    if constraints.diagonal_noise:
        systems = [replace(s, R=np.diag(np.diag(s.R))) for s in systems]
    if "C" in constraints.shared:
        reference = systems[0].C
        turned = []
        for s in systems:
            # Turn the states so that the outputs see them as in the first component, as far as that goes.
            turn = np.linalg.pinv(reference) @ s.C
            sizes = np.linalg.svd(turn, compute_uv=False)
            ok = sizes[0] < 1e3 and sizes[-1] > 1e-3
            turned.append(replace(s.in_coordinates(turn) if ok else s, C=reference))
        systems = turned
    for name in constraints.shared - {"C"}:
        mean = np.average([getattr(s, name) for s in systems], axis=0, weights=mixture.weights)
        # States of different components have different coordinates; their mean must at least not explode.
        mean = stabilised(mean) if name == "A" else mean
        systems = [replace(s, **{name: mean}) for s in systems]
    return Mixture(systems, mixture.weights)


def _realise(trajectories: Trajectories, members: np.ndarray, state_dim: int) -> LinearSystem | None:
    """Try both realisations at several lags and keep the one under which the members are likeliest."""
    # Realisations cut small singular values, so all channels must be of one size.
    y_scale, u_scale = _scales(trajectories.outputs), _scales(trajectories.inputs)
    ys = [trajectories.outputs[i] / y_scale for i in members]
    us = [trajectories.inputs[i] / u_scale for i in members]
    p, m, n = trajectories.output_dim, trajectories.input_dim, state_dim
    longest = max(len(y) for y in ys)
    attempts = []
    if m:
        attempts.append((realise_impulse_response, 2 * n + 2, m))
    attempts.append((realise_predictor, n + 1, m + p))
    best, best_value = None, -np.inf
    chosen = trajectories.subset(members)
    for realise, wanted, width in attempts:
        # n <= min(p (r - 1), width c) with r + c = lag + 1
        least = -(-n // p) + -(-n // width)
        lag = max(least, min(wanted, longest // 3))
        inside = [i for i, y in enumerate(ys) if len(y) > lag]
        if not inside:
            continue
        try:
            system = realise([ys[i] for i in inside], [us[i] for i in inside], state_dim=n, lag=lag)
        except (DataError, np.linalg.LinAlgError):
            continue
        system = replace(
            system,
            B=system.B / u_scale,
            C=system.C * y_scale[:, None],
            D=system.D * y_scale[:, None] / u_scale,
            R=system.R * y_scale * y_scale[:, None],
        )
        value = log_likelihood(system, chosen).sum()
        if np.isfinite(value) and value > best_value:
            best, best_value = system, value
    return best


def _scales(arrays: list[np.ndarray]) -> np.ndarray:
    """Root mean square of each column; 1 for columns of zeros."""
    scale = np.sqrt(np.nanmean(np.concatenate(arrays) ** 2, axis=0))
    return np.where(scale > 0, scale, 1.0)


def _plain(trajectories: Trajectories, state_dim: int) -> LinearSystem:
    """A system that says as little as possible: slow states seen along the principal axes."""
    n, m, p = state_dim, trajectories.input_dim, trajectories.output_dim
    every = np.concatenate(trajectories.outputs)
    known = np.isfinite(every)
    center = np.where(known, every, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    every = np.where(known, every - center, 0)
    covariance = every.T @ every / max(len(every), 1)
    values, vectors = np.linalg.eigh(covariance)
    scale = np.sqrt(np.maximum(values[::-1], max(values[-1], 1e-12) * 1e-3))
    C = np.zeros((p, n))
    shown = min(n, p)
    C[:, :shown] = vectors[:, ::-1][:, :shown] * scale[:shown]
    for extra in range(shown, n):
        C[extra % p, extra] = scale[0] * 0.1
    R = floored(0.5 * covariance, 1e-2 * np.maximum(np.diag(covariance), 1e-12))
    A = 0.8 * np.eye(n)
    return LinearSystem(A, np.zeros((n, m)), C, np.zeros((p, m)), 0.36 * np.eye(n), R, np.zeros(n), np.eye(n))
