import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score

from neuroloom.dynamics.mixture import MixtureOfLDS
from neuroloom.errors import DataError, NotFitted
from neuroloom.seeds import stream
from neuroloom.simulation.linear_systems import random_system, simulate_mixture


@pytest.fixture(scope="module")
def sample():
    systems = [
        random_system(state_dim=2, input_dim=1, output_dim=2, rng=stream(7, "tests", k)) for k in range(3)
    ]
    return simulate_mixture(
        systems, n_trajectories=120, n_steps=[40] * 110 + [25] * 10, weights=[0.5, 0.3, 0.2], seed=7
    )


@pytest.fixture(scope="module")
def fitted(sample):
    return MixtureOfLDS(3, 2, max_iter=60, tol=1e-6, n_init=1).fit(sample.outputs, sample.inputs)


def test_known_components_are_found(fitted, sample):
    assert adjusted_rand_score(sample.labels, fitted.predict(sample.outputs, sample.inputs)) > 0.98
    np.testing.assert_allclose(fitted.weights_, np.sort(np.bincount(sample.labels) / 120)[::-1], atol=0.03)
    truth = np.stack([s.markov_parameters(8) for s in sample.systems])
    for k, found in enumerate(fitted.markov_parameters(8)):
        distances = np.linalg.norm((truth - found).reshape(3, -1), axis=1)
        assert distances.min() < 0.1 * np.linalg.norm(truth[distances.argmin()]), k


def test_the_report_names_every_candidate_and_the_winner(fitted):
    report = fitted.init_report_
    assert {row["init"] for row in report["candidates"]} == {"tensor", "kmeans", "predictors", "random"}
    best = max(report["candidates"], key=lambda row: row["log_likelihood"])
    assert report["winner"] == best["init"]


def test_responsibilities_sum_to_one_and_scores_add_up(fitted, sample):
    shares = fitted.predict_proba(sample.outputs, sample.inputs)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    total = fitted.score_trajectories(sample.outputs, sample.inputs).sum()
    assert fitted.score(sample.outputs, sample.inputs) == pytest.approx(total / sum(map(len, sample.outputs)))
    assert total == pytest.approx(fitted.log_likelihood_, rel=1e-9)


def test_smoothed_states_predict_the_outputs(fitted, sample):
    states = fitted.smooth(sample.outputs, sample.inputs)
    labels = fitted.predict(sample.outputs, sample.inputs)
    for i in (0, 115):
        system = fitted.components_[labels[i]]
        left = sample.outputs[i] - states[i] @ system.C.T - sample.inputs[i] @ system.D.T
        assert left.var() < 0.5 * sample.outputs[i].var()


def test_samples_of_a_fit_can_be_fitted_again(fitted):
    drawn = fitted.sample(20, 15, seed=3)
    assert drawn.outputs[0].shape == (15, 2)
    assert np.isfinite(fitted.score(drawn.outputs, drawn.inputs))


def test_saving_and_loading_changes_nothing(fitted, sample, tmp_path):
    fitted.save(tmp_path / "model")
    loaded = MixtureOfLDS.load(tmp_path / "model")
    np.testing.assert_array_equal(
        loaded.predict_proba(sample.outputs, sample.inputs),
        fitted.predict_proba(sample.outputs, sample.inputs),
    )
    assert loaded.get_params() == {**fitted.get_params(), "frozen": [], "shared": []}
    assert loaded.init_report_["winner"] == fitted.init_report_["winner"]


def test_a_fit_is_the_same_again(sample):
    runs = [
        MixtureOfLDS(2, 1, max_iter=5, n_init=1).fit(sample.outputs[:30], sample.inputs[:30])
        for _ in range(2)
    ]
    np.testing.assert_array_equal(runs[0].weights_, runs[1].weights_)
    np.testing.assert_array_equal(runs[0].components_[0].A, runs[1].components_[0].A)


def test_it_follows_scikit_learns_conventions():
    model = MixtureOfLDS(4, 3, frozen=["D"], ridge=1.0)
    assert clone(model).get_params() == model.get_params()
    assert not [name for name in vars(model) if name.endswith("_")]
    with pytest.raises(NotFitted):
        model.predict([np.zeros((5, 1))])


def test_bic_chooses_the_true_number_of_components(sample):
    model = MixtureOfLDS("bic", 2, init="predictors", n_init=1, max_components=4, max_iter=60, tol=1e-6)
    model.fit(sample.outputs, sample.inputs)
    assert len(model.weights_) == 3
    assert min(model.selection_, key=model.selection_.__getitem__) == 3
    assert model.bic(sample.outputs, sample.inputs) == pytest.approx(model.selection_[3], rel=1e-6)


@pytest.mark.parametrize("init", ["tensor", "tensor-pooled", "kmeans", "predictors", "random"])
@pytest.mark.parametrize("decomposition", ["smd", "rtpm"])
def test_every_start_and_decomposition_runs(sample, init, decomposition):
    model = MixtureOfLDS(2, 2, init=init, decomposition=decomposition, max_iter=3, n_init=1)
    model.fit(sample.outputs, sample.inputs)
    assert np.isfinite(model.log_likelihood_)


def test_mixtures_without_inputs_are_found():
    systems = [
        random_system(state_dim=2, input_dim=0, output_dim=2, rng=stream(3, "tests", "free", k))
        for k in range(2)
    ]
    free = simulate_mixture(systems, n_trajectories=80, n_steps=50, input_kind="none")
    model = MixtureOfLDS(2, 2, max_iter=40, tol=1e-6, n_init=1).fit(free.outputs)
    assert adjusted_rand_score(free.labels, model.labels_) > 0.95
    assert model.sample(3, 5).inputs[0].shape == (5, 0)


def test_frozen_feedthrough_is_zero_and_shared_readout_is_one(sample):
    model = MixtureOfLDS(2, 2, init="kmeans", n_init=1, max_iter=6, frozen=["D"], shared=["C", "R"])
    model.fit(sample.outputs, sample.inputs)
    first, second = model.components_
    assert not first.D.any()
    np.testing.assert_allclose(first.C, second.C)
    np.testing.assert_allclose(first.R, second.R)
    assert (
        model.n_parameters_
        < MixtureOfLDS(2, 2, max_iter=2, n_init=1, init="kmeans")
        .fit(sample.outputs, sample.inputs)
        .n_parameters_
    )


def test_sessions_are_fitted_from_their_spikes():
    from neuroloom.dynamics.trials import trials_of
    from neuroloom.sessions.session import Session

    rng = stream(0, "tests", "session")
    starts = np.arange(20) * 1.0
    trials = pd.DataFrame({"start": starts, "end": starts + 0.8, "target": np.arange(20) % 2})
    times = np.arange(0, 20, 0.02)
    speed = np.sin(2 * np.pi * times)
    spikes = [np.sort(rng.uniform(0, 20, size=400)) for _ in range(5)]
    session = Session.from_arrays(
        id="a", spike_times_s=spikes, behavior={"speed": (times, speed)}, trials=trials, time_support=(0, 20)
    )
    prepared = trials_of(session, bin_s=0.1, n_pcs=3, input_key="speed")
    assert [y.shape for y in prepared.outputs] == [(8, 3)] * 20
    assert prepared.labels["target"] == list(np.arange(20) % 2)
    np.testing.assert_allclose(
        prepared.inputs[0][:, 0], np.sin(2 * np.pi * (0.05 + 0.1 * np.arange(8))), atol=0.01
    )
    model = MixtureOfLDS(2, 1, max_iter=5, n_init=1)
    model.fit_sessions(session, bin_s=0.1, n_pcs=3, input_key="speed")
    again = trials_of(session, preparation=model.preparation_)
    np.testing.assert_allclose(again.outputs[3], prepared.outputs[3])
    assert np.isfinite(model.score(again.outputs, again.inputs))
    with pytest.raises(DataError, match="n_pcs"):
        trials_of([session, session])
