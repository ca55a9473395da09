"""Figure of what sorting costs: sorting accuracy beside the decoding score, for every noise level."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from neuroloom.reporting.costs.rows import CostRow, Spread
from neuroloom.reporting.palette import GRID, HUES, INK, MUTED, SURFACE, WIDE
from neuroloom.reporting.svg import drawing, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL_PX, _LEGEND_PX, _NARROW_PX = 250, 60, 600
_LINES = (("sorting_accuracy", "sorting accuracy"), ("score", "decoding"))


@drawing
def cost_curves(rows: Sequence[CostRow], *, width_px: float = WIDE) -> "Figure":
    """Draw accuracy and score of every source, one line each, against the noise; drift stands apart.

    Parameters
    ----------
    rows
        In order; those of one kind share a pair of panels. Bars span a standard deviation either way.
    width_px
        Below 600 the panels stand under each other.
    """
    kinds = list(dict.fromkeys(row.kind for row in rows))
    labels = {row.source: (row.label, row.is_truth) for row in rows}
    beside = width_px >= _NARROW_PX
    n_rows, n_columns = (len(kinds), 2) if beside else (2 * len(kinds), 1)
    figure = new_figure(width_px, _PANEL_PX * n_rows + _LEGEND_PX * (1 if beside else 3))
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    styles = _styles(labels)
    for number, kind in enumerate(kinds):
        mine = [row for row in rows if row.kind == kind]
        for column, (field, words) in enumerate(_LINES):
            axes = grid[number, column] if beside else grid[2 * number + column, 0]
            metric = next((row.metric for row in mine if row.metric), "")
            title = f"{kind}: {words} {metric if field == 'score' else ''}".strip()
            _panel(axes, mine, field, styles, title=title)
    handles, names = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=len(names) if beside else 2)
    return figure


def standalone_svg(figure: "Figure") -> bytes:
    """Return a figure as an SVG file on the page's light ground."""
    buffer = io.BytesIO()
    _save(figure, buffer)
    return buffer.getvalue()


@drawing
def _save(figure: "Figure", buffer: io.BytesIO) -> None:
    figure.savefig(buffer, format="svg", facecolor=SURFACE, metadata={"Date": None, "Creator": None})


def _styles(labels: dict[str, tuple[str, bool]]) -> dict[str, tuple[str, object]]:
    """Return colour and dash by source: ink for the truth, grey for what nobody sorted, then the hues."""
    styles: dict[str, tuple[str, object]] = {}
    hues = iter(HUES * 2)
    for source, (_, is_truth) in labels.items():
        if is_truth:
            styles[source] = (INK, "-")
        elif source == "crossings":
            styles[source] = (MUTED, (0, (3, 2)))
        else:
            styles[source] = (next(hues), "-")
    return styles


def _panel(
    axes: "Axes", rows: list[CostRow], field: str, styles: dict[str, tuple[str, object]], *, title: str
) -> None:
    places = list(dict.fromkeys((row.noise_uv, row.drift_um) for row in rows))
    places.sort(key=lambda place: (place[1], place[0]))
    n_sources = len(styles)
    for number, (source, (color, dash)) in enumerate(styles.items()):
        mine = {(row.noise_uv, row.drift_um): row for row in rows if row.source == source}
        # A little apart, so that bars of different sources can be told from each other.
        nudge = 0.05 * (number - (n_sources - 1) / 2)
        for moving in (False, True):
            points = [
                (index + nudge, getattr(mine[place], field))
                for index, place in enumerate(places)
                if place in mine and bool(place[1]) == moving
            ]
            known = [(x, spread) for x, spread in points if spread.mean is not None]
            if known:
                _line(axes, known, color, dash)
        label = next(row.label for row in rows if row.source == source) if mine else source
        axes.plot([], [], color=color, linestyle=dash, marker="o", markersize=4, label=label)  # type: ignore[arg-type]
    names = [f"{noise:g} µV" + (f"\ndrift {drift:g} µm" if drift else "") for noise, drift in places]
    axes.set_xticks(range(len(places)), names)
    axes.set_xlim(-0.5, len(places) - 0.5)
    axes.grid(axis="y", color=GRID)
    axes.set_title(title)


def _line(axes: "Axes", points: list[tuple[float, Spread]], color: str, dash: object) -> None:
    x = [place for place, _ in points]
    y = [float(spread.mean or 0) for _, spread in points]
    axes.errorbar(
        x, y, yerr=[spread.sd or 0.0 for _, spread in points], color=color, linestyle=dash,  # type: ignore[arg-type]
        marker="o", markersize=4, elinewidth=1, linewidth=1.6,
    )  # fmt: skip
