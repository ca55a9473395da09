"""Small recordings with a known truth, for the tests of the sorting room."""

import numpy as np
import pytest

from neuroloom.simulation.recordings import inject


def poisson_trains(
    n_units: int, duration_s: float, *, rate_hz: float = 12.0, seed: int = 0
) -> list[np.ndarray]:
    """Spike trains without refractory violations or overlaps at the ends."""
    random = np.random.default_rng(seed)
    trains = []
    for _ in range(n_units):
        times = np.sort(random.uniform(0.01, duration_s - 0.01, int(rate_hz * duration_s)))
        trains.append(times[np.insert(np.diff(times) > 0.004, 0, True)])
    return trains


@pytest.fixture(scope="session")
def tetrode():
    """Twelve seconds of four units on a tetrode, and its true sorting."""
    return inject(poisson_trains(4, 12.0), duration_s=12.0, amplitudes_uv=(90.0, 240.0), noise_uv=8.0, seed=3)


@pytest.fixture(scope="session")
def sorted_tetrode(tetrode):
    """The tetrode recording, sorted once for all tests."""
    from neuroloom.sorting.sorter import sort

    return sort(tetrode[0])


@pytest.fixture
def array_recording():
    """Make a recording in microvolt from an array (samples, channels)."""

    def make(traces: np.ndarray, *, rate_hz: float = 30_000.0, probe: str | None = "tetrode"):
        from spikeinterface.core import NumpyRecording

        from neuroloom.sorting.probes import attach_probe

        recording = NumpyRecording([traces], rate_hz)
        recording.set_channel_gains(1.0)
        recording.set_channel_offsets(0.0)
        return attach_probe(recording, probe) if probe else recording

    return make
