"""All units in one figure: marks are where the data are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex

from neuroloom.reporting.palette import LINE, hue
from neuroloom.reporting.recording.figures import Excerpt, traces
from neuroloom.reporting.sorting.figures_overview import (
    MOST_POINTS,
    contact_pitch,
    embedding_map,
    separated,
    units_on_probe,
)
from neuroloom.reporting.svg import to_svg

SQUARE = np.array([[0.0, 0], [40, 0], [0, 25], [40, 25]])
SHAPE = -np.exp(-((np.arange(61) - 30) ** 2) / 20.0)


def lines_of(axes, color):
    return [line for line in axes.lines if to_hex(line.get_color()) == color]


def words_of(axes):
    return {text.get_text(): text for text in axes.texts}


@given(st.floats(1, 200), st.floats(1, 200), st.integers(2, 5), st.integers(2, 5))
def test_the_pitch_of_a_grid_is_that_of_its_columns_and_rows(across, along, columns, rows):
    grid = np.array([[x * across, y * along] for y in range(rows) for x in range(columns)])
    nearest = min(across, along)
    expected = [across if across > 0.3 * nearest else nearest, along if along > 0.3 * nearest else nearest]
    assert contact_pitch(grid) == pytest.approx(expected)


def test_contacts_that_stray_a_little_are_one_column():
    linear = np.array([[0.0, 0], [0.4, 20], [0, 40]])
    assert contact_pitch(linear).tolist() == pytest.approx([20.0, 20.0], abs=0.1)


def test_every_waveform_has_its_trough_at_its_contact():
    templates = np.zeros((2, 61, 4))
    templates[0, :, 2], templates[1, :, 1] = 100 * SHAPE, 50 * SHAPE
    axes = units_on_probe(templates, SQUARE, names=["a", "b"], channel_ids=list("wxyz")).axes[0]
    for index, place, depth in ((0, (0, 1), 1.0), (1, (1, 0), 0.5)):
        (line,) = lines_of(axes, hue(index))
        x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        assert x[y.argmin()] == pytest.approx(place[0], abs=0.02)
        assert y.max() == pytest.approx(place[1], abs=0.01)
        assert y.max() - y.min() == pytest.approx(0.75 * depth, rel=0.02)


def test_units_are_named_above_the_contact_where_they_are_largest():
    templates = SHAPE[None, :, None] * np.array([[[10, 80, 10, 10]], [[10, 60, 70, 10]]], float)
    axes = units_on_probe(templates, SQUARE, names=[7, 8], channel_ids=list("wxyz")).axes[0]
    words = words_of(axes)
    assert words["7"].xy == words["channel x"].xy
    assert words["8"].xy == words["channel y"].xy
    assert to_hex(words["8"].get_color()) == hue(1)


def test_on_many_contacts_a_unit_is_drawn_only_where_it_is_large():
    places = np.array([[0.0, 20 * row] for row in range(16)])
    size = np.full(16, 5.0)
    size[[3, 4]] = 100, 40
    axes = units_on_probe(SHAPE[None, :, None] * size, places, names=["a"], channel_ids=range(16)).axes[0]
    assert len(lines_of(axes, hue(0))) == 2


def test_on_a_long_probe_a_unit_is_drawn_once_and_can_be_seen():
    places = np.array([[16.0 * (row % 2), 20.0 * row] for row in range(384)])
    size = np.exp(-np.abs(np.arange(384) - 100) / 3)
    figure = units_on_probe(SHAPE[None, :, None] * size, places, names=["a"], channel_ids=range(384))
    (line,) = lines_of(figure.axes[0], hue(0))
    figure.draw_without_rendering()
    height = np.ptp(figure.axes[0].transData.transform(np.asarray(line.get_xydata()))[:, 1])
    assert height > 25


@pytest.mark.parametrize("n_channels", [1, 4])
def test_silent_templates_and_a_single_contact_are_drawn(n_channels):
    figure = units_on_probe(
        np.zeros((2, 30, n_channels)), SQUARE[:n_channels], names=["a", "b"], channel_ids=range(n_channels)
    )
    assert to_svg(figure).startswith("<svg")


def cloud(centre, count, rng):
    return centre + rng.normal(0, 0.3, (count, 2))


def test_the_map_shows_every_spike_in_its_units_colour_and_those_of_none_in_grey():
    rng = np.random.default_rng(0)
    places = np.concatenate([cloud(c, 50, rng) for c in ([0.0, 0], [9, 0], [0, 9])])
    unit = np.repeat([0, 2, -1], 50)
    axes = embedding_map(places, unit, names=["a", "b", "c"]).axes[0]
    for color, mine in ((hue(0), unit == 0), (hue(2), unit == 2), (LINE, unit == -1)):
        (line,) = lines_of(axes, color)
        np.testing.assert_allclose(np.asarray(line.get_xydata())[::3], places[mine], rtol=1e-6)
    assert lines_of(axes, hue(1)) == []


def test_names_on_the_map_stand_at_the_middle_of_their_units():
    rng = np.random.default_rng(0)
    places = np.concatenate([cloud(c, 51, rng) for c in ([0.0, 0], [9, 5])])
    words = words_of(embedding_map(places, np.repeat([0, 1], 51), names=["a", "b"]).axes[0])
    assert words["a"].xy == pytest.approx(np.median(places[:51], axis=0))
    assert words["b"].xy == pytest.approx(np.median(places[51:], axis=0))


def test_one_step_on_the_map_is_as_long_across_as_along():
    places = np.random.default_rng(0).normal(size=(200, 2)) * [1, 4]
    figure = embedding_map(places, np.zeros(200, int), names=["a"])
    figure.draw_without_rendering()
    origin, across, along = figure.axes[0].transData.transform([[0, 0], [1, 0], [0, 1]])
    assert across[0] - origin[0] == pytest.approx(along[1] - origin[1], rel=0.05)
    inside = figure.axes[0].transData.transform(places)
    assert figure.axes[0].get_window_extent().count_contains(inside) == 200


def test_large_maps_stay_small_and_empty_or_undefined_ones_are_drawn():
    rng = np.random.default_rng(0)
    svg = to_svg(embedding_map(rng.normal(size=(50_000, 2)), rng.integers(-1, 5, 50_000), names=range(5)))
    assert len(svg) < 40 * MOST_POINTS
    assert to_svg(embedding_map(np.zeros((0, 2)), np.zeros(0, int), names=["a"]))
    assert to_svg(embedding_map(np.full((3, 2), np.nan), np.zeros(3, int), names=["a"]))
    assert to_svg(embedding_map(np.ones((1, 2)), np.zeros(1, int), names=["a"]))


@given(st.lists(st.tuples(st.floats(0, 60), st.floats(0, 60)), min_size=1, max_size=12))
def test_separated_boxes_do_not_overlap_and_move_only_up_and_down(centres):
    centres = np.array(centres)
    placed = separated(centres, np.full((len(centres), 2), [20.0, 10.0]))
    np.testing.assert_array_equal(placed[:, 0], centres[:, 0])
    for one in range(len(placed)):
        for other in range(one):
            apart = np.abs(placed[one] - placed[other])
            assert apart[0] >= 20 or apart[1] > 9


def excerpt(spikes):
    voltage = np.random.default_rng(0).normal(0, 1, (3000, 2))
    return Excerpt(2.0 + np.arange(3000) / 30_000, voltage, ["p", "q"], "µV", spikes)


def test_spikes_are_coloured_on_their_channels_and_marked_in_a_row_of_their_unit():
    spikes = {"a": (np.array([2.01, 2.05]), [1, 0]), "b": (np.zeros(0), [0]), "c": (np.array([2.03]), [0])}
    axes = traces(excerpt(spikes)).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["p", "q", "unit a", "unit c"]
    rows = dict(zip(["p", "q", "a", "c"], axes.get_yticks(), strict=True))
    assert rows["p"] > rows["q"] > rows["a"] > rows["c"]
    # Two spikes on two channels, and the strokes in the row.
    *coloured, strokes = lines_of(axes, hue(0))
    assert len(coloured) == 4
    assert np.asarray(strokes.get_xdata())[::3] == pytest.approx([10, 50])
    assert np.nanmean(np.asarray(strokes.get_ydata())) == pytest.approx(rows["a"])
    assert axes.get_ylim()[0] < rows["c"]


def test_voltage_without_spikes_has_no_rows_and_a_phone_names_only_what_it_shows():
    assert len(traces(excerpt({})).axes[0].get_yticks()) == 2
    late = {"a": (np.array([2.01]), [0]), "b": (np.array([2.09]), [0])}
    labels = traces(excerpt(late), width_px=344).axes[0].get_yticklabels()
    assert [label.get_text() for label in labels] == ["p", "q", "unit a"]
