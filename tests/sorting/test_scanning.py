import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroloom.sorting import scanning
from neuroloom.sorting.scanning import bad_channels, scan_recording


def longest_run(missing: np.ndarray) -> int:
    """The plain way to count it."""
    longest = run = 0
    for value in missing:
        run = run + 1 if value else 0
        longest = max(longest, run)
    return longest


@given(seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.0, 0.01, 0.4, 1.0]))
def test_a_scan_in_chunks_agrees_with_the_whole_array(seed, share):
    from spikeinterface.core import NumpyRecording

    random = np.random.default_rng(seed)
    traces = np.round(random.standard_normal((2500, 3)) * 3 + 1e4).astype(np.float32)
    missing = random.uniform(size=traces.shape) < share
    traces[missing] = random.choice([np.nan, np.inf, -np.inf], missing.sum())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scanning, "_CHUNK_VALUES", 3000)  # chunks of 1000 samples
        scan = scan_recording(NumpyRecording([traces], 30_000.0))
    finite = np.where(missing, np.nan, traces).astype(np.float64)
    assert scan.n_samples == 2500
    np.testing.assert_array_equal(scan.n_missing, missing.sum(axis=0))
    np.testing.assert_array_equal(scan.longest_gap, [longest_run(column) for column in missing.T])
    for channel in np.flatnonzero(~missing.all(axis=0)):
        values = finite[~missing[:, channel], channel]
        assert scan.lowest[channel] == values.min()
        assert scan.highest[channel] == values.max()
        assert scan.mean[channel] == pytest.approx(values.mean())
        assert scan.sd[channel] == pytest.approx(values.std(), rel=1e-6)
        at_limit = max(np.mean(values == values.min()), np.mean(values == values.max()))
        assert scan.clipped[channel] == pytest.approx(at_limit)


def test_a_scan_is_made_once_per_recording(array_recording, monkeypatch):
    recording = array_recording(np.zeros((1000, 4), dtype=np.int16))
    first = scan_recording(recording)
    monkeypatch.setattr(scanning, "_scan", lambda _: pytest.fail("scanned again"))
    assert scan_recording(recording) is first


def test_dead_saturated_and_missing_channels_are_told_apart(array_recording):
    traces = np.random.default_rng(0).standard_normal((30_000, 6)).astype(np.float32) * 20
    traces[:, 1] = 3.0
    traces[:, 2] = np.clip(traces[:, 2], -30, 30)
    traces[:, 3] *= 1e-4
    traces[:20_000, 4] = np.nan
    recording = array_recording(traces, probe="linear-6")
    reasons = bad_channels(recording, scan_recording(recording))
    kinds = {channel: reason.split(" (")[0] for channel, reason in reasons.items()}
    assert kinds == {"1": "dead", "2": "saturated", "3": "dead", "4": "missing"}


def test_coarse_integers_are_not_taken_for_saturated(array_recording):
    counts = np.round(np.random.default_rng(0).standard_normal((30_000, 4)) * 1.5).astype(np.int16)
    recording = array_recording(counts)
    assert bad_channels(recording, scan_recording(recording)) == {}
