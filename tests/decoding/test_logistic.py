import dataclasses

import numpy as np
import pytest

from neuroloom.decoding.logistic import DEFAULT_CHOICE, LogisticChoice, choose_logistic, fit_logistic


def bins(labels, *, told=0.0, n_features=3, seed=0):
    """Return four noisy bins of every trial, their classes and trials; `told`: how far classes lie apart."""
    codes, trial = np.repeat(labels, 4), np.repeat(np.arange(len(labels)), 4)
    x = np.random.default_rng(seed).normal(size=(len(codes), n_features))
    return x + told * (codes[:, None] == np.arange(n_features)), codes, trial


def test_shares_are_trusted_where_classes_really_differ_in_frequency():
    labels = np.random.default_rng(1).permutation(np.repeat([0, 1], [80, 20]))
    x, codes, trial = bins(labels)
    choice = choose_logistic(x, codes, trial)
    assert choice is not None
    assert choice.shares
    weights, intercept = fit_logistic(np.zeros_like(x), codes, 2, choice)
    odds = np.exp(intercept - intercept.max())
    np.testing.assert_allclose(odds / odds.sum(), [0.8, 0.2], atol=1e-3)
    assert not weights.any()


def test_in_a_balanced_design_they_are_not_and_few_trials_are_told_apart_better():
    right = {True: [], False: []}
    chosen = []
    for seed in range(12):
        order = np.random.default_rng(seed).permutation(np.repeat(np.arange(4), 40))
        x, codes, trial = bins(order, told=1.0, n_features=4, seed=seed)
        few = trial < 12
        choice = choose_logistic(x[few], codes[few], trial[few])
        assert choice is not None
        chosen.append(choice.shares)
        for shares in right:
            fit = dataclasses.replace(choice, shares=shares)
            weights, intercept = fit_logistic(x[few], codes[few], 4, fit)
            right[shares].append(np.mean((x[~few] @ weights + intercept).argmax(axis=1) == codes[~few]))
    assert np.mean(chosen) < 0.5
    assert np.mean(right[False]) > np.mean(right[True]) + 0.02


def test_a_class_that_is_not_there_is_never_said():
    x, codes, _ = bins(np.array([0, 2] * 10), told=2.0)
    weights, intercept = fit_logistic(x, codes, 3, LogisticChoice(1.0, sharpness=2.0, shares=True))
    assert not ((x @ weights + intercept).argmax(axis=1) == 1).any()


@pytest.mark.parametrize("labels", [[0, 1, 0, 1], [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]])
def test_too_few_trials_leave_nothing_to_choose_on(labels):
    assert choose_logistic(*bins(np.array(labels))) is None
    assert not DEFAULT_CHOICE.shares
