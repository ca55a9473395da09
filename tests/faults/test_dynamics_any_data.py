"""Whatever the data and the settings, a mixture is finite or refused with a remedy; no warning escapes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroloom.dynamics.mixture import MixtureOfLDS
from neuroloom.errors import DataError
from neuroloom.seeds import stream
from neuroloom.simulation.linear_systems import PARAMETERS, random_system, simulate_mixture

SPOILS = [
    "gap",
    "scatter",
    "constant",
    "duplicate",
    "zeros",
    "scale",
    "missing",
    "binary",
    "collinear",
    "huge",
]
SETTINGS = st.fixed_dictionaries(
    {
        "n_components": st.sampled_from([1, 2, 3, 4, "bic"]),
        "state_dim": st.integers(1, 5),
        "init": st.sampled_from(["auto", "tensor", "tensor-pooled", "kmeans", "predictors", "random"]),
        "decomposition": st.sampled_from(["smd", "rtpm"]),
        "max_iter": st.integers(1, 14),
        "frozen": st.lists(st.sampled_from([*PARAMETERS, "weights"]), max_size=2, unique=True),
        "shared": st.lists(st.sampled_from(["A", "B", "C", "D", "Q", "R"]), max_size=2, unique=True),
        "ridge": st.sampled_from([0.0, 0.1, 10.0]),
        "diagonal_noise": st.booleans(),
    }
)


def _spoil(outputs, inputs, how, rng):
    """Spoil copies of the trajectories in one way."""
    outputs = [y.copy() for y in outputs]
    if how == "gap":
        for y in outputs[::2]:
            at = rng.integers(len(y))
            y[at : at + rng.integers(1, 10)] = np.nan
    elif how == "scatter":
        for y in outputs:
            y[rng.random(y.shape) < 0.3] = np.nan
    elif how == "constant":
        for y in outputs:
            y[:, 0] = 3.0
    elif how == "duplicate":
        outputs = [np.column_stack([y, y[:, :1]]) for y in outputs]
    elif how == "zeros":
        for y in outputs[::3]:
            y[:] = 0.0
    elif how == "scale":
        factor = 10.0 ** rng.integers(-9, 10)
        outputs = [factor * y for y in outputs]
    elif how == "missing":
        outputs[0][:] = np.nan
    elif inputs is not None:
        change = {
            "binary": np.sign,
            "collinear": lambda u: np.column_stack([u, u[:, :1], np.ones(len(u))]),
            "huge": lambda u: 1e8 * u,
        }[how]
        inputs = [change(u) for u in inputs]
    return outputs, inputs


@settings(max_examples=40)
@given(
    sizes=st.tuples(st.integers(1, 24), st.sampled_from([1, 2, 3, 5, 8, 20]), st.integers(1, 4)),
    n_inputs=st.integers(0, 2),
    ragged=st.booleans(),
    spoils=st.lists(st.sampled_from(SPOILS), max_size=3, unique=True),
    changes=SETTINGS,
    seed=st.integers(0, 1000),
)
def test_a_fit_is_finite_or_refused(sizes, n_inputs, ragged, spoils, changes, seed):
    n, steps, p = sizes
    rng = stream(seed, "tests", "any data")
    systems = [random_system(state_dim=2, input_dim=n_inputs, output_dim=p, rng=rng) for _ in range(2)]
    sample = simulate_mixture(
        systems,
        n_trajectories=n,
        n_steps=rng.integers(1, steps + 1, size=n).tolist() if ragged else steps,
        input_kind="white" if n_inputs else "none",
        seed=seed,
    )
    outputs, inputs = sample.outputs, sample.inputs if n_inputs else None
    for how in spoils:
        outputs, inputs = _spoil(outputs, inputs, how, rng)
    model = MixtureOfLDS(n_init=1, max_components=2, seed=seed, **changes)
    try:
        model.fit(outputs, inputs)
    except DataError as error:
        # A refusal is an answer, if it says what to do.
        if "Remedy" not in str(error):
            pytest.fail(f"no remedy in {error}")
        return
    for system in model.components_:
        assert all(np.isfinite(getattr(system, name)).all() for name in PARAMETERS)
    assert np.isfinite(model.weights_).all()
    assert np.isfinite(model.trace_).all()
    assert (np.diff(model.trace_) >= 0).all()
    assert np.isfinite(model.predict_proba(outputs, inputs)).all()
    assert np.isfinite(model.bic(outputs, inputs))
    assert all(np.isfinite(states).all() for states in model.smooth(outputs, inputs))
    assert np.isfinite(model.sample(2, 4).outputs[0]).all()
