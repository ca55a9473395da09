"""Groups of confidences, their intervals and their error."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from neuroloom.errors import DataError
from neuroloom.reporting.sorting.calibration import Calibration, group_by_confidence, wilson
from neuroloom.reporting.sorting.figures_truth import spike_calibration, unit_calibration


def dots(figure):
    """Return the points of every scatter of a figure's only axes."""
    return [np.asarray(scatter.get_offsets()) for scatter in figure.axes[0].collections
            if scatter.get_offsets().shape[0] and hasattr(scatter, "get_sizes")]  # fmt: skip


def calibration(confidence, accuracy, precision, spikes=(), right=()):
    return Calibration(
        [f"u{index}" for index in range(len(confidence))],
        *(np.array(values, float) for values in (confidence, accuracy, precision, spikes)),
        np.array(right, bool),
    )


@given(st.integers(1, 300), st.data())
def test_wilsons_interval_is_that_of_scipy(count, data):
    hits = data.draw(st.integers(0, count))
    low, high = wilson(np.array([float(hits)]), np.array([count]))
    expected = binomtest(hits, count).proportion_ci(method="wilson")
    assert (low[0], high[0]) == pytest.approx((expected.low, expected.high), abs=1e-9)


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.99, 1.0]), st.booleans()), max_size=80))
def test_groups_hold_every_spike_once_and_keep_equal_confidences_together(pairs):
    confidence, right = np.array([c for c, _ in pairs], float), np.array([r for _, r in pairs], bool)
    groups = group_by_confidence(confidence, right)
    assert groups.count.sum() == len(pairs)
    assert (groups.share * groups.count).sum() == pytest.approx(right.sum())
    assert (np.diff(groups.confidence) > 0).all()
    assert len(groups.count) <= len(set(confidence.tolist()))
    assert ((groups.low <= groups.share + 1e-12) & (groups.share <= groups.high + 1e-12)).all()


def test_deciles_of_distinct_confidences_are_of_equal_size():
    groups = group_by_confidence(np.linspace(0, 1, 1000), np.ones(1000, bool))
    assert groups.count.tolist() == [100] * 10


def test_spikes_as_right_as_they_claim_have_hardly_any_error_and_boasts_have_theirs():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0, 1, 40_000)
    honest = group_by_confidence(confidence, rng.uniform(size=40_000) < confidence)
    assert honest.error < 0.02
    boasting = group_by_confidence(np.full(1000, 0.9), np.arange(1000) < 400)
    assert boasting.error == pytest.approx(0.5)


def test_no_spikes_have_no_error_and_nan_confidences_are_left_out():
    assert np.isnan(group_by_confidence(np.zeros(0), np.zeros(0, bool)).error)
    groups = group_by_confidence(np.array([np.nan, 0.5]), np.array([False, True]))
    assert groups.count.tolist() == [1]
    assert groups.share.tolist() == [1.0]


def test_confidences_of_another_sorting_are_refused():
    with pytest.raises(DataError, match="the same sorting"):
        calibration([0.9], [0.8], [0.9], spikes=[0.5, 0.6], right=[True])


def test_units_stand_at_their_confidence_and_those_far_off_are_named():
    figure = unit_calibration(calibration([0.9, 1.0], [0.5, 0.97], [0.6, 0.98]))
    accuracy, precision = dots(figure)
    np.testing.assert_allclose(accuracy, [[0.9, 0.5], [1.0, 0.97]])
    np.testing.assert_allclose(precision, [[0.9, 0.6], [1.0, 0.98]])
    assert [text.get_text() for text in figure.axes[0].texts] == ["u0"]


def test_both_axes_of_a_calibration_have_the_same_limits_and_hold_every_mark():
    groups = group_by_confidence(np.array([0.42, 0.98]), np.array([False, True]))
    axes = spike_calibration(groups).axes[0]
    assert axes.get_xlim() == axes.get_ylim()
    assert axes.get_xlim()[0] <= groups.low.min()
    assert axes.get_xlim()[1] >= 1
    np.testing.assert_allclose(dots(axes.figure)[0], np.stack([groups.confidence, groups.share], axis=1))
