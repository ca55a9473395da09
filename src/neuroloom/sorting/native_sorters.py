"""Sorters of SpikeInterface as they come: their own preprocessing, their own defaults, the raw recording.

`neuroloom.sorting.other_sorters` gives them the recording that is prepared for all; to judge a sorter fairly
it must be run as its authors meant it.
"""

import importlib
import pkgutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuroloom.sorting.other_sorters import run_named
from neuroloom.sorting.spikeinterface_runs import keep_compiled, quiet

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording, BaseSorting

_FEW_CHANNELS = 8


def native_settings(name: str, n_channels: int, *, motion: bool) -> dict[str, Any]:
    """Return what a sorter of SpikeInterface is told: its defaults, but for few channels and for motion."""
    settings: dict[str, Any] = {}
    if name == "kilosort4":
        settings = {"do_correction": motion, "torch_device": "cpu"}
        if not motion:
            settings["nblocks"] = 0
        if n_channels <= _FEW_CHANNELS:
            settings |= {"nearest_chans": n_channels, "whitening_range": n_channels, "do_CAR": False}
    if name in ("spykingcircus2", "tridesclous2", "lupin"):
        settings = {"apply_motion_correction": motion}
    return settings


def run_native(recording: "BaseRecording", name: str, *, seed: int, motion: bool) -> "BaseSorting":
    """Return what a sorter of SpikeInterface finds by itself.

    Parameters
    ----------
    recording
        As it was recorded.
    name
        One of ``spikeinterface.sorters.installed_sorters()``.
    seed
        Given to sorters that take one.
    motion
        Whether the probe moves, so that a sorter that can follow it is asked to.

    Raises
    ------
    SortingFailed
        If the sorter stops with an error of its own.
    """
    from spikeinterface.sorters import get_default_sorter_params

    settings = native_settings(name, recording.get_num_channels(), motion=motion)
    known = get_default_sorter_params(name)
    settings |= {"seed": seed} if "seed" in known else {}
    with quiet(), tempfile.TemporaryDirectory() as folder:
        found = run_named(
            name, recording, folder=Path(folder) / "run", settings=settings, remedy="leave this sorter out"
        )
        return found.save(format="memory")


def keep_more_compiled() -> None:
    """As `keep_compiled`, for all that SpikeInterface's own sorters are made of."""
    from numba.core.dispatcher import Dispatcher
    from spikeinterface import sortingcomponents

    keep_compiled()
    for found in pkgutil.walk_packages(sortingcomponents.__path__, sortingcomponents.__name__ + "."):
        if ".tests" in found.name:
            continue
        with suppress(ImportError):
            for item in vars(importlib.import_module(found.name)).values():
                with suppress(RuntimeError):
                    if isinstance(item, Dispatcher) and item.stats.cache_path is None:
                        item.enable_caching()
