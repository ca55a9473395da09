"""What an audit measured: `AuditCurve` and its rows."""

import os
from dataclasses import asdict, dataclass, field, fields
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
        ``"truth"`` and ``"arm/size"`` -> a few stimuli and reconstructions; arrays of numbers, or of str for
        text.
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

        columns = [each.name for each in fields(Score)]
        return pd.DataFrame([asdict(row) for row in self.rows], columns=columns)

    def of_ceiling(self, metric: str, *, size: int | None = None, arm: str = BRAIN) -> float:
        """Return how far from the random arm to the ceiling an arm goes, 1 being all the way.

        Both ends are those of the largest size. NaN where there is no ceiling above the random arm.

        Parameters
        ----------
        metric
            Name of the metric.
        size
            Bottleneck size; default the largest.
        arm
            Whose score.
        """
        chance, ceiling, sign = self._chance(metric), self._ceiling(metric), self._sign(metric)
        span = sign * (ceiling - chance)
        return sign * (self.score(arm, metric, size=size) - chance) / span if span > 0 else np.nan

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
        top, chance, sign = brain[-1].score, self._chance(metric), self._sign(metric)
        line = {
            "metric": metric,
            RANDOM: chance,
            MEAN: self.score(MEAN, metric),
            BRAIN: top,
            CEILING: self._ceiling(metric),
            "of_ceiling": self.of_ceiling(metric),
        }
        for percent in (50, 75, 95):
            goal = sign * (top - chance) * percent / 100
            reached = [row.size for row in brain if goal > 0 and sign * (row.score - chance) >= goal]
            line[f"size_{percent}"] = reached[0] if reached else None
        return line

    def _chance(self, metric: str) -> float:
        # Without a random arm, the mean stimulus is what one gets without a brain.
        return self.score(RANDOM if RANDOM in self.arms else MEAN, metric)

    def _ceiling(self, metric: str) -> float:
        return self.score(CEILING, metric) if self.curve(CEILING, metric) else np.nan

    def _sign(self, metric: str) -> float:
        """-1 for distances, where "above" is below."""
        return -1.0 if metric in self.facts.get("lower_is_better", ()) else 1.0

    def plot(self) -> "Figure":
        """Return a matplotlib figure: one panel per metric, score against size for every arm."""
        from neuroloom.auditing.plots import plot_curve

        return plot_curve(self)

    def save(self, folder: str | os.PathLike) -> Path:
        """Write the curve as an artifact folder."""
        texts = {name: values for name, values in self.examples.items() if values.dtype.kind == "O"}
        return artifacts.save_artifact(
            folder,
            kind=KIND,
            document={
                "rows": [asdict(row) for row in self.rows],
                "facts": self.facts,
                "findings": [finding.as_dict() for finding in self.findings],
                "texts": {name: values.tolist() for name, values in texts.items()},
            },
            arrays={name: values for name, values in self.examples.items() if name not in texts},
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
        with artifacts.refuse_foreign_content(folder, expected="an audit's curve"):
            # JSON has no NaN: an undefined score was written as null.
            rows = tuple(
                Score(
                    row["arm"],
                    row["size"],
                    row["metric"],
                    *(_number(row[name]) for name in ("score", "low", "high")),
                )
                for row in stored.document["rows"]
            )
            findings = tuple(Finding(**finding) for finding in stored.document["findings"])
            texts = {
                name: np.array(each, dtype=object) for name, each in stored.document.get("texts", {}).items()
            }
            return cls(rows, dict(stored.document["facts"]), findings, stored.arrays | texts)


def _number(value: float | None) -> float:
    return np.nan if value is None else value
