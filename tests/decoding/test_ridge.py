import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from neuroloom.decoding.ridge import PENALTIES, Moments, choose_penalties, solve_ridge


def data(seed, n=60, features=8, outputs=2):
    rng = np.random.default_rng(seed)
    x = rng.normal(2.0, 1.5, size=(n, features))
    y = x @ rng.normal(size=(features, outputs)) + 5 + 3 * rng.normal(size=(n, outputs))
    return x, y


def moments(x, y, pieces=1):
    sums = Moments.zero(x.shape[1], y.shape[1])
    for part in np.array_split(np.arange(len(x)), pieces):
        sums.add(x[part], y[part])
    return sums


@given(seed=st.integers(0, 100), penalty=st.sampled_from(PENALTIES.tolist()))
def test_the_solution_is_scikit_learns(seed, penalty):
    x, y = data(seed)
    weights, intercept = solve_ridge(moments(x, y, pieces=3), np.full(2, penalty))
    reference = Ridge(alpha=penalty * len(x)).fit(x, y)
    np.testing.assert_allclose(weights, reference.coef_.T, atol=1e-8)
    np.testing.assert_allclose(intercept, reference.intercept_, atol=1e-7)


@given(seed=st.integers(0, 100))
def test_the_penalty_chosen_is_the_one_that_trying_all_would_choose(seed):
    x, y = data(seed)
    train, validation = slice(0, 20), slice(20, 60)
    errors = []
    for penalty in PENALTIES:
        fitted = Ridge(alpha=penalty * 20).fit(x[train], y[train])
        errors.append(np.sum((y[validation] - fitted.predict(x[validation])) ** 2, axis=0))
    best = np.argmin(errors, axis=0)
    penalties, r2 = choose_penalties(moments(x[train], y[train]), moments(x[validation], y[validation]))
    np.testing.assert_array_equal(penalties, PENALTIES[best])
    total = np.sum((y[validation] - y[validation].mean(0)) ** 2, axis=0)
    np.testing.assert_allclose(r2, 1 - np.min(errors, axis=0) / total)


@given(seed=st.integers(0, 20))
def test_moments_of_parts_add(seed):
    x, y = data(seed)
    whole, parts = moments(x, y), moments(x[:25], y[:25]) + moments(x[25:], y[25:])
    for mine, theirs in zip(vars(whole).values(), vars(parts).values(), strict=True):
        np.testing.assert_allclose(mine, theirs)


def test_features_that_never_change_get_no_weight():
    x, y = data(0)
    x[:, 3] = 7.0
    weights, _ = solve_ridge(moments(x, y), np.full(2, 0.1))
    np.testing.assert_allclose(weights[3], 0, atol=1e-10)
