"""Follow a probe that moves along itself while it records, by SpikeInterface's presets."""

from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom.errors import DataError
from neuroloom.sorting.spikeinterface_runs import keep_compiled, quiet, repeatable

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording

NONE = "none"
# Spikes have to be placed along the probe; a tetrode moves out of reach before that shows.
FEWEST_CHANNELS, SHORTEST_UM = 8, 100.0
# It needs a package that SpikeInterface does not bring, and draws from torch's global generator.
_LEFT_OUT = ("medicine",)
# The preset of 0.105 asks for a mode that the method has under another name.
_MENDED: dict[str, dict[str, Any]] = {"dredge": {"batching_mode": "full"}}


def motion_presets() -> list[str]:
    """Return the names of SpikeInterface's presets that can be used, such as ``"dredge_fast"``."""
    from spikeinterface.preprocessing import get_motion_presets

    return [name for name in get_motion_presets() if name not in _LEFT_OUT]


def check_motion(recording: "BaseRecording", preset: str) -> None:
    """Raise unless motion can be followed on this probe by this preset.

    Parameters
    ----------
    recording
        With its probe.
    preset
        ``"none"``, or one of `motion_presets`.

    Raises
    ------
    DataError
        If there is no such preset, or the probe has fewer than 8 channels or spans less than 100 um.
    """
    if preset == NONE:
        return
    if preset not in (known := [NONE, *motion_presets()]):
        raise DataError(
            f"motion {preset!r}", expected=f"one of {', '.join(known)}", remedy="pass one of these names"
        )
    n_channels = recording.get_num_channels()
    if n_channels < FEWEST_CHANNELS:
        raise DataError(
            f"motion {preset!r} for {n_channels} channels",
            expected=f"at least {FEWEST_CHANNELS} good ones, to place spikes along the probe",
            remedy=f"pass motion={NONE!r}",
        )
    span_um = float(np.ptp(np.asarray(recording.get_channel_locations(), dtype=float)[:, 1]))
    if span_um < SHORTEST_UM:
        raise DataError(
            f"motion {preset!r} for contacts within {span_um:g} um of depth",
            expected=f"contacts over at least {SHORTEST_UM:g} um along y, the direction of motion",
            remedy=f"pass motion={NONE!r}",
        )


def correct_motion(
    recording: "BaseRecording", *, preset: str, seed: int = 0, n_jobs: int = 1, progress: bool = False
) -> "BaseRecording":
    """Return a recording whose voltage is interpolated to where the cells were at first.

    Parameters
    ----------
    recording
        From `neuroloom.sorting.preprocessing.prepare`.
    preset
        See `check_motion`; ``"none"`` returns the recording itself.
    seed
        Of the chunks at which noise is measured, and of what the preset draws.
    n_jobs
        Processes that look for spikes and place them.
    progress
        Whether to show progress bars.

    Returns
    -------
    BaseRecording
        Lazy, float32; some presets leave out channels at the ends that motion moves out of reach.

    Raises
    ------
    DataError
        If `check_motion` refuses, or the motion cannot be estimated from this recording.
    """
    from spikeinterface.preprocessing import correct_motion as by_preset

    check_motion(recording, preset)
    if preset == NONE:
        return recording
    jobs: dict[str, Any] = {"n_jobs": n_jobs, "chunk_duration": "1s", "progress_bar": progress}
    keep_compiled()
    with quiet(), repeatable(seed, "motion", preset):
        try:
            estimation = _MENDED.get(preset, {})
            method: Any = preset
            corrected: Any = by_preset(recording, preset=method, estimate_motion_kwargs=estimation, **jobs)
        except Exception as error:  # estimators fail in ways of their own where there are few spikes
            raise DataError(
                f"motion {preset!r} could not be estimated ({type(error).__name__}: {error})",
                expected="enough large spikes along the probe, over more than a few seconds",
                remedy=f"pass motion={NONE!r}, or another preset",
            ) from error
    if not corrected.get_num_channels():
        raise DataError(
            f"motion {preset!r} moves all channels out of reach",
            expected="a probe longer than its motion",
            remedy=f"pass motion={NONE!r}",
        )
    for name in recording.get_annotation_keys():
        corrected.annotate(**{name: recording.get_annotation(name)})
    return corrected
