import numpy as np
import pytest

from neuroloom.sorting.coincidences import count_coincidences, fire_as_one

SECOND, REFRACTORY = 30_000, 45


def poisson(seed: int, *, rate_hz: float, duration_s: float = 60.0, silent_s: float = 0.003) -> np.ndarray:
    random = np.random.default_rng(seed)
    intervals = silent_s + random.exponential(1 / rate_hz - silent_s, int(2 * rate_hz * duration_s))
    times = np.cumsum(intervals)
    return (times[times < duration_s] * SECOND).astype(np.int64)


def test_coincidences_are_counted_on_both_sides():
    assert count_coincidences(np.array([100, 500]), np.array([90, 110, 300, 505]), reach=10) == 3


@pytest.mark.parametrize(("rate_hz", "silent_s"), [(20, 0.003), (5, 0.05), (40, 0.002)])
def test_parts_of_one_train_fire_as_one(rate_hz, silent_s):
    found = []
    for seed in range(20):
        train = poisson(seed, rate_hz=rate_hz, silent_s=silent_s)
        half = np.random.default_rng(seed).random(len(train)) < 0.5
        found.append(fire_as_one(train[half], train[~half], refractory=REFRACTORY))
    assert np.mean(found) >= 0.9


@pytest.mark.parametrize(("rate_hz", "silent_s"), [(20, 0.003), (5, 0.05), (40, 0.002)])
def test_two_neurons_seldom_do(rate_hz, silent_s):
    pairs = [
        [poisson(s, rate_hz=rate_hz, silent_s=silent_s) for s in (seed, seed + 500)] for seed in range(100)
    ]
    assert np.mean([fire_as_one(*pair, refractory=REFRACTORY) for pair in pairs]) <= 0.02


def test_too_few_spikes_prove_nothing():
    train = poisson(0, rate_hz=1, silent_s=0.002)
    assert not fire_as_one(train[::2], train[1::2], refractory=REFRACTORY)


def test_neurons_that_fire_together_are_two():
    first = poisson(0, rate_hz=10)
    assert not fire_as_one(first, first + 20, refractory=REFRACTORY)
