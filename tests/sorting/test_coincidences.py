from itertools import pairwise

import numpy as np
import pytest

from neuroloom.sorting.coincidences import count_coincidences, fire_as_one, fire_in_turn, replace_each_other

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


def drifting(seed: int, *, n: int, steps: int) -> list[np.ndarray]:
    """Spikes of a steady neuron, in as many groups as steps it makes, with blurred borders."""
    random = np.random.default_rng(seed)
    time = np.sort(random.random(n))
    step = np.clip((time + random.normal(0, 0.03, n)) * steps, 0, steps - 1).astype(int)
    return [(time[step == one] * 60 * SECOND).astype(np.int64) for one in range(steps)]


@pytest.mark.parametrize(("n", "steps"), [(100, 3), (400, 2), (400, 5), (2000, 5)])
def test_the_steps_of_a_drifting_neuron_follow_one_another(n, steps):
    for seed in range(10):
        groups = drifting(seed, n=n, steps=steps)
        for first, second in pairwise(groups):
            assert fire_in_turn(first, second, n_samples=60 * SECOND)


@pytest.mark.parametrize("rate_hz", [0.5, 2, 20])
def test_neurons_that_are_there_all_the_time_do_not(rate_hz):
    pairs = [[poisson(s, rate_hz=rate_hz) for s in (seed, seed + 500)] for seed in range(50)]
    assert not any(fire_in_turn(*pair, n_samples=60 * SECOND) for pair in pairs)


def test_nor_do_those_whose_rates_rise_and_fall_against_each_other():
    random = np.random.default_rng(0)
    time = np.sort(random.random((2, 2000)), axis=1)
    first = time[0][random.random(2000) < 0.6 + 0.4 * time[0]]
    second = time[1][random.random(2000) < 1.0 - 0.6 * time[1]]
    assert not fire_in_turn(first * 60 * SECOND, second * 60 * SECOND, n_samples=60 * SECOND)


def test_few_spikes_prove_no_turns():
    assert not fire_in_turn(np.arange(10), SECOND * 30 + np.arange(10), n_samples=60 * SECOND)


@pytest.mark.parametrize("steps", [2, 3])
def test_the_steps_of_a_steady_neuron_replace_each_other(steps):
    for seed in range(10):
        for first, second in pairwise(drifting(seed, n=800, steps=steps)):
            assert replace_each_other(first, second, n_samples=60 * SECOND)


def test_what_comes_and_goes_beside_a_steady_neuron_does_not_replace_it():
    for seed in range(20):
        steady, other = poisson(seed, rate_hz=10), poisson(seed + 500, rate_hz=10)
        brief = other[(other > 40 * SECOND) & (other < 50 * SECOND)]
        assert fire_in_turn(steady, brief, n_samples=60 * SECOND)
        assert not replace_each_other(steady, brief, n_samples=60 * SECOND)
    assert not replace_each_other(np.arange(10), SECOND * 30 + np.arange(10), n_samples=60 * SECOND)


@pytest.mark.filterwarnings("error")
def test_what_is_as_frequent_in_every_part_makes_up_for_nothing():
    even, brief = np.arange(0, 60 * SECOND, SECOND // 4), np.arange(30 * SECOND, 33 * SECOND, SECOND // 30)
    assert fire_in_turn(even, brief, n_samples=60 * SECOND)
    assert not replace_each_other(even, brief, n_samples=60 * SECOND)
