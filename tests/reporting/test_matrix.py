"""Cells of a matrix: their values can be read on them, in both themes."""

import numpy as np
import pytest

from neuroloom.reporting.matrix import cell_depth, shaded_matrix
from neuroloom.reporting.palette import PALETTE
from neuroloom.reporting.svg import to_svg


def rgb(name, theme):
    colour = PALETTE[name][theme]
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])


def luminance(colour):
    part = colour / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("theme", [0, 1])
@pytest.mark.parametrize("value", [0.05, 0.3, 0.5, 0.7, 0.9, 1.0])
def test_a_value_stands_out_from_its_cell(value, theme):
    ground = (rgb("grid", theme) + rgb("surface", theme)) / 2
    depth = cell_depth(value, written=True)
    cell = depth * rgb("blue", theme) + (1 - depth) * ground
    dark, bright = sorted((luminance(cell), luminance(rgb("ink", theme))))
    assert (bright + 0.05) / (dark + 0.05) >= 4.5


def test_cells_too_small_for_values_use_the_whole_depth():
    assert cell_depth(1.0, written=False) == 1.0
    assert cell_depth(0.5, written=False) == 0.5


def test_values_are_written_where_there_is_room():
    def words(n):
        return to_svg(
            shaded_matrix(
                np.eye(n), rows=list(range(n)), columns=list(range(n)), row_title="a", column_title="b"
            )
        )

    assert ">1.00<" in words(4)
    assert ">1.00<" not in words(40)
