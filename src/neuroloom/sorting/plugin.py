"""simsort as a sorter of SpikeInterface: ``run_sorter("simsort", recording, folder=..)``.

SpikeInterface finds its sorters in a list and a dictionary, and looks for no others; importing this module
puts simsort into both.
"""

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any

from spikeinterface.core import BaseRecording, BaseSorting, load
from spikeinterface.core.job_tools import fix_job_kwargs
from spikeinterface.sorters import BaseSorter, sorterlist

from neuroloom import __version__
from neuroloom.errors import DataError
from neuroloom.sorting.details import FOLDER, write_details
from neuroloom.sorting.folders import PREPARED
from neuroloom.sorting.motion import AUTO, check_motion
from neuroloom.sorting.sorter import DEVICES, OURS, choose_device, sort_with_details
from neuroloom.sorting.spikeinterface_runs import quiet

# What can be chosen besides the fields of SimSortOptions.
_PARAMETERS: dict[str, tuple[Any, str]] = {
    "apply_preprocessing": (
        True,
        "Fill gaps, leave out bad channels, band-pass and reference first; False takes the voltage as it is",
    ),
    "motion": (
        AUTO,
        "auto, none, or one of neuroloom.sorting.motion.motion_presets()",
    ),
    "device": ("auto", f"Where the networks run: {', '.join(DEVICES)}"),
    "seed": (0, "Of everything that is drawn at random"),
    "job_kwargs": ({}, "SpikeInterface's job arguments; n_jobs and progress_bar are used"),
}
_TYPES = {"float": (int, float), "int": int, "str": str, "bool": bool}


class SimSortSorter(BaseSorter):
    """simsort for SpikeInterface's launchers.

    The folder ``sorter_output`` then holds ``sorting``, which ``spikeinterface.load`` opens, with the unit
    property ``confidence``, and ``details``, which `neuroloom.sorting.details.read_details` opens.
    """

    sorter_name = OURS
    sorter_description = (
        "Spike sorting learned from simulated cells: events are embedded by a network, clustered without "
        "being told how many units there are, and found again by template matching, for 1 to 384 channels. "
        "After Zhang et al. 2025 (arXiv:2502.03198)."
    )
    installation_mesg = "pip install neuroloom"
    gpu_capability = "nvidia-optional"
    requires_locations = False
    requires_binary_data = False
    handle_multi_segment = False
    # A process that is not forked from this one knows no simsort before it imports this module.
    compatible_with_parallel = {"loky": False, "multiprocessing": True, "threading": True}  # noqa: RUF012

    @classmethod
    def _dynamic_params(cls) -> tuple[dict[str, Any], dict[str, str]]:
        from neuroloom.sorting.simsort import SimSortOptions

        told = _described(SimSortOptions)
        defaults = {name: value for name, (value, _) in _PARAMETERS.items()}
        descriptions = {name: text for name, (_, text) in _PARAMETERS.items()}
        for option in dataclasses.fields(SimSortOptions):
            defaults[option.name] = option.default
            descriptions[option.name] = told.get(option.name, option.name)
        return defaults, descriptions

    @classmethod
    def is_installed(cls) -> bool:
        """Return True: it comes with the package."""
        return True

    @classmethod
    def get_sorter_version(cls) -> str:
        """Return neuroloom's version."""
        return __version__

    @classmethod
    def use_gpu(cls, params: dict[str, Any]) -> bool:
        """Return whether the networks would run on a GPU of this machine."""
        return choose_device(params.get("device", "auto")) == "cuda"

    @classmethod
    def _check_params(cls, recording: BaseRecording, output_folder: Path, params: dict) -> dict:
        _options(params)
        choose_device(params["device"])
        for name in ("apply_preprocessing", "motion", "seed", "job_kwargs"):
            default = _PARAMETERS[name][0]
            if type(params[name]) is not type(default):
                raise _wrong(name, params[name], f"such as {default!r}")
        try:
            fix_job_kwargs(params["job_kwargs"])
        except AssertionError as error:
            raise _wrong("job_kwargs", params["job_kwargs"], f"SpikeInterface's ({error})") from None
        if not params["apply_preprocessing"] and not recording.has_probe():
            raise DataError(
                "a recording without a probe and apply_preprocessing=False",
                expected="a probe",
                remedy="set one, or let simsort assume neighbouring contacts: apply_preprocessing=True",
            )
        check_motion(recording, params["motion"])
        return params

    @classmethod
    def _check_apply_filter_in_params(cls, params: dict[str, Any]) -> bool:
        return params["apply_preprocessing"]

    @classmethod
    def _setup_recording(
        cls, recording: BaseRecording, sorter_output_folder: Path, params: dict, verbose: bool
    ):
        pass  # it is read from where it is

    @classmethod
    def _run_from_folder(cls, sorter_output_folder: Path, params: dict, verbose: bool) -> None:
        recording: Any = cls.load_recording_from_folder(sorter_output_folder.parent)
        if not params["apply_preprocessing"]:
            recording = recording.astype("float32")
            recording.annotate(**{PREPARED: True})
        jobs: dict[str, Any] = fix_job_kwargs(params["job_kwargs"])
        sorting, details = sort_with_details(
            recording,
            seed=params["seed"],
            n_jobs=jobs["n_jobs"],
            progress=verbose and bool(jobs["progress_bar"]),
            motion=params["motion"],
            device=params["device"],
            options=_options(params),
        )
        with quiet():  # it warns that spikes in memory come from nowhere
            sorting.save(folder=sorter_output_folder / "sorting")
        write_details(details, sorter_output_folder / FOLDER)
        if verbose:
            print(f"{OURS} found {len(sorting.unit_ids)} units")

    @classmethod
    def _get_result_from_folder(cls, sorter_output_folder: Path) -> BaseSorting:
        sorting: Any = load(sorter_output_folder / "sorting")
        return sorting


def register() -> None:
    """Let SpikeInterface know simsort by its name; again does nothing."""
    if SimSortSorter not in sorterlist.sorter_full_list:
        sorterlist.sorter_full_list.append(SimSortSorter)
    sorterlist.sorter_dict[SimSortSorter.sorter_name] = SimSortSorter


def _options(params: dict[str, Any]) -> Any:
    from neuroloom.sorting.simsort import SimSortOptions

    chosen = {}
    for option in dataclasses.fields(SimSortOptions):
        value = chosen[option.name] = params[option.name]
        accepted = tuple(one.strip() for one in str(getattr(option.type, "__name__", option.type)).split("|"))
        if not any(_fits(value, kind) for kind in accepted):
            raise _wrong(option.name, value, " or ".join(accepted))
    return SimSortOptions(**chosen)


def _fits(value: Any, kind: str) -> bool:
    if kind not in _TYPES:
        return value is None if kind == "None" else True
    return isinstance(value, _TYPES[kind]) and (kind == "bool") == isinstance(value, bool)


def _wrong(name: str, value: Any, expected: str) -> DataError:
    return DataError(f"{name}={value!r}", expected=expected, remedy=f"correct {name}, or leave it out")


def _described(kind: type) -> dict[str, str]:
    """Return what a class's docstring says of each of its attributes."""
    text = inspect.getdoc(kind) or ""
    entries = re.findall(r"^(\w+(?:, \w+)*)\n((?:    .*\n?)+)", text, flags=re.MULTILINE)
    return {name: " ".join(said.split()) for names, said in entries for name in names.split(", ")}


register()
