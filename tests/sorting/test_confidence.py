import numpy as np
import pytest

from neuroloom.sorting.confidence import (
    apart,
    believable,
    companions,
    contamination,
    followers,
    spike_confidence,
    without_remainders,
)
from neuroloom.sorting.residuals import Subtraction
from neuroloom.sorting.templates import LONG, LONG_TROUGH

N_SAMPLES, REFRACTORY = 60 * 30_000, 45


def neuron(rate_hz: float, *, seed: int, refractory: int = 90) -> np.ndarray:
    random = np.random.default_rng(seed)
    gaps = refractory + random.exponential(30_000 / rate_hz, int(80 * rate_hz))
    times = np.cumsum(gaps).astype(int)
    return times[times < N_SAMPLES]


def foreign(sample: np.ndarray) -> float:
    return contamination(sample, refractory=REFRACTORY, n_samples=N_SAMPLES)


def test_a_neuron_is_pure_and_a_random_train_is_not():
    assert foreign(neuron(12, seed=0)) == 0
    random = np.sort(np.random.default_rng(0).integers(0, N_SAMPLES, 1800))
    assert foreign(random) > 0.5


def test_one_violation_proves_nothing():
    train = neuron(2, seed=1)
    assert foreign(np.sort(np.append(train, train[5] + 20))) < 0.2


def test_what_keeps_one_lag_behind_a_larger_unit_follows_it():
    leader, other = neuron(8, seed=2), neuron(8, seed=3)
    trains = [leader, leader[::2] + 70, other]
    energy, near = np.array([900.0, 30.0, 30.0]), np.ones((3, 3), bool)
    assert followers(trains, energy, near).tolist() == [False, True, False]


def test_what_coincidences_leave_keeps_company():
    trains = [neuron(8, seed=seed) for seed in range(4, 10)]
    both = [np.sort(np.r_[one[:120], two[200:320]]) for one, two in zip(trains[:3], trains[3:], strict=True)]
    left = np.sort(np.concatenate(both))[::3] + 50  # always after one of two, and never the same two
    alone = neuron(1, seed=11)
    confidence = np.r_[np.full(6, 0.99), 0.97, 0.9]
    found = companions([*trains, left, alone], confidence, n_samples=N_SAMPLES)
    assert found.tolist() == [False] * 6 + [True, False]
    # What is trusted least takes nothing with it, even if it fires beside all others.
    mixture = np.sort(np.concatenate(trains)) + 9
    confidence = np.r_[np.full(6, 0.99), 0.5]
    assert not companions([*trains, mixture], confidence, n_samples=N_SAMPLES).any()


def test_of_two_trains_alike_one_stays():
    train = neuron(8, seed=12)
    confidence = np.array([0.99, 0.98])
    assert companions([train, train[::2]], confidence, n_samples=N_SAMPLES).tolist() == [False, True]
    assert not companions([train, train], confidence, n_samples=N_SAMPLES).any()
    assert not companions([], confidence[:0], n_samples=N_SAMPLES).any()


def test_small_and_misfitting_spikes_are_not_believed():
    unit, height = np.zeros(103, int), np.r_[np.ones(100), 0.4, 0.7, 1.0]
    misfit = np.r_[np.ones(100), 1.0, 2.5, 9.0]
    assert believable(unit, height, misfit).tolist() == [True] * 100 + [False] * 3


def test_of_two_spikes_too_close_the_surer_one_stays():
    sample = np.array([0, 20, 1000, 1040, 2000, 2040, 3000, 3100, 4000])
    unit = np.array([0, 0, 0, 0, 0, 0, 0, 0, 1])
    confidence = np.array([0.9, 0.997, 0.997, 0.98, 0.996, 0.997, 0.5, 0.5, 0.4])
    left = apart(sample, unit, confidence, dead=30, refractory=45)
    # Dead time leaves one of any two, the refractory period both where neither is in doubt.
    assert left.tolist() == [False, True, True, False, True, True, True, True, True]


def test_parts_beside_larger_spikes_are_taken_out():
    larger = np.arange(1000, 100_000, 1000)
    sample = np.sort(np.r_[larger[:40] + 10, np.arange(1500, 81_500, 1000)])
    label = np.where(np.isin(sample, larger + 10), 1, 0)
    found = without_remainders(label, sample, larger)
    assert set(found[label == 1]) == {-1}
    assert set(found[label == 0]) == {0}


def test_confidence_is_the_share_that_is_right():
    """Two units of one shape and two sizes: spikes of them are told apart as often as they claim."""
    random = np.random.default_rng(4)
    time = np.arange(LONG) - LONG_TROUGH
    shape = -np.exp(-(time**2) / 18)[:, None] * np.ones(2)
    tilt = np.array([[1.0, 0.8], [0.8, 1.0]])
    templates = (5.0 * shape[None] * tilt[:, None]).astype(np.float32)
    sample = np.arange(300, 590_000, 300)
    truth = random.integers(0, 2, len(sample))
    traces = random.normal(size=(600_000, 2)).astype(np.float32)
    for at, unit in zip(sample, truth, strict=True):
        traces[at - LONG_TROUGH : at - LONG_TROUGH + LONG] += templates[unit]
    flat = templates.reshape(2, -1)
    window = traces[sample[:, None] + np.arange(-LONG_TROUGH, LONG - LONG_TROUGH)].reshape(len(sample), -1)
    found = (window @ flat.T - (flat**2).sum(axis=1) / 2).argmax(axis=1)
    left = Subtraction(templates).chunks(traces, sample, found, chunk=100_000)
    near = [np.arange(2), np.arange(2)]
    confidence, _, _ = spike_confidence(left, templates, near, n_spikes=len(sample))
    right = found == truth
    # Two templates of one neuron do not compete: that a spike is the neuron's is hardly in doubt.
    left = Subtraction(templates).chunks(traces, sample, found, chunk=100_000)
    of_one, _, _ = spike_confidence(left, templates, near, n_spikes=len(sample), neuron=np.zeros(2, int))
    assert of_one.mean() > 0.98
    assert 0.75 < right.mean() < 0.99
    assert confidence.mean() == pytest.approx(right.mean(), abs=0.06)
    assert right[confidence > 0.95].mean() > right[confidence < 0.7].mean() + 0.1
