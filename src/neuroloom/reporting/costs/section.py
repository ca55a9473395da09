"""The section about what sorting costs: one figure, one table."""

from collections.abc import Sequence

from neuroloom.reporting.costs.figures import cost_curves
from neuroloom.reporting.costs.rows import CostRow, columns
from neuroloom.reporting.layout import wide
from neuroloom.reporting.page import Section, Table


def cost_section(rows: Sequence[CostRow]) -> Section:
    """Return the section of a chain benchmark.

    Parameters
    ----------
    rows
        One per recording and spike source, in order.
    """
    n_seeds = max((row.n_seeds for row in rows), default=0)
    spread = f" Means over {n_seeds} seeds ± their standard deviation." if n_seeds > 1 else ""
    figure = wide(
        lambda width_px: cost_curves(rows, width_px=width_px),
        title="Sorting accuracy and decoding",
        alt="; ".join(
            f"{row.recording}, {row.label}: accuracy {row.sorting_accuracy.text()}, score {row.score.text()}"
            for row in rows
        ),
        caption="The same decoder, fitted to each source of spikes by itself. Bars: one standard deviation.",
    )
    table = Table(
        columns=columns(rows),
        rows=[row.cells() for row in rows],
        title="All numbers",
        caption="Accuracy is the mean over true units, of which those without a partner count 0. The loss is "
        "the score from the true spikes minus this one.",
    )
    lead = "What a decoder loses when its spikes come from sorting, or from no sorting at all." + spread
    return Section("What sorting costs", "costs", lead=lead, blocks=[figure, table])
