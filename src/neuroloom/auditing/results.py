"""What an audit measured: `AuditCurve` and its rows."""

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom import artifacts
from neuroloom.auditing.arms import BRAIN, CEILING, MEAN, RANDOM
from neuroloom.errors import DataError
from neuroloom.findings import Finding

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

KIND = "audit"


@dataclass(frozen=True)
class Score:
    """One row of an audit.

    Attributes
    ----------
    arm
        brain, random, shuffled, mean, ceiling, or one of the first three with ``_restored`` (variance of the
        training latents given back) or ``_transductive`` (that of the test batch).
    size
        Dimensions of the bottleneck; 0 for arms without one.
    metric
        Name of the metric.
    score, low, high
        The score and its 95 % bootstrap interval; NaN where it is undefined.
    """

    arm: str
    size: int
    metric: str
    score: float
    low: float
    high: float


@dataclass(frozen=True, repr=False)
class AuditCurve:
    """Scores of every arm at every bottleneck size, with 95 % bootstrap intervals.

    Attributes
    ----------
    rows
        The scores.
    facts
        Conditions: numbers of stimuli, units, folds; rank; seed; fingerprint of the data.
    findings
        What was odd about the input, and how it was handled.
    examples
        ``"truth"`` and ``"arm/size"`` -> a few stimuli and reconstructions.
    """

    rows: tuple[Score, ...] = field(repr=False)
    facts: dict[str, Any]
    findings: tuple[Finding, ...] = ()
    examples: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        lines = [
            f"AuditCurve: {self.facts.get('n_test')} test stimuli, {self.facts.get('n_units')} units, "
            f"{self.facts.get('bottleneck')}, generator {self.facts.get('generator')}"
        ]
        for metric in self.metrics:
            brain = self.curve(BRAIN, metric)
            scores = ", ".join(f"{row.size}: {row.score:.3f}" for row in brain)
            others = ", ".join(
                f"{arm} {self.curve(arm, metric)[-1].score:.3f}" for arm in self.arms if arm != BRAIN
            )
            lines.append(f"  {metric}: brain at {scores}; {others}")
        lines += [f"  {finding}" for finding in self.findings]
        return "\n".join(lines)

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics, in the order asked for."""
        return list(dict.fromkeys(row.metric for row in self.rows))

    @property
    def arms(self) -> list[str]:
        """Names of the arms."""
        return list(dict.fromkeys(row.arm for row in self.rows))

    def curve(self, arm: str, metric: str) -> list[Score]:
        """Return the rows of one arm and metric by growing size; empty where there is none."""
        found = [row for row in self.rows if row.arm == arm and row.metric == metric]
        return sorted(found, key=lambda row: row.size)

    def score(self, arm: str, metric: str, *, size: int | None = None) -> float:
        """Return one score; without `size` that of the arm's largest.

        Raises
        ------
        DataError
            If the curve has no such row.
        """
        rows = [row for row in self.curve(arm, metric) if size is None or row.size == size]
        if not rows:
            raise DataError(
                f"the curve has no row for arm {arm!r}, metric {metric!r}, size {size}",
                expected=f"arms {self.arms}, metrics {self.metrics}",
                remedy="look at to_frame()",
            )
        return rows[-1].score

    def to_frame(self) -> "pd.DataFrame":
        """Return columns arm, size, metric, score, low, high; size 0 marks arms without a bottleneck."""
        import pandas as pd

        return pd.DataFrame([asdict(row) for row in self.rows])

    def summary(self) -> "pd.DataFrame":
        """Return one row per metric: chance, full brain, ceiling, and how few dimensions suffice.

        Columns: ``metric``; the ``random``, ``mean``, ``brain`` (each at the largest size) and ``ceiling``
        scores; ``of_ceiling``, the fraction of the way from random to ceiling that the full brain goes;
        ``size_50``, ``size_75``, ``size_95``, the smallest sizes reaching that share of the full brain's gain
        over random (``None`` where the brain is not above random).
        """
        import pandas as pd

        return pd.DataFrame([self._summarise(metric) for metric in self.metrics])

    def _summarise(self, metric: str) -> dict[str, Any]:
        brain = self.curve(BRAIN, metric)
        top = brain[-1].score
        # Without a random arm, the mean stimulus is what one gets without a brain.
        chance = self.score(RANDOM if RANDOM in self.arms else MEAN, metric)
        ceiling = self.score(CEILING, metric) if self.curve(CEILING, metric) else np.nan
        # For distances "above" is below; the sign makes both alike.
        sign = -1.0 if self.facts.get("lower_is_better") and metric in self.facts["lower_is_better"] else 1.0
        line = {
            "metric": metric,
            RANDOM: chance,
            MEAN: self.score(MEAN, metric),
            BRAIN: top,
            CEILING: ceiling,
        }
        span = sign * (ceiling - chance)
        line["of_ceiling"] = sign * (top - chance) / span if span > 0 else np.nan
        for percent in (50, 75, 95):
            goal = sign * (top - chance) * percent / 100
            reached = [row.size for row in brain if goal > 0 and sign * (row.score - chance) >= goal]
            line[f"size_{percent}"] = reached[0] if reached else None
        return line

    def plot(self) -> "Figure":
        """Return a matplotlib figure: one panel per metric, score against size for every arm."""
        from neuroloom.auditing.plots import plot_curve

        return plot_curve(self)

    def save(self, folder: str | os.PathLike) -> Path:
        """Write the curve as an artifact folder."""
        return artifacts.save_artifact(
            folder,
            kind=KIND,
            document={
                "rows": [asdict(row) for row in self.rows],
                "facts": self.facts,
                "findings": [finding.as_dict() for finding in self.findings],
            },
            arrays=self.examples,
            seed=self.facts.get("seed"),
            data_fingerprint=self.facts.get("data_fingerprint"),
        )

    @classmethod
    def load(cls, folder: str | os.PathLike) -> "AuditCurve":
        """Read a curve written by `save`.

        Raises
        ------
        CorruptArtifact
            If the folder is damaged or holds something else.
        """
        stored = artifacts.load_artifact(folder, kind=KIND)
        # JSON has no NaN: an undefined score was written as null.
        rows = [
            Score(
                row["arm"],
                row["size"],
                row["metric"],
                *(_number(row[name]) for name in ("score", "low", "high")),
            )
            for row in stored.document["rows"]
        ]
        findings = tuple(Finding(**finding) for finding in stored.document["findings"])
        return cls(tuple(rows), stored.document["facts"], findings, stored.arrays)


def _number(value: float | None) -> float:
    return np.nan if value is None else value
