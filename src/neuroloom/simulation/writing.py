"""Write simulated recordings with their truth; a killed run goes on at the chunk where it stopped."""

import json
import os
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from neuroloom.artifacts import (
    MANIFEST,
    fingerprint,
    load_artifact,
    new_folder,
    require_space,
    save_artifact,
    seal,
    write_text,
)
from neuroloom.errors import DataError
from neuroloom.simulation.biophysical import BiophysicalRecording
from neuroloom.simulation.library import CellLibrary
from neuroloom.simulation.scenario import Scenario
from neuroloom.workplaces import remove_drafts

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording, BaseSorting

KIND = "simulated-recording"
RECORDING, TRUTH, ABOUT, RAW = "recording", "truth", "about", "traces.raw"
INT16_GAIN_UV = 0.195  # the usual converter step of recording systems
_IDENTITY = "identity.json"
_TRACES = "traces_cached_seg0.raw"
_CHUNK_BYTES = 2**24
_SAMPLE_TYPES = ("float32", "int16")


def write_simulation(
    make: Callable[[], BiophysicalRecording],
    folder: str | os.PathLike,
    *,
    config: Mapping[str, Any],
    dtype: Literal["float32", "int16"] = "float32",
    raw: bool = False,
    quiet: bool = False,
) -> Path:
    """Write a simulated recording, its true units and what is known about it.

    Parameters
    ----------
    make
        Makes the recording; called only if the folder does not hold it already. The work is shared out
        by joblib where the caller is inside `neuroloom.simulation.workers.workers`.
    folder
        ``recording/`` (SpikeInterface's binary folder) or ``traces.raw`` and ``probe.json``; ``truth/``
        (SpikeInterface's NumPy folder) and ``about/`` (an artifact: config, cells, drift).
    config
        What the recording follows from; a folder of another config is refused.
    dtype
        ``float32`` in microvolt, or ``int16`` in steps of .195 uV.
    raw
        Write a bare binary file instead of SpikeInterface's folder.
    quiet
        No progress bar.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    DataError
        If the folder holds another recording, or the disk has too little room.
    """
    if dtype not in _SAMPLE_TYPES:
        raise DataError(f"dtype {dtype!r}", expected=" or ".join(_SAMPLE_TYPES), remedy="choose one of them")
    folder = Path(folder)
    config = {**config, "dtype": dtype, "raw": raw}
    identity = fingerprint(config)
    if _is_written(folder, identity):
        return folder
    made = make()
    draft = folder / ".partial"
    write_text(draft / _IDENTITY, json.dumps(identity))
    remove_drafts(folder)
    remove_drafts(draft)
    _write_truth(made.sorting, folder / TRUTH)
    _write_traces(made.recording, draft / _TRACES, dtype=dtype, quiet=quiet)
    if raw:
        os.replace(draft / _TRACES, folder / RAW)
        _write_probe(made.recording, folder / "probe.json")
    else:
        _finish_recording(made.recording, draft / _TRACES, folder / RECORDING, dtype=dtype, config=config)
    save_artifact(
        folder / ABOUT,
        kind=KIND,
        document={"config": config, "units": _units(made)},
        arrays={"times_s": made.times_s, "moved_um": made.moved_um},
        config=config,
        data_fingerprint=identity,
    )
    shutil.rmtree(draft)
    return folder


def read_about(folder: str | os.PathLike) -> dict[str, Any]:
    """Return what is known about a recording that `write_simulation` wrote: ``config`` and ``units``."""
    return load_artifact(Path(folder) / ABOUT, kind=KIND).document


def describe_config(
    scenario: Scenario, *, probe: str, library: CellLibrary, library_name: str, seed: int
) -> dict[str, Any]:
    """Return the config of a recording, as `write_simulation` keeps it."""
    cells = {"library": library_name, "source": library.source, "licence": library.licence}
    return {"scenario": asdict(scenario), "probe": probe, **cells, "seed": seed}


def _is_written(folder: Path, identity: str) -> bool:
    """Tell whether the folder holds this recording; refuse one that holds something else."""
    if (folder / ABOUT / MANIFEST).exists():
        if load_artifact(folder / ABOUT, kind=KIND).provenance["data_fingerprint"] == identity:
            return True
        found = "another simulated recording"
    elif (folder / ".partial" / _IDENTITY).exists():
        if json.loads((folder / ".partial" / _IDENTITY).read_text()) == identity:
            return False
        found = "the beginning of another simulated recording"
    elif not folder.exists() or {path.name for path in folder.iterdir()} <= {".partial"}:
        return False  # or killed before its first word
    else:
        found = "other files"
    raise DataError(
        f"{folder} holds {found}",
        expected="a new folder, or the one that the same command began",
        remedy="choose another --out, or remove it",
    )


def _write_traces(recording: "BaseRecording", path: Path, *, dtype: str, quiet: bool) -> None:
    """Append chunks to a file, from the first that is not whole in it."""
    from joblib import Parallel, delayed, effective_n_jobs
    from tqdm import tqdm

    n_samples, n_channels = recording.get_num_samples(0), recording.get_num_channels()
    rate_hz, frame = recording.get_sampling_frequency(), np.dtype(dtype).itemsize * n_channels
    length = max(_CHUNK_BYTES // frame, 1)
    done = (path.stat().st_size // frame if path.exists() else 0) // length * length
    done = n_samples if path.exists() and path.stat().st_size == n_samples * frame else done
    require_space(path.parent, (n_samples - done) * frame)
    with (
        open(path, "r+b" if path.exists() else "wb") as file,
        tqdm(
            total=round(n_samples / rate_hz, 2),
            initial=round(done / rate_hz, 2),
            desc="recording",
            unit="s",
            disable=quiet,
        ) as bar,
    ):
        file.truncate(done * frame)
        file.seek(done * frame)
        starts = range(done, n_samples, length)
        together = max(effective_n_jobs(None), 1)  # pyright: ignore[reportArgumentType]
        for first in range(0, len(starts), together):
            parts = [(start, min(start + length, n_samples)) for start in starts[first : first + together]]
            if together == 1:
                chunks = [_chunk(recording, *parts[0], dtype)]
            else:
                work = (delayed(_chunk)(recording, *part, dtype) for part in parts)
                chunks = [chunk for chunk in Parallel()(work) if chunk is not None]
            for (start, end), chunk in zip(parts, chunks, strict=True):
                file.write(chunk.tobytes())
                bar.update(round((end - start) / rate_hz, 2))
            file.flush()
        os.fsync(file.fileno())


def _chunk(recording: "BaseRecording", start: int, end: int, dtype: str) -> np.ndarray:
    traces = recording.get_traces(start_frame=start, end_frame=end)
    if dtype == "int16":
        return np.clip(np.rint(traces / INT16_GAIN_UV), -32768, 32767).astype(np.int16)
    return traces.astype(np.float32, copy=False)


def _finish_recording(recording, traces: Path, folder: Path, *, dtype: str, config) -> None:
    """Turn a file of traces into SpikeInterface's binary folder."""
    with new_folder(folder, replaces=MANIFEST) as draft, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # SpikeInterface describes one frame of it; then that frame's file gives way to the whole.
        frame = recording.frame_slice(start_frame=0, end_frame=1)
        if dtype == "int16":
            frame.set_channel_gains(INT16_GAIN_UV)
        frame.save(
            folder=draft, format="binary", dtype=dtype, overwrite=True, n_jobs=1, verbose=False,
            progress_bar=False,
        )  # fmt: skip
        for name in ("provenance.json", "provenance.pkl"):
            (draft / name).unlink(missing_ok=True)
        os.replace(traces, draft / _TRACES)
        seal(draft, kind="recording", provenance={"simulated": config})


def _write_truth(sorting: "BaseSorting", folder: Path) -> None:
    with new_folder(folder, replaces="numpysorting_info.json") as draft, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sorting.save(folder=draft, format="numpy_folder", overwrite=True)
        for name in ("provenance.json", "provenance.pkl"):
            (draft / name).unlink(missing_ok=True)


def _write_probe(recording: "BaseRecording", path: Path) -> None:
    from probeinterface import write_probeinterface

    write_probeinterface(path, recording.get_probegroup())


def _units(made: BiophysicalRecording) -> list[dict[str, Any]]:
    depths = made.sorting.get_property("trough_uv")
    counts = made.sorting.count_num_spikes_per_unit()
    return [
        {
            "unit": unit,
            "cell": placed.cell.name,
            "archetype": placed.cell.archetype,
            "spikes": int(counts[unit]),
            "trough_uv": float(depths[index]),
            "position_um": placed.position_um,
            "rotation": placed.rotation,
        }
        for index, (unit, placed) in enumerate(zip(made.sorting.unit_ids, made.placed, strict=True))
    ]
