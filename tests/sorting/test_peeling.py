import numpy as np
import pytest

from neuroloom.sorting.noise import NoiseModel, measure_noise
from neuroloom.sorting.peeling import LENGTH, LONG, LONG_TROUGH, Peeler, shift_waveforms

TETRODE = np.array([[0.0, 0], [25, 0], [0, 25], [25, 25]])


def templates() -> np.ndarray:
    time = np.arange(LONG) - LONG_TROUGH
    weights = np.array([[30, 8, 8, 3], [6, 4, 12, 25], [5, 20, 3, 9]], float)
    widths = (2.5, 4.0, 3.0)
    shapes = [-np.exp(-(time**2) / (2 * w**2)) + 0.3 * np.exp(-((time - 14) ** 2) / 60) for w in widths]
    return np.array([np.outer(shape, weight) for shape, weight in zip(shapes, weights, strict=True)])


@pytest.fixture(scope="module")
def overlapping():
    """Twenty seconds of three units, a quarter of whose spikes overlap another, in white noise."""
    random = np.random.default_rng(0)
    scaled = random.normal(size=(600_000, 4)).astype(np.float32)
    truth = []
    for start in range(500, 598_000, 1500):
        first = int(random.integers(3))
        truth.append((start, first))
        if random.random() < 0.25:
            truth.append((start + int(random.integers(8, 30)), (first + 1) % 3))
    for sample, unit in truth:
        scaled[sample - LONG_TROUGH : sample - LONG_TROUGH + LONG] += templates()[unit]
    return scaled, truth


def test_overlapping_spikes_are_taken_apart(overlapping):
    scaled, truth = overlapping
    noise = measure_noise(scaled, n_samples=LENGTH, random=np.random.default_rng(0))
    spikes = Peeler(templates(), TETRODE, noise).peel(scaled, chunk=100_000)
    found = {
        (int(s) + d, int(u)) for s, u in zip(spikes.sample, spikes.unit, strict=True) for d in (-1, 0, 1)
    }
    assert np.mean([spike in found for spike in truth]) > 0.98
    assert len(spikes) < 1.02 * len(truth)
    assert np.all((spikes.confidence > 0) & (spikes.confidence <= 1))


def test_chunks_do_not_change_the_spikes(overlapping):
    scaled = overlapping[0][:150_000]
    peeler = Peeler(templates(), TETRODE, NoiseModel(np.eye(LENGTH), np.eye(4)))
    whole, cut = peeler.peel(scaled, chunk=150_000), peeler.peel(scaled, chunk=20_011)
    assert whole.sample.tolist() == cut.sample.tolist()
    assert whole.unit.tolist() == cut.unit.tolist()


def test_noise_alone_has_no_spikes():
    scaled = np.random.default_rng(1).normal(size=(200_000, 4)).astype(np.float32)
    peeler = Peeler(templates(), TETRODE, NoiseModel(np.eye(LENGTH), np.eye(4)), threshold=3.0)
    assert len(peeler.peel(scaled, chunk=60_000)) == 0


def test_the_noise_of_white_noise_is_the_identity():
    scaled = np.random.default_rng(2).normal(size=(200_000, 4)).astype(np.float32)
    noise = measure_noise(scaled, n_samples=LENGTH, random=np.random.default_rng(0))
    assert np.abs(noise.in_time - np.eye(LENGTH)).max() < 0.03
    assert np.abs(noise.across - np.eye(4)).max() < 0.05


def test_a_shift_by_whole_samples_is_exact_inside():
    waveform = templates()[:1]
    assert np.abs(shift_waveforms(waveform, 2.0)[0, 4:] - waveform[0, 2:-2]).max() < 0.05
