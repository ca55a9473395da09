import numpy as np
import pytest

from neuroloom.sorting.noise import measure_noise
from neuroloom.sorting.templates import LENGTH, LONG
from neuroloom.sorting.whitening import Whitener

TETRODE = np.array([[0.0, 0], [25, 0], [0, 25], [25, 25]])


@pytest.fixture(scope="module")
def noise():
    """Band-passed noise of which the four channels share half."""
    from scipy.signal import butter, sosfiltfilt

    random = np.random.default_rng(0)
    white = random.normal(size=(120_000, 5))
    mixed = np.sqrt(0.5) * (white[:, :4] + white[:, 4:])
    band = butter(3, (300, 6000), btype="band", fs=30_000, output="sos")
    coloured = sosfiltfilt(band, mixed, axis=0)
    return (coloured / coloured.std(axis=0)).astype(np.float32)


@pytest.fixture(scope="module")
def whitener(noise):
    model = measure_noise(noise, n_samples=LENGTH, random=np.random.default_rng(1))
    return Whitener.of(model, TETRODE)


def test_whitened_channels_share_nothing(noise, whitener):
    shared = np.corrcoef(whitener.traces(noise), rowvar=False)
    assert np.abs(shared[~np.eye(4, dtype=bool)]).max() < 0.03
    assert np.abs(np.corrcoef(noise, rowvar=False)[0, 1]) > 0.45


def test_the_band_of_whitened_noise_is_flat_and_of_unit_density(noise, whitener):
    from scipy.signal import welch

    frequency, density = welch(whitener.traces(noise)[:, 0], fs=1.0, nperseg=256)
    band = (frequency > 600 / 30_000) & (frequency < 5000 / 30_000)
    assert density[band] / 2 == pytest.approx(1.0, abs=0.25)  # one-sided: white noise of unit variance has 2


def test_spikes_far_outweigh_noise_only_in_what_they_add_to_it(noise, whitener):
    """The noise is that of quiet stretches: spikes do not make themselves faint."""
    crowded = noise.copy()
    for start in range(500, len(noise) - 500, 600):
        crowded[start : start + 30] -= 40 * np.hanning(30)[:, None]
    model = measure_noise(crowded, n_samples=LENGTH, random=np.random.default_rng(1))
    again = Whitener.of(model, TETRODE)
    assert again.across == pytest.approx(whitener.across, abs=0.1)


def test_a_template_is_whitened_as_the_voltage_is(whitener):
    random = np.random.default_rng(2)
    template = random.normal(size=(1, LONG, 4)).astype(np.float32) * np.hanning(LONG)[None, :, None]
    traces = np.zeros((1000, 4), np.float32)
    traces[400 : 400 + LONG] = template[0]
    assert whitener.traces(traces)[400 : 400 + LONG] == pytest.approx(
        whitener.templates(template)[0], abs=1e-3
    )
