"""Which outputs of a window count, and by how much."""

import numpy as np
import pytest

from neuroloom.decoding.poyo_data import Outputs, PoyoData
from neuroloom.decoding.tokens import Train


def data(*, length_s: float = 10.0, **settings) -> PoyoData:
    """One recording with an output every 50 ms."""
    times_s = np.arange(0.025, length_s, 0.05)
    n = len(times_s)
    outputs = Outputs(
        times_s, np.zeros(n, np.int64), np.array([[0.0, length_s]]), np.ones((n, 1)), np.ones(n)
    )
    times_s = np.arange(0.01, length_s, 0.1)
    spikes = Train(times_s, np.zeros(len(times_s), np.int64), np.zeros(1, np.int64), 0)
    return PoyoData([spikes], [outputs], 1.0, "regression", **settings)


def seen(each: PoyoData) -> tuple[np.ndarray, np.ndarray]:
    """When outputs lie in their windows, and by how much they count."""
    prepared = each.prepare(each.windows(step_s=0.5))
    there = prepared.output >= 0
    return prepared.inputs.query_times_s.numpy()[there], prepared.weights.numpy()[there]


def test_without_a_context_to_come_all_outputs_count_alike():
    query_s, weight = seen(data())
    assert query_s.min() < 0.1
    assert set(weight) == {1.0}


def test_outputs_that_see_less_than_a_causal_decoder_count_less_in_training_and_not_in_validation():
    learned, held_out = data(seen_from_s=0.75, early_weight=0.25).split(0.3)
    query_s, weight = seen(learned)
    np.testing.assert_array_equal(weight, np.where(query_s < 0.75 - 1e-6, 0.25, 1.0).astype(np.float32))
    assert (query_s < 0.75).mean() == pytest.approx(0.75, abs=0.05)
    query_s, weight = seen(held_out)
    assert query_s.min() > 0.74
    assert set(weight) == {1.0}


def test_all_outputs_of_a_trial_shorter_than_the_context_count():
    query_s, weight = seen(data(length_s=0.8, seen_from_s=0.75, early_weight=0.25))
    assert len(query_s) == 16
    assert set(weight) == {1.0}
