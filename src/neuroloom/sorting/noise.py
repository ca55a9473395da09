"""The noise of a recording: its size, its colour in time and how contacts share it."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import toeplitz

from neuroloom.sorting.mapped import give_back

_QUIET = 4.5  # in noise units: stretches without anything larger count as noise
_RIDGE = 0.05  # of the variance: what no measured covariance is trusted below


@dataclass(frozen=True)
class NoiseModel:
    """Noise covariance as a product of one in time and one across channels.

    Attributes
    ----------
    in_time
        Autocorrelation matrix, shape ``(samples, samples)``, ones on the diagonal.
    across
        Covariance of the channels in units of their noise, shape ``(channels, channels)``.
    """

    in_time: np.ndarray
    across: np.ndarray

    def inverse_in_time(self) -> np.ndarray:
        """Return the inverse of the covariance in time."""
        return _inverse(self.in_time)

    def inverse_across(self, channels: np.ndarray) -> np.ndarray:
        """Return the inverse of the covariance of some channels."""
        return _inverse(self.across[np.ix_(channels, channels)])

    def filter_in_time(self) -> np.ndarray:
        """Return the symmetric filter that makes the noise white in time, shape ``(2 * samples - 1,)``."""
        length = 2 * len(self.in_time)
        lagged = np.concatenate([self.in_time[0], [0.0], self.in_time[0, :0:-1]])
        spectrum = np.maximum(np.fft.rfft(lagged).real, 0) + _RIDGE
        course = np.fft.fftshift(np.fft.irfft(1 / np.sqrt(spectrum), length))[1:]
        return course * np.hanning(length + 1)[1:-1]

    def matrix_across(self, near: np.ndarray) -> np.ndarray:
        """Return the matrix that makes the noise white across channels, from each one's neighbours.

        Parameters
        ----------
        near
            Which channels are neighbours, shape ``(channels, channels)``, from `near_channels`.

        Returns
        -------
        ndarray
            Shape ``(channels, channels)``, to be applied as ``traces @ matrix``.
        """
        matrix = np.zeros_like(self.across)
        for channel in range(len(matrix)):
            around = np.flatnonzero(near[channel])
            root = symmetric_root(self.inverse_across(around))
            matrix[around, channel] = root[:, int(np.searchsorted(around, channel))]
        return matrix

    def energy(self, waveforms: np.ndarray, channels: np.ndarray) -> np.ndarray:
        """Return squared norms in standard deviations of noise of ``(units, samples, channels)``."""
        white = np.matmul(self.inverse_in_time(), waveforms) @ self.inverse_across(channels)
        return np.asarray(np.einsum("ktc,ktc->k", white, waveforms))


def symmetric_root(matrix: np.ndarray) -> np.ndarray:
    """Return the symmetric square root of a covariance or its inverse.

    Examples
    --------
    >>> symmetric_root(np.diag([4.0, 9.0])).tolist()
    [[2.0, 0.0], [0.0, 3.0]]
    """
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def measure_noise(
    scaled: np.ndarray, *, n_samples: int, random: np.random.Generator, n_stretches: int = 3000
) -> NoiseModel:
    """Measure the noise model on quiet stretches drawn at random.

    Parameters
    ----------
    scaled
        Voltage in units of noise, shape ``(samples, channels)``; may be a memory map.
    n_samples
        Length of the covariance in time.
    random
        Draws the stretches.
    n_stretches
        How many to try; per channel, those where that channel is quiet are used.
    """
    length, n_channels = scaled.shape
    starts = np.sort(random.integers(0, max(length - n_samples, 1), n_stretches))
    lagged, count = np.zeros(n_samples), 0
    across, pairs = np.zeros((n_channels, n_channels)), np.zeros((n_channels, n_channels))
    for part in np.array_split(starts, max(len(starts) * n_samples * n_channels // (1 << 22), 1)):
        index = np.minimum(part[:, None] + np.arange(n_samples), length - 1)
        stretch = np.asarray(scaled[index], dtype=np.float32)  # (stretches, samples, channels)
        give_back(scaled)
        quiet = np.abs(stretch).max(axis=1) < _QUIET  # (stretches, channels)
        stretch = stretch * quiet[:, None, :]
        flat = stretch.reshape(-1, n_channels)
        across += flat.T @ flat
        pairs += n_samples * quiet.T.astype(float) @ quiet
        lines = stretch.transpose(0, 2, 1)[quiet]  # (quiet lines, samples)
        spectrum = np.abs(np.fft.rfft(lines, 2 * n_samples, axis=1)) ** 2
        lagged += np.fft.irfft(spectrum.sum(axis=0))[:n_samples]
        count += len(lines)
    if not count:
        return NoiseModel(np.eye(n_samples), np.eye(n_channels))
    # Divided by the full length, which tapers the autocorrelation and so keeps it positive definite.
    in_time = toeplitz(lagged / lagged[0]) if lagged[0] > 0 else np.eye(n_samples)
    across = np.where(pairs > 0, across / np.maximum(pairs, 1), 0.0)
    np.fill_diagonal(across, np.maximum(np.diagonal(across), 0.1))
    return NoiseModel(in_time, across)


def _inverse(covariance: np.ndarray) -> np.ndarray:
    floor = _RIDGE * float(np.mean(np.diagonal(covariance)))
    values, vectors = np.linalg.eigh(covariance + floor * np.eye(len(covariance)))
    return (vectors / np.maximum(values, floor)) @ vectors.T
