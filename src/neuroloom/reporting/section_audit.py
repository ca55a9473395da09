"""The page's section about an audit."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from neuroloom.auditing.arms import BRAIN, CEILING, MEAN, RANDOM, SHUFFLED
from neuroloom.reporting.figures_audit import audit_curve
from neuroloom.reporting.layout import half
from neuroloom.reporting.numbers import written
from neuroloom.reporting.page import Block, KeyFigure, Note, Section, Table

if TYPE_CHECKING:
    from neuroloom.auditing.results import AuditCurve, Score

MEANING = {
    BRAIN: "responses through a bottleneck of that size",
    RANDOM: "noise in place of the responses",
    SHUFFLED: "responses that belong to something else",
    MEAN: "always the mean of the training part",
    CEILING: "the truth through the same generator",
}
LEAD = (
    "How well the target can be told when only so many numbers may pass from the brain to the decoder. "
    "What the controls reach without the brain is no evidence of decoding."
)


def audit_section(
    curve: "AuditCurve", *, lead: str = LEAD, anchor: str = "audit", title: str = "Audit"
) -> Section:
    """Show how scores fall as fewer numbers may leave the brain, beside the controls.

    Parameters
    ----------
    curve
        From `neuroloom.audit`; its findings belong into the page's findings.
    """
    if not curve.rows:
        return Section(title, anchor, lead, [Note("The audit has no scores.")])
    blocks: list[Block] = []
    for metric in curve.metrics:
        arms = {arm: rows for arm in curve.arms if (rows := curve.curve(arm, metric))}
        meaning = "; ".join(f"{arm}, {MEANING[arm]}" for arm in arms if arm in MEANING)
        blocks += [
            half(
                lambda width_px, arms=arms, metric=metric: audit_curve(
                    arms, metric=metric, width_px=width_px
                ),
                title=f"{metric} by bottleneck size",
                alt=_alt(arms, metric),
                caption="The size is how many numbers may pass from the brain to the decoder. "
                f"{meaning[:1].upper()}{meaning[1:]}. Bands are 95 % intervals.",
            ),
            _table(arms, metric),
        ]
    return Section(title, anchor, lead, blocks, _key_figures(curve))


def _key_figures(curve: "AuditCurve") -> list[KeyFigure]:
    """Say how few numbers suffice, for the first metric."""
    if not {BRAIN, RANDOM, MEAN} <= set(curve.arms):
        return []
    first = curve.summary().to_dict("records")[0]
    metric, size = str(first["metric"]), first["size_95"]
    if size is None or not np.isfinite(size):
        return [KeyFigure("none", "bottleneck beats chance", f"{metric} is not above the random arm")]
    label = "number from the brain" if size == 1 else "numbers from the brain"
    return [KeyFigure(f"{size:g}", label, f"reach 95 % of what all reach above chance ({metric})")]


def _table(arms: Mapping[str, Sequence["Score"]], metric: str) -> Table:
    """One row per size, one column per arm; what does not depend on the size stands below."""
    sized = {arm: {row.size: row for row in rows} for arm, rows in arms.items() if rows[-1].size > 0}
    sizes = sorted({size for rows in sized.values() for size in rows})
    first = next(iter(sized), "")
    columns = ["Size"]
    for arm in sized:
        columns += [arm.replace("_", " "), *(["95 % interval"] if arm == first else [])]
    lines = []
    for size in sizes:
        line = [str(size)]
        for arm, rows in sized.items():
            row = rows.get(size)
            line.append("–" if row is None else written(row.score))
            if arm == first:
                line.append("–" if row is None else f"{written(row.low)} to {written(row.high)}")
        lines.append(line)
    fixed = [f"{arm} {_interval(rows[-1])}" for arm, rows in arms.items() if arm not in sized]
    caption = f"At any size: {', '.join(fixed)}." if fixed else ""
    return Table(columns, lines, title=f"{metric} in numbers", caption=caption, size="half")


def _interval(row: "Score") -> str:
    if not np.isfinite([row.low, row.high]).all():
        return written(row.score)
    return f"{written(row.score)} ({written(row.low)} to {written(row.high)})"


def _alt(arms: Mapping[str, Sequence["Score"]], metric: str) -> str:
    parts = []
    for arm, rows in arms.items():
        first, last = written(rows[0].score), written(rows[-1].score)
        parts.append(f"{arm} {first}" if len(rows) == 1 else f"{arm} from {first} to {last}")
    return f"{metric} by bottleneck size: {'; '.join(parts)}."
