"""Open a recording from disk: raw binary, NWB, a SpikeInterface folder, or an acquisition system's files.

Nothing is loaded into memory. What is wrong with a file is said here, before work starts on it.
"""

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom.errors import DataError, MissingFile
from neuroloom.sorting.folders import (
    DROPPED_BYTES,
    UNKNOWN_GAIN,
    check_frames,
    read_binary_folder,
    read_zarr_folder,
)
from neuroloom.sorting.layout import implausible_channels, implausible_dtype
from neuroloom.sorting.nwb_traces import read_nwb_traces
from neuroloom.sorting.probes import attach_probe, check_wiring, load_probe

if TYPE_CHECKING:
    from probeinterface import Probe, ProbeGroup
    from spikeinterface.core import BaseRecording

# Acquisition formats of SpikeInterface that one path is enough to open.
FORMATS = (
    "alphaomega", "axona", "biocam", "blackrock", "ced", "edf", "intan", "maxwell", "mcsraw", "mearec",
    "neuralynx", "neuroscope", "openephyslegacy", "openephysbinary", "plexon", "plexon2", "spike2",
    "spikegadgets", "spikeglx", "tdt",
)  # fmt: skip


def read_recording(
    path: str | os.PathLike,
    *,
    dtype: str | None = None,
    n_channels: int | None = None,
    rate_hz: float | None = None,
    probe: "str | os.PathLike | Probe | ProbeGroup | None" = None,
    gain_to_uv: float | None = None,
    header_bytes: int = 0,
    series: str | None = None,
    file_format: str | None = None,
    allow_partial: bool = False,
    trust_layout: bool = False,
) -> "BaseRecording":
    """Open a recording lazily.

    Parameters
    ----------
    path
        A raw binary file of interleaved channels, an NWB file, a SpikeInterface folder (binary or
        zarr), or with `file_format` whatever that system writes.
    dtype, n_channels, rate_hz
        Type of one value, number of channels, sampling rate. A raw file needs all three (the probe
        may stand for the number); for other files they are compared with what the file says.
    probe
        A built-in name such as ``tetrode`` or ``linear-32``, the path of a probeinterface JSON file,
        or a probeinterface object; replaces the probe that the file brings.
    gain_to_uv
        Microvolt per unit of the stored values. Where it is not known, 1 is taken and
        `check_recording` says so.
    header_bytes
        Bytes before the first sample of a raw file.
    series
        Path of the electrical series inside an NWB file that has several.
    file_format
        One of `FORMATS`, for the files of an acquisition system.
    allow_partial
        Accept a file that was cut, and drop its incomplete last frame.
    trust_layout
        Skip the test whether a raw file looks as described.

    Returns
    -------
    BaseRecording
        With the probe attached, where one is known.

    Raises
    ------
    MissingFile
        If there is nothing at `path`.
    DataError, CorruptArtifact
        If the file is cut, empty, unreadable, or not as described; the message says what to do.
    """
    path = Path(path)
    if not path.exists():
        raise MissingFile(f"{path} does not exist", expected="a recording", remedy="check the path")
    told = _check_arguments(dtype=dtype, n_channels=n_channels, rate_hz=rate_hz, gain_to_uv=gain_to_uv)
    if file_format is not None:
        recording = _read_system(path, file_format=file_format)
    elif path.is_dir():
        recording = _read_folder(path, allow_partial=allow_partial)
    elif path.suffix.lower() == ".nwb":
        recording = read_nwb_traces(path, series=series, allow_partial=allow_partial)
    else:
        if told["n_channels"] is None and probe is not None:
            told["n_channels"] = load_probe(probe).get_contact_count()
        return _read_raw(
            path,
            told,
            probe,
            header_bytes=header_bytes,
            allow_partial=allow_partial,
            trust_layout=trust_layout,
        )
    _compare(recording, told, path)
    if gain_to_uv is not None:
        recording.set_channel_gains(gain_to_uv)
        recording.set_channel_offsets(0.0)
    _ensure_gain(recording)
    if probe is not None:
        attach_probe(recording, probe)
    return recording


def _check_arguments(
    *, dtype: str | None, n_channels: int | None, rate_hz: float | None, gain_to_uv: float | None
) -> dict[str, Any]:
    for name, value in (("sampling rate", rate_hz), ("gain", gain_to_uv)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise DataError(
                f"{name} is {value:g}",
                expected="a positive number",
                remedy="pass the number of the recording system",
            )
    if n_channels is not None and n_channels < 1:
        raise DataError(
            f"{n_channels} channels", expected="at least 1", remedy="pass the number of interleaved channels"
        )
    try:
        kind = np.dtype(dtype) if dtype is not None else None
    except TypeError:
        kind = np.dtype(object)
    if kind is not None and kind.kind not in "iuf":
        raise DataError(
            f"dtype {dtype!r}", expected="a number type such as int16 or float32", remedy="pass another"
        )
    return {"dtype": kind, "n_channels": n_channels, "rate_hz": rate_hz, "gain_to_uv": gain_to_uv}


def _read_raw(
    path: Path,
    told: dict[str, Any],
    probe: "str | os.PathLike | Probe | ProbeGroup | None",
    *,
    header_bytes: int,
    allow_partial: bool,
    trust_layout: bool,
) -> "BaseRecording":
    from spikeinterface.core import BinaryRecordingExtractor

    missing = [name for name in ("dtype", "n_channels", "rate_hz") if told[name] is None]
    if missing:
        raise DataError(
            f"{path} is taken for a raw binary file, and {', '.join(missing)} is not given",
            expected="its dtype, number of channels and sampling rate",
            remedy="pass them (e.g. --dtype int16 --channels 4 --rate-hz 30000), or an NWB file",
        )
    kind, n_channels = told["dtype"], told["n_channels"]
    if probe is not None:
        check_wiring(load_probe(probe), n_channels=n_channels, where=f"probe {probe}")
    n_frames = check_frames(
        path, dtype=kind, n_channels=n_channels, header_bytes=header_bytes, allow=allow_partial
    )
    if not trust_layout:
        doubt = implausible_dtype(path, dtype=kind, header_bytes=header_bytes)
        if doubt is None:
            doubt = implausible_channels(path, dtype=kind, n_channels=n_channels, header_bytes=header_bytes)
        if doubt is not None:
            raise DataError(
                f"{path} does not look like {n_channels} channels of {kind}: {doubt}",
                expected="the dtype and number of channels that the file was written with",
                remedy="correct them, or trust the layout to read it all the same",
            )
    recording = BinaryRecordingExtractor(
        file_paths=[path],
        sampling_frequency=float(told["rate_hz"]),
        dtype=kind,
        num_channels=n_channels,
        file_offset=header_bytes,
        gain_to_uV=told["gain_to_uv"] or 1.0,
        offset_to_uV=0.0,
    )
    if told["gain_to_uv"] is None:
        recording.annotate(**{UNKNOWN_GAIN: True})
    dropped = path.stat().st_size - header_bytes - n_frames * n_channels * kind.itemsize
    if dropped:
        recording.annotate(**{DROPPED_BYTES: int(dropped)})
    if probe is not None:
        attach_probe(recording, probe)
    return recording


def _read_folder(path: Path, *, allow_partial: bool) -> "BaseRecording":
    if (path / "binary.json").is_file():
        return read_binary_folder(path, allow_partial=allow_partial)
    if (path / ".zgroup").is_file() or (path / "zarr.json").is_file():
        return read_zarr_folder(path, allow_partial=allow_partial)
    raise DataError(
        f"{path} holds neither binary.json nor .zgroup",
        expected="a folder written by SpikeInterface's recording.save(..)",
        remedy=f"pass the folder itself, or its file format (one of {', '.join(FORMATS)})",
    )


def _read_system(path: Path, *, file_format: str) -> "BaseRecording":
    import spikeinterface.extractors as extractors

    if file_format not in FORMATS:
        raise DataError(
            f"file format {file_format!r}",
            expected=f"one of {', '.join(FORMATS)}",
            remedy="pass one of these",
        )
    try:
        reader = extractors.recording_extractor_full_dict[file_format]
        return reader(path)
    except Exception as error:  # every system's reader raises its own kinds
        raise DataError(
            f"{path} cannot be read as {file_format} ({type(error).__name__}: {error})",
            expected=f"what {file_format} writes, with a single stream of voltage",
            remedy="open it with spikeinterface, save it with recording.save(folder=..), pass that folder",
        ) from None


def _compare(recording: "BaseRecording", told: dict[str, Any], path: Path) -> None:
    found = {
        "dtype": recording.get_dtype(),
        "n_channels": recording.get_num_channels(),
        "rate_hz": recording.get_sampling_frequency(),
    }
    for name, value in found.items():
        same = told[name] is None or (
            math.isclose(value, told[name], rel_tol=1e-3) if name == "rate_hz" else value == told[name]
        )
        if not same:
            raise DataError(
                f"{path} has {name} {value}", expected=f"{told[name]} as given", remedy=f"leave {name} out"
            )


def _ensure_gain(recording: "BaseRecording") -> None:
    if not recording.has_scaleable_traces():
        recording.set_channel_gains(1.0)
        recording.set_channel_offsets(0.0)
        recording.annotate(**{UNKNOWN_GAIN: True})
