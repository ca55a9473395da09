import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroloom.errors import DataError
from neuroloom.training.sampler import Batch, Sampler


@given(n=st.integers(1, 50), seed=st.integers(0, 5), epoch=st.integers(0, 3))
def test_every_epoch_visits_every_example_once(n, seed, epoch):
    taken = Sampler(n, seed=seed).take(epoch * n, (epoch + 1) * n)
    assert sorted(taken.tolist()) == list(range(n))


@given(
    n=st.integers(1, 40),
    batch_size=st.integers(1, 64),
    n_slots=st.integers(1, 5),
    step=st.integers(0, 30),
)
def test_the_pieces_of_a_batch_are_the_batch_however_it_is_shared(n, batch_size, n_slots, step):
    whole = Sampler(n, seed=1).slot(step, 0, n_slots=1, batch_size=batch_size)
    pieces = [
        Sampler(n, seed=1).slot(step, slot, n_slots=n_slots, batch_size=batch_size) for slot in range(n_slots)
    ]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    assert len(whole) == batch_size


def test_a_step_needs_no_history():
    fresh, used = Sampler(10, seed=3), Sampler(10, seed=3)
    for step in range(20):
        used.slot(step, 0, n_slots=1, batch_size=4)
    np.testing.assert_array_equal(
        fresh.slot(19, 0, n_slots=1, batch_size=4), used.slot(19, 0, n_slots=1, batch_size=4)
    )


def test_streams_belong_to_step_and_slot_alone():
    def draw(step, slot):
        return Batch(np.arange(2), step, slot, seed=0).stream("noise").integers(1 << 40)

    assert draw(1, 0) == draw(1, 0)
    assert len({draw(step, slot) for step in range(3) for slot in range(3)}) == 9


def test_no_examples_are_refused():
    with pytest.raises(DataError, match="0 examples"):
        Sampler(0, seed=0)
