"""Bins of many sessions as short sequences that a recurrent network is trained on and reads."""

from dataclasses import dataclass

import numpy as np

from neuroloom.decoding.binning import SessionBins


@dataclass(frozen=True)
class Sequences:
    """Where sequences lie in the bins of sessions.

    Attributes
    ----------
    session
        Shape (sequences,): number of the session.
    first, length
        Shape (sequences,): first bin, and number of bins; what follows up to `n_bins` is padding.
    warmup
        Shape (sequences,): bins at the start that only warm up the network's memory and are not used.
    n_bins
        Length of a padded sequence.
    """

    session: np.ndarray
    first: np.ndarray
    length: np.ndarray
    warmup: np.ndarray
    n_bins: int

    def __len__(self) -> int:
        return len(self.first)

    def places(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the bins of the chosen sequences and which of them are used, both (chosen, n_bins).

        Padding repeats the last bin.
        """
        position = np.arange(self.n_bins)
        last = self.length[chosen, None] - 1
        used = (position >= self.warmup[chosen, None]) & (position <= last)
        return self.first[chosen, None] + np.minimum(position, last), used


def cut_sequences(
    borders: list[np.ndarray], *, n_bins: int, warmup: int, step: int, wanted: list[np.ndarray] | None = None
) -> Sequences:
    """Cut every run of bins into overlapping sequences.

    A sequence that begins where its run begins has no warm-up; the others have `warmup` bins of it. With a
    step of ``n_bins - warmup`` every bin is used exactly once, else one or several times.

    Parameters
    ----------
    borders
        For each session an array (bins,) whose changes are the borders of runs.
    n_bins, warmup, step
        Length of a sequence, its warm-up, and from one start to the next, in bins.
    wanted
        For each session which bins may be part of a sequence, (bins,) bool; by default all.
    """
    rows = []
    for number, border in enumerate(borders):
        chosen = np.ones(len(border), dtype=bool) if wanted is None else wanted[number]
        changes = np.flatnonzero((np.diff(border) != 0) | (np.diff(chosen.astype(np.int8)) != 0)) + 1
        starts, ends = np.r_[0, changes], np.r_[changes, len(border)]
        for start, end in zip(starts, ends, strict=True):
            if not chosen[start]:
                continue
            for first in range(start, max(end - warmup, start + 1), step):
                used_from = warmup if first > start else 0
                rows.append((number, first, min(n_bins, end - first), used_from))
                if first + n_bins >= end:
                    break
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    return Sequences(table[:, 0], table[:, 1], table[:, 2], table[:, 3], n_bins)


@dataclass(frozen=True)
class SequenceBatch:
    """Sequences of one batch, grouped by session.

    Attributes
    ----------
    sessions
        Number of the session of each group.
    features
        For each group, shape (sequences, n_bins, units), float32.
    truth
        Shape (all sequences, n_bins, dimensions) float32, or (all sequences, n_bins) int64; 0 where unused.
    weight
        Shape (all sequences, n_bins), float32: 1 where a bin counts.
    """

    sessions: list[int]
    features: list[np.ndarray]
    truth: np.ndarray
    weight: np.ndarray


def gather(data: list[SessionBins], sequences: Sequences, chosen: np.ndarray) -> SequenceBatch:
    """Return the chosen sequences, in order of their sessions."""
    chosen = chosen[np.argsort(sequences.session[chosen], kind="stable")]
    sessions, features, truths, weights = [], [], [], []
    for number in np.unique(sequences.session[chosen]):
        places, used = sequences.places(chosen[sequences.session[chosen] == number])
        session = data[number]
        truth = session.truth[places]
        usable = used & session.known[places]
        sessions.append(int(number))
        features.append(session.features[places])
        mask = usable if truth.ndim == 2 else usable[..., None]
        truths.append(np.where(mask, truth, np.zeros((), dtype=truth.dtype)))
        weights.append(usable.astype(np.float32))
    return SequenceBatch(sessions, features, np.concatenate(truths), np.concatenate(weights))
