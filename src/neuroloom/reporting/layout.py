"""From plotting functions to the page's figures, drawn for wide screens and again for phones."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from neuroloom.reporting.page import Figure
from neuroloom.reporting.palette import HALF, NARROW, SMALL, WIDE
from neuroloom.reporting.svg import to_svg

if TYPE_CHECKING:
    import matplotlib.figure

Plot = Callable[[int], "matplotlib.figure.Figure"]


def wide(plot: Plot, *, alt: str, title: str = "", caption: str = "") -> Figure:
    """Return a figure as wide as the text; `plot` is called with each width in CSS pixels."""
    return Figure(to_svg(plot(WIDE)), alt, title, caption, "wide", to_svg(plot(NARROW)))


def half(plot: Plot, *, alt: str, title: str = "", caption: str = "") -> Figure:
    """Return a figure of half the text width."""
    return Figure(to_svg(plot(HALF)), alt, title, caption, "half", to_svg(plot(NARROW)))


def small(plot: Plot, *, alt: str, title: str = "", caption: str = "") -> Figure:
    """Return a figure for a gallery; one size serves every screen."""
    return Figure(to_svg(plot(SMALL)), alt, title, caption, "small")
