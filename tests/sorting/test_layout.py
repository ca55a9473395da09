import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from neuroloom.sorting.layout import implausible_channels, implausible_dtype


def voltage(n_channels: int, *, kind: str, n_samples: int = 60_000, seed: int = 0) -> np.ndarray:
    """Noise as amplifiers give it: (samples, channels) in counts."""
    random = np.random.default_rng(seed)
    noise = random.standard_normal((n_samples, n_channels))
    if kind == "white":
        return 100 * noise
    if kind == "spike band":
        return 200 * sosfilt(butter(3, [300, 6000], "bandpass", fs=30_000, output="sos"), noise, axis=0)
    shared = np.cumsum(random.standard_normal((n_samples, 1)), axis=0)
    drift = sosfilt(butter(1, 1, "highpass", fs=30_000, output="sos"), shared, axis=0)
    return 50 * sosfilt(butter(1, 4000, fs=30_000, output="sos"), noise, axis=0) + drift


@pytest.fixture
def written(tmp_path):
    def write(values: np.ndarray, dtype: str):
        path = tmp_path / "file.raw"
        values.astype(dtype).tofile(path)
        return path

    return write


@pytest.mark.parametrize("n_channels", [1, 2, 4, 16, 33])
@pytest.mark.parametrize("kind", ["white", "spike band", "with shared field potential"])
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_what_is_rightly_described_is_never_doubted(written, n_channels, kind, dtype):
    path = written(voltage(n_channels, kind=kind), dtype)
    assert implausible_dtype(path, dtype=np.dtype(dtype)) is None
    assert implausible_channels(path, dtype=np.dtype(dtype), n_channels=n_channels) is None


@pytest.mark.parametrize(("true", "claimed"), [(4, 1), (4, 2), (4, 3), (4, 8), (16, 4), (16, 32), (33, 11)])
def test_a_wrong_channel_count_shows_in_the_period(written, true, claimed):
    path = written(voltage(true, kind="spike band"), "int16")
    doubt = implausible_channels(path, dtype=np.dtype("int16"), n_channels=claimed)
    assert doubt is not None
    assert f"every {true} values" in doubt


def test_white_noise_shows_no_period_and_is_accepted(written):
    path = written(voltage(4, kind="white"), "int16")
    assert implausible_channels(path, dtype=np.dtype("int16"), n_channels=3) is None


@pytest.mark.parametrize(
    ("true", "claimed"),
    [("int16", "float32"), ("int16", "float64"), ("float32", "int16"), ("float32", "float64"),
     ("float64", "int16"), ("int16", "uint16")],
)  # fmt: skip
def test_a_wrong_type_shows_in_the_values(written, true, claimed):
    path = written(voltage(4, kind="spike band"), true)
    assert implausible_dtype(path, dtype=np.dtype(claimed)) is not None


def test_missing_samples_alone_are_no_evidence_of_a_wrong_type(written):
    values = voltage(4, kind="white")
    values[5_000:20_000] = np.nan
    assert implausible_dtype(written(values, "float32"), dtype=np.dtype("float32")) is None


def test_tiny_files_are_not_judged(written):
    path = written(np.zeros((10, 4)), "int16")
    assert implausible_dtype(path, dtype=np.dtype("int16")) is None
    assert implausible_channels(path, dtype=np.dtype("int16"), n_channels=4) is None
