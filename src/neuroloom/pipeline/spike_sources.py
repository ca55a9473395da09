"""Where the spikes that a decoder reads can come from: the truth, a sorter, or thresholds on channels."""

from pathlib import Path
from typing import TYPE_CHECKING

from neuroloom.errors import DataError
from neuroloom.pipeline.known_recordings import KnownRecording

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording, BaseSorting

TRUE, OURS, CROSSINGS = "true", "simsort", "crossings"
# How tables and figures call them; a sorter keeps its name.
NAMES = {TRUE: "true spikes", CROSSINGS: "threshold crossings"}


def installed_sources() -> list[str]:
    """Return every source there is here: the truth, ours, SpikeInterface's installed sorters, thresholds."""
    from spikeinterface.sorters import installed_sorters

    others = sorted(name for name in installed_sorters() if name != OURS)
    return [TRUE, OURS, *others, CROSSINGS]


def check_sources(sources: list[str]) -> None:
    """Refuse a name that is no source.

    Raises
    ------
    DataError
        Naming those that there are.
    """
    from neuroloom.sorting.motion import motion_presets

    known = installed_sources()
    for source in sources:
        name, _, preset = source.partition(":")
        if name not in known or (preset and (name != OURS or preset not in ("none", *motion_presets()))):
            raise DataError(
                f"spike source {source!r}",
                expected=f"one of {', '.join(known)}, or {OURS}:PRESET with a motion preset or none",
                remedy="pass one of these, or install the sorter",
            )


def is_for(source: str, *, drift_um: float) -> bool:
    """Return whether a source is worth its time on a recording: motion is corrected only where there is some.

    Examples
    --------
    >>> is_for("simsort", drift_um=0.0), is_for("simsort:dredge_fast", drift_um=0.0)
    (True, False)
    """
    return ":" not in source or drift_um > 0


def find_spikes(
    source: str,
    recording: "BaseRecording",
    known: KnownRecording,
    *,
    moves: bool,
    threshold: float,
    seed: int,
    work_folder: Path | None = None,
) -> "BaseSorting":
    """Return the spikes of a source.

    Parameters
    ----------
    source
        ``"true"``; ``"crossings"`` (`neuroloom.sorting.crossings`); ``"simsort"`` or ``"simsort:PRESET"``
        (`neuroloom.sort`); or a sorter of SpikeInterface, as it comes (`neuroloom.sorting.native_sorters`).
    recording
        The voltage, best from disk.
    known
        Where it is from.
    moves
        Whether it drifts; SpikeInterface's sorters are then told to follow.
    threshold
        Of the crossings, in multiples of the noise.
    seed
        Of all that is random.
    work_folder
        Where simsort keeps what it has finished until all of it is.

    Raises
    ------
    SortingFailed, DataError
        If a sorter stops, or the recording cannot be used.
    """
    from neuroloom.sorting.crossings import threshold_crossings
    from neuroloom.sorting.native_sorters import run_native
    from neuroloom.sorting.sorter import sort
    from neuroloom.sorting.spikeinterface_runs import repeatable

    if source == TRUE:
        return known.truth
    if source == CROSSINGS:
        return threshold_crossings(recording, threshold=threshold, seed=seed)
    name, _, preset = source.partition(":")
    if name == OURS:
        return sort(recording, sorter=OURS, motion=preset or "auto", seed=seed, work_folder=work_folder)
    with repeatable(seed, "chain benchmark", name):
        return run_native(recording, name, seed=seed, motion=moves)
