import warnings

import numpy as np
import pytest

from neuroloom.sorting.spikeinterface_runs import quiet, repeatable


def draws() -> list[float]:
    unseeded = [np.random.default_rng().random() for _ in range(3)]
    return [*unseeded, np.random.default_rng(seed=7).random(), np.random.random()]  # noqa: NPY002


def test_unseeded_generators_repeat_and_differ_from_each_other():
    with repeatable(1, "a"):
        first = draws()
    with repeatable(1, "a"):
        second = draws()
    with repeatable(2, "a"):
        third = draws()
    assert first == second
    assert len(set(first)) == 5
    assert first[3] == third[3] == np.random.default_rng(7).random()
    assert first[0] != third[0]


def test_generators_are_as_before_also_after_an_error():
    real = np.random.default_rng
    with pytest.raises(KeyError), repeatable(0):
        raise KeyError
    assert np.random.default_rng is real


def test_prints_and_warnings_stay_inside(capsys):
    with quiet():
        print("a picture of a thief")
        warnings.warn("deprecated", FutureWarning, stacklevel=1)
    assert capsys.readouterr().out == ""
    with pytest.warns(UserWarning, match="ours"):
        warnings.warn("ours", UserWarning, stacklevel=1)
