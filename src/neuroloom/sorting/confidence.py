"""How far spikes and units are to be trusted."""

from collections.abc import Iterable

import numpy as np

from neuroloom.sorting.residuals import Left, own_waveforms
from neuroloom.sorting.templates import LONG, core, moved_by

_HEIGHT_SD = 0.15
_LAGS = range(-3, 4)
# Log-odds against there being a spike at any one sample of a neuron that fires a few times a second.
_AGAINST = 8.0
# Not all that goes wrong is noise: so many of the spikes that noise leaves no doubt of are their unit's, on
# simulated recordings with known truth (seeds 101 to 106).
_SUREST = 0.997
_LEAST_HEIGHT, _USUAL_HEIGHT = 0.45, 0.2
_MOST_EXCESS, _ODD_EXCESS = 5.0, 1.8
MUCH_LARGER = 4.0  # in energy
_LAG_BIN = 4
_BESIDE, _MOSTLY = 40, 0.6  # samples; share of spikes
# What a spike must be to be believed within the refractory period of another: some 200 to 1, as rarely as
# neurons fire then. Chosen on the locust's (.983, .991); on 25 simulated recordings (seeds 101 to 114), whose
# cells never fire so soon, nine were met and none was right, the surest at .943.
_BEYOND_DOUBT = 0.995
_LOOKED_AT = 2000  # spikes of a unit tell whether they keep a lag to those of others


def contamination(sample: np.ndarray, *, refractory: int, n_samples: int) -> float:
    """Return which share of a unit's spikes would be foreign, from how many fire within a refractory period.

    Spikes of no neuron, a share f of all, make 1 - (1 - f)^2 of the violations that as many random ones make
    (Hill et al. 2011). Small counts prove nothing, so the violations are taken at their lower bound of 95 %.

    Parameters
    ----------
    sample
        Spike samples, in order.
    refractory
        Samples within which one neuron does not fire twice.
    n_samples
        Length of the recording.
    """
    met = np.count_nonzero(np.diff(sample) < refractory)
    by_chance = len(sample) ** 2 * refractory / n_samples
    surely = max(met - 1.64 * np.sqrt(met), 0.0)
    return 1 - float(np.sqrt(1 - min(surely / (by_chance + 1), 1.0)))


def believable(unit: np.ndarray, height: np.ndarray, misfit: np.ndarray) -> np.ndarray:
    """Return which spikes look like their unit's: neither far too small, nor beside a remainder.

    Where large spikes coincide, template matching leaves remainders that it then takes for small ones.

    Parameters
    ----------
    unit, height, misfit
        Of every spike, as in `Left`.
    """
    usual = np.array(
        [
            np.median(misfit[unit == one]) if np.any(unit == one) else 1.0
            for one in range(unit.max(initial=-1) + 1)
        ]
    )
    excess = misfit / np.maximum(usual[unit], 1e-9) if len(unit) else misfit
    odd_height = np.abs(height - 1) > _USUAL_HEIGHT
    return (height > _LEAST_HEIGHT) & (excess < _MOST_EXCESS) & ~(odd_height & (excess > _ODD_EXCESS))


def followers(trains: list[np.ndarray], energy: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Return which units are what template matching left of larger ones: most of their spikes keep one lag.

    Parameters
    ----------
    trains
        Spike samples of every unit, in order.
    energy
        Of every unit's template.
    near
        Which units see each other, shape ``(units, units)``.
    """
    found = np.zeros(len(trains), bool)
    for one, train in enumerate(trains):
        for other in np.flatnonzero(near[one] & (energy > MUCH_LARGER * energy[one])):
            if not len(train) or not len(trains[other]):
                continue
            leader = trains[other]
            at = np.searchsorted(leader, train)
            lags = np.concatenate([train - leader[np.clip(at - step, 0, len(leader) - 1)] for step in (0, 1)])
            counts, _ = np.histogram(lags, bins=np.arange(-2 * LONG, 2 * LONG, _LAG_BIN))
            found[one] |= (counts[1:] + counts[:-1]).max() > 0.5 * len(train)
    return found


def companions(trains: list[np.ndarray], confidence: np.ndarray, *, n_samples: int) -> np.ndarray:
    """Return which units are what coincidences leave: most of their spikes keep one lag to others' spikes.

    The median of all contacts, as a reference, is moved by two large spikes at once, whichever two they are:
    that shows on all contacts, looks the same every time, and keeps its refractory period. Coincidences are
    rarer than either of the spikes, so units are held against those that fire more and are trusted more.

    Parameters
    ----------
    trains
        Spike samples of every unit, in order.
    confidence
        Of every unit.
    n_samples
        Length of the recording.
    """
    count = np.array([len(train) for train in trains], int)
    borders = np.arange(-LONG, LONG + 1, _LAG_BIN)
    found = np.zeros(len(trains), bool)
    for one, train in enumerate(trains):
        sounder = (count > count[one]) & (confidence > confidence[one])
        if not len(train) or not sounder.any():
            continue
        others = np.sort(np.concatenate([trains[other] for other in np.flatnonzero(sounder)]))
        some = train[:: -(-len(train) // _LOOKED_AT)]
        before = np.searchsorted(others, some[:, None] - borders[::-1])  # (spikes, borders)
        share = (before[:, 2:] > before[:, :-2]).mean(axis=0).max()  # of spikes with company at one lag
        by_chance = 1 - np.exp(-2 * _LAG_BIN * len(others) / n_samples)
        found[one] = share - by_chance > 0.5 * (1 - by_chance)
    return found


def without_remainders(label: np.ndarray, sample: np.ndarray, larger: np.ndarray) -> np.ndarray:
    """Take out those parts of a unit whose spikes mostly fall beside larger ones; -1 is no part.

    Parameters
    ----------
    label, sample
        Part and time of every spike.
    larger
        Times of the larger spikes around, in order.
    """
    if not len(larger) or label.max(initial=0) < 1:
        return label
    at = np.searchsorted(larger, sample)
    after = np.abs(larger[np.minimum(at, len(larger) - 1)] - sample)
    before = np.abs(larger[np.maximum(at - 1, 0)] - sample)
    beside = np.minimum(after, before) <= _BESIDE
    share = np.array([beside[label == part].mean() for part in range(label.max() + 1)])
    remainder = (share > _MOSTLY) & (share > 2 * share.min())
    kept = (label >= 0) & ~remainder[label]
    found = np.full(len(label), -1)
    found[kept] = np.unique(label[kept], return_inverse=True)[1]
    return found


def apart(
    sample: np.ndarray, unit: np.ndarray, confidence: np.ndarray, *, dead: int, refractory: int
) -> np.ndarray:
    """Return which spikes are left when of two that no neuron can fire so close the surer one stays.

    Within the refractory period a second spike is unlikely before one looks: it stays only if the voltage
    leaves no doubt of it.

    Parameters
    ----------
    sample, unit, confidence
        Of every spike, in order of time.
    dead, refractory
        Samples within which no neuron fires twice, and within which it hardly does.
    """
    left = np.ones(len(sample), bool)
    for one in np.unique(unit):
        mine = np.flatnonzero(unit == one)
        lags = np.diff(sample[mine])
        for row in np.flatnonzero(lags < refractory):
            pair = mine[[row, row + 1]]
            weaker = pair[np.argmin(confidence[pair])]
            if left[pair].all() and (lags[row] < dead or confidence[weaker] < _BEYOND_DOUBT):
                left[weaker] = False
    return left


def spike_confidence(
    left: Iterable[Left],
    templates: np.ndarray,
    near: list[np.ndarray],
    *,
    n_spikes: int,
    neuron: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the probability that each spike is of its unit rather than not, its height, and its misfit.

    Parameters
    ----------
    left
        Whitened voltage without the spikes, from `Subtraction.chunks`.
    templates
        Whitened, shape ``(units, 128, channels)``.
    near
        Channels on which each unit's spikes are compared.
    n_spikes
        How many spikes there are.
    neuron
        Of each unit; units of one neuron are no rivals. Each its own by default.
    """
    neuron = np.arange(len(templates)) if neuron is None else neuron
    confidence, height, misfit = np.full(n_spikes, 0.5), np.ones(n_spikes), np.ones(n_spikes)
    rivals = [_Rivals(templates, unit, channels, neuron) for unit, channels in enumerate(near)]
    for chunk in left:
        height[chunk.rows], misfit[chunk.rows] = chunk.height, chunk.misfit
        for unit in np.unique(chunk.unit):
            mine = chunk.unit == unit
            snippets = own_waveforms(chunk, templates, int(unit), near[unit]).reshape(int(mine.sum()), -1)
            confidence[chunk.rows[mine]] = rivals[unit].probability(snippets)
    return confidence, height, misfit


class _Rivals:
    """A unit's template and those of other neurons that might be taken for it, at a few lags."""

    def __init__(self, templates: np.ndarray, unit: int, channels: np.ndarray, neuron: np.ndarray):
        own = core(templates[unit][None])[0][:, channels]
        others = core(templates)[:, :, channels]
        size = np.linalg.norm(others, axis=(1, 2))
        close = np.linalg.norm(others - own, axis=(1, 2)) < 1.5 * np.linalg.norm(own)
        close &= size > 0.3 * np.linalg.norm(own)
        close &= neuron != neuron[unit]
        rows = [own] + [moved_by(others[one], lag) for one in np.flatnonzero(close) for lag in _LAGS]
        self.rows = np.stack(rows).reshape(len(rows), -1)
        self.energy = np.einsum("ij,ij->i", self.rows, self.rows)

    def probability(self, snippets: np.ndarray) -> np.ndarray:
        precision = 1 / _HEIGHT_SD**2
        matched = snippets @ self.rows.T + precision
        gain = matched**2 / (2 * (self.energy + precision)) - precision / 2
        rival = np.maximum(gain[:, 1:].max(axis=1, initial=-np.inf), _AGAINST)
        return _SUREST / (1 + np.exp(np.clip(rival - gain[:, 0], -50, 50)))
