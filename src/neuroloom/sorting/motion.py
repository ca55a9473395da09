"""Follow a probe that moves along itself while it records, by SpikeInterface's presets."""

from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom.errors import DataError
from neuroloom.sorting.folders import MOVED
from neuroloom.sorting.spikeinterface_runs import keep_compiled, quiet, repeatable

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording

NONE, AUTO = "none", "auto"
BY_DEFAULT = "dredge_fast"  # where auto finds motion
# Spikes have to be placed along the probe; a tetrode moves out of reach before that shows.
FEWEST_CHANNELS, SHORTEST_UM = 8, 100.0
# Less than this along the probe, a neuron's waveform hardly changes, and interpolating would cost more.
LEAST_UM = 5.0
_LOOKS, _LOOK_S = 20, 1.0  # evenly spread parts of the recording tell whether there is motion
# Presets look at spikes 8 times the noise, of which a noisy recording has a few a second: from those motion
# was made up (5 to 24 um where nothing moved), from the more there are at 6 it was not.
_DEEP_ENOUGH = 6.0
_FEWEST_SPIKES = 6  # a second; fewer tell nothing
# Where a preset's windows lie further apart than this share of the probe, so many steps are laid along it.
_MOST_STEP, _WINDOWS = 0.5, 4
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
        ``"none"``, ``"auto"``, or one of `motion_presets`.

    Raises
    ------
    DataError
        If there is no such preset, or the probe has fewer than 8 channels or spans less than 100 um.
    """
    if preset in (NONE, AUTO):
        return
    if preset not in (known := [NONE, AUTO, *motion_presets()]):
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


def choose_motion(recording: "BaseRecording", preset: str, *, seed: int = 0) -> str:
    """Return how to follow a probe: for ``"auto"`` ``"dredge_fast"`` where the tissue moves, else ``"none"``.

    Parameters
    ----------
    recording
        From `neuroloom.sorting.preprocessing.prepare`.
    preset
        ``"auto"``; all else is returned as it is.
    seed
        Of the chunks at which noise is measured.
    """
    if preset != AUTO:
        return preset
    return BY_DEFAULT if range_of_motion(recording, seed=seed) >= LEAST_UM else NONE


def range_of_motion(recording: "BaseRecording", *, seed: int = 0) -> float:
    """Return by how much the tissue moves along the probe, in um, as up to 20 seconds of a recording tell.

    Slow motion is seen whole, jumps between two of these seconds too; what is over within one is not.

    Parameters
    ----------
    recording
        From `neuroloom.sorting.preprocessing.prepare`.
    seed
        Of the chunks at which noise is measured.

    Returns
    -------
    float
        0 where it cannot be told: few channels, a short probe, too few spikes.
    """
    from spikeinterface.core import concatenate_recordings
    from spikeinterface.preprocessing.motion import compute_motion

    try:
        check_motion(recording, BY_DEFAULT)
    except DataError:
        return 0.0
    length = round(_LOOK_S * recording.get_sampling_frequency())
    n_looks = min(_LOOKS, recording.get_num_samples(0) // length)
    if n_looks < 2:
        return 0.0
    starts = np.linspace(0, recording.get_num_samples(0) - length, n_looks).astype(np.int64).tolist()
    looks = concatenate_recordings([recording.frame_slice(start, start + length) for start in starts])
    keep_compiled()
    with quiet(), repeatable(seed, "motion", AUTO):
        try:
            found: Any = compute_motion(
                looks,
                preset=BY_DEFAULT,
                detect_kwargs=_detection(BY_DEFAULT),
                estimate_motion_kwargs=_windows(recording, BY_DEFAULT),
                output_motion_info=True,
                n_jobs=1,
                chunk_duration=f"{_LOOK_S:g}s",
                progress_bar=False,
            )
        except Exception:  # estimators fail in ways of their own where there are few spikes
            return 0.0
    motion, info = found
    if len(info["peaks"]) < _FEWEST_SPIKES * _LOOK_S * n_looks:
        return 0.0
    return max(float(np.ptp(moved, axis=0).max(initial=0.0)) for moved in motion.displacement)


def _detection(preset: str) -> dict[str, float]:
    """Return settings that make a preset look at fainter spikes than it would."""
    from spikeinterface.preprocessing.motion import motion_options_preset

    threshold = motion_options_preset[preset]["detect_kwargs"].get("detect_threshold", 0.0)
    return {"detect_threshold": _DEEP_ENOUGH} if threshold > _DEEP_ENOUGH else {}


def _windows(recording: "BaseRecording", preset: str) -> dict[str, float]:
    """Return settings that lay a preset's windows, made for probes of millimetres, onto a short probe.

    Motion is estimated in windows along the probe; windows centred beyond its ends see few spikes.
    """
    from spikeinterface.preprocessing.motion import motion_options_preset

    settings = motion_options_preset[preset]["estimate_motion_kwargs"]
    span_um = float(np.ptp(np.asarray(recording.get_channel_locations(), dtype=float)[:, 1]))
    if settings.get("rigid", True) or settings.get("win_step_um", 0.0) <= _MOST_STEP * span_um:
        return {}
    return {"win_step_um": span_um / _WINDOWS, "win_scale_um": 2 * span_um / _WINDOWS}


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
            estimation = _MENDED.get(preset, {}) | _windows(recording, preset)
            method: Any = preset
            corrected: Any = by_preset(
                recording,
                preset=method,
                detect_kwargs=_detection(preset),
                estimate_motion_kwargs=estimation,
                **jobs,
            )
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
    corrected.annotate(**{MOVED: True})
    return corrected
