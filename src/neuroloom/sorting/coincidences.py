"""Whether two groups of spikes keep each other's silences, or fire in turn, as those of one neuron do."""

import numpy as np

_TIMES = 2 ** (np.arange(13) / 2)  # the refractory period: up to 96 ms for one of 1.5 ms
_AROUND = 5  # how many times as far coincidences are counted to know how many to expect
_UNRESOLVED = 2 / 3  # of the refractory period: closer spikes of two similar units are often taken for one
_ENOUGH_EXPECTED, _SHARE_OF_CHANCE = 10.0, 0.2
_OWN_SHARE = 0.1
_PARTS, _SPIKES_PER_PART, _FEWEST_PARTS = 24, 3, 6  # of the recording; spikes of the smaller group
_SIDE_BY_SIDE = 0.75
_MADE_UP_FOR = -0.4  # two of three equal steps correlate by -.5, as both are absent in the third


def count_coincidences(first: np.ndarray, second: np.ndarray, *, reach: int) -> int:
    """Return how many pairs of one spike each are at most `reach` samples apart; both sorted."""
    return int(
        (np.searchsorted(second, first + reach, "right") - np.searchsorted(second, first - reach)).sum()
    )


def fire_as_one(first: np.ndarray, second: np.ndarray, *, refractory: int) -> bool:
    """Return whether two groups of spikes look like one neuron's from when they fire.

    After a spike a neuron is silent: always for its refractory period, and many neurons much longer. For the
    longest silence that each group keeps by itself, coincidences within it are compared with how many those a
    little further apart let expect. Two neurons know nothing of each other's silences; and groups that fire
    in different parts of the recording, so that nothing can be expected, prove nothing.

    Parameters
    ----------
    first, second
        Spike samples of either group, in order.
    refractory
        Samples within which no neuron fires twice.
    """
    blind = round(_UNRESOLVED * refractory)
    for reach in np.round(refractory * _TIMES[::-1]).astype(int).tolist():
        met, expected = _met_and_expected(first, second, blind, reach)
        if expected < _ENOUGH_EXPECTED:
            continue
        own = np.sum([_met_and_expected(group, group, blind, reach) for group in (first, second)], axis=0)
        if reach > refractory and own[0] > _OWN_SHARE * own[1]:
            continue
        return met < _SHARE_OF_CHANCE * expected
    return False


def fire_in_turn(first: np.ndarray, second: np.ndarray, *, n_samples: int) -> bool:
    """Return whether one group of spikes is there mostly while the other is not.

    Where a probe drifts, a neuron's spikes change their shape little by little, and are found as several
    units, one after the other. Neurons that are there all the time fire now more and now less, but side by
    side. Compared are the shares of either group's spikes in up to 24 parts of the recording, by their
    Bhattacharyya coefficient: 1 if they rise and fall together, 0 if no part has spikes of both.

    Parameters
    ----------
    first, second
        Spike samples of either group, in order.
    n_samples
        Length of the recording.
    """
    counts = _in_parts(first, second, n_samples)
    return counts is not None and _overlap(counts) < _SIDE_BY_SIDE


def replace_each_other(first: np.ndarray, second: np.ndarray, *, n_samples: int) -> bool:
    """Return whether two groups fire in turn, and one lacks as many spikes as the other has.

    A neuron that fires steadily and is now in one group, now in the other, makes their counts in parts of the
    recording correlate negatively; a group of spikes that comes and goes beside a steady neuron's does not.

    Parameters
    ----------
    first, second
        Spike samples of either group, in order.
    n_samples
        Length of the recording.
    """
    counts = _in_parts(first, second, n_samples)
    if counts is None or _overlap(counts) >= _SIDE_BY_SIDE:
        return False
    spread = np.cov(counts)
    # Not divided: the same count in every part makes up for nothing, and has no correlation.
    return bool(spread[0, 1] < _MADE_UP_FOR * np.sqrt(spread[0, 0] * spread[1, 1]))


def _overlap(counts: np.ndarray) -> float:
    """Return the Bhattacharyya coefficient of two groups' counts, ``(2, parts)``."""
    shares = counts / counts.sum(axis=1, keepdims=True)
    return float(np.sqrt(shares[0] * shares[1]).sum())


def _in_parts(first: np.ndarray, second: np.ndarray, n_samples: int) -> np.ndarray | None:
    """Count either group's spikes in parts of the recording, ``(2, parts)``; None if there are too few."""
    n_parts = min(_PARTS, min(len(first), len(second)) // _SPIKES_PER_PART)
    if n_parts < _FEWEST_PARTS:
        return None
    edges = np.linspace(0, n_samples, n_parts + 1)
    return np.stack([np.histogram(group, edges)[0] for group in (first, second)])


def _met_and_expected(first: np.ndarray, second: np.ndarray, blind: int, reach: int) -> tuple[float, float]:
    """Count pairs between `blind` and `reach` samples apart, and how many those further apart let expect."""
    closest, near, around = (
        count_coincidences(first, second, reach=lag) for lag in (blind, reach, _AROUND * reach)
    )
    return near - closest, (around - near) * (reach - blind) / ((_AROUND - 1) * reach)
