"""Our estimators in scikit-learn's own hands: pipelines, grids and cross-validation.

They take trials, (trials, individuals, time, features) or (trials, time, outputs), so that
`sklearn.utils.estimator_checks`, which fits tables of two dimensions, does not apply to them.
"""

import numpy as np
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from neuroloom.decoding.baselines import PopulationClassifier
from neuroloom.decoding.eit_estimators import EITClassifier, EITRegressor
from neuroloom.dynamics.mixture import MixtureOfLDS

FEW = {"steps": 3, "batch_size": 8, "device": "cpu", "quiet": True}
EIT = {"heads": 1, "dim_head": 4, "individual_depth": 1, "interaction_depth": 1}
RNG = np.random.default_rng(0)
LABELS = np.arange(24) % 2
TRIALS = RNG.normal(size=(24, 3, 4, 1)) + LABELS[:, None, None, None]
ESTIMATORS = {
    "eit classifier": (EITClassifier(config=EIT, **FEW), TRIALS, LABELS, {"steps": [1, 3]}),
    "eit regressor": (EITRegressor(config=EIT, **FEW), TRIALS, 1.0 * LABELS, {"steps": [1, 3]}),
    "ndt": (PopulationClassifier(width=8, depth=1, heads=2, **FEW), TRIALS, LABELS, {"steps": [1, 3]}),
    "logistic": (PopulationClassifier("logistic", quiet=True), TRIALS, LABELS, {"kind": ["logistic"]}),
    "mixture": (
        MixtureOfLDS(n_components=1, state_dim=1, max_iter=2, n_init=1),
        RNG.normal(size=(24, 8, 2)),
        None,
        {"state_dim": [1, 2]},
    ),
}
each = pytest.mark.parametrize(("estimator", "x", "y", "grid"), ESTIMATORS.values(), ids=ESTIMATORS)


@each
def test_it_can_be_the_end_of_a_pipeline(estimator, x, y, grid):
    # A mixture sees its outputs change scale, and takes inputs in the place of y.
    pipeline = make_pipeline(FunctionTransformer(lambda trials: 2 * trials), clone(estimator))
    assert np.isfinite(pipeline.fit(x, y).score(x, y))


@each
def test_it_can_be_cross_validated(estimator, x, y, grid):
    scores = cross_val_score(estimator, x, y, cv=3, error_score="raise")
    assert scores.shape == (3,)
    assert np.isfinite(scores).all()


@each
def test_a_grid_of_its_settings_can_be_searched(estimator, x, y, grid):
    search = GridSearchCV(estimator, grid, cv=2, error_score="raise").fit(x, y)
    assert set(search.best_params_) == set(grid)
    assert not hasattr(estimator, "model_")  # the one that was given is left as it was


def test_scikit_learn_knows_what_they_are_so_that_folds_hold_every_label():
    assert is_classifier(EITClassifier())
    assert is_classifier(PopulationClassifier())
    assert is_regressor(EITRegressor())
    in_order = np.sort(LABELS)
    # Folds in order would hold one label alone, which cannot be learned from.
    scores = cross_val_score(PopulationClassifier("logistic", quiet=True), TRIALS, in_order, cv=2)
    assert np.isfinite(scores).all()
