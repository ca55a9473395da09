"""Arms: what shuffling keeps, what restoration does."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from neuroloom.auditing.arms import Fold, predict_arms, restore_variance, shuffled_pairing
from neuroloom.auditing.bottleneck import ReducedRankRidge


@given(st.lists(st.integers(0, 5), min_size=2, max_size=40), st.integers(0, 1000))
def test_a_shuffled_pairing_is_a_permutation_and_not_the_identity(groups, seed):
    order = shuffled_pairing(np.array(groups), rng=np.random.default_rng(seed))
    assert sorted(order) == list(range(len(groups)))


def test_shuffling_time_blocks_keeps_neighbours_together():
    groups = np.repeat(np.arange(5), 40)
    order = shuffled_pairing(groups, rng=np.random.default_rng(0))
    assert np.mean(np.diff(order) == 1) > 0.95
    assert not np.array_equal(order, np.arange(200))


def test_restored_predictions_have_the_mean_and_spread_of_training():
    rng = np.random.default_rng(0)
    goal = rng.normal(3, 2, size=(50, 4))
    shrunk = rng.normal(0, 0.1, size=(50, 4))
    restored = restore_variance(shrunk, source=shrunk, goal=goal)
    np.testing.assert_allclose(restored.mean(0), goal.mean(0))
    np.testing.assert_allclose(restored.std(0), goal.std(0))


def test_a_constant_prediction_is_restored_to_the_training_mean():
    goal = np.random.default_rng(0).normal(size=(20, 2))
    constant = np.ones((5, 2))
    np.testing.assert_allclose(
        restore_variance(constant, source=constant, goal=goal), np.tile(goal.mean(0), (5, 1))
    )


def test_one_test_stimulus_changes_another_only_in_the_transductive_arm():
    rng = np.random.default_rng(0)
    brain = rng.normal(size=(60, 5))
    targets = brain @ rng.normal(size=(5, 3)) + rng.normal(size=(60, 3))

    def first_test_row(responses):
        items = predict_arms(
            responses,
            targets,
            Fold(np.arange(40), np.arange(40, 60)),
            bottleneck=ReducedRankRidge(),
            sizes=[2],
            groups=np.arange(60),
            n_draws=1,
            seed=0,
            restorations=("train", "test"),
        )
        return {item.arm: item.targets[0] for item in items}

    changed = brain.copy()
    changed[50:] *= 5
    before, after = first_test_row(brain), first_test_row(changed)
    assert set(before) == {
        arm + suffix
        for arm in ("brain", "shuffled", "random")
        for suffix in ("", "_restored", "_transductive")
    }
    np.testing.assert_array_equal(before["brain"], after["brain"])
    np.testing.assert_array_equal(before["brain_restored"], after["brain_restored"])
    assert not np.allclose(before["brain_transductive"], after["brain_transductive"])
