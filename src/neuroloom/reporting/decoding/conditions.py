"""How far a decoder is off in each condition: by trial label, else by direction and size of the truth."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom import seeds
from neuroloom.decoding.targets import known
from neuroloom.sessions.columns import label_values

if TYPE_CHECKING:
    import pynapple as nap

MOST_GROUPINGS, MOST_CONDITIONS, PARTS = 3, 16, 8
# Fewer resampled stretches than this say nothing about an interval.
FEWEST_BLOCKS, N_BLOCKS, N_DRAWS = 3, 40, 400


@dataclass(frozen=True)
class Condition:
    """One condition's held-out samples.

    Attributes
    ----------
    name
        For the reader.
    n_samples, n_blocks
        Held-out samples, and trials (or stretches of time) that they come from.
    error
        Root mean squared distance from the truth, or share of wrong labels.
    low, high
        Its 95 % interval over trials (stretches); NaN where there are fewer than three.
    guess
        The error of always saying the mean truth, or its most frequent label.
    """

    name: str
    n_samples: int
    n_blocks: int
    error: float
    low: float
    high: float
    guess: float


@dataclass(frozen=True)
class Grouping:
    """One way to tell conditions apart.

    Attributes
    ----------
    name
        The trial label, or what of the target was cut into parts.
    measure
        What the errors are: ``"root mean squared error"`` or ``"share wrong"``.
    blocks
        What the intervals are over: ``"trials"`` or ``"stretches of time"``.
    conditions
        In their natural order.
    """

    name: str
    measure: str
    blocks: str
    conditions: tuple[Condition, ...]

    @property
    def worst(self) -> Condition:
        """The condition with the largest error."""
        return max(self.conditions, key=lambda condition: condition.error)


def errors_by_condition(
    predicted: np.ndarray,
    true: np.ndarray,
    times_s: np.ndarray,
    *,
    target: str,
    trials: "nap.IntervalSet | None" = None,
) -> list[Grouping]:
    """Return the held-out error in each condition.

    Parameters
    ----------
    predicted, true
        Regression: (samples, dimensions). Classification: (samples,) labels.
    times_s
        (samples,), to know the trial of each.
    target
        Name for the reader.
    trials
        Of the session; their labels tell conditions apart. Without labels that do, the direction (of two
        dimensions) and the speed, or the value, of the truth are cut into eight parts.

    Examples
    --------
    >>> true = np.linspace(0, 1, 80)[:, None]
    >>> grouping, = errors_by_condition(true + 0.1, true, np.arange(80.0), target="grip")
    >>> grouping.name, len(grouping.conditions), round(grouping.worst.error, 3)
    ('grip', 8, 0.1)
    """
    labels = true.ndim == 1
    usable = known(true) if labels else np.isfinite(true).all(axis=1) & np.isfinite(predicted).all(axis=1)
    predicted, true, times_s = predicted[usable], true[usable], np.asarray(times_s)[usable]
    if not len(true):
        return []
    if labels:
        kinds, counts = np.unique(true, return_counts=True)
        squared, guessed = (predicted != true).astype(float), (true != kinds[counts.argmax()]).astype(float)
    else:
        squared = np.sum((predicted - true) ** 2, axis=1)
        guessed = np.sum((true - true.mean(axis=0)) ** 2, axis=1)
    trial = _trial_of(times_s, trials)
    inside = trial >= 0
    found = []
    for name, values in _label_groups(trials):
        rows = np.flatnonzero(inside)
        found.append(_grouping(name, values, trial[rows], squared[rows], guessed[rows], trial[rows], labels))
    if not found and not labels:
        block = trial if inside.all() else np.arange(len(true)) * N_BLOCKS // len(true)
        over = "trials" if inside.all() else "stretches of time"
        for name, values in _parts(true, target):
            sample = np.arange(len(true))
            found.append(_grouping(name, values, sample, squared, guessed, block, labels, over))
    return [grouping for grouping in found if len(grouping.conditions) > 1][:MOST_GROUPINGS]


def _trial_of(times_s: np.ndarray, trials: "nap.IntervalSet | None") -> np.ndarray:
    """Return the trial that each time is in, or -1."""
    if trials is None or not len(trials):
        return np.full(len(times_s), -1)
    at = np.searchsorted(trials.start, times_s, side="right") - 1
    return np.where((at >= 0) & (times_s <= trials.end[np.maximum(at, 0)]), at, -1)


def _label_groups(trials: "nap.IntervalSet | None") -> Iterator[tuple[str, np.ndarray]]:
    """Yield each label that tells trials apart, with a name per trial (empty where it is missing)."""
    if trials is None:
        return
    for column in trials.metadata_columns:
        values = label_values(trials, column)
        usable = known(values)
        kinds = np.unique(values[usable])
        if 2 <= len(kinds) <= MOST_CONDITIONS:
            yield str(column), np.where(usable, np.array([_named(value) for value in values], object), "")
        elif len(kinds) > MOST_CONDITIONS and values.dtype.kind in "fiu":
            yield f"{column} (eighths)", _eighths(values.astype(float))


def _parts(true: np.ndarray, target: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yield direction and speed of a truth without trials, with a name per sample."""
    if true.shape[1] == 1:
        yield target, _eighths(true[:, 0])
        return
    if true.shape[1] == 2:
        octant = np.round(np.arctan2(true[:, 1], true[:, 0]) / (np.pi / 4)).astype(int) % PARTS
        names = np.array([f"{45 * part}°" for part in range(PARTS)], object)
        yield f"direction of {target}", names[octant]
    yield f"size of {target}", _eighths(np.linalg.norm(true, axis=1))


def _eighths(values: np.ndarray) -> np.ndarray:
    """Return the name of each value's part, of eight with equally many values; empty for NaN."""
    usable = np.isfinite(values)
    edges = np.unique(np.quantile(values[usable], np.linspace(0, 1, PARTS + 1))) if usable.any() else []
    if len(edges) < 2:
        return np.full(len(values), "", object)
    names = np.array([f"{low:.3g} to {high:.3g}" for low, high in pairwise(edges)], object)
    part = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(names) - 1)
    return np.where(usable, names[part], "")


def _grouping(
    name: str,
    values: np.ndarray,
    row: np.ndarray,
    squared: np.ndarray,
    guessed: np.ndarray,
    block: np.ndarray,
    labels: bool,
    over: str = "trials",
) -> Grouping:
    """Return the errors of the samples with each of `values`, of which sample i has number ``row[i]``."""
    conditions = []
    of_sample = values[row] if len(row) else values[:0]
    # In the order of the values: names of numbers would sort as text.
    for each in sorted({*of_sample.tolist()} - {""}, key=_order):
        own = of_sample == each
        error = np.mean(squared[own])
        low, high = _interval(squared[own], block[own], name=f"{name}/{each}")
        guess = np.mean(guessed[own])
        if not labels:
            error, low, high, guess = (value**0.5 for value in (error, low, high, guess))
        n_blocks, numbers = len(np.unique(block[own])), map(float, (error, low, high, guess))
        conditions.append(Condition(str(each), int(own.sum()), n_blocks, *numbers))
    return Grouping(name, "share wrong" if labels else "root mean squared error", over, tuple(conditions))


def _interval(values: np.ndarray, block: np.ndarray, *, name: str) -> tuple[float, float]:
    """Return the 95 % interval of a mean when whole blocks are drawn again."""
    _, of_block = np.unique(block, return_inverse=True)
    n_blocks = int(of_block.max()) + 1
    if n_blocks < FEWEST_BLOCKS:
        return np.nan, np.nan
    sums, counts = np.bincount(of_block, values), np.bincount(of_block)
    drawn = seeds.stream(0, "report", "conditions", name).integers(n_blocks, size=(N_DRAWS, n_blocks))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    return tuple(np.percentile(means, [2.5, 97.5]))


def _named(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)


def _order(name: str) -> tuple[int, float, str]:
    """Sort names that begin with a number by it, before words."""
    try:
        return 0, float(name.split(" ")[0].rstrip("°")), name
    except ValueError:
        return 1, 0.0, name
