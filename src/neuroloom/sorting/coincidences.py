"""Whether two groups of spikes keep each other's silences, as those of one neuron do."""

import numpy as np

_TIMES = 2 ** (np.arange(13) / 2)  # the refractory period: up to 96 ms for one of 1.5 ms
_AROUND = 5  # how many times as far coincidences are counted to know how many to expect
_UNRESOLVED = 2 / 3  # of the refractory period: closer spikes of two similar units are often taken for one
_ENOUGH_EXPECTED, _SHARE_OF_CHANCE = 10.0, 0.2
_OWN_SHARE = 0.1


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


def _met_and_expected(first: np.ndarray, second: np.ndarray, blind: int, reach: int) -> tuple[float, float]:
    """Count pairs between `blind` and `reach` samples apart, and how many those further apart let expect."""
    closest, near, around = (
        count_coincidences(first, second, reach=lag) for lag in (blind, reach, _AROUND * reach)
    )
    return near - closest, (around - near) * (reach - blind) / ((_AROUND - 1) * reach)
