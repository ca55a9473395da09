"""A bank of units: library cells placed at random around random contacts, ready on any device.

Everything that is slow (line sources, filters, resampling) happens once here; `neuroloom.simulation.corpus`
only adds rows of the bank together.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neuroloom.seeds import stream
from neuroloom.simulation.electrodes import random_rotations
from neuroloom.simulation.geometries import MAX_CONTACTS, draw_contacts
from neuroloom.simulation.library import BEFORE_MS, CellLibrary
from neuroloom.simulation.library import RATE_HZ as LIBRARY_RATE_HZ

RATE_HZ = 30_000.0
N_SAMPLES, TROUGH = 96, 32  # 3.2 ms at 30 kHz; the trough of the largest contact lies at sample 32
_PADDED = 360  # samples at 40 kHz, 270 at 30 kHz


@dataclass(frozen=True)
class Bank:
    """Units on neighbourhoods of contacts.

    Attributes
    ----------
    waveforms
        Shape ``(geometries, units, variants, 8, 96)``, float16; band-passed 300-6000 Hz, 30 kHz, the
        largest peak of each unit's largest spike is 1; zeros at absent contacts. Variants are different
        spikes of the unit at different sub-sample shifts.
    contacts_um
        Positions relative to the neighbourhood's centre, shape ``(geometries, 8, 2)``.
    present
        Which contacts exist, shape ``(geometries, 8)``.
    twin_of
        For units made to be hard to tell from another: that unit's number, else -1; shape
        ``(geometries, units)``.
    rate_hz
        The rate at which each neighbourhood was recorded before it was resampled to 30 kHz, shape
        ``(geometries,)``.
    """

    waveforms: Tensor
    contacts_um: Tensor
    present: Tensor
    twin_of: Tensor
    rate_hz: Tensor

    def to(self, device: torch.device | str) -> "Bank":
        """Return the bank on another device."""
        return Bank(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))

    def __repr__(self) -> str:
        geometries, units, variants = self.waveforms.shape[:3]
        return f"Bank({geometries} neighbourhoods x {units} units x {variants} spikes)"


def build_bank(
    library: CellLibrary,
    *,
    n_geometries: int,
    n_units: int = 40,
    n_variants: int = 4,
    twin_fraction: float = 0.4,
    seed: int = 0,
    n_jobs: int | None = None,
    lowest_rate_hz: float = 15_000.0,
) -> Bank:
    """Place cells of a library around random neighbourhoods.

    Half of the neighbourhoods are recorded at 30 kHz, the others at a rate of 15 to 30 kHz: they have lost
    what lies above it.

    Parameters
    ----------
    library
        Where the currents come from.
    n_geometries, n_units, n_variants
        Size of the bank.
    twin_fraction
        Share of units that are twins: the same cell a few um away, or another cell at the same place.
    seed
        Seed of all placements.
    n_jobs
        Parallel workers over neighbourhoods; ``None`` leaves it to ``joblib.parallel_config``.
    lowest_rate_hz
        Lowest rate of a recording; 30,000 for no variation.
    """
    from joblib import Parallel, delayed

    chunks = [range(start, min(start + 8, n_geometries)) for start in range(0, n_geometries, 8)]
    results = Parallel(n_jobs=n_jobs)(
        delayed(_neighbourhoods)(library, chunk, n_units, n_variants, twin_fraction, lowest_rate_hz, seed)
        for chunk in chunks
    )
    parts = [part for result in results for part in result]  # pyright: ignore[reportOptionalIterable]
    return Bank(*(torch.from_numpy(np.stack(column)) for column in zip(*parts, strict=True)))


def _neighbourhoods(
    library, indices, n_units, n_variants, twin_fraction, lowest_rate_hz, seed
) -> list[tuple[NDArray, ...]]:
    return [
        _neighbourhood(
            library,
            stream(seed, "bank", i),
            n_units,
            n_variants,
            twin_fraction,
            _recording_rate(stream(seed, "bank rate", i), lowest_rate_hz),
        )
        for i in indices
    ]


def _recording_rate(random: np.random.Generator, lowest_hz: float) -> float:
    return RATE_HZ if random.random() < 0.5 else float(random.uniform(min(lowest_hz, RATE_HZ), RATE_HZ))


def _neighbourhood(library, random, n_units, n_variants, twin_fraction, rate_hz) -> tuple[NDArray, ...]:
    contacts = draw_contacts(random)
    n_contacts = len(contacts)
    cell_of = random.integers(len(library), size=n_units)
    rotation = random_rotations(n_units, random=random)
    margin = 35.0
    low, high = contacts.min(axis=0) - margin, contacts.max(axis=0) + margin
    position = random.uniform(low, high, (n_units, 3))
    position[:, 2] = np.exp(random.uniform(np.log(6), np.log(55), n_units))
    # Faster kinetics rather than slower: at 34 C the library's pyramidal spikes are broad.
    stretch = np.exp(random.uniform(np.log(0.5), np.log(1.2), n_units))
    twin_of = np.full(n_units, -1)
    n_twins = int(twin_fraction * n_units)
    for twin in range(n_units - n_twins, n_units):
        original = int(random.integers(n_units - n_twins))
        twin_of[twin] = original
        position[twin] = position[original]
        if random.random() < 0.5:
            cell_of[twin], rotation[twin], stretch[twin] = (
                cell_of[original],
                rotation[original],
                stretch[original],
            )
            position[twin] += random.normal(0, random.uniform(2, 15), 3)
            position[twin, 2] = max(position[twin, 2], 5)
    waveforms = np.zeros((n_units, n_variants, MAX_CONTACTS, N_SAMPLES), np.float16)
    for unit in range(n_units):
        cell = library.cells[cell_of[unit]]
        spikes = random.choice(len(cell.courses), n_variants)
        voltage = cell.potentials_uv(contacts, position_um=position[unit], rotation=rotation[unit])
        waveforms[unit, :, :n_contacts] = resampled(
            voltage[spikes],
            stretch=float(stretch[unit]),
            shift=random.uniform(-0.5, 0.5, n_variants),
            rate_hz=rate_hz,
        )
    where, present = np.zeros((MAX_CONTACTS, 2), np.float32), np.zeros(MAX_CONTACTS, bool)
    where[:n_contacts], present[:n_contacts] = contacts[:, :2], True
    return waveforms, where, present, twin_of, np.asarray(rate_hz, np.float32)


def recorder_gain(frequency_hz: Any, rate_hz: Any) -> Any:
    """Return what a recorder of that rate keeps at each frequency: 0 to 1, half at .45 of its rate.

    Takes arrays or tensors. At 30 kHz and above next to nothing is lost, because spikes and noise are
    band-limited before.

    Examples
    --------
    >>> recorder_gain(np.array([3000.0, 6750.0, 9000.0]), 15_000.0).round(3)
    array([1.  , 0.5 , 0.01])
    """
    return 1 / (1 + (frequency_hz / (0.45 * rate_hz)) ** 16)


def resampled(
    voltage_uv: np.ndarray,
    *,
    stretch: float = 1.0,
    shift: np.ndarray | float = 0.0,
    band_hz: tuple[float, float] = (300.0, 6000.0),
    rate_hz: float = RATE_HZ,
) -> np.ndarray:
    """Band-pass (zero phase), stretch in time, shift and resample 40 kHz spikes to the bank's 30 kHz.

    Parameters
    ----------
    voltage_uv
        Shape ``(spikes, contacts, samples)`` at 40 kHz.
    stretch
        Factor on durations; a narrower or broader relative of the same cell.
    shift
        Sub-sample delays, in samples at 30 kHz, shape ``(spikes,)``.
    band_hz
        Second-order Butterworth magnitudes, applied twice (as zero-phase filtering does).
    rate_hz
        Rate of the recording that was resampled to 30 kHz; what lies above its Nyquist frequency is lost.

    Returns
    -------
    ndarray
        Shape ``(spikes, contacts, 96)``; the largest peak is 1, the trough of the largest contact lies at
        sample 32.
    """
    n_spikes = len(voltage_uv)
    n_source = _PADDED * 3 // 4
    frequency = np.fft.rfftfreq(_PADDED, 1 / LIBRARY_RATE_HZ)
    if stretch != 1.0:
        # Resampling about the expected trough keeps it in place.
        centre = BEFORE_MS / 1000 * LIBRARY_RATE_HZ
        grid = centre + (np.arange(voltage_uv.shape[-1]) - centre) / stretch
        left = np.clip(np.floor(grid).astype(int), 0, voltage_uv.shape[-1] - 2)
        part = np.clip(grid - left, 0, 1)
        voltage_uv = voltage_uv[..., left] * (1 - part) + voltage_uv[..., left + 1] * part
    spectrum = np.fft.rfft(voltage_uv, _PADDED)
    with np.errstate(divide="ignore"):
        high_pass = 1 / (1 + (band_hz[0] / frequency) ** 4)
    gain = high_pass / (1 + (frequency / band_hz[1]) ** 4) * recorder_gain(frequency, rate_hz)
    delay = np.broadcast_to(np.asarray(shift, dtype=float), (n_spikes,)) / RATE_HZ
    phase = np.exp(-2j * np.pi * frequency * delay[:, None])[:, None, :]
    # Truncating the spectrum from 20 to 15 kHz is the resampling from 40 to 30 kHz.
    kept = (spectrum * gain * phase)[..., : n_source // 2 + 1]
    voltage = np.fft.irfft(kept, n_source) * (n_source / _PADDED)
    peak = np.abs(voltage).max(axis=(1, 2))
    largest = voltage[int(np.argmax(peak))]
    contact = int(np.argmin(largest.min(axis=1)))
    trough = int(np.argmin(largest[contact]))
    # A cyclic shift is safe: both ends are tapered to zero.
    voltage = np.roll(voltage, TROUGH - trough, axis=-1)[..., :N_SAMPLES]
    return voltage / max(float(peak.max()), 1e-9)
