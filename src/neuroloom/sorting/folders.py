"""Recordings in SpikeInterface folders: written whole, read only when whole, and never unpickled.

SpikeInterface's own loader unpickles what a folder tells it to and fills missing data with zeros, so
the folders are opened here piece by piece.
"""

import contextlib
import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom.artifacts import MANIFEST, file_sha256, new_folder, seal
from neuroloom.errors import CorruptArtifact, DataError
from neuroloom.manifests import read_manifest

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording

KIND = "recording"
# Annotations of ours that outlive saving: how a file was read, and what preparing it found.
UNKNOWN_GAIN = "neuroloom_unknown_gain"
DROPPED_BYTES = "neuroloom_dropped_bytes"
PREPARED = "neuroloom_prepared"
SILENT, MOVED = "neuroloom_silent", "neuroloom_moved"
_OURS = (UNKNOWN_GAIN, DROPPED_BYTES, PREPARED, SILENT, MOVED)
_HASHED_BYTES = 2**20
_AGAIN = "copy the folder again, or save the recording again"


def write_recording(
    recording: "BaseRecording",
    folder: str | os.PathLike,
    *,
    n_jobs: int = 1,
    progress: bool = False,
    provenance: dict[str, Any] | None = None,
) -> "BaseRecording":
    """Save a recording as a SpikeInterface binary folder with a manifest, atomically, chunk by chunk.

    Parameters
    ----------
    recording
        Any SpikeInterface recording, also a lazily computed one.
    folder
        The folder to make; one that this function made before is replaced.
    n_jobs
        Processes that compute and write.
    progress
        Whether to show a progress bar.
    provenance
        What the manifest shall say about the origin.

    Returns
    -------
    BaseRecording
        The recording, now read from the folder.

    Raises
    ------
    DataError
        If the disk has too little room, or the folder exists and is not ours.
    """
    from neuroloom.sorting.spikeinterface_runs import quiet

    folder = Path(folder)
    n_bytes = recording.get_total_samples() * recording.get_num_channels() * recording.get_dtype().itemsize
    with new_folder(folder, expected_bytes=n_bytes, replaces=MANIFEST) as draft, quiet():
        recording.save(
            folder=draft, format="binary", overwrite=True, n_jobs=n_jobs, progress_bar=progress, verbose=False
        )
        # The provenance may hold absolute paths of another machine and is never read again.
        for name in ("provenance.json", "provenance.pkl"):
            (draft / name).unlink(missing_ok=True)
        seal(draft, kind=KIND, provenance=provenance)
    return read_binary_folder(folder)


def read_binary_folder(folder: Path, *, allow_partial: bool = False) -> "BaseRecording":
    """Open a SpikeInterface binary folder.

    Raises
    ------
    CorruptArtifact
        If the manifest names files that are missing or have another size.
    DataError
        If the folder cannot be understood, or a file ends inside a frame.
    """
    from probeinterface import read_probeinterface
    from spikeinterface.core import BinaryRecordingExtractor

    check_sizes(folder)
    try:
        document = json.loads((folder / "binary.json").read_text())
        fields = document["kwargs"]
        paths = [_inside(folder, name) for name in fields["file_paths"]]
        n_channels, dtype = int(fields["num_channels"]), np.dtype(fields["dtype"])
        offset = int(fields.get("file_offset") or 0)
        for path in paths:
            check_frames(path, dtype=dtype, n_channels=n_channels, header_bytes=offset, allow=allow_partial)
        recording = BinaryRecordingExtractor(
            file_paths=[str(path) for path in paths],
            sampling_frequency=float(fields["sampling_frequency"]),
            dtype=dtype,
            num_channels=n_channels,
            t_starts=fields.get("t_starts"),
            channel_ids=fields.get("channel_ids"),
            time_axis=int(fields.get("time_axis") or 0),
            file_offset=offset,
            gain_to_uV=fields.get("gain_to_uV"),
            offset_to_uV=fields.get("offset_to_uV"),
            is_filtered=fields.get("is_filtered"),
        )
        for name in ("probegroup.json", "probe.json"):
            if (folder / name).is_file():
                recording.set_probegroup(read_probeinterface(folder / name), check_overlap=False)
                break
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{folder} cannot be opened ({type(error).__name__}: {error})",
            expected="a folder written by recording.save(format='binary')",
            remedy=_AGAIN,
        ) from None
    _read_properties(folder / "properties", recording)
    _read_annotations(folder / "annotations.json", recording)
    for index, segment in enumerate(recording.segments):
        times = folder / f"times_cached_seg{index}.npy"
        if times.is_file():
            segment._time_vector = np.load(times, mmap_mode="r", allow_pickle=False)
    return recording


def read_zarr_folder(folder: Path, *, allow_partial: bool = False) -> "BaseRecording":
    """Open a SpikeInterface zarr folder in which no chunk of the traces is missing.

    Raises
    ------
    DataError
        If the folder cannot be understood, asks for unpickling, or lacks chunks.
    """
    import zarr
    from spikeinterface.core.zarrextractors import ZarrRecordingExtractor

    for path in [*folder.rglob(".zarray"), *folder.rglob(".zmetadata"), *folder.rglob("zarr.json")]:
        if '"pickle"' in path.read_text(errors="replace"):
            raise DataError(
                f"{path} asks for unpickling, which can run any program",
                expected="zarr arrays without the pickle codec",
                remedy="save the recording again with SpikeInterface 0.101 or newer",
            )
    try:
        root = zarr.open_group(os.fspath(folder), mode="r")
        names = sorted(name for name, _ in root.arrays() if name.startswith("traces_seg"))
        for name in names:
            array = zarr.open_array(os.fspath(folder / name), mode="r")
            if array.nchunks_initialized < array.nchunks and not allow_partial:
                raise DataError(
                    f"{folder / name} has {array.nchunks_initialized} of {array.nchunks} chunks",
                    expected="all of them; missing ones would be read as silence",
                    remedy=_AGAIN + ", or allow partial recordings",
                )
        return ZarrRecordingExtractor(folder)
    except DataError:
        raise
    except Exception as error:  # zarr and its codecs raise many kinds
        raise DataError(
            f"{folder} cannot be opened ({type(error).__name__}: {error})",
            expected="a folder written by recording.save(format='zarr')",
            remedy=_AGAIN,
        ) from None


def check_sizes(folder: Path) -> None:
    """Compare every file with its size in the folder's manifest, and small ones with their hash.

    Raises
    ------
    CorruptArtifact
        Naming the first file that is missing, has another size or, where it is small, another content.
    """
    if not (folder / MANIFEST).is_file():
        return
    for name, entry in read_manifest(folder)["files"].items():
        n_bytes, sha256 = entry["bytes"], entry["sha256"]
        found = (folder / name).stat().st_size if (folder / name).is_file() else None
        if found != n_bytes:
            raise CorruptArtifact(
                f"{folder / name} is missing" if found is None else f"{folder / name} has {found:,} bytes",
                expected=f"{n_bytes:,} bytes",
                remedy=_AGAIN,
            )
        # The description is small and decides how everything is read; the voltage may be as large as a disk.
        if n_bytes <= _HASHED_BYTES and file_sha256(folder / name) != sha256:
            raise CorruptArtifact(
                f"{folder / name} was altered after writing",
                expected=f"sha256 {sha256[:12]}..",
                remedy=_AGAIN,
            )


def check_frames(
    path: Path, *, dtype: np.dtype, n_channels: int, header_bytes: int = 0, allow: bool = False
) -> int:
    """Return the frames in a raw file; one that ends inside a frame is refused unless `allow`.

    Raises
    ------
    DataError
        Naming the byte count, or saying that the file is empty.
    """
    n_bytes = path.stat().st_size - header_bytes
    frame_bytes = dtype.itemsize * n_channels
    n_frames, rest = divmod(n_bytes, frame_bytes)
    if n_frames <= 0:
        raise DataError(
            f"{path} holds no complete frame ({path.stat().st_size:,} bytes)",
            expected=f"at least {header_bytes + frame_bytes:,} bytes ({n_channels} channels of {dtype})",
            remedy="check the path, the header size and whether the recording was written",
        )
    if rest and not allow:
        raise DataError(
            f"{path} has {n_bytes:,} bytes, {rest} more than {n_frames:,} whole frames",
            expected=f"a multiple of {frame_bytes} bytes ({n_channels} channels of {dtype})",
            remedy="check channels and dtype; if the file was cut, allow partial recordings to drop the rest",
        )
    return math.floor(n_frames)


def _inside(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise DataError(
            f"{folder / 'binary.json'} names {name!r}", expected="a file in that folder", remedy=_AGAIN
        )
    if not path.is_file():
        raise DataError(f"{path} is missing", expected="the traces that binary.json names", remedy=_AGAIN)
    return path


def _read_annotations(path: Path, recording: "BaseRecording") -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        found = json.loads(path.read_text())
        known = {name: found[name] for name in _OURS if name in found}
        recording.annotate(**known)


def _read_properties(folder: Path, recording: "BaseRecording") -> None:
    for path in sorted(folder.glob("*.npy")) if folder.is_dir() else []:
        if path.stem == "contact_vector":
            continue
        # Object arrays are pickles: they are left out, and so is a property of another length.
        with contextlib.suppress(ValueError, OSError, EOFError):
            values = np.load(path, allow_pickle=False)
            if len(values) == recording.get_num_channels():
                recording.set_property(path.stem, values)
