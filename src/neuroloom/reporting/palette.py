"""The colours and axis style of every figure, in a light and a dark version.

Figures are drawn in the light colours; `neuroloom.reporting.svg` turns each of them into a CSS variable, so
that the page can show the same drawing on a dark ground.
"""

from typing import Any, Literal

# Name -> (on light, on dark). The six hues were searched for so that any two stay at least 15 CIELAB units
# apart under each colour-vision deficiency, and dark (light) enough to write words in; tests hold them to it.
PALETTE: dict[str, tuple[str, str]] = {
    "ink": ("#1b2330", "#e7ebf1"),
    "muted": ("#566172", "#a4afbe"),
    "line": ("#8b95a3", "#626e7f"),
    "grid": ("#e6e9ee", "#2a323e"),
    "surface": ("#fefefe", "#161b23"),
    "blue": ("#1b71b8", "#84bff7"),
    "vermillion": ("#9b2900", "#f1763e"),
    "teal": ("#00664b", "#58d8b7"),
    "purple": ("#682b89", "#a57cdb"),
    "gold": ("#9a6d00", "#ebc85e"),
    "rose": ("#c24378", "#d76a97"),
}

INK, MUTED, LINE, GRID, SURFACE = (PALETTE[name][0] for name in ("ink", "muted", "line", "grid", "surface"))
BLUE, VERMILLION, TEAL, PURPLE, GOLD, ROSE = HUES = tuple(
    PALETTE[name][0] for name in ("blue", "vermillion", "teal", "purple", "gold", "rose")
)

# Natural widths in CSS pixels: full text width, its version for phones, half the text width, a unit card.
WIDE, NARROW, HALF, SMALL = 1040, 344, 500, 176

STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text: it takes the page's font, and can be searched and read aloud
    "svg.hashsalt": "neuroloom",
    "text.parse_math": False,  # a unit may be called "$x$"
    "path.simplify": False,  # thinning is done on the data, where it can be stated
    "figure.dpi": 72,
    "font.size": 12,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.linewidth": 1,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 12,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "axes.axisbelow": True,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 11.5,
    "ytick.labelsize": 11.5,
    "xtick.major.size": 4,
    "ytick.major.size": 4,
    "xtick.major.width": 1,
    "ytick.major.width": 1,
    "xtick.minor.visible": False,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "lines.solid_joinstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 12,
    "legend.handlelength": 1.4,
}


# Lines of one figure differ in these too: colours alone tell nothing to some readers, nor on grey paper.
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.8)), (0, (6, 2, 1.5, 2)), (0, (9, 3)), (0, (3, 1.2)))


def dash(index: int) -> Any:
    """Return the line style of the `index`-th of several lines, repeating after six."""
    return DASHES[index % len(DASHES)]


def hue(index: int) -> str:
    """Return the colour of the `index`-th of several things, repeating after six."""
    return HUES[index % len(HUES)]


def css_variables(theme: Literal["light", "dark"]) -> str:
    """Return the palette as CSS declarations.

    Examples
    --------
    >>> css_variables("light").split(";")[0]
    '--fig-ink: #1b2330'
    """
    column = ("light", "dark").index(theme)
    return " ".join(f"--fig-{name}: {colours[column]};" for name, colours in PALETTE.items())
