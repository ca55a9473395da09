"""The map of unit embeddings and the learning curve."""

import numpy as np
import pytest

from neuroloom.errors import DataError
from neuroloom.reporting.decoding.figures_embedding import learning_curve, unit_points
from neuroloom.reporting.page import Figure, Note
from neuroloom.reporting.sections import embedding_section
from neuroloom.reporting.svg import to_svg

RANDOM = np.random.default_rng(0)
PLACES = RANDOM.normal(size=(12, 2))


def section(**changes):
    settings = {"session_ids": ["a"] * 6 + ["b"] * 6, "shares": [0.3, 0.2]}
    return embedding_section(PLACES, **(settings | changes))


def test_units_with_known_directions_are_coloured_by_them():
    directions = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    directions[0] = np.nan
    shown = section(direction_rad=directions)
    (figure,) = [block for block in shown.blocks if isinstance(block, Figure)]
    assert "preferred direction" in figure.alt
    assert "known for 11" in figure.caption
    assert "240°" in figure.svg
    assert "12 units of 2 sessions" in shown.lead


def test_units_without_directions_are_coloured_by_session():
    (figure,) = section().blocks
    assert "colour: session" in figure.alt


def test_a_learning_curve_names_its_stages_and_says_its_values():
    curves = {"embeddings": ([1, 2, 3], [0.1, 0.5, 0.6]), "everything": ([4, 5], [0.7, 0.71])}
    curve = section(curves=curves).blocks[0]
    assert curve.title == "Learning curve"
    assert "everything" in curve.svg
    assert "0.60 at step 3" in curve.alt


def test_nothing_learned_is_said():
    shown = embedding_section(np.zeros((0, 2)), session_ids=[])
    assert isinstance(shown.blocks[0], Note)


def test_numbers_that_do_not_match_are_refused():
    with pytest.raises(DataError, match="12 places, 1 session"):
        section(session_ids=["a"])


@pytest.mark.parametrize("n", [1, 2, 3000])
def test_drawings_take_one_unit_or_thousands(n):
    places, angle = RANDOM.normal(size=(n, 2)), RANDOM.uniform(-7, 7, n)
    figure = unit_points(places, direction_rad=angle, groups=["a"] * n, shares=(0.5, 0.1), width_px=344)
    assert len(to_svg(figure)) < 600_000
    figure = unit_points(
        np.zeros((n, 2)), direction_rad=np.full(n, np.nan), groups=[str(i) for i in range(n)], shares=(0, 0)
    )
    assert "<svg" in to_svg(figure)


def test_a_curve_of_bad_scores_stays_in_the_frame():
    assert "<svg" in to_svg(learning_curve({"x": (np.array([1.0]), np.array([-40.0]))}))
