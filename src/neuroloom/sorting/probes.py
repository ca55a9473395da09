"""Give a recording its probe, once contacts, wiring and channels are known to fit."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neuroloom.errors import DataError, MissingFile
from neuroloom.simulation.probes import make_probe

if TYPE_CHECKING:
    from probeinterface import Probe, ProbeGroup
    from spikeinterface.core import BaseRecording


def load_probe(probe: "str | os.PathLike | Probe | ProbeGroup") -> "ProbeGroup":
    """Return a probe group from a built-in name, a probeinterface JSON file, or a probeinterface object.

    Raises
    ------
    MissingFile
        If a ``.json`` path is given and no such file exists.
    DataError
        If the name is unknown or the file is not a probe.
    """
    from probeinterface import Probe, ProbeGroup, read_probeinterface

    if isinstance(probe, ProbeGroup):
        return probe
    if not isinstance(probe, Probe):
        path = Path(probe)
        if path.suffix.lower() != ".json" and not path.is_file():
            probe = make_probe(os.fspath(probe))
        elif not path.is_file():
            raise MissingFile(
                f"{path} does not exist", expected="a probeinterface JSON file", remedy="check the path"
            )
        else:
            try:
                return read_probeinterface(path)
            except Exception as error:  # the reader raises whatever the content provokes
                raise DataError(
                    f"{path} cannot be read as a probe ({type(error).__name__}: {error})",
                    expected="a file written by probeinterface.write_probeinterface",
                    remedy="write the probe again, or pass a built-in name such as tetrode",
                ) from None
    group = ProbeGroup()
    group.add_probe(probe)
    return group


def attach_probe(
    recording: "BaseRecording", probe: "str | os.PathLike | Probe | ProbeGroup"
) -> "BaseRecording":
    """Return `recording` with `probe`, which must have one wired contact for every channel.

    Parameters
    ----------
    recording
        Any SpikeInterface recording; it is changed in place.
    probe
        A built-in name, the path of a probeinterface JSON file, or a probeinterface object.

    Raises
    ------
    MissingFile, DataError
        If the probe cannot be had, has no wiring, or does not fit the channels.
    """
    group = load_probe(probe)
    check_wiring(group, n_channels=recording.get_num_channels(), where=_where(probe))
    recording.set_probegroup(group, check_overlap=False)
    return recording


def check_wiring(group: "ProbeGroup", *, n_channels: int, where: str = "probe") -> None:
    """Raise unless every channel 0..n_channels-1 is wired to exactly one contact at its own place.

    Raises
    ------
    DataError
        Naming the counts, the channels concerned and the remedy.
    """
    wiring = np.concatenate(
        [
            np.full(one.get_contact_count(), -1)
            if one.device_channel_indices is None
            else np.asarray(one.device_channel_indices, dtype=int)
            for one in group.probes
        ]
        or [np.empty(0, dtype=int)]
    )
    wired = np.sort(wiring[wiring >= 0])
    if len(wired) == 0:
        raise DataError(
            f"{where}: none of {len(wiring)} contacts is wired to a channel",
            expected=f"device_channel_indices for {n_channels} channels",
            remedy="call probe.set_device_channel_indices(..) and write the probe again",
        )
    if len(wired) != n_channels:
        raise DataError(
            f"{where}: {len(wired)} wired contacts for a recording of {n_channels} channels",
            expected="one wired contact per channel",
            remedy="pass the probe of this recording, or the right number of channels",
        )
    if not np.array_equal(wired, np.arange(n_channels)):
        strange = sorted(set(wired[wired >= n_channels]) | set(wired[1:][np.diff(wired) == 0]))
        raise DataError(
            f"{where}: contacts are wired to channels {[int(index) for index in strange][:8]}",
            expected=f"every channel 0..{n_channels - 1} exactly once",
            remedy="correct device_channel_indices in the probe",
        )
    positions = np.concatenate([np.asarray(one.contact_positions, dtype=float) for one in group.probes])
    positions = positions[wiring >= 0]
    if not np.isfinite(positions).all() or len(np.unique(positions, axis=0)) < len(positions):
        raise DataError(
            f"{where}: contacts share a place or have none",
            expected="finite and different positions (um)",
            remedy="correct contact_positions in the probe",
        )


def _where(probe: object) -> str:
    return f"probe {probe}" if isinstance(probe, str | os.PathLike) else "probe"
