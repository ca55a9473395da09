"""A matrix of shares as a figure: who was taken for whom, whose trials belong where."""

from typing import TYPE_CHECKING

import numpy as np

from neuroloom.reporting.drawing import value_label
from neuroloom.reporting.palette import BLUE, GRID, HALF, INK, SURFACE
from neuroloom.reporting.svg import drawing, new_figure, shorten

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

DEEPEST_WRITTEN = 0.42


@drawing
def shaded_matrix(
    values: np.ndarray,
    *,
    rows: list,
    columns: list,
    row_title: str,
    column_title: str,
    width_px: float = HALF,
) -> "Figure":
    """Draw a matrix of values from 0 to 1 as cells whose depth of colour is the value, with the value written
    in where there is room.
    """
    from matplotlib.patches import Rectangle

    values = np.nan_to_num(np.asarray(values, float))
    n_rows, n_columns = values.shape
    figure = new_figure(width_px, float(np.clip(90 + 34 * n_rows, 160, 460)))
    axes = figure.subplots()
    cell_px = (width_px - 90) / max(n_columns, 1)
    axes.add_patch(Rectangle((0, 0), n_columns, n_rows, facecolor=GRID, alpha=0.5, linewidth=0))
    written = cell_px >= 26
    for (row, column), value in np.ndenumerate(values):
        if value < 0.03:
            continue
        alpha = cell_depth(value, written=written)
        axes.add_patch(Rectangle((column, row), 1, 1, facecolor=BLUE, alpha=alpha, linewidth=0))
        if written and value >= 0.05:
            axes.text(
                column + 0.5, row + 0.52, f"{value:.2f}".lstrip("0"), ha="center", va="center",
                fontsize=11, color=INK,
            )  # fmt: skip
    # Gaps between the cells, all in two paths.
    gap = {"color": SURFACE, "linewidth": 2 if cell_px >= 18 else 1}
    axes.vlines(np.arange(n_columns + 1), 0, n_rows, **gap)
    axes.hlines(np.arange(n_rows + 1), 0, n_columns, **gap)
    axes.set_xlim(0, max(n_columns, 1))
    axes.set_ylim(max(n_rows, 1), 0)
    _name_cells(axes.xaxis, columns, cell_px=cell_px)
    _name_cells(axes.yaxis, rows, cell_px=360 / max(n_rows, 1))
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlabel(column_title)
    value_label(axes, row_title)
    return figure


def cell_depth(value: float, *, written: bool) -> float:
    """Return the opacity of a cell; one that is written in stays light enough for it, in both themes."""
    return float(min(value, 1)) * (DEEPEST_WRITTEN if written else 1.0)


def _name_cells(axis: "Axis", names: list, *, cell_px: float) -> None:
    """Name every cell, or every second, third.. where they are too close; long names below stand upright."""
    step = max(1, int(np.ceil(15 / cell_px)))
    shown = np.arange(0, len(names), step)
    texts = [shorten(names[index], 14) for index in shown]
    longest = max(map(len, texts), default=0)
    axis.set_ticks(shown + 0.5, texts)
    if axis.axis_name == "x" and 7 * longest > cell_px * step:  # pyright: ignore[reportAttributeAccessIssue]
        axis.set_tick_params(rotation=90)
