"""Scores of reconstructed text, per text and averaged.

A score of one text means little by itself: two unrelated English sentences share function words. Read every
score beside the random arm, which holds what the language model makes without a brain.
"""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neuroloom.auditing.language import words_of
from neuroloom.auditing.metrics import Statistic, mean_over_stimuli

Words = list[str]


class _WordMetric:
    """Metrics of word sequences."""

    eyes, of = "words", "text"

    def describe(self, stimuli: np.ndarray) -> list[Words]:
        """Return the words of each text."""
        return [words_of(str(text)) for text in stimuli]


@dataclass(frozen=True)
class WordErrorRate(_WordMetric):
    """Substitutions, insertions and deletions per word of the truth; may exceed 1. Smaller is better."""

    name: str = "wer"
    higher_is_better: bool = False

    def statistic(self, truth: list[Words], reconstruction: list[Words], *, groups: np.ndarray) -> Statistic:
        """See `Metric`; an empty truth is undefined."""
        pairs = zip(truth, reconstruction, strict=True)
        return mean_over_stimuli(
            np.array([edit_distance(own, guess) / len(own) if own else np.nan for own, guess in pairs])
        )


@dataclass(frozen=True)
class BLEU(_WordMetric):
    """BLEU (Papineni et al. 2002) of single texts: clipped n-gram precision with a brevity penalty.

    Parameters
    ----------
    max_n
        Longest n-gram; 1 is BLEU-1. Precisions above n = 1 are smoothed by adding one (Lin & Och 2004).
    """

    name: str = "bleu1"
    max_n: int = 1
    higher_is_better: bool = True

    def statistic(self, truth: list[Words], reconstruction: list[Words], *, groups: np.ndarray) -> Statistic:
        """See `Metric`."""
        scores = [bleu(own, guess, self.max_n) for own, guess in zip(truth, reconstruction, strict=True)]
        return mean_over_stimuli(np.array(scores))


@dataclass(frozen=True)
class METEOR(_WordMetric):
    """METEOR (Banerjee & Lavie 2005) with exact and stem matches, without synonyms."""

    name: str = "meteor"
    higher_is_better: bool = True

    def statistic(self, truth: list[Words], reconstruction: list[Words], *, groups: np.ndarray) -> Statistic:
        """See `Metric`."""
        scores = [meteor(own, guess) for own, guess in zip(truth, reconstruction, strict=True)]
        return mean_over_stimuli(np.array(scores))


@dataclass(frozen=True)
class SentenceSimilarity:
    """Cosine of MiniLM sentence embeddings (extra ``text``)."""

    name: str = "minilm"
    network: str = "minilm"
    higher_is_better: bool = True
    of: ClassVar[str] = "text"

    def describe(self, stimuli: np.ndarray) -> np.ndarray:
        """Return unit embeddings (texts, 384)."""
        from neuroloom.auditing.sentence_embedding import embed

        return embed([str(text) for text in stimuli])

    def statistic(self, truth: np.ndarray, reconstruction: np.ndarray, *, groups: np.ndarray) -> Statistic:
        """See `Metric`."""
        return mean_over_stimuli((truth * reconstruction).sum(1))


TEXT_METRICS = (WordErrorRate(), BLEU(), BLEU(name="bleu4", max_n=4), METEOR(), SentenceSimilarity())


def edit_distance(truth: Sequence[str], guess: Sequence[str]) -> int:
    """Return the least number of substitutions, insertions and deletions (Levenshtein).

    Examples
    --------
    >>> edit_distance("the cat sat".split(), "a cat sat down".split())
    2
    """
    row = list(range(len(guess) + 1))
    for i, own in enumerate(truth, start=1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(guess, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (own != other))
    return row[-1]


def bleu(truth: Sequence[str], guess: Sequence[str], max_n: int) -> float:
    """Return the BLEU score of one text; 0 for an empty guess.

    Examples
    --------
    >>> bleu("the cat sat".split(), "the the the".split(), 1)
    0.3333333333333333
    """
    if not guess or not truth:
        return 0.0
    total = 0.0
    for n in range(1, max_n + 1):
        own, made = _ngrams(truth, n), _ngrams(guess, n)
        matched, possible = sum((own & made).values()), sum(made.values())
        smooth = 1 if n > 1 else 0
        if matched + smooth == 0:
            return 0.0
        total += np.log((matched + smooth) / (possible + smooth)) / max_n
    brevity = min(0.0, 1 - len(truth) / len(guess))
    return float(np.exp(total + brevity))


def meteor(truth: Sequence[str], guess: Sequence[str]) -> float:
    """Return the METEOR score of one text: 10 P R / (R + 9 P), less a penalty for scattered matches.

    The penalty is .5 (chunks / matches)³. Words are matched exactly first, then by stem, each to the nearest
    free place, so that chunks are long.
    """
    places = _matches(truth, guess)
    if not places:
        return 0.0
    precision, recall = len(places) / len(guess), len(places) / len(truth)
    mean = 10 * precision * recall / (recall + 9 * precision)
    ordered = sorted(places.items())
    steps = itertools.pairwise(ordered)
    chunks = 1 + sum(b[0] != a[0] + 1 or b[1] != a[1] + 1 for a, b in steps)
    return mean * (1 - 0.5 * (chunks / len(places)) ** 3)


def _matches(truth: Sequence[str], guess: Sequence[str]) -> dict[int, int]:
    """Return place in the guess -> place in the truth."""
    places: dict[int, int] = {}
    free = set(range(len(truth)))
    for form in (str, _stem):
        wanted = [form(word) for word in truth]
        for i, word in enumerate(guess):
            if i in places:
                continue
            # Going on where the last match ended keeps chunks together.
            expected = places.get(i - 1, i - 1) + 1
            same = [j for j in free if wanted[j] == form(word)]
            if same:
                places[i] = min(same, key=lambda j: (abs(j - expected), j))
                free.discard(places[i])
    return places


def _stem(word: str) -> str:
    """Cut common English endings off words long enough to spare them."""
    for ending in ("ing", "edly", "ed", "ly", "es", "s", "'s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def _ngrams(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
