"""Training scenes made on the fly from a bank of units: sums of spikes and noise, on any device.

Everything is in units of each contact's noise (standard deviation 1, up to errors of gain), as the sorter
scales recordings, and at 30 kHz, whatever rate a neighbourhood was recorded at. Contacts stand in random
order, absent ones last. A batch is a pure function of its generator's seed.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from neuroloom.simulation.augmentations import contact_order, gain_errors
from neuroloom.simulation.bank import N_SAMPLES, RATE_HZ, TROUGH, Bank, recorder_gain
from neuroloom.simulation.draws import Draw

WINDOW = 128  # samples the detector sees: 4.3 ms
SNIPPET, SNIPPET_TROUGH = 64, 20  # samples the extractor sees: .7 ms before the trough, 1.4 ms after
SMALLEST_SPIKE = 2.5  # in noise units: what counts as a spike; below it is background


class DetectorBatch(NamedTuple):
    """Windows and where their spikes are.

    Attributes
    ----------
    voltage
        Shape ``(windows, 8, 128)``, zero at absent contacts.
    contacts_um
        Shape ``(windows, 8, 2)``, around the neighbourhood's centre.
    present
        Shape ``(windows, 8)``.
    labels
        1 within two samples of a spike's trough, shape ``(windows, 128)``.
    """

    voltage: Tensor
    contacts_um: Tensor
    present: Tensor
    labels: Tensor


class ExtractorBatch(NamedTuple):
    """Snippets of known units, several of each, in scenes of one neighbourhood.

    Attributes
    ----------
    voltage
        Shape ``(scenes, units, snippets, 8, 64)``.
    contacts_um, present
        Shape ``(scenes, 8, 2)`` and ``(scenes, 8)``.
    amplitude
        Peak of each unit in noise units, shape ``(scenes, units)``.
    """

    voltage: Tensor
    contacts_um: Tensor
    present: Tensor
    amplitude: Tensor


def detector_batch(
    bank: Bank, n_windows: int, *, generator: torch.Generator, smallest: float = 2.0, largest: float = 40.0
) -> DetectorBatch:
    """Return windows with zero to six spikes each, over background spikes and coloured noise.

    Parameters
    ----------
    bank
        Units to draw from; its device is where the batch is made.
    n_windows
        How many windows.
    generator
        Source of all randomness, on the bank's device.
    smallest, largest
        Range of the units' peaks (log-uniform), in noise units.
    """
    draw = Draw(generator)
    foreground, background = 6, 8
    geometry = draw.integers(bank.waveforms.shape[0], n_windows)
    # Between 0 and 3 spikes expected per window, and any number of distant ones.
    density = draw.uniform(0.1, 3.0, n_windows, 1) / foreground
    active = draw.uniform(0, 1, n_windows, foreground) < density
    distant_density = draw.uniform(0, 0.9, n_windows, 1)
    distant = draw.uniform(0, 1, n_windows, background) < distant_density
    starts = draw.integers(WINDOW + 48, n_windows, foreground + background) - 64
    # Two windows in three have a spike near their centre, as the sorter's windows do.
    centred = draw.uniform(0, 1, n_windows) < 0.65
    active[:, 0] = centred
    near = WINDOW // 2 - TROUGH + draw.integers(17, n_windows) - 8
    starts[:, 0] = torch.where(centred, near, starts[:, 0])
    amplitude = torch.cat(
        [
            draw.log_uniform(smallest, largest, n_windows, foreground),
            draw.uniform(0.2, 1.5, n_windows, background),
        ],
        dim=1,
    )
    row, slot = torch.nonzero(torch.cat([active, distant], dim=1), as_tuple=True)
    shapes = _spikes(bank, draw, geometry[row]) * amplitude[row, slot][:, None, None]
    start = starts[row, slot]
    voltage = _add_spikes(shapes, row, start, n_rows=n_windows, length=WINDOW)
    present = _with_dead_contacts(draw, bank.present[geometry])
    voltage = voltage + coloured_noise(draw, n_windows, WINDOW, rate_hz=bank.rate_hz[geometry])
    # What remains visible on the present contacts decides whether a spike is one.
    seen = (shapes.abs().amax(dim=2) * present[row]).amax(dim=1)
    labels = _labels(row, start + TROUGH, seen >= SMALLEST_SPIKE, n_windows)
    voltage *= (gain_errors(draw, *present.shape) * present)[..., None]
    order = contact_order(draw, present)
    return DetectorBatch(
        voltage.gather(1, order[..., None].expand_as(voltage)),
        bank.contacts_um[geometry].gather(1, order[..., None].expand(-1, -1, 2)),
        present.gather(1, order),
        labels,
    )


def extractor_batch(
    bank: Bank,
    n_scenes: int,
    *,
    generator: torch.Generator,
    n_units: int = 16,
    n_snippets: int = 6,
    smallest: float = 3.5,
    largest: float = 40.0,
    overlap: float = 0.25,
) -> ExtractorBatch:
    """Return snippets of units that share a neighbourhood, several per unit, each in its own noise.

    Parameters
    ----------
    bank, generator
        As in `detector_batch`.
    n_scenes, n_units, n_snippets
        Scenes, units in each, snippets of each.
    smallest, largest
        Range of the units' peaks (log-uniform), in noise units; twins share their original's.
    overlap
        Share of snippets with another unit's spike on top.
    """
    draw = Draw(generator)
    n_geometries, in_bank = bank.waveforms.shape[:2]
    geometry = draw.integers(n_geometries, n_scenes)
    order = draw.uniform(0, 1, n_scenes, in_bank).argsort(dim=1)
    unit = order[:, :n_units]
    # A twin is as loud as its original: only shape and place may tell them apart.
    loudness = draw.log_uniform(smallest, largest, n_scenes, in_bank)
    original = bank.twin_of[geometry]
    loudness = torch.where(original >= 0, loudness.gather(1, original.clamp(min=0)), loudness)
    loudness = torch.where(
        draw.uniform(0, 1, n_scenes, in_bank) < 0.3,
        loudness * draw.uniform(0.7, 1.4, n_scenes, in_bank),
        loudness,
    )
    amplitude = loudness.gather(1, unit)

    shape = (n_scenes, n_units, n_snippets)
    rows = n_scenes * n_units * n_snippets
    where = geometry[:, None, None].expand(shape).reshape(-1)
    which = unit[:, :, None].expand(shape).reshape(-1)
    # Amplitudes of one unit vary a little, more in some scenes than in others.
    spread = draw.uniform(0, 0.1, n_scenes, 1, 1)
    scale = (amplitude[:, :, None] * (1 + spread * draw.normal(*shape))).reshape(-1)
    spikes = _spikes(bank, draw, where, which) * scale[:, None, None]
    jitter = draw.integers(3, rows) - 1
    every = torch.arange(rows, device=draw.device)
    row, start = [every], [SNIPPET_TROUGH - TROUGH + jitter]
    shapes = [spikes]

    other = torch.nonzero(draw.uniform(0, 1, rows) < overlap)[:, 0]
    intruder = draw.integers(in_bank, len(other))
    height = loudness[:, None, None].expand(*shape, in_bank).reshape(rows, in_bank)[other, intruder]
    shapes.append(_spikes(bank, draw, where[other], intruder) * height[:, None, None])
    row.append(other)
    start.append(draw.integers(SNIPPET + 40, len(other)) - 20 - TROUGH)

    distant = torch.nonzero(draw.uniform(0, 1, rows, 3) < draw.uniform(0, 0.8, rows, 1))[:, 0]
    faint = draw.uniform(0.2, 1.5, len(distant))
    shapes.append(_spikes(bank, draw, where[distant]) * faint[:, None, None])
    row.append(distant)
    start.append(draw.integers(SNIPPET + 40, len(distant)) - 20 - TROUGH)

    voltage = _add_spikes(torch.cat(shapes), torch.cat(row), torch.cat(start), n_rows=rows, length=SNIPPET)
    # Noise has one colour per scene; it is drawn longer than the snippet, so that it does not wrap around.
    rate_hz = bank.rate_hz[geometry]
    noise = coloured_noise(draw, n_scenes, 128, per_row=n_units * n_snippets, rate_hz=rate_hz)
    present = _with_dead_contacts(draw, bank.present[geometry])
    voltage = (voltage + noise[..., :SNIPPET]).reshape(*shape, -1, SNIPPET)
    voltage *= (gain_errors(draw, *present.shape) * present)[:, None, None, :, None]
    order = contact_order(draw, present)
    return ExtractorBatch(
        voltage.gather(3, order[:, None, None, :, None].expand_as(voltage)),
        bank.contacts_um[geometry].gather(1, order[..., None].expand(-1, -1, 2)),
        present.gather(1, order),
        amplitude,
    )


def coloured_noise(
    draw: Draw, n_rows: int, n_samples: int, *, per_row: int = 1, rate_hz: Tensor | None = None
) -> Tensor:
    """Return band-limited noise of unit variance, shape ``(n_rows * per_row, 8, n_samples)``.

    Each row has its own colour (white to 1/f), pass band and share of noise common to all contacts; with
    `rate_hz` (shape ``(n_rows,)``) it is noise recorded at that rate and resampled to 30 kHz.
    """
    frequency = torch.fft.rfftfreq(n_samples, 1 / RATE_HZ, device=draw.device)
    low = draw.uniform(200, 450, n_rows, 1)
    high = draw.log_uniform(3500, 12000, n_rows, 1)
    slope = draw.uniform(-0.6, 0.6, n_rows, 1).clamp(min=0)
    safe = frequency.clamp(min=1.0)
    gain = (safe / 1000) ** -slope / (1 + (low / safe) ** 4) / (1 + (safe / high) ** 4)
    if rate_hz is not None:
        gain = gain * recorder_gain(frequency, rate_hz[:, None])
    gain[:, 0] = 0
    gain = gain / (gain.square().sum(dim=1, keepdim=True) * 2 / n_samples).sqrt()  # (rows, frequencies)
    white = draw.normal(n_rows, per_row, 9, n_samples)
    common = draw.uniform(-0.4, 0.5, n_rows, 1, 1, 1).clamp(min=0)
    mixed = (1 - common).sqrt() * white[:, :, :8] + common.sqrt() * white[:, :, 8:]
    spectrum = torch.fft.rfft(mixed) * gain[:, None, None, :]
    return torch.fft.irfft(spectrum, n_samples).reshape(n_rows * per_row, 8, n_samples)


def _spikes(bank: Bank, draw: Draw, geometry: Tensor, unit: Tensor | None = None) -> Tensor:
    """One spike for every row, each a random variant of its unit: (rows, 8, 96)."""
    n_units, n_variants = bank.waveforms.shape[1:3]
    unit = draw.integers(n_units, len(geometry)) if unit is None else unit
    return bank.waveforms[geometry, unit, draw.integers(n_variants, len(geometry))].float()


def _add_spikes(shapes: Tensor, row: Tensor, start: Tensor, *, n_rows: int, length: int) -> Tensor:
    """Sum spikes into rows: (n_rows, 8, length). A spike may begin before its row and end after it."""
    padded = length + 2 * N_SAMPLES
    voltage = torch.zeros(n_rows * padded, shapes.shape[1], device=shapes.device)
    first = row * padded + (start + N_SAMPLES).clamp(0, padded - N_SAMPLES)
    index = first[:, None] + torch.arange(N_SAMPLES, device=shapes.device)
    voltage.index_add_(0, index.reshape(-1), shapes.transpose(1, 2).reshape(-1, shapes.shape[1]))
    voltage = voltage.reshape(n_rows, padded, -1)[:, N_SAMPLES : N_SAMPLES + length]
    return voltage.transpose(1, 2)


def _labels(row: Tensor, trough: Tensor, is_spike: Tensor, n_rows: int) -> Tensor:
    labels = torch.zeros(n_rows, WINDOW, device=row.device)
    for offset in range(-2, 3):
        at = trough + offset
        inside = is_spike & (at >= 0) & (at < WINDOW)
        labels[row[inside], at[inside]] = 1.0
    return labels


def _with_dead_contacts(draw: Draw, present: Tensor) -> Tensor:
    """Hide some contacts of some larger neighbourhoods."""
    alive = draw.uniform(0, 1, *present.shape) > 0.15
    affected = (draw.uniform(0, 1, len(present), 1) < 0.15) & (present.sum(dim=1, keepdim=True) > 2)
    kept = torch.where(affected, present & alive, present)
    return torch.where(kept.any(dim=1, keepdim=True), kept, present)
