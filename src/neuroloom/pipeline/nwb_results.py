"""What a run found, as one NWB file to be shared: units, behaviour, what was decoded, and what made it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom import artifacts
from neuroloom.pipeline.run_folder import RunFolder

if TYPE_CHECKING:
    import pynapple as nap

    from neuroloom.sessions.session import Session

FILE = "results.nwb"


def write_results(
    run: RunFolder,
    session: "Session",
    *,
    about: Mapping[str, Any],
    rate_hz: float,
    metadata: Mapping[str, Any] | None = None,
) -> Path:
    """Write ``results.nwb`` into a run folder, atomically.

    Parameters
    ----------
    run
        Its stages up to decoding are finished, or left out.
    session
        Of the stage ``session``.
    about
        What ``run.json`` says: command, config, data fingerprint.
    rate_hz
        Sampling rate of the recording.
    metadata
        What only the user knows (`neuroloom.sessions.nwb_metadata`).

    Raises
    ------
    DataError
        If the metadata are not understood, or the disk has too little room.
    """
    from neuroloom.sessions.nwb import write_nwb

    provenance = {name: about[name] for name in ("command", "source", "config", "data_fingerprint")}
    provenance["seed"] = about["config"]["seed"]
    decoded = {}
    if (run.path / "decoding").exists():
        summary = run.summary("decoding")
        stored = artifacts.load_artifact(run.path / "decoding" / "predictions", kind="predictions")
        provenance["decoding"] = {name: summary[name] for name in ("target", "model", "metric", "score")}
        # Text has no place in a time series: its numbers are positions in this list.
        provenance["decoding"]["classes"] = stored.document["classes"]
        decoded[summary["target"]] = _series(stored)
    return write_nwb(
        session,
        run.path / FILE,
        metadata=metadata,
        resolution_s=1 / rate_hz,
        decoded=decoded,
        provenance=provenance,
    )


def _series(stored: artifacts.Artifact) -> "nap.Tsd | nap.TsdFrame":
    import pynapple as nap

    times_s, values = stored.arrays["times_s"], np.asarray(stored.arrays["predicted"])
    if values.ndim == 1:
        return nap.Tsd(times_s, values)
    return nap.TsdFrame(times_s, values, columns=stored.document["columns"])
