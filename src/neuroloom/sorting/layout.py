"""Does a raw file look as if it held this many interleaved channels of this type?

Raw files say nothing about themselves. A wrong data type shows as numbers that no amplifier gives, a
wrong channel count as a wrong period in the interleaved stream.
"""

from pathlib import Path

import numpy as np

# Correlations are sampled here; enough for 1 % precision, little enough to stay instant.
_N_BLOCKS = 8
_BLOCK_VALUES = 65_536


def implausible_dtype(path: str | Path, *, dtype: np.dtype, header_bytes: int = 0) -> str | None:
    """Say why the file's values cannot be voltages of this type, or None where they can.

    Parameters
    ----------
    path
        A raw binary file.
    dtype
        The type that it is said to have.
    header_bytes
        Bytes before the first sample.
    """
    values = np.concatenate(_blocks(path, dtype=dtype, header_bytes=header_bytes))
    if len(values) < 1000:
        return None
    if dtype.kind == "f":
        finite = np.isfinite(values)
        size = np.abs(values[finite].astype(np.float64))
        # Integers read as floats have random exponents; microvolt, volt and raw counts do not span this.
        strange = np.mean(~finite) + np.sum((size > 1e9) | ((size > 0) & (size < 1e-15))) / len(values)
        # Missing samples are NaN in honest files, so absence alone is no evidence.
        if strange > 0.01 and np.any(size > 1e9) | (np.sum((size > 0) & (size < 1e-15)) > 0.01 * len(values)):
            return f"{strange:.0%} of the values are beyond any voltage (such as {_example(values):.3g})"
        return None
    limits = np.iinfo(dtype)
    bins = np.floor((values.astype(np.float64) - limits.min) / (float(limits.max) - limits.min) * 15.999)
    shares = np.bincount(bins.astype(int), minlength=16) / len(values)
    if dtype.kind == "u" and min(shares[:2].sum(), shares[-2:].sum()) > 0.2 and shares[4:-4].sum() < 0.02:
        return "values lie at both ends of the range only, as signed values read as unsigned do"
    halves = [np.bincount(bins[k::2].astype(int), minlength=16) / len(bins[k::2]) for k in (0, 1)]
    if dtype.itemsize > 1 and max(half.min() for half in halves) > 0.03:
        return "every second value is spread evenly over the whole range, as halves of larger numbers are"
    return None


def implausible_channels(
    path: str | Path, *, dtype: np.dtype, n_channels: int, header_bytes: int = 0
) -> str | None:
    """Say which channel count the file shows, or None where it agrees with `n_channels` or shows nothing.

    A sample resembles the next one of its own channel more than the next ones of its neighbours, so
    the autocorrelation of the interleaved stream peaks at the true channel count.
    """
    reach = max(2 * n_channels + 2, 514)
    blocks = _blocks(path, dtype=dtype, header_bytes=header_bytes)
    correlation = _autocorrelation([block for block in blocks if len(block) > 20 * reach], reach)
    if correlation is None:
        return None
    lags = np.arange(1, reach - 1)
    peak = np.append(0.0, correlation[lags] - np.maximum(correlation[lags - 1], correlation[lags + 1]))
    peak[1] = correlation[1] - correlation[2]  # lag 0 is always 1, so lag 1 can be no peak
    candidates = lags[1:]
    best = int(candidates[np.argmax(peak[candidates])])
    if best != n_channels and peak[best] > 0.1 and peak[best] - peak[n_channels] > 0.1:
        return f"samples recur every {best} values, not every {n_channels}"
    # Smooth voltages recur at every multiple of the true count as well, only less closely.
    for divisor in candidates[(candidates < n_channels) & (n_channels % candidates == 0)]:
        closer = 1 - correlation[n_channels] > 2.5 * (1 - correlation[divisor])
        if peak[divisor] > 0.1 and closer:
            return f"samples recur every {divisor} values already, not every {n_channels}"
    return None


def _autocorrelation(blocks: list[np.ndarray], reach: int) -> np.ndarray | None:
    total = np.zeros(reach)
    for block in blocks:
        values = block.astype(np.float64)
        values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
        # Stimulation artefacts would outweigh everything else.
        middle = np.median(values)
        spread = 6 * np.median(np.abs(values - middle)) + 1e-12
        values = np.clip(values - middle, -spread, spread)
        spectrum = np.abs(np.fft.rfft(values, 2 * len(values))) ** 2
        total += np.fft.irfft(spectrum)[:reach]
    return total / total[0] if len(blocks) and total[0] > 0 else None


def _blocks(path: str | Path, *, dtype: np.dtype, header_bytes: int) -> list[np.ndarray]:
    n_values = (Path(path).stat().st_size - header_bytes) // dtype.itemsize
    values = np.memmap(path, dtype=dtype, mode="r", offset=header_bytes, shape=(n_values,))
    length = min(_BLOCK_VALUES, n_values)
    starts = np.linspace(0, n_values - length, _N_BLOCKS if n_values > length else 1).astype(int)
    # Even starts keep halves of larger numbers apart.
    return [np.array(values[start - start % 2 :][:length]) for start in starts]


def _example(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)].astype(np.float64)
    return float(finite[np.argmax(np.abs(finite))]) if len(finite) else float("nan")
