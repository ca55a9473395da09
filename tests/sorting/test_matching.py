import numpy as np
import pytest
from probeinterface import generate_tetrode

from neuroloom.errors import DataError
from neuroloom.sorting.matching import PEELERS, match_templates
from neuroloom.sorting.templates import LONG, LONG_TROUGH

RATE_HZ = 30000.0


def templates() -> np.ndarray:
    """Two units on a tetrode, 30 and 16 times the noise."""
    time = np.arange(LONG) - LONG_TROUGH
    trough = -np.exp(-(time**2) / 18) + 0.3 * np.exp(-((time - 14) ** 2) / 60)
    sizes = np.array([[30.0, 20, 8, 3], [2, 5, 12, 16]])
    return (trough[None, :, None] * sizes[:, None, :]).astype(np.float32)


def tetrode():
    probe = generate_tetrode()
    probe.set_device_channel_indices(np.arange(4))
    return probe


@pytest.fixture(scope="module")
def spikes() -> tuple[np.ndarray, np.ndarray]:
    """Spikes of both units; every tenth of the second falls on one of the first."""
    sample = np.arange(400, 89000, 450)
    unit = np.arange(len(sample)) % 2
    sample[1::20] = sample[:-1:20] + 9
    return sample, unit


@pytest.fixture(scope="module")
def white(spikes) -> np.ndarray:
    traces = np.random.default_rng(0).normal(0, 1, (90000, 4)).astype(np.float32)
    for at, one in zip(*spikes, strict=True):
        traces[at - LONG_TROUGH : at - LONG_TROUGH + LONG] += templates()[one]
    return traces


@pytest.mark.parametrize("peeler", PEELERS)
def test_every_peeler_finds_the_spikes_also_where_they_overlap(white, spikes, peeler):
    sample, unit = match_templates(white, templates(), rate_hz=RATE_HZ, probe=tetrode(), peeler=peeler)
    assert np.all(np.diff(sample) >= 0)
    for one in range(2):
        true, found = spikes[0][spikes[1] == one], sample[unit == one]
        hit = np.abs(true[:, None] - found[None, :]).min(axis=1) <= 3
        assert hit.mean() > 0.97
        assert len(found) <= 1.03 * len(true)


def test_what_is_no_peeler_is_refused_with_those_there_are(white):
    with pytest.raises(DataError, match=r"peeler='nearest'; expected .*wobble, tdc-peeler, circus-omp"):
        match_templates(white, templates(), rate_hz=RATE_HZ, probe=tetrode(), peeler="nearest")


def test_nothing_is_found_without_templates(white):
    sample, unit = match_templates(white, templates()[:0], rate_hz=RATE_HZ, probe=tetrode())
    assert len(sample) == len(unit) == 0
