from pathlib import Path

import numpy as np
import pytest

from neuroloom.simulation.probes import make_probe
from neuroloom.sorting.mapped import give_back, mapped_recording

STATM = Path("/proc/self/statm")


def mapped_mb() -> float:
    """Return how much memory of this process belongs to files."""
    return int(STATM.read_text().split()[2]) * 4096 / 2**20


@pytest.fixture
def saved(tmp_path):
    array = np.random.default_rng(0).normal(size=(1_000_000, 16)).astype(np.float32)  # 61 MB
    np.save(tmp_path / "voltage.npy", array)
    return array, np.load(tmp_path / "voltage.npy", mmap_mode="r")


@pytest.mark.skipif(not STATM.exists(), reason="only Linux says how much memory belongs to files")
def test_what_was_read_is_given_back_and_can_be_read_again(saved):
    array, mapped = saved
    before = mapped_mb()
    first = float(mapped.sum(dtype=np.float64))
    assert mapped_mb() - before > 50
    give_back(mapped)
    assert mapped_mb() - before < 10
    assert float(mapped.sum(dtype=np.float64)) == first
    np.testing.assert_array_equal(mapped[-5:], array[-5:])


def test_what_was_written_stays(tmp_path):
    from numpy.lib.format import open_memmap

    mapped = open_memmap(tmp_path / "new.npy", mode="w+", dtype=np.float32, shape=(10_000, 4))
    mapped[:] = 3.0
    give_back(mapped)
    assert (np.load(tmp_path / "new.npy") == 3.0).all()


def test_what_was_written_into_a_private_copy_stays(saved):
    private = np.memmap(saved[1].filename, dtype=np.float32, mode="c", offset=saved[1].offset)
    private[:4] = 5.0
    give_back(private)
    assert (private[:4] == 5.0).all()


def test_an_array_in_memory_is_left_alone():
    array = np.arange(6)
    give_back(array)
    give_back(array[2:])
    np.testing.assert_array_equal(array, np.arange(6))


@pytest.mark.skipif(not STATM.exists(), reason="only Linux says how much memory belongs to files")
def test_a_recording_holds_one_chunk_of_a_file_at_a_time(saved):
    array, mapped = saved
    recording = mapped_recording(mapped, rate_hz=30_000.0, probe=make_probe("linear-16"))
    before = mapped_mb()
    for start in range(0, len(array), 100_000):
        traces = recording.get_traces(start_frame=start, end_frame=start + 100_000)
        np.testing.assert_array_equal(traces, array[start : start + 100_000])
    assert mapped_mb() - before < 20
    some = recording.get_traces(start_frame=10, end_frame=20, channel_ids=[3, 1])
    np.testing.assert_array_equal(some, array[10:20, [3, 1]])
    np.testing.assert_array_equal(
        recording.get_channel_locations(), make_probe("linear-16").contact_positions
    )
