"""Whether confidences are what they say: groups of spikes, and how often those are right."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neuroloom.errors import DataError

GROUPS = 10
# Two-sided 95 % of a standard normal.
_Z = 1.959963984540054


@dataclass(frozen=True)
class Calibration:
    """What a sorter said of its units and spikes, beside what is true.

    Attributes
    ----------
    unit_ids
        One per sorted unit.
    unit_confidence
        (units,) 0 to 1.
    unit_accuracy, unit_precision
        (units,) against the matching true unit; 0 where there is none.
    spike_confidence
        (spikes,) 0 to 1.
    spike_right
        (spikes,) whether the spike is one of the true unit that matches its unit.

    Raises
    ------
    DataError
        If lengths do not agree.
    """

    unit_ids: Sequence[object]
    unit_confidence: np.ndarray
    unit_accuracy: np.ndarray
    unit_precision: np.ndarray
    spike_confidence: np.ndarray
    spike_right: np.ndarray

    def __post_init__(self):
        units = {
            len(self.unit_ids),
            *map(len, (self.unit_confidence, self.unit_accuracy, self.unit_precision)),
        }
        spikes = {len(self.spike_confidence), len(self.spike_right)}
        if len(units) > 1 or len(spikes) > 1:
            raise DataError(
                f"confidences of {sorted(units)} units and {sorted(spikes)} spikes",
                expected="one value for every unit, and for every spike",
                remedy="compare the same sorting that the confidences are of",
            )


@dataclass(frozen=True)
class Groups:
    """Spikes in groups of rising confidence.

    Attributes
    ----------
    confidence
        (groups,) mean.
    share
        (groups,) of spikes that are right.
    low, high
        (groups,) Wilson's 95 % interval of the share.
    count
        (groups,) spikes.
    """

    confidence: np.ndarray
    share: np.ndarray
    low: np.ndarray
    high: np.ndarray
    count: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error: mean distance of confidence and share, weighted by spikes."""
        if not self.count.sum():
            return float("nan")
        return float(np.average(np.abs(self.confidence - self.share), weights=self.count))


def group_by_confidence(confidence: np.ndarray, right: np.ndarray, *, n_groups: int = GROUPS) -> Groups:
    """Put spikes into groups of equal size and rising confidence (Guo et al. 2017, with equal counts).

    Equal confidences stay together, so there may be fewer groups than asked for; NaN is left out.

    Parameters
    ----------
    confidence
        (spikes,) 0 to 1.
    right
        (spikes,) bool.

    Examples
    --------
    >>> groups = group_by_confidence(np.array([0.2, 0.2, 0.9, 0.9]), np.array([0, 1, 1, 1]), n_groups=2)
    >>> groups.share, groups.count, round(groups.error, 3)
    (array([0.5, 1. ]), array([2, 2]), 0.2)
    """
    known = np.isfinite(confidence)
    confidence, right = np.asarray(confidence, float)[known], np.asarray(right, bool)[known]
    edges = np.unique(np.quantile(confidence, np.arange(1, n_groups) / n_groups)) if len(confidence) else []
    group = np.searchsorted(edges, confidence, side="right")
    count = np.bincount(group, minlength=len(edges) + 1)
    kept = count > 0
    n = np.maximum(count, 1)
    mean = np.bincount(group, confidence, minlength=len(edges) + 1) / n
    hits = np.bincount(group, right, minlength=len(edges) + 1)
    low, high = wilson(hits, n)
    return Groups(mean[kept], (hits / n)[kept], low[kept], high[kept], count[kept])


def wilson(hits: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Wilson's 95 % interval of a share (Wilson 1927).

    Examples
    --------
    >>> [part.round(3).tolist() for part in wilson(np.array([10.0]), np.array([10]))]
    [[0.722], [1.0]]
    """
    share, z = hits / count, _Z
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    reach = z * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2)) / (1 + z**2 / count)
    return np.clip(middle - reach, 0, 1), np.clip(middle + reach, 0, 1)
