"""Data that a mixture of linear systems cannot digest: a clear error or a sane answer, and never a NaN."""

import numpy as np
import pytest

from neuroloom.dynamics.mixture import MixtureOfLDS
from neuroloom.errors import CorruptArtifact, DataError
from neuroloom.seeds import stream
from neuroloom.simulation.linear_systems import PARAMETERS, random_system, simulate_mixture


def _sample(*, n=30, steps=24, input_kind="white", m=1, p=2):
    systems = [
        random_system(state_dim=2, input_dim=m, output_dim=p, rng=stream(k, "tests", "faults"))
        for k in range(2)
    ]
    return simulate_mixture(systems, n_trajectories=n, n_steps=steps, input_kind=input_kind, seed=1)


def _fit(outputs, inputs, **changes):
    settings = {"n_components": 2, "state_dim": 2, "max_iter": 12, "n_init": 1} | changes
    model = MixtureOfLDS(**settings).fit(outputs, inputs)
    for system in model.components_:
        for name in PARAMETERS:
            assert np.isfinite(getattr(system, name)).all(), name
        for covariance in (system.Q, system.R, system.P0):
            assert np.linalg.eigvalsh(covariance).min() > 0
    assert np.isfinite(model.weights_).all()
    assert np.isfinite(model.predict_proba(outputs, inputs)).all()
    assert np.isfinite(model.score(outputs, inputs))
    assert (np.diff(model.trace_) >= 0).all()
    return model


def test_too_many_components_keep_finite_parameters():
    sample = _sample()
    assert len(_fit(sample.outputs, sample.inputs, n_components=7).weights_) == 7


def test_one_component_is_a_plain_linear_system():
    sample = _sample()
    model = _fit(sample.outputs, sample.inputs, n_components=1)
    np.testing.assert_array_equal(model.weights_, [1.0])


def test_fewer_trajectories_than_components_are_refused():
    sample = _sample(n=2)
    with pytest.raises(DataError, match="2 trajectories for 3 components"):
        MixtureOfLDS(3).fit(sample.outputs, sample.inputs)


def test_as_many_trajectories_as_components_are_fitted():
    sample = _sample(n=3)
    _fit(sample.outputs, sample.inputs, n_components=3)


def test_one_trajectory_is_fitted_by_one_component():
    sample = _sample(n=1, steps=60)
    _fit(sample.outputs, sample.inputs, n_components=1)


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
@pytest.mark.parametrize("init", ["auto", "kmeans"])
def test_trajectories_shorter_than_any_lag_are_fitted(steps, init):
    sample = _sample(steps=steps)
    _fit(sample.outputs, sample.inputs, init=init)


@pytest.mark.parametrize("states", [1, 3])
@pytest.mark.parametrize(
    ("init", "steps"),
    [("predictors", 1), ("predictors", 3), ("random", 2), ("tensor", 5), ("tensor-pooled", 3)],
)
def test_single_starts_fit_short_trajectories(init, steps, states):
    sample = _sample(steps=steps)
    _fit(sample.outputs, sample.inputs, init=init, state_dim=states)


@pytest.mark.parametrize(
    ("init", "steps", "message"),
    [("tensor", 1, "longer"), ("tensor", 3, "longer"), ("tensor-pooled", 2, "longer lag")],
)
def test_a_tensor_of_too_short_trajectories_is_refused(init, steps, message):
    sample = _sample(steps=steps)
    with pytest.raises(DataError, match=message):
        MixtureOfLDS(2, 1, init=init).fit(sample.outputs, sample.inputs)


@pytest.mark.parametrize("init", ["tensor", "tensor-pooled", "kmeans", "predictors", "random"])
@pytest.mark.parametrize("decomposition", ["smd", "rtpm"])
def test_every_start_survives_collinear_binary_inputs_and_gaps(init, decomposition):
    sample = _sample()
    outputs = [y.copy() for y in sample.outputs]
    for y in outputs[::2]:
        y[3:9] = np.nan
    inputs = [np.column_stack([np.sign(u), np.sign(u)]) for u in sample.inputs]
    _fit(outputs, inputs, init=init, decomposition=decomposition, n_components=3)


def test_the_number_of_components_is_chosen_among_few_trajectories():
    sample = _sample(n=3, steps=8)
    model = _fit(sample.outputs, sample.inputs, n_components="bic")
    assert set(model.selection_) == {1, 2, 3}


@pytest.mark.parametrize("shared", [["A"], ["C"], ["A", "C"], ["B", "C", "D", "Q", "R"]])
def test_shared_parameters_do_not_explode_on_short_identical_trajectories(shared):
    sample = _sample(steps=5, p=4)
    outputs, inputs = [sample.outputs[0]] * 12, [sample.inputs[0]] * 12
    for states in (1, 3, 5):
        _fit(outputs, inputs, shared=shared, ridge=10.0, state_dim=states)


def test_a_component_with_trajectories_of_one_step_alone_stays_finite():
    sample = _sample(steps=[1] * 10 + [20] * 20)
    outputs = [y if len(y) > 1 else 0 * y for y in sample.outputs]
    _fit(outputs, sample.inputs, n_components=4, max_iter=30)


def test_outputs_that_vanish_in_most_trajectories_are_survived_or_refused():
    sample = _sample(p=1)
    outputs = [y if i % 3 else 0 * y for i, y in enumerate(sample.outputs)]
    _fit(outputs, sample.inputs, n_components=3, shared=["C"])
    lone = [0 * y for y in sample.outputs]
    lone[0] = sample.outputs[0]
    _fit(lone, sample.inputs, n_components=3)


def test_trajectories_of_very_different_lengths_are_fitted_together():
    sample = _sample(steps=[1, 2, 3] * 5 + [40] * 15)
    _fit(sample.outputs, sample.inputs)


def test_constant_outputs_are_refused():
    sample = _sample()
    with pytest.raises(DataError, match="constant"):
        MixtureOfLDS(2).fit([np.ones((20, 2))] * 10, [u[:20] for u in sample.inputs[:10]])


def test_one_constant_output_among_others_is_survived():
    sample = _sample()
    _fit([np.column_stack([y, np.full(len(y), 3.0)]) for y in sample.outputs], sample.inputs)


def test_duplicated_outputs_are_survived():
    sample = _sample()
    _fit([np.column_stack([y, y[:, :1]]) for y in sample.outputs], sample.inputs)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda u: np.column_stack([u, u]),
        lambda u: np.sign(u),
        lambda u: np.column_stack([u, np.ones(len(u))]),
        lambda u: np.zeros_like(u),
        lambda u: 1e8 * u,
    ],
    ids=["collinear", "binary", "constant column", "zero", "huge"],
)
def test_difficult_inputs_are_survived(spoil):
    sample = _sample()
    _fit(sample.outputs, [spoil(u) for u in sample.inputs])


def test_outputs_of_any_scale_are_survived():
    sample = _sample()
    for scale in (1e-9, 1e9):
        _fit([scale * y for y in sample.outputs], sample.inputs)


def test_blocks_of_nan_and_a_wholly_missing_trajectory_are_survived():
    sample = _sample()
    outputs = [y.copy() for y in sample.outputs]
    outputs[0][5:15] = np.nan
    outputs[1][:, 0] = np.nan
    outputs[2][:] = np.nan
    model = _fit(outputs, sample.inputs)
    np.testing.assert_allclose(model.predict_proba(outputs, sample.inputs)[2], model.weights_)
    for i in (2, 5, 11):
        outputs[i] = np.full_like(outputs[i], np.nan)
    # As many components as trajectories: some start out with nothing but missing data.
    _fit(outputs[:12], sample.inputs[:12], n_components=8)


def test_an_output_that_is_never_seen_is_refused():
    sample = _sample()
    outputs = [np.column_stack([y, np.full(len(y), np.nan)]) for y in sample.outputs]
    with pytest.raises(DataError, match=r"outputs \[2\] are NaN"):
        MixtureOfLDS(2).fit(outputs, sample.inputs)


def test_noiseless_outputs_keep_a_floor():
    sample = _sample(p=1)
    outputs = [np.cumsum(u, axis=0) * 0.1 for u in sample.inputs]
    _fit(outputs, sample.inputs)


def test_values_too_large_to_square_are_refused():
    with pytest.raises(DataError, match="1e150"):
        MixtureOfLDS(1).fit([np.full((5, 1), 1e200) * np.arange(5)[:, None]] * 3)


@pytest.mark.parametrize(
    ("outputs", "inputs", "message"),
    [
        ([], None, "no outputs"),
        ([np.zeros((0, 2))], None, "at least one step"),
        ([np.zeros((5, 2)), np.zeros((5, 3))], None, "same columns"),
        ([np.zeros((5, 2))], [np.zeros((4, 1))], "same number of steps"),
        ([np.zeros((5, 2))], [], "no inputs"),
        ([np.full((5, 2), np.inf)], None, "infinite output"),
        ([np.ones((5, 2))], [np.full((5, 1), np.nan)], "NaN or infinite input"),
        ([["a"]], None, "cannot be read"),
        (np.zeros((2, 5, 0)), None, "without columns"),
    ],
)
def test_misshapen_data_are_refused_with_a_remedy(outputs, inputs, message):
    with pytest.raises(DataError, match=message):
        MixtureOfLDS(1).fit(outputs, inputs)


@pytest.mark.parametrize(
    "settings",
    [
        {"n_components": 0},
        {"n_components": "aic"},
        {"state_dim": 1.5},
        {"init": "magic"},
        {"decomposition": "svd"},
        {"frozen": ["E"]},
        {"shared": "C"},
        {"ridge": -1.0},
        {"covariance_floor": 0.0},
        {"max_iter": 0},
    ],
)
def test_meaningless_settings_are_refused(settings):
    sample = _sample(n=4)
    with pytest.raises(DataError):
        MixtureOfLDS(**({"n_components": 2} | settings)).fit(sample.outputs, sample.inputs)


def test_other_columns_than_in_fit_are_refused():
    sample = _sample()
    model = _fit(sample.outputs, sample.inputs)
    with pytest.raises(DataError, match="as in fit"):
        model.predict(sample.outputs)
    with pytest.raises(DataError, match="every output is NaN"):
        model.score([np.full((5, 2), np.nan)], [np.zeros((5, 1))])


def test_a_damaged_model_folder_is_refused(tmp_path):
    sample = _sample()
    folder = _fit(sample.outputs, sample.inputs).save(tmp_path / "model")
    path = folder / "arrays.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(CorruptArtifact, match="altered"):
        MixtureOfLDS.load(folder)
