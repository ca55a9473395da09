"""Thinning keeps what matters."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neuroloom.reporting.drawing import end_labels, thin_envelope, thin_evenly
from neuroloom.reporting.sorting.figures_cards import autocorrelogram
from neuroloom.reporting.svg import drawing, new_figure

lines = arrays(float, st.integers(1, 400), elements=st.floats(-1e6, 1e6))


@given(lines, st.integers(2, 100))
def test_a_thinned_line_keeps_its_extremes_and_its_order(values, most):
    times, thinned = thin_envelope(np.arange(float(len(values))), values, max_points=most)
    assert len(thinned) <= max(most, 2)
    assert thinned.min() == values.min()
    assert thinned.max() == values.max()
    assert (np.diff(times) >= 0).all()


def test_a_gap_stays_a_gap():
    values = np.ones(1000)
    values[300:600] = np.nan
    _, thinned = thin_envelope(np.arange(1000.0), values, max_points=100)
    assert 20 < np.isnan(thinned).sum() < 40


@given(st.integers(0, 500), st.integers(2, 50))
def test_even_thinning_gives_distinct_indices_in_range(count, most):
    kept = thin_evenly(count, max_count=most)
    assert len(kept) == min(count, most)
    assert len(set(kept.tolist())) == len(kept)
    assert all(0 <= index < count for index in kept)


@given(st.lists(st.integers(0, 2000), max_size=60))
def test_autocorrelogram_counts_every_close_pair_once(ticks):
    times_s = np.sort(np.array(ticks, float)) * 1e-4
    counts = autocorrelogram(times_s, window_s=0.02, bin_s=0.001)
    lags = [b - a for i, a in enumerate(sorted(ticks)) for b in sorted(ticks)[i + 1 :] if b - a < 200]
    expected = np.bincount([lag // 10 for lag in lags], minlength=20) if lags else np.zeros(20, int)
    np.testing.assert_array_equal(counts, expected)


@drawing
def placed_labels(heights):
    figure = new_figure(400, 300)
    axes = figure.subplots()
    axes.set_ylim(0, 1)
    figure.draw_without_rendering()
    end_labels(axes, 1.0, heights, [str(h) for h in heights], ["#1b2330"] * len(heights))
    return [text.xy[1] for text in axes.texts]


def test_labels_at_line_ends_do_not_overlap():
    places = np.sort(placed_labels([0.5, 0.5, 0.5, 0.52, 0.1]))
    assert np.diff(places).min() > 0.03
