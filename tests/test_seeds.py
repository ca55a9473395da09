"""Named streams are reproducible and independent of one another."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from neuroloom.seeds import derive, stream, torch_stream


@given(st.integers(0, 2**62), st.text(max_size=10), st.text(max_size=10))
def test_a_stream_belongs_to_its_seed_and_name_alone(seed, name, other):
    assert derive(seed, name) == derive(seed, name)
    if name != other:
        assert derive(seed, name) != derive(seed, other)
    assert derive(seed, name) != derive(seed + 1, name)


def test_a_path_of_names_is_not_their_concatenation():
    assert derive(0, "a", "b") != derive(0, "a/b")
    assert derive(0, "1") != derive(0, 1)


def test_streams_are_uncorrelated():
    draws = np.stack([stream(0, "s", index).standard_normal(10_000) for index in range(20)])
    assert np.abs(np.corrcoef(draws) - np.eye(20)).max() < 0.05


def test_torch_streams_repeat():
    import torch

    first, second = (torch.rand(5, generator=torch_stream(1, "x")) for _ in range(2))
    assert torch.equal(first, second)
