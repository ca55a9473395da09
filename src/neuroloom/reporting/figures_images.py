"""Figures of reconstructed images: what passes each bottleneck, beside the truth and the controls."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from neuroloom.reporting.palette import MUTED, WIDE
from neuroloom.reporting.svg import drawing, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@drawing
def image_rows(rows: Mapping[str, np.ndarray], *, width_px: float = WIDE) -> "Figure":
    """Draw images in a grid, one named row per arm.

    Parameters
    ----------
    rows
        Name -> images (n, height, width[, 3]) in 0..1; every row shows the same stimuli.
    """
    names = list(rows)
    n_columns = min(min(len(images) for images in rows.values()), 8 if width_px > 500 else 4)
    label_px = 110.0
    side_px = (width_px - label_px) / n_columns
    height_px = side_px * len(names) + 8
    figure = new_figure(width_px, height_px, constrained=False)
    for row, name in enumerate(names):
        top = 1 - (row + 1) * side_px / height_px
        figure.text(0.0, top + 0.5 * side_px / height_px, name, va="center", color=MUTED)
        for column in range(n_columns):
            place = ((label_px + column * side_px) / width_px, top)
            size = (0.95 * side_px / width_px, 0.95 * side_px / height_px)
            axes = figure.add_axes((*place, *size))
            axes.imshow(
                np.clip(rows[name][column], 0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest"
            )
            axes.set_axis_off()
    return figure
