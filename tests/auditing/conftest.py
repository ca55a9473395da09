"""Text for the audit's tests: sentences of a small grammar, so that a small corpus knows every word."""

import itertools

import numpy as np
import pytest


@pytest.fixture(scope="session")
def sentences() -> list[str]:
    """All 1,296 sentences of the form 'the old sailor quietly watched a red boat', shuffled."""
    parts = (
        ("the", "a", "every"),
        ("old", "young", "tired"),
        ("sailor", "doctor", "farmer", "teacher"),
        ("quietly", "slowly", "often"),
        ("watched", "painted", "followed"),
        ("one", "her"),
        ("boat", "bird"),
    )
    made = [" ".join(words) for words in itertools.product(*parts)]
    return [made[index] for index in np.random.default_rng(0).permutation(len(made))]
