"""The page's section about an audit."""

from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom.reporting.figures_audit import audit_curve
from neuroloom.reporting.layout import half
from neuroloom.reporting.numbers import written
from neuroloom.reporting.page import Block, KeyFigure, Note, Section, Table

if TYPE_CHECKING:
    import pandas as pd

MEANING = {
    "brain": "responses through a bottleneck of that size",
    "full": "responses without a bottleneck",
    "ceiling": "the true latents through the generator",
    "random": "noise in place of responses",
    "shuffled": "responses of other moments",
    "mean": "always the training mean",
}
# What the brain must beat, the hardest first.
FLOORS = ("random", "shuffled", "mean")


def audit_section(curve: Any, *, lead: str = "", anchor: str = "audit", title: str = "Audit") -> Section:
    """Show how scores fall as fewer numbers may leave the brain, beside the controls.

    Parameters
    ----------
    curve
        An `AuditCurve`, or its table with columns arm, size, metric, score, low, high.
    """
    frame: pd.DataFrame = (
        curve.to_frame() if hasattr(curve, "to_frame") and not hasattr(curve, "columns") else curve
    )
    lead = lead or (
        "How well the target can be reconstructed when only so many numbers may pass from the brain to the decoder. "
        "What the controls reach without the brain is no evidence of decoding."
    )
    if not len(frame):
        return Section(title, anchor, lead, [Note("The audit has no scores.")])
    blocks: list[Block] = []
    key_figures = []
    arms = list(dict.fromkeys(frame["arm"].astype(str)))
    meaning = "; ".join(f"{arm}: {MEANING[arm]}" for arm in arms if arm in MEANING)
    for metric, rows in frame.groupby("metric", sort=False):
        table = rows
        smallest = smallest_size(table)
        blocks.append(
            half(
                lambda width_px, table=table, metric=metric: audit_curve(
                    table, metric=str(metric), width_px=width_px
                ),
                title=f"{metric} against bottleneck size",
                alt=_alt(table, str(metric)),
                caption=f"Bands are intervals over resampled stimuli. {meaning[:1].upper()}{meaning[1:]}.".strip(),
            )
        )
        blocks.append(_table(table, str(metric)))
        if smallest is not None:
            key_figures.append(
                KeyFigure(f"{smallest:g}", "numbers suffice", f"for 95 % of the best {metric} above control")
            )
    return Section(title, anchor, lead, blocks, key_figures[:1])


def smallest_size(rows: "pd.DataFrame", *, share: float = 0.95) -> float | None:
    """Return the least bottleneck that reaches `share` of the way from the control to the best brain score.

    None where the brain never exceeds the best control.
    """
    brain = rows[rows["arm"] == "brain"].dropna(subset=["size", "score"]).sort_values("size")
    controls = rows[rows["arm"].isin(FLOORS)]["score"].dropna()
    if brain.empty:
        return None
    floor = max(float(controls.max()), 0.0) if len(controls) else 0.0
    best = float(brain["score"].max())
    if not best > floor:
        return None
    reached = brain[brain["score"] >= floor + share * (best - floor)]
    return float(reached["size"].iloc[0])


def _table(rows: "pd.DataFrame", metric: str) -> Table:
    """One row per size, one column per arm; scores with their intervals."""
    arms = list(dict.fromkeys(rows["arm"]))
    sizes = sorted(rows["size"].dropna().unique())
    cells = []
    for size in sizes:
        line = [f"{size:g}"]
        for arm in arms:
            mine = rows[rows["arm"] == arm]
            # An arm measured once does not depend on the size.
            found = mine if len(mine) == 1 else mine[mine["size"] == size]
            line.append(_interval(found) if len(found) else "–")
        cells.append(line)
    return Table(["Size", *map(str, arms)], cells, title=f"{metric}, with intervals", size="half")


def _interval(found: "pd.DataFrame") -> str:
    score, low, high = (float(found[name].iloc[0]) for name in ("score", "low", "high"))
    if not np.isfinite([low, high]).all():
        return written(score)
    return f"{written(score)} ({written(low)} to {written(high)})"


def _alt(rows: "pd.DataFrame", metric: str) -> str:
    parts = []
    for arm, mine in rows.groupby("arm", sort=False):
        scores = mine.sort_values("size")["score"].to_numpy(float)
        ends = (
            written(scores[0]) if len(scores) == 1 else f"from {written(scores[0])} to {written(scores[-1])}"
        )
        parts.append(f"{arm} {ends}")
    return f"{metric} by bottleneck size: {'; '.join(parts)}."
