"""Lazy noise of any colour, partly shared by all channels, with mains hum; the same however it is cut.

SpikeInterface's generator makes the white noise. It is coloured block by block on a fixed grid (overlap and
save), so that a sample never depends on the chunk that it was asked for in.
"""

from typing import TYPE_CHECKING

import numpy as np
from spikeinterface.core import BaseRecording, BaseRecordingSegment
from spikeinterface.generation import NoiseGeneratorRecording

if TYPE_CHECKING:
    from probeinterface import Probe

_BLOCK, _HALF = 8192, 1024  # samples per block; half length of the colouring kernel
_CORNER_HZ = 100.0  # below it the spectrum is flat, as amplifiers' own high-pass makes it


def coloured_noise_recording(
    probe: "Probe",
    *,
    rate_hz: float,
    duration_s: float,
    noise_uv: float,
    colour: float = 0.0,
    shared: float = 0.0,
    hum_uv: float = 0.0,
    hum_hz: float = 50.0,
    seed: int = 0,
) -> "ColouredNoiseRecording":
    """Return noise on a probe, in microvolt.

    Parameters
    ----------
    probe
        A wired probe.
    rate_hz, duration_s
        Sampling rate and length.
    noise_uv
        Standard deviation on every channel.
    colour
        The amplitude spectrum falls as ``frequency ** -colour`` above 100 Hz.
    shared
        Share of the variance that is common to all channels.
    hum_uv, hum_hz
        Amplitude and frequency of the hum, the same on all channels up to 20 %; its third harmonic is a
        third as large.
    seed
        Of the noise.
    """
    n_samples = int(duration_s * rate_hz)
    n_channels = probe.get_contact_count()
    # The last channel is what all share; a kernel's half length is spare at either end.
    length = (n_samples // _BLOCK + 1) * _BLOCK + 2 * _HALF
    white = NoiseGeneratorRecording(
        num_channels=n_channels + 1,
        sampling_frequency=float(rate_hz),
        durations=[(length + 0.5) / rate_hz],
        noise_levels=1.0,
        dtype="float32",
        seed=seed,
        strategy="on_the_fly",
        noise_block_size=_BLOCK,
    )
    noise = ColouredNoiseRecording(
        white,
        n_samples=n_samples,
        noise_uv=noise_uv,
        colour=colour,
        shared=shared,
        hum_uv=hum_uv,
        hum_hz=hum_hz,
    )
    noise.set_probe(probe)
    noise.set_channel_gains(1.0)
    noise.set_channel_offsets(0.0)
    return noise


class ColouredNoiseRecording(BaseRecording):
    """White noise with its last channel mixed into the others, coloured, and with hum added.

    Parameters
    ----------
    white
        White noise of unit variance: one channel more than this recording, and 2,048 samples more.
    n_samples
        Length.
    noise_uv, colour, shared, hum_uv, hum_hz
        As in `coloured_noise_recording`.
    """

    def __init__(
        self,
        white: BaseRecording,
        *,
        n_samples: int,
        noise_uv: float,
        colour: float,
        shared: float,
        hum_uv: float,
        hum_hz: float,
    ):
        rate_hz = white.get_sampling_frequency()
        super().__init__(rate_hz, [str(i) for i in range(white.get_num_channels() - 1)], np.dtype("float32"))
        segment = _ColouredNoiseSegment(
            white.segments[0],
            rate_hz=rate_hz,
            n_samples=n_samples,
            n_channels=self.get_num_channels(),
            gain=noise_uv * _gain(colour, rate_hz),
            shared=shared,
            hum=(hum_uv, hum_hz),
        )
        self.add_recording_segment(segment)
        self._kwargs = {
            "white": white,
            "n_samples": n_samples,
            "noise_uv": noise_uv,
            "colour": colour,
            "shared": shared,
            "hum_uv": hum_uv,
            "hum_hz": hum_hz,
        }


class _ColouredNoiseSegment(BaseRecordingSegment):
    def __init__(self, white, *, rate_hz, n_samples, n_channels, gain, shared, hum):
        super().__init__(sampling_frequency=rate_hz)
        self.rate_hz = rate_hz
        self.white, self.n_samples, self.n_channels = white, n_samples, n_channels
        self.gain, self.shared, self.hum = gain, shared, hum

    def get_num_samples(self) -> int:
        return self.n_samples

    def get_traces(self, start_frame=None, end_frame=None, channel_indices=None):
        start = 0 if start_frame is None else int(start_frame)
        end = self.n_samples if end_frame is None else int(end_frame)
        chosen = np.arange(self.n_channels)[slice(None) if channel_indices is None else channel_indices]
        traces = np.empty((max(end - start, 0), len(chosen)), np.float32)
        for block in range(start // _BLOCK, -(-end // _BLOCK)):
            first = max(start, block * _BLOCK)
            last = min(end, (block + 1) * _BLOCK)
            coloured = self._block(block, chosen)
            traces[first - start : last - start] = coloured[first - block * _BLOCK : last - block * _BLOCK]
        return traces

    def _block(self, block: int, chosen: np.ndarray) -> np.ndarray:
        """One block of the grid, shape (8192, channels)."""
        from scipy.fft import irfft, rfft

        first = block * _BLOCK
        white = self.white.get_traces(first, first + _BLOCK + 2 * _HALF, None)
        mixed = np.sqrt(1 - self.shared) * white[:, chosen] + np.sqrt(self.shared) * white[:, -1:]
        spectrum = np.asarray(rfft(mixed.astype(np.float32), axis=0)) * self.gain[:, None]
        coloured = np.asarray(irfft(spectrum, len(mixed), axis=0))[_HALF : _HALF + _BLOCK]
        amplitude, hz = self.hum
        if amplitude:
            cycle = 2 * np.pi * hz * np.arange(first, first + _BLOCK) / self.rate_hz
            wave = amplitude * (np.sin(cycle) + np.sin(3 * cycle) / 3)
            # Leads differ in how much they catch; the golden ratio spreads them without a random stream.
            caught = 0.8 + 0.4 * ((chosen * 0.618034) % 1.0)
            coloured = coloured + wave[:, None] * caught
        return coloured


def _gain(colour: float, rate_hz: float) -> np.ndarray:
    """Spectrum of a kernel of 2 x 1024 + 1 samples that gives unit variance, for a block and its margins."""
    n = _BLOCK + 2 * _HALF
    frequency = np.fft.rfftfreq(n, 1 / rate_hz)
    wanted = np.maximum(frequency / _CORNER_HZ, 1.0) ** -colour
    kernel = np.fft.irfft(wanted, n)
    offset = np.minimum(np.arange(n), n - np.arange(n))
    kernel *= np.where(offset <= _HALF, 0.5 + 0.5 * np.cos(np.pi * offset / _HALF), 0.0)
    kernel /= np.sqrt(np.sum(kernel**2))
    return np.fft.rfft(kernel).real.astype(np.float32)
