import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from neuroloom.sorting.filling import FilledRecording


@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(1, 399))
def test_filled_samples_do_not_depend_on_the_chunks(seed, cut):
    from spikeinterface.core import NumpyRecording

    random = np.random.default_rng(seed)
    traces = random.standard_normal((400, 2)).astype(np.float32)
    for _ in range(4):
        start = random.integers(0, 400)
        traces[start : start + random.integers(1, 12), random.integers(2)] = np.nan
    filled = FilledRecording(NumpyRecording([traces], 30_000.0), longest_gap=50)
    whole = filled.get_traces()
    parts = [filled.get_traces(end_frame=cut), filled.get_traces(start_frame=cut)]
    assert np.isfinite(whole).all()
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-5, atol=1e-6)
    kept = np.isfinite(traces)
    np.testing.assert_array_equal(whole[kept], traces[kept])


def test_a_gap_in_a_line_is_filled_by_the_line():
    from spikeinterface.core import NumpyRecording

    line = np.arange(100, dtype=np.float32)[:, None]
    broken = line.copy()
    broken[40:60] = np.inf
    filled = FilledRecording(NumpyRecording([broken], 30_000.0), longest_gap=20)
    np.testing.assert_allclose(filled.get_traces(), line, rtol=1e-6)


def test_an_analyzer_finds_its_filled_recording_again(tmp_path):
    from neuroloom.simulation.recordings import inject
    from neuroloom.sorting.folders import write_recording
    from neuroloom.sorting.quality import analyze, read_analyzer

    recording, truth = inject([np.arange(0.05, 1.9, 0.05)], duration_s=2.0, amplitudes_uv=[200.0])
    broken = recording.get_traces().copy()
    broken[30_000:30_010] = np.nan
    written = write_recording(recording, tmp_path / "recording")
    np.memmap(tmp_path / "recording" / "traces_cached_seg0.raw", np.float32, "r+")[:] = broken.ravel()
    analyze(truth, written, tmp_path / "analyzer")
    found = read_analyzer(tmp_path / "analyzer").recording
    assert np.isfinite(found.get_traces()).all()
    assert "FilledRecording" in (tmp_path / "analyzer" / "recording.json").read_text()
