from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

import neuroloom
from neuroloom.decoding.eit_estimators import EITClassifier, EITRegressor
from neuroloom.decoding.eit_trials import split_groups
from neuroloom.errors import DataError, MissingFile, NotFitted

TINY = {"heads": 2, "dim_head": 8, "individual_depth": 1, "interaction_depth": 1, "interaction_dropout": 0.0}
SETTINGS: dict[str, Any] = {
    "config": TINY,
    "steps": 150,
    "learning_rate": 0.01,
    "quiet": True,
    "device": "cpu",
}


def classifier(answer: Any = "pooled", **options):
    return EITClassifier(answer, **{**SETTINGS, **options})


def regressor(answer: Any = "pooled", **options):
    return EITRegressor(answer, **{**SETTINGS, **options})


def twins(n_trials, *, n_pairs=2, n_bins=5, seed=0):
    """Return trials in which bodies move alike in pairs, who is whose twin, and who is of the louder kind."""
    random = np.random.default_rng(seed)
    path = random.normal(size=(n_trials, n_pairs, n_bins, 1))
    loud = random.random((n_trials, n_pairs)) < 0.5
    path = path * np.where(loud, 2.0, 0.5)[..., None, None]
    pair = np.array([random.permutation(np.repeat(np.arange(n_pairs), 2)) for _ in range(n_trials)])
    row = np.arange(n_trials)[:, None]
    graph = (pair[:, :, None] == pair[:, None]) & ~np.eye(2 * n_pairs, dtype=bool)
    return path[row, pair], graph, loud[row, pair]


def test_trials_are_told_apart_by_what_their_individuals_do():
    random = np.random.default_rng(0)
    label = np.array(["calm", "wild"])[np.arange(120) % 2]
    x = random.normal(size=(120, 4, 5, 2)) * np.where(label == "wild", 1.5, 0.5)[:, None, None, None]
    fitted = classifier().fit(x[:90], label[:90])
    assert fitted.score(x[90:], label[90:]) > 0.9
    assert set(fitted.predict(x)) == {"calm", "wild"}
    np.testing.assert_allclose(np.asarray(fitted.predict_proba(x)).sum(axis=1), 1)


def test_individuals_are_told_apart_in_populations_of_any_size():
    x, _, loud = twins(100)
    fitted = classifier("individual").fit(x, loud)
    assert fitted.score(x, loud) > 0.8
    wide, _, louder = twins(40, n_pairs=4, seed=1)
    assert fitted.score(wide, louder) > 0.8


def test_pairs_are_found_also_among_more_individuals_than_in_training():
    x, graph, _ = twins(300)
    fitted = classifier("pair", steps=500).fit(x, graph)
    new, truth, _ = twins(60, seed=1)
    assert fitted.score(new, truth) > 0.9
    wide, truth, _ = twins(60, n_pairs=3, seed=2)
    assert fitted.score(wide, truth) > 0.8
    assert not np.diagonal(np.asarray(fitted.predict(wide)), axis1=1, axis2=2).any()


@pytest.mark.parametrize("answer", ["individual", "pair", "pooled"])
def test_trials_of_different_size_go_together_and_come_back_in_their_own(answer):
    few, many = twins(6), twins(6, n_pairs=3, seed=1)
    x = [*few[0], *many[0]]
    y = {"individual": [*few[2], *many[2]], "pair": [*few[1], *many[1]], "pooled": [0, 1] * 6}[answer]
    fitted = classifier(answer, steps=3).fit(x, y)
    together, alone = fitted.predict_proba(x), fitted.predict_proba(few[0])
    for a, b in zip(together[:6], alone, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert [np.shape(each) for each in fitted.predict(x)] == [np.shape(each) for each in y]
    assert [each.shape[-1] for each in fitted.attention(x)] == [4] * 6 + [6] * 6


def test_a_label_of_the_order_needs_concatenated_answers():
    # Which half of the bodies is loud, by their places: nothing that a pooled answer could know.
    random = np.random.default_rng(0)
    label = np.arange(120) % 2
    gain = np.where((np.arange(4) < 2) == (label[:, None] == 0), 2.0, 0.3)
    x = random.normal(size=(120, 4, 5, 1)) * gain[..., None, None]
    assert classifier("concatenated").fit(x[:90], label[:90]).score(x[90:], label[90:]) > 0.9
    assert classifier(identity=True).fit(x[:90], label[:90]).score(x[90:], label[90:]) > 0.9
    assert classifier().fit(x[:90], label[:90]).score(x[90:], label[90:]) < 0.8


@pytest.mark.parametrize("outputs", [(), (2,)])
@pytest.mark.parametrize("answer", ["pooled", "individual"])
def test_numbers_are_predicted_in_their_own_units(answer, outputs):
    x = np.random.default_rng(0).normal(size=(150, 3, 4, 1))
    y = x.mean(axis=(2, 3)) if answer == "individual" else x.mean(axis=(1, 2, 3))
    y = 100 + 5 * np.stack([y, -y], axis=-1) if outputs else 100 + 5 * y
    fitted = regressor(answer, steps=300).fit(x[:120], y[:120])
    assert fitted.score(x[120:], y[120:]) > 0.8
    assert np.shape(fitted.predict(x)) == y.shape


@pytest.mark.parametrize("answer", ["pooled", "concatenated", "individual", "pair"])
def test_a_saved_estimator_is_the_same(answer, tmp_path):
    x, graph, loud = twins(8)
    y = {"individual": loud, "pair": graph}.get(answer, np.array(list("abababab")))
    fitted = classifier(answer, steps=2).fit(x, y)
    loaded = EITClassifier.load(fitted.save(tmp_path / "model"))
    np.testing.assert_array_equal(loaded.predict_proba(x), fitted.predict_proba(x))
    np.testing.assert_array_equal(loaded.predict(x), fitted.predict(x))
    assert loaded.get_params() == fitted.get_params()


def test_a_saved_regressor_is_the_same(tmp_path):
    x = np.random.default_rng(0).normal(size=(8, 2, 3, 1))
    fitted = regressor(steps=2).fit(x, np.arange(8.0))
    np.testing.assert_array_equal(
        EITRegressor.load(fitted.save(tmp_path / "m")).predict(x), fitted.predict(x)
    )
    with pytest.raises(MissingFile):
        EITRegressor.load(tmp_path / "none")


def test_results_repeat_and_depend_on_the_seed():
    x, _, loud = twins(20)
    first, again, other = (
        np.asarray(classifier("individual", steps=3, seed=seed).fit(x, loud).predict_proba(x))
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_it_is_a_scikit_learn_estimator():
    assert neuroloom.EITClassifier is EITClassifier
    assert neuroloom.EITRegressor is EITRegressor
    estimator = classifier("pair", seed=3)
    copy = clone(estimator)
    assert isinstance(copy, EITClassifier)
    assert copy.get_params() == estimator.get_params()
    with pytest.raises(NotFitted, match="call fit first"):
        estimator.predict(np.ones((1, 2, 3, 1)))


def test_groups_are_not_split_by_the_validation():
    groups = np.repeat(np.arange(10), 4)
    learn, decide = split_groups(40, groups, fraction=0.3, seed=0)
    assert not set(groups[learn]) & set(groups[decide])
    assert len(decide) == 12


@pytest.mark.parametrize(("n", "n_bins"), [(1, 4), (3, 1), (1, 1), (2000, 1)])
@pytest.mark.parametrize("answer", ["pooled", "individual"])
def test_one_individual_one_moment_and_two_thousand_individuals_are_fine(n, n_bins, answer):
    x = np.random.default_rng(0).normal(size=(4, n, n_bins, 1))
    y = np.arange(4) % 2
    y = np.repeat(y[:, None], n, axis=1) if answer == "individual" else y
    fitted = classifier(answer, steps=1, batch_size=2).fit(x, y)
    assert np.isfinite(np.asarray(fitted.predict_proba(x))).all()


def test_constant_individuals_are_fine():
    fitted = classifier(steps=3).fit(np.full((6, 2, 3, 1), 7.0), np.arange(6) % 2)
    assert np.isfinite(np.asarray(fitted.predict_proba(np.full((1, 2, 3, 1), 7.0)))).all()


@pytest.mark.parametrize(
    ("x", "y", "named"),
    [
        (np.ones((0, 2, 3, 1)), [], "0 trials"),
        (np.ones((4, 2, 3)), [0, 1, 0, 1], r"shapes \(2, 3\)"),
        ([np.ones((2, 3, 1)), np.ones((0, 3, 1))], [0, 1], "trial 1 of 2"),
        (np.ones((2, 2, 0, 1)), [0, 1], "trial 0 of 2"),
        ([np.ones((2, 3, 1)), np.ones((2, 4, 1))], [0, 1], "same time and features"),
        (np.full((2, 2, 3, 1), np.nan), [0, 1], "12 values are not finite"),
        (np.ones((2, 2, 3, 1)), [0, 1, 1], "3 labels for 2 trials"),
        (np.ones((2, 2, 3, 1)), [1, 1], "at least two classes"),
    ],
)
def test_what_cannot_be_learned_is_refused(x, y, named):
    with pytest.raises(DataError, match=named):
        classifier().fit(x, y)


def test_answers_of_another_shape_are_refused():
    x, graph, loud = twins(4)
    with pytest.raises(DataError, match="one per individual"):
        classifier("individual").fit(x, loud[:, :2])
    with pytest.raises(DataError, match="symmetric"):
        classifier("pair").fit(x, np.triu(graph))
    with pytest.raises(DataError, match="EITClassifier"):
        EITRegressor("pair").fit(x, graph)
    with pytest.raises(DataError, match="groups of shape"):
        classifier().fit(x, [0, 1, 0, 1], groups=[1, 2])


def test_known_individuals_must_be_the_same_ones():
    x, _, _ = twins(4)
    wide, _, _ = twins(4, n_pairs=3)
    with pytest.raises(DataError, match="4 to 6 individuals"):
        classifier("concatenated").fit([*x, *wide], [0, 1] * 4)
    fitted = classifier("concatenated", steps=1).fit(x, [0, 1, 0, 1])
    with pytest.raises(DataError, match="1 features and 4 individuals"):
        fitted.predict(wide)
