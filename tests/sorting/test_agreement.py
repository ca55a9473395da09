import numpy as np
import pytest

from neuroloom.sorting.agreement import compare_with_truth


def sorting_of(trains):
    from spikeinterface.core import NumpySorting

    units = {name: np.asarray(train, dtype=np.int64) for name, train in trains.items()}
    return NumpySorting.from_unit_dict([units], sampling_frequency=30_000.0)


TRAIN = np.arange(1000, 300_000, 1000)


def test_a_perfect_sorting_agrees_whatever_its_names_and_jitter():
    truth = sorting_of({"a": TRAIN, "b": TRAIN + 300})
    table = compare_with_truth(sorting_of({"x": TRAIN + 305, "y": TRAIN - 4}), truth)
    assert list(table["accuracy"]) == [1.0, 1.0]
    assert list(table["found_unit"]) == ["y", "x"]


def test_misses_and_false_alarms_are_counted():
    found = sorting_of({0: np.concatenate([TRAIN[:200], TRAIN[:50] + 500])})
    row = compare_with_truth(found, sorting_of({0: TRAIN})).loc[0]
    n_true, hits, false_alarms = len(TRAIN), 200, 50
    assert row["recall"] == pytest.approx(hits / n_true)
    assert row["precision"] == pytest.approx(hits / (hits + false_alarms))
    assert row["accuracy"] == pytest.approx(hits / (n_true + false_alarms))


@pytest.mark.parametrize("found", [{}, {0: TRAIN + 500}])
def test_nothing_found_scores_zero(found):
    table = compare_with_truth(sorting_of(found), sorting_of({"a": TRAIN}))
    assert list(table["accuracy"]) == [0.0]
    assert table["found_unit"].isna().all()
    assert len(compare_with_truth(sorting_of(found), sorting_of({}))) == 0
