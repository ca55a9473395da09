"""From packed trajectories to a fitted mixture: several starts, the best one to the end."""

from dataclasses import replace
from typing import Any

import numpy as np

from neuroloom.dynamics.em import Fit, Mixture, expectation_maximisation
from neuroloom.dynamics.initialisation import Init, report, start_candidates
from neuroloom.dynamics.maximisation import Constraints
from neuroloom.dynamics.tensor import Decomposition
from neuroloom.dynamics.trajectories import Trajectories


def fit_mixture(
    trajectories: Trajectories,
    constraints: Constraints,
    *,
    n_components: int,
    state_dim: int,
    init: Init,
    n_init: int,
    decomposition: Decomposition,
    max_iter: int,
    tolerance: float,
    accelerate: bool,
    seed: int,
) -> tuple[Fit, dict[str, Any]]:
    """Return the fit, its most probable component first, and the report of the starts.

    The parameters are those of `MixtureOfLDS`.
    """
    candidates = start_candidates(
        trajectories,
        n_components=n_components,
        state_dim=state_dim,
        init=init,
        n_init=n_init,
        decomposition=decomposition,
        constraints=constraints,
        tolerance=tolerance,
        accelerate=accelerate,
        seed=seed,
    )
    fit = expectation_maximisation(
        candidates[0].fit.mixture,
        trajectories,
        constraints,
        max_iter=max_iter,
        tolerance=tolerance,
        accelerate=accelerate,
    )
    order = np.argsort(-fit.mixture.weights, kind="stable")
    mixture = Mixture([fit.mixture.systems[k] for k in order], fit.mixture.weights[order])
    return replace(fit, mixture=mixture, responsibilities=fit.responsibilities[:, order]), report(candidates)
