"""The page's section about an audit."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from neuroloom.auditing.arms import BRAIN, CEILING, MEAN, RANDOM, SHUFFLED
from neuroloom.auditing.metric_names import spelled
from neuroloom.reporting.figures_audit import audit_curve
from neuroloom.reporting.figures_images import image_rows
from neuroloom.reporting.layout import half, wide
from neuroloom.reporting.numbers import written
from neuroloom.reporting.page import Block, Facts, KeyFigure, Note, Section, Table

if TYPE_CHECKING:
    from neuroloom.auditing.results import AuditCurve, Score

MIN_IMAGE_PX, MAX_SIZES, MAX_TEXTS = 6, 5, 3
MEANING = {
    BRAIN: "responses through a bottleneck of that size",
    RANDOM: "noise in place of the responses",
    SHUFFLED: "responses that belong to something else",
    MEAN: "always the mean of the training part",
    CEILING: "the truth through the same generator",
}
VARIANTS = {
    "restored": "restored, with the mean and spread of the training latents given back",
    "transductive": "transductive, the same by statistics of the test stimuli themselves",
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
    blocks: list[Block] = _conditions(curve)
    circular = curve.facts.get("circular", ())
    for metric in curve.metrics:
        arms = {arm: rows for arm in curve.arms if (rows := curve.curve(arm, metric))}
        parts = [f"{arm}, {MEANING[arm]}" for arm in arms if arm in MEANING]
        parts += [words for variant, words in VARIANTS.items() if any(arm.endswith(variant) for arm in arms)]
        meaning = "; ".join(parts)
        flag = " (circular)" if metric in circular else ""
        blocks += [
            half(
                lambda width_px, arms=arms, metric=metric: audit_curve(
                    arms, metric=metric, width_px=width_px
                ),
                title=f"{spelled(metric)} by bottleneck size{flag}",
                alt=_alt(arms, metric),
                caption="The size is how many numbers may pass from the brain to the decoder. "
                f"{meaning[:1].upper()}{meaning[1:]}. Bands are 95 % intervals.",
            ),
            _table(curve, arms, metric),
        ]
    blocks += _examples(curve)
    return Section(title, anchor, lead, blocks, _key_figures(curve))


def _conditions(curve: "AuditCurve") -> list[Block]:
    """Say what was audited, as far as the curve knows."""
    names = {
        "generator": "Generator",
        "bottleneck": "Bottleneck",
        "n_units": "Units",
        "n_test": "Held out",
        "n_test_groups": "Groups resampled for the intervals",
    }
    items = [(name, str(curve.facts[key])) for key, name in names.items() if curve.facts.get(key) is not None]
    repeated = curve.facts.get("explainable_variance")
    if repeated is not None:
        items.append(("Repeatable variance of one presentation", written(repeated)))
        items.append(("Noise ceiling of the responses (correlation)", written(curve.facts["noise_ceiling"])))
    if curve.facts.get("circular"):
        items.append(("Circular: score and generator share a network", ", ".join(curve.facts["circular"])))
    return [Facts(items)] if items else []


def _examples(curve: "AuditCurve") -> list[Block]:
    """Show stimuli and reconstructions where they are images or text."""
    truth = curve.examples.get("truth")
    text = truth is not None and truth.dtype.kind == "O"
    if truth is None or not (text or (truth.ndim in (3, 4) and min(truth.shape[1:3]) >= MIN_IMAGE_PX)):
        return []
    sizes = sorted(int(name.split("/")[1]) for name in curve.examples if name.startswith(f"{BRAIN}/"))
    wanted = {"truth": "truth", "ceiling": f"{CEILING}/0"}
    shown = sizes if len(sizes) <= MAX_SIZES else [sizes[0], *sizes[1 : -1 : len(sizes) // 3], sizes[-1]]
    wanted |= {f"brain, {size}": f"{BRAIN}/{size}" for size in reversed(shown)}
    if sizes:
        wanted[f"random, {sizes[-1]}"] = f"{RANDOM}/{sizes[-1]}"
        wanted[f"random, {sizes[-1]}, restored"] = f"{RANDOM}_restored/{sizes[-1]}"
    rows = {name: curve.examples[key] for name, key in wanted.items() if key in curve.examples}
    caption = "Held-out stimuli: from the truth to ever fewer numbers from the brain, and from noise."
    if text:
        columns = ["", *(f"text {number + 1}" for number in range(min(len(truth), MAX_TEXTS)))]
        lines = [[name, *(str(each) for each in values[:MAX_TEXTS])] for name, values in rows.items()]
        return [Table(columns, lines, title="Reconstructions", caption=caption)]
    return [
        wide(
            lambda width_px: image_rows(rows, width_px=width_px),
            title="Reconstructions",
            alt=f"{len(truth)} held-out images and their reconstructions: {', '.join(rows)}.",
            caption=caption,
        )
    ]


def _key_figures(curve: "AuditCurve") -> list[KeyFigure]:
    """Say how few numbers suffice, for the first metric."""
    if not {BRAIN, RANDOM, MEAN} <= set(curve.arms):
        return []
    first = curve.summary().to_dict("records")[0]
    metric, size = spelled(str(first["metric"])), first["size_95"]
    if size is None or not np.isfinite(size):
        return [KeyFigure("none", "bottleneck beats chance", f"{metric} is not above the random arm")]
    label = "number from the brain" if size == 1 else "numbers from the brain"
    found = [KeyFigure(f"{size:g}", label, f"reach 95 % of what all reach above chance ({metric})")]
    if np.isfinite(first["of_ceiling"]):
        share = written(100 * first["of_ceiling"], 0, unit="%")
        found.append(KeyFigure(share, "of random to ceiling", f"reached by all units ({metric})"))
    return found


def _table(curve: "AuditCurve", arms: Mapping[str, Sequence["Score"]], metric: str) -> Table:
    """One row per size, one column per arm; what does not depend on the size stands below.

    Beside the brain stands how far it goes from random to ceiling, where there are both.
    """
    sized = {arm: {row.size: row for row in rows} for arm, rows in arms.items() if rows[-1].size > 0}
    sizes = sorted({size for rows in sized.values() for size in rows})
    first = next(iter(sized), "")
    bounded = BRAIN in sized and CEILING in arms and (RANDOM in arms or MEAN in arms)
    columns = ["Size"]
    for arm in sized:
        columns += [arm.replace("_", " "), *(["95 % interval"] if arm == first else [])]
        columns += ["of random to ceiling"] if arm == BRAIN and bounded else []
    lines = []
    for size in sizes:
        line = [str(size)]
        for arm, rows in sized.items():
            row = rows.get(size)
            line.append("–" if row is None else written(row.score))
            if arm == first:
                line.append("–" if row is None else f"{written(row.low)} to {written(row.high)}")
            if arm == BRAIN and bounded:
                share = np.nan if row is None else curve.of_ceiling(metric, size=size)
                line.append(written(100 * share, 0, unit="%"))
        lines.append(line)
    fixed = [f"{arm} {_interval(rows[-1])}" for arm, rows in arms.items() if arm not in sized]
    caption = f"At any size: {', '.join(fixed)}." if fixed else ""
    return Table(columns, lines, title=f"{spelled(metric)} in numbers", caption=caption, size="half")


def _interval(row: "Score") -> str:
    if not np.isfinite([row.low, row.high]).all():
        return written(row.score)
    return f"{written(row.score)} ({written(row.low)} to {written(row.high)})"


def _alt(arms: Mapping[str, Sequence["Score"]], metric: str) -> str:
    parts = []
    for arm, rows in arms.items():
        first, last = written(rows[0].score), written(rows[-1].score)
        parts.append(f"{arm} {first}" if len(rows) == 1 else f"{arm} from {first} to {last}")
    return f"{spelled(metric)} by bottleneck size: {'; '.join(parts)}."
