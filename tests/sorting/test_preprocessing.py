import numpy as np
import pytest

from neuroloom.errors import DataError
from neuroloom.simulation.recordings import inject
from neuroloom.sorting.preprocessing import noise_uv, prepare
from neuroloom.sorting.reading import read_recording


def sine(frequency_hz: float, *, n_channels: int = 4, duration_s: float = 2.0) -> np.ndarray:
    times_s = np.arange(int(30_000 * duration_s)) / 30_000
    wave = 100 * np.sin(2 * np.pi * frequency_hz * times_s)[:, None]
    return (wave * (1 + 0.1 * np.arange(n_channels))).astype(np.float32)


@pytest.mark.parametrize(("frequency_hz", "kept"), [(50.0, False), (1500.0, True), (12_000.0, False)])
def test_the_spike_band_passes_and_nothing_else(array_recording, frequency_hz, kept):
    noise = np.random.default_rng(0).standard_normal((60_000, 4)).astype(np.float32)
    recording = prepare(array_recording(sine(frequency_hz) + noise)).recording
    middle = recording.get_traces(start_frame=20_000, end_frame=40_000)
    spread = np.sqrt(2) * middle.std(axis=0)
    assert (spread > 95).all() if kept else (spread < 8).all()


def test_noise_is_measured_in_microvolt(array_recording):
    white = np.random.default_rng(0).standard_normal((300_000, 4)).astype(np.float32) * 10
    recording = array_recording(white)
    recording.set_channel_gains(2.0)
    np.testing.assert_allclose(noise_uv(recording), 20.0, rtol=0.05)


def test_what_all_channels_share_is_subtracted_where_there_are_enough(array_recording):
    random = np.random.default_rng(0)
    own, shared = random.standard_normal((60_000, 32)), 20 * random.standard_normal((60_000, 1))
    many = prepare(array_recording((own + shared).astype(np.float32), probe="linear-32"))
    few = prepare(array_recording((own + shared)[:, :4].astype(np.float32)))
    assert many.recording.get_traces().std() < 2
    assert few.recording.get_traces().std() > 5
    assert "median reference over channels" in many.steps
    assert "median reference over channels" not in few.steps


def test_channels_that_share_no_noise_keep_their_own(array_recording):
    own = np.random.default_rng(0).standard_normal((60_000, 32)).astype(np.float32)
    alone = array_recording(own, probe="linear-32")
    assert "median reference over channels" not in prepare(alone).steps
    assert "median reference over channels" in prepare(alone, reference=True).steps


def test_bad_channels_are_left_out_and_reported():
    recording, _ = inject([], probe="linear-8", duration_s=3.0, noise_uv=10.0)
    traces = recording.get_traces().copy()
    traces[:, 2] = 0
    traces[:, 5] = traces[:, 4]
    traces[:, 7] *= 30
    from spikeinterface.core import NumpyRecording

    broken = NumpyRecording([traces], 30_000.0)
    broken.set_channel_gains(1.0)
    broken.set_channel_offsets(0.0)
    broken.set_probe(recording.get_probe())
    prepared = prepare(broken)
    assert list(prepared.recording.channel_ids) == [0, 1, 3, 4, 6]
    assert set(prepared.removed) == {"2", "5", "7"}
    assert {finding.where for finding in prepared.findings} >= {"channel 2", "channel 5", "channel 7"}


def test_a_prepared_recording_is_not_prepared_again(tmp_path, tetrode):
    prepared = prepare(tetrode[0], folder=tmp_path / "prepared").recording
    assert prepare(prepared).recording is prepared
    read = read_recording(tmp_path / "prepared")
    assert prepare(read).recording is read
    lazily = prepare(tetrode[0]).recording
    np.testing.assert_allclose(
        read.get_traces(0, 0, 3000), lazily.get_traces(0, 0, 3000), rtol=1e-4, atol=1e-3
    )


def test_the_recording_that_is_given_stays_as_it_was(array_recording):
    noise = np.random.default_rng(0).standard_normal((30_000, 4)).astype(np.float32)
    recording = array_recording(noise, probe=None)
    prepared = prepare(recording)
    assert prepared.recording.has_probe()
    assert not recording.has_probe()
    np.testing.assert_array_equal(recording.get_traces(), noise)


def test_slow_recordings_get_a_band_below_their_limit(array_recording):
    noise = np.random.default_rng(0).standard_normal((30_000, 4)).astype(np.float32)
    assert "band-pass 300 to 4500 Hz" in prepare(array_recording(noise, rate_hz=10_000.0)).steps


def test_recordings_with_errors_are_refused(array_recording):
    with pytest.raises(DataError, match="too short to filter"):
        prepare(array_recording(np.ones((100, 4), dtype=np.float32)))
