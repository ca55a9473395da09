"""Two reaching monkeys, their trials split in the order in which they came."""

from pathlib import Path

import numpy as np

from neuroloom import Session
from neuroloom.errors import MissingFile
from neuroloom.seeds import stream

DATA = Path(__file__).parents[2] / "shared" / "data" / "reaching"
FILES = {"mihi": "mihi_2014-03-03_100ms", "chewie": "chewie_2013-10-03_100ms"}
# The same trials with their slow bins, and in bins of half the width.
WHOLE = {"chewie": "chewie_2013-10-03_100ms_whole_trials"}
HALVES = {"chewie": "chewie_2013-10-03_50ms"}
TARGET, BIN_S, WINDOW = "direction", 0.1, 2


class Animal:
    """One recording, with its trials split in the order in which they came."""

    def __init__(self, name: str, *, validate: bool = False):
        path = DATA / f"{FILES[name]}.npz"
        if not path.exists():
            raise MissingFile(f"{path} does not exist", expected="the shared data", remedy="fetch it first")
        with np.load(path, allow_pickle=False) as data:
            self.counts, lengths, self.target = data["spike_counts"], data["trial_lengths"], data["target"]
        self.name = name
        self.bins = np.split(np.arange(len(self.counts)), np.cumsum(lengths)[:-1])
        n = len(lengths)
        cuts = (round(0.64 * n), round(0.8 * n)) if validate else (round(0.8 * n), n)
        self.learn, self.test = np.arange(cuts[0]), np.arange(*cuts)

    def some(self, fraction: float, seed: int) -> np.ndarray:
        """Return a part of the training trials, drawn by the seed."""
        drawn = stream(seed, "trials", self.name).permutation(self.learn)
        return np.sort(drawn[: max(2, round(fraction * len(drawn)))])

    def session(self, trials: np.ndarray) -> Session:
        """Return whole trials as a session."""
        return self._session([self.counts[self.bins[trial]] for trial in trials], self.target[trials])

    def everything(self, trials: np.ndarray) -> Session:
        """Return all there is of these trials: slow bins too, and bins that lie half a bin later.

        Only one animal has files with them; of the other it is `session`.
        """
        if self.name not in WHOLE:
            return self.session(trials)
        whole, halves = (_by_trial(f"{files[self.name]}.npz") for files in (WHOLE, HALVES))
        pieces, owners = [], []
        for trial in trials:
            later = [_pairs(halves[trial], first) for first in (0, 1)]
            fast = self.counts[self.bins[trial]]
            later = [each for each in later if not (each[:1] == fast).all(axis=1).any()]
            pieces += [whole[trial], *later]
            owners += [trial] * (1 + len(later))
        return self._session(pieces, self.target[owners])

    def windows(self, trials: np.ndarray) -> list[Session]:
        """Return every window of two bins as a trial of its own, in sessions in which none overlap."""
        sessions = []
        for first in range(WINDOW):
            pieces, owners = [], []
            for trial in trials:
                mine = self.bins[trial][first:]
                mine = mine[: len(mine) // WINDOW * WINDOW].reshape(-1, WINDOW)
                pieces += list(self.counts[mine])
                owners += [trial] * len(mine)
            sessions.append(self._session(pieces, self.target[owners]))
        return sessions

    def _session(self, counts: list[np.ndarray], target: np.ndarray) -> Session:
        return Session.from_counts(
            np.concatenate(counts),
            bin_size_s=BIN_S,
            id=self.name,
            subject=self.name,
            trial_lengths=[len(each) for each in counts],
            trial_labels={TARGET: target},
            trial_gap_s=1.0,
        )

    def table(self, trials: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return windows for a regression: (windows, 2 x units), their labels, and the trial of each."""
        rows, owners = [], []
        for trial in trials:
            mine = self.bins[trial]
            for first in range(len(mine) - WINDOW + 1):
                rows.append(self.counts[mine[first : first + WINDOW]].ravel())
                owners.append(trial)
        return np.array(rows, dtype=np.float64), self.target[owners], np.array(owners)


def _by_trial(name: str) -> list[np.ndarray]:
    with np.load(DATA / name, allow_pickle=False) as data:
        return np.split(data["spike_counts"], np.cumsum(data["trial_lengths"])[:-1])


def _pairs(counts: np.ndarray, first: int) -> np.ndarray:
    n_pairs = (len(counts) - first) // 2
    return counts[first : first + 2 * n_pairs].reshape(n_pairs, 2, -1).sum(axis=1)
