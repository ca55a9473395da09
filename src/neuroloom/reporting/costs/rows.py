"""What a spike source is worth on recordings that differ only in their seed."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from neuroloom.reporting.numbers import written


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of a few values.

    Attributes
    ----------
    mean
        None without values.
    sd
        None below two values.
    n
        How many there were.
    """

    mean: float | None
    sd: float | None
    n: int

    @classmethod
    def of(cls, values: Sequence[float | None]) -> "Spread":
        """Return the spread of those values that are not None.

        Examples
        --------
        >>> Spread.of([0.5, None, 0.75])
        Spread(mean=0.625, sd=0.1767766952966369, n=2)
        """
        known = [float(value) for value in values if value is not None]
        return cls(
            mean=math.fsum(known) / len(known) if known else None,
            sd=statistics.stdev(known) if len(known) > 1 else None,
            n=len(known),
        )

    def text(self, *, digits: int = 3, with_sd: bool = True) -> str:
        """Return the mean, and behind it how far values lie from it.

        Examples
        --------
        >>> Spread.of([0.5, 0.7]).text(), Spread.of([0.5]).text(), Spread.of([]).text()
        ('0.600 ± 0.141', '0.500', '–')
        """
        if self.mean is None:
            return "–"
        mean = written(self.mean, digits)
        return mean if self.sd is None or not with_sd else f"{mean} ± {written(self.sd, digits)}"


@dataclass(frozen=True)
class CostRow:
    """A spike source on recordings that differ only in their seed.

    Attributes
    ----------
    kind
        ``"simulated"`` or ``"hybrid"``.
    noise_uv, drift_um
        Of the recordings.
    source, label
        The spikes' source by its name, and as people call it.
    is_truth
        Whether these are the true spikes.
    n_seeds, n_failed
        Recordings, and those from which there is no score.
    n_units, sorting_accuracy, score, loss
        Over seeds; the loss is the score from the true spikes minus this one, seed by seed.
    metric
        Of the score.
    """

    kind: str
    noise_uv: float
    drift_um: float
    source: str
    label: str
    is_truth: bool
    n_seeds: int
    n_failed: int
    n_units: Spread
    sorting_accuracy: Spread
    score: Spread
    loss: Spread
    metric: str

    @property
    def recording(self) -> str:
        """What the recording is, in words."""
        drift = f", drifting by {self.drift_um:g} µm" if self.drift_um else ""
        return f"{self.kind}, {self.noise_uv:g} µV{drift}"

    def cells(self) -> tuple[str, ...]:
        """Return the row as text under `COLUMNS`."""
        return (
            self.recording,
            self.label,
            self.n_units.text(digits=1 if self.n_units.n > 1 else 0, with_sd=False),
            self.sorting_accuracy.text(),
            self.score.text(),
            "" if self.is_truth else self.loss.text(),
        )


COLUMNS = ("recording", "spikes from", "units", "sorting accuracy", "decoding", "loss")


def columns(rows: Sequence[CostRow]) -> tuple[str, ...]:
    """Return `COLUMNS`, with the metric of the score."""
    metric = next((row.metric for row in rows if row.metric), "")
    return tuple(f"{name} {metric}".strip() if name == "decoding" else name for name in COLUMNS)
