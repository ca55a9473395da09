import numpy as np
import pytest

from neuroloom.sorting.splitting import split_spikes

N_SAMPLES, REFRACTORY = 60 * 30_000, 45


def spikes(distances: list[float], *, each: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Whitened waveforms of neurons whose means lie on one line, this far from the first; and their truth."""
    random = np.random.default_rng(seed)
    direction = np.zeros((64, 4))
    direction[20:30] = random.normal(size=(10, 4))
    direction /= np.linalg.norm(direction)
    truth = random.permutation(np.repeat(np.arange(len(distances)), each))
    white = random.normal(size=(len(truth), 64, 4)) + np.array(distances)[truth, None, None] * direction
    return white.astype(np.float32), truth


def times(n: int, *, seed: int = 1) -> np.ndarray:
    return np.sort(np.random.default_rng(seed).integers(0, N_SAMPLES, n))


def split(white: np.ndarray, sample: np.ndarray) -> np.ndarray:
    return split_spikes(white, sample, fewest=20, refractory=REFRACTORY, seed=0)


def agreement(truth: np.ndarray, label: np.ndarray) -> float:
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(truth, label))


@pytest.mark.parametrize("seed", range(5))
def test_one_neuron_stays_whole(seed):
    white, _ = spikes([0.0], each=600, seed=seed)
    assert split(white, times(600)).max() == 0


@pytest.mark.parametrize(("distance", "at_least"), [(7.0, 0.95), (4.5, 0.8)])
def test_two_neurons_are_parted_as_far_as_noise_allows(distance, at_least):
    white, truth = spikes([0.0, distance])
    assert agreement(truth, split(white, times(600))) > at_least


def test_three_neurons_are_parted():
    white, truth = spikes([0.0, 6.0, 12.0])
    assert agreement(truth, split(white, times(900))) > 0.9


def test_broad_variation_is_not_two_neurons():
    random = np.random.default_rng(2)
    white, _ = spikes([0.0], each=600)
    direction = np.zeros((64, 4), np.float32)
    direction[20:30] = 1 / np.sqrt(40)
    white += 1.5 * random.normal(size=(600, 1, 1)).astype(np.float32) * direction
    assert split(white, times(600)).max() == 0


def test_halves_that_keep_each_others_refractory_period_are_one_neuron():
    white, truth = spikes([0.0, 5.0], each=1500)
    regular = np.arange(0, N_SAMPLES, N_SAMPLES // 3000)[:3000]  # one clock drives both
    assert split(white, regular).max() == 0
    assert agreement(truth, split(white, times(3000))) > 0.8


def test_few_spikes_are_not_looked_at():
    white, _ = spikes([0.0, 8.0], each=15)
    assert split(white, times(30)).max() == 0
