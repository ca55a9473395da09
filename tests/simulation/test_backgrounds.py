import numpy as np
import pytest

from neuroloom.simulation.backgrounds import coloured_noise_recording
from neuroloom.simulation.probes import make_probe


def noise(probe="linear-8", **changes):
    settings = {"rate_hz": 30_000.0, "duration_s": 10.0, "noise_uv": 7.0, "seed": 3}
    return coloured_noise_recording(make_probe(probe), **(settings | changes))


@pytest.mark.parametrize("colour", [0.0, 0.5])
def test_noise_has_the_level_asked_for(colour):
    np.testing.assert_allclose(noise(colour=colour).get_traces().std(axis=0), 7.0, rtol=0.03)


def test_the_spectrum_falls_as_asked_for():
    traces = noise(colour=0.5).get_traces()
    power = (np.abs(np.fft.rfft(traces, axis=0)) ** 2).mean(axis=1)
    hz = np.fft.rfftfreq(len(traces), 1 / 30_000)
    low, high = (power[(hz > f * 0.9) & (hz < f * 1.1)].mean() for f in (500, 8000))
    assert low / high == pytest.approx(16, rel=0.15)


def test_shared_noise_correlates_channels_by_its_share():
    correlation = np.corrcoef(noise(shared=0.4).get_traces().T)
    off = correlation[~np.eye(8, dtype=bool)]
    np.testing.assert_allclose(off, 0.4, atol=0.05)
    alone = np.corrcoef(noise().get_traces().T)[~np.eye(8, dtype=bool)]
    np.testing.assert_allclose(alone, 0, atol=0.05)


def test_hum_stands_at_its_frequency():
    traces = noise(hum_uv=5.0, hum_hz=60.0, noise_uv=0.0).get_traces()
    spectrum = 2 * np.abs(np.fft.rfft(traces, axis=0)) / len(traces)
    hz = np.fft.rfftfreq(len(traces), 1 / 30_000)
    np.testing.assert_allclose(spectrum[hz == 60.0][0], 5.0, rtol=0.21)
    np.testing.assert_allclose(spectrum[hz == 180.0][0] / spectrum[hz == 60.0][0], 1 / 3, rtol=1e-3)
    assert spectrum[(hz > 200)].max() < 1e-3


def test_blocks_join_without_a_seam():
    traces = noise(colour=0.8).get_traces()
    steps = np.abs(np.diff(traces, axis=0))
    at_seams = steps[np.arange(8192, len(traces), 8192) - 1]
    assert at_seams.mean() == pytest.approx(steps.mean(), rel=0.15)


def test_noise_does_not_repeat():
    traces = noise(probe="single").get_traces()[:, 0]
    assert abs(np.corrcoef(traces[:8192], traces[8192:16384])[0, 1]) < 0.05
