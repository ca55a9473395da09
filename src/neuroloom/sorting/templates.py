"""Units as mean waveforms: cutting them out, lining them up, shifting them by parts of a sample."""

from dataclasses import dataclass, field

import numpy as np

from neuroloom.seeds import derive
from neuroloom.sorting.mapped import give_back

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


def cut(traces: np.ndarray, sample: np.ndarray, channels: np.ndarray | None = None) -> np.ndarray:
    """Return the voltage around spikes, ``(spikes, 128, channels)``, the spikes' samples at sample 40."""
    window = sample[:, None] + np.arange(-LONG_TROUGH, LONG - LONG_TROUGH)
    return traces[window] if channels is None else traces[window[:, :, None], channels]


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
    # Each value's spikes side by side in memory, which is what a median sorts.
    return np.median(np.ascontiguousarray(np.moveaxis(cut(traces, sample), 0, -1)), axis=-1)


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


def shift_waveforms(waveforms: np.ndarray, samples: float) -> np.ndarray:
    """Return ``(units, samples, channels)`` delayed by a fraction of a sample."""
    if samples == 0:
        return waveforms
    length = waveforms.shape[1]
    padded = np.pad(waveforms, ((0, 0), (8, 8), (0, 0)), mode="edge")
    turn = np.exp(-2j * np.pi * np.fft.rfftfreq(length + 16) * samples)
    return np.fft.irfft(np.fft.rfft(padded, axis=1) * turn[None, :, None], length + 16, axis=1)[:, 8:-8]
