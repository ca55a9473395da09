import math

import numpy as np
import pytest

from neuroloom.errors import DataError
from neuroloom.simulation.many_body import ManyBody, simulate_many_body, three_body, two_body


@pytest.fixture(scope="module")
def pairs():
    return simulate_many_body(two_body(n_steps=12, duration=2.0), 6)


def test_every_system_is_cropped_at_a_start_of_its_own(pairs):
    cropped = pairs.crop(4)
    assert cropped.positions.shape == (6, 4, 4, 2)
    starts = []
    for trial in range(6):
        found = []
        for body in range(4):
            whole = pairs.positions[trial, body]
            found.append(
                next(k for k in range(9) if np.array_equal(whole[k : k + 4], cropped.positions[trial, body]))
            )
        assert found[0] == found[1]
        assert found[2] == found[3]
        starts.append((found[0], found[2]))
    assert any(a != b for a, b in starts)


def test_a_crop_longer_than_the_trial_is_refused(pairs):
    with pytest.raises(DataError, match="crop of 13"):
        pairs.crop(13)


def test_all_orders_are_made_and_the_graph_goes_with_its_bodies(pairs):
    ordered = pairs.in_orders()
    assert len(ordered) == 6 * 24
    assert (np.bincount(ordered.trial) == 24).all()
    same = ordered.system[:, :, None] == ordered.system[:, None, :]
    np.testing.assert_array_equal(ordered.interactions, same & ~np.eye(4, dtype=bool))
    first = ordered[ordered.trial == 0]
    assert len(np.unique(first.masses, axis=0)) == 24
    np.testing.assert_array_equal(np.sort(first.masses, axis=1)[0], np.sort(pairs.masses[0]))


@pytest.mark.parametrize(
    ("make", "counts"), [(two_body, (3, 6, 12)), (three_body, (10, 90, 360))], ids=["pairs", "triples"]
)
def test_there_are_as_many_classes_as_in_the_paper(make, counts):
    ordered = simulate_many_body(make(n_steps=2, duration=0.1), 1).in_orders()
    found = [len(np.unique(ordered.labels(question))) for question in ("connection", "type", "both")]
    assert tuple(found) == counts


def test_a_label_says_which_bodies_belong_together(pairs):
    ordered = pairs.in_orders()
    connection = ordered.labels("connection")
    for each in range(3):
        graphs = ordered.interactions[connection == each]
        assert (graphs == graphs[0]).all()


def test_some_orders_are_different_ones(pairs):
    ordered = pairs.in_orders(5, seed=2)
    for trial in range(6):
        assert len(np.unique(ordered.masses[ordered.trial == trial], axis=0)) == 5


def test_too_many_orders_are_refused_and_some_of_them_made():
    trials = simulate_many_body(ManyBody(systems=(9,), n_steps=2, duration=0.1), 2)
    with pytest.raises(DataError, match=f"{math.factorial(9)} orders"):
        trials.in_orders()
    assert len(trials.in_orders(3)) == 6


def test_an_unknown_question_is_refused(pairs):
    with pytest.raises(DataError, match="'colour'"):
        pairs.labels("colour")
