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
