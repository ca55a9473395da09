"""Units as mean waveforms: cutting them out, lining them up, shifting them by parts of a sample."""

from dataclasses import dataclass, field

import numpy as np

from neuroloom.seeds import derive
from neuroloom.sorting.mapped import give_back
from neuroloom.sorting.medians import median

# Samples of a template and before its trough. What large spikes leave long before and after would be taken
# for small ones, so templates are long; only their core is compared.
LONG, LONG_TROUGH = 128, 40
LENGTH, TROUGH = 64, 24
_CORE = slice(LONG_TROUGH - TROUGH, LONG_TROUGH - TROUGH + LENGTH)
FOR_TEMPLATE = 300  # spikes; more change nothing
_MOST_LATE = 32  # samples


@dataclass(frozen=True)
class Units:
    """Neurons, or what may be one.

    Attributes
    ----------
    templates
        In units of noise, shape ``(units, 128, channels)``, troughs at sample 40.
    count
        How many spikes each has.
    whole
        Which were looked at and found to be one neuron, not two; none by default.
    """

    templates: np.ndarray
    count: np.ndarray
    whole: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))

    def __post_init__(self):
        if len(self.whole) != len(self.count):
            object.__setattr__(self, "whole", np.zeros(len(self.count), bool))

    def __len__(self) -> int:
        return len(self.count)

    def take(self, index: np.ndarray) -> "Units":
        """Return some of the units."""
        return Units(self.templates[index], self.count[index], self.whole[index])

    def and_also(self, others: "Units") -> "Units":
        """Return these units and the others."""
        pairs = (self.templates, others.templates), (self.count, others.count), (self.whole, others.whole)
        return Units(*(np.concatenate(pair) for pair in pairs))

    @property
    def peak(self) -> np.ndarray:
        """The channel of each template's deepest trough, shape ``(units,)``."""
        return self.templates.min(axis=1).argmin(axis=1) if len(self) else np.zeros(0, np.int64)


def core(templates: np.ndarray) -> np.ndarray:
    """Return the samples of ``(units, 128, channels)`` that are compared, ``(units, 64, channels)``."""
    return templates[:, _CORE]


def mean_waveforms(
    traces: np.ndarray, sample: np.ndarray, labels: np.ndarray, n_units: int, *, seed: int
) -> np.ndarray:
    """Return the median waveform of up to 300 spikes of each unit, its trough at sample 40.

    Spikes are where they were noticed, which may be another channel's trough, or another trough of the same.

    Parameters
    ----------
    traces
        Shape ``(samples, channels)``.
    sample, labels
        Of every spike, in order of time; -1 is no unit.
    n_units
        How many units there are.
    seed
        Of the choice of spikes.

    Returns
    -------
    ndarray
        Shape ``(units, 128, channels)``; zeros where a unit has no spikes.
    """
    templates = np.zeros((n_units, LONG, traces.shape[1]), np.float32)
    first, last = LONG_TROUGH + _MOST_LATE, len(traces) - LONG + LONG_TROUGH - _MOST_LATE
    whole = (sample >= first) & (sample < last)
    for unit in range(n_units):
        mine = sample[whole & (labels == unit)]
        random = np.random.default_rng(derive(seed, "template", unit))
        mine = np.sort(random.permutation(mine)[:FOR_TEMPLATE])
        if not len(mine):
            continue
        template = _median_waveform(traces, mine)
        give_back(traces)
        late = int(template.min(axis=1).argmin()) - LONG_TROUGH
        if late and abs(late) <= _MOST_LATE:
            template = _median_waveform(traces, mine + late)
        templates[unit] = template
    return templates


def _median_waveform(traces: np.ndarray, sample: np.ndarray) -> np.ndarray:
    waveforms = traces[sample[:, None] + np.arange(-LONG_TROUGH, LONG - LONG_TROUGH)]
    return median(waveforms, axis=0)


def moved_by(template: np.ndarray, lag: int) -> np.ndarray:
    """Return ``(samples, channels)`` delayed by whole samples, zeros where nothing comes in."""
    moved = np.zeros_like(template)
    if lag > 0:
        moved[lag:] = template[:-lag]
    elif lag < 0:
        moved[:lag] = template[-lag:]
    else:
        moved[:] = template
    return moved


def shifted(template: np.ndarray, delays: np.ndarray) -> np.ndarray:
    """Return ``(samples, channels)`` delayed by parts of a sample, ``(delays, samples, channels)``."""
    from scipy.fft import irfft, rfft

    length, delays = len(template) + 16, delays[:, None]
    padded = np.pad(template, ((8, 8), (0, 0)), mode="edge")
    turn = np.exp(-2j * np.pi * np.fft.rfftfreq(length) * delays)
    spectra = np.asarray(rfft(padded, axis=0)) * turn[:, :, None]
    found = np.asarray(irfft(spectra, length, axis=1))[:, 8:-8]
    return np.where(delays[:, None] == 0, template, found)
