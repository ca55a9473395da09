"""What a mixture refuses to be fitted with."""

from typing import TYPE_CHECKING

import numpy as np

from neuroloom.dynamics.maximisation import Constraints
from neuroloom.dynamics.trajectories import Trajectories
from neuroloom.errors import DataError
from neuroloom.simulation.linear_systems import PARAMETERS

if TYPE_CHECKING:
    from neuroloom.dynamics.mixture import MixtureOfLDS


def check_settings(model: "MixtureOfLDS") -> None:
    """Refuse settings that mean nothing.

    Raises
    ------
    DataError
        Naming the setting, its value and what is allowed.
    """
    k = model.n_components
    whole = {"state_dim": model.state_dim, "n_init": model.n_init, "max_iter": model.max_iter}
    whole |= {"max_components": model.max_components} if k == "bic" else {"n_components": k}
    for name, value in whole.items():
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
            raise DataError(
                f"{name} is {value!r}", expected="a whole number of at least 1", remedy=f"change {name}"
            )
    choices = {
        "init": (model.init, ("auto", "tensor", "tensor-pooled", "kmeans", "predictors", "random")),
        "decomposition": (model.decomposition, ("smd", "rtpm")),
    }
    for name, (value, allowed) in choices.items():
        if value not in allowed:
            raise DataError(f"{name} is {value!r}", expected=f"one of {allowed}", remedy=f"change {name}")
    for name, values, allowed in (
        ("frozen", model.frozen, {*PARAMETERS, "weights"}),
        ("shared", model.shared, {"A", "B", "C", "D", "Q", "R"}),
    ):
        unknown = set(values) - allowed
        if unknown or isinstance(values, str):
            raise DataError(
                f"{name} is {values!r}",
                expected=f"a list of some of {sorted(allowed)}",
                remedy=f"change {name}",
            )
    if model.ridge < 0 or not 0 < model.covariance_floor < 1 or model.tol < 0:
        raise DataError(
            f"ridge {model.ridge}, covariance_floor {model.covariance_floor}, tol {model.tol}",
            expected="ridge and tol of at least 0, covariance_floor between 0 and 1",
            remedy="change them",
        )


def constraints_for(model: "MixtureOfLDS", trajectories: Trajectories) -> Constraints:
    """Refuse data that no mixture can be fitted to; else return what EM has to respect.

    Raises
    ------
    DataError
        Naming what is wrong with the data.
    """
    least = 1 if model.n_components == "bic" else int(model.n_components)
    if len(trajectories) < least:
        raise DataError(
            f"{len(trajectories)} trajectories for {least} components",
            expected="at least one per component",
            remedy="lower n_components, or cut trajectories into trials",
        )
    every = np.concatenate(trajectories.outputs)
    missing = np.flatnonzero(np.isnan(every).all(axis=0))
    if len(missing):
        raise DataError(
            f"outputs {missing.tolist()} are NaN throughout",
            expected="some values of every output",
            remedy="leave these outputs out",
        )
    variance = np.nanvar(every, axis=0)
    alive = variance > 1e-24 * np.nanmean(every**2, axis=0)
    if not alive.any():
        raise DataError(
            "all outputs are constant", expected="outputs that vary", remedy="check the recording"
        )
    # A constant output among others gets the floor of a faint one instead of infinite likelihood.
    variance = np.where(alive, variance, 1e-6 * variance[alive].mean())
    return Constraints(
        output_variance=variance,
        frozen=frozenset(model.frozen),
        shared=frozenset(model.shared),
        ridge=model.ridge,
        diagonal_noise=model.diagonal_noise,
        floor=model.covariance_floor,
    )
