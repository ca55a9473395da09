"""Sessions whose population was squeezed through a linear bottleneck, as sessions that any decoder takes.

What passes the bottleneck is a few numbers per bin. They are written as the spike counts of as many virtual
units, so that decoders of counts and decoders of single spikes can be audited alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pynapple as nap

from neuroloom.auditing.bottleneck import ReducedRankRidge
from neuroloom.auditing.spectrum import Scaling
from neuroloom.sessions.session import Session
from neuroloom.sessions.windows import bin_session

# A code of mean 0 and spread 1 becomes 0..LEVELS spikes a bin; what lies beyond REACH spreads is cut off. The
# rounding adds (2 REACH / LEVELS)² / 12 = .5 % of the code's variance.
LEVELS, REACH = 32, 4.0


@dataclass(frozen=True)
class PopulationBottleneck:
    """Nested orthonormal directions in the space of z-scored units, the most useful first.

    The first directions are those of reduced-rank ridge from the counts of one bin to the targets; when
    these are used up, principal components of what is left complete them, so that at full size nothing is
    lost.

    Attributes
    ----------
    scaling
        Mean and spread of every unit's count in training.
    directions
        (units, units), orthonormal columns.
    spread
        (units,) spread of the training code along each direction.
    """

    scaling: Scaling
    directions: np.ndarray
    spread: np.ndarray

    @classmethod
    def fit(
        cls, counts: np.ndarray, targets: np.ndarray, *, groups: np.ndarray, seed: int
    ) -> "PopulationBottleneck":
        """Learn from training counts (bins, units) and targets (bins, targets)."""
        fitted = ReducedRankRidge(unit_variance=True, seed=seed).fit(counts, targets, groups=groups)
        scaling = Scaling.of(counts, unit_variance=True)
        scaled = scaling.apply(counts)
        n_units = counts.shape[1]
        useful = fitted.input_weights(size=fitted.rank) * scaling.scale[:, None]
        useful = np.linalg.qr(useful)[0] if useful.shape[1] else np.zeros((n_units, 0))
        left = scaled - scaled @ useful @ useful.T
        _, components = np.linalg.eigh(left.T @ left)
        # Order of the QR columns is kept; the rest is completed by the largest components first.
        directions = np.linalg.qr(np.concatenate([useful, components[:, ::-1]], axis=1))[0][:, :n_units]
        spread = (scaled @ directions).std(0)
        return cls(scaling, directions, np.where(spread > 1e-9, spread, 1.0))

    def encode(self, counts: np.ndarray, *, size: int) -> np.ndarray:
        """Return what passes (bins, size), with spread 1 in training."""
        return self.scaling.apply(counts) @ self.directions[:, :size] / self.spread[:size]


def as_virtual_units(session: Session, code: np.ndarray, *, bin_s: float) -> Session:
    """Return the session with its units replaced by one virtual unit per column of a code.

    Parameters
    ----------
    session
        Whose behaviour, trials and time support are kept.
    code
        (bins, columns) in the bins of `bin_session(session, bin_s)`, with mean 0 and spread about 1.
    bin_s
        Width of the bins in seconds.
    """
    _, centres_s = bin_session(session, bin_s)
    counts = np.rint((code / (2 * REACH) + 0.5) * LEVELS).clip(0, LEVELS).astype(np.int64)
    trains = {unit: nap.Ts(_spread(counts[:, unit], centres_s, bin_s)) for unit in range(counts.shape[1])}
    return replace(session, spikes=nap.TsGroup(trains, time_support=session.time_support))


def standardise(values: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Give several arrays (bins, columns) mean 0 and spread 1, as measured on the first."""
    scaling = Scaling.of(values[0], unit_variance=True)
    return [scaling.apply(array) for array in values]


def _spread(counts: np.ndarray, centres_s: np.ndarray, bin_s: float) -> np.ndarray:
    """Return n evenly spaced times for every bin of n spikes, none on a border."""
    total = np.repeat(counts, counts)
    place = np.arange(len(total)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(centres_s, counts) + ((place + 0.5) / np.maximum(total, 1) - 0.5) * bin_s
