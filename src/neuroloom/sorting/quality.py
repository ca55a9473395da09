"""What the sorted units are like: waveforms, places, quality metrics, in a SortingAnalyzer folder."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuroloom.artifacts import MANIFEST, new_folder, seal, verify
from neuroloom.errors import DataError
from neuroloom.seeds import derive
from neuroloom.sorting.preprocessing import prepare
from neuroloom.sorting.safety import refuse_programs
from neuroloom.sorting.spikeinterface_runs import keep_compiled, quiet, repeatable

if TYPE_CHECKING:
    import pandas as pd
    from spikeinterface.core import BaseRecording, BaseSorting, SortingAnalyzer

KIND = "analyzer"
METRICS = ("num_spikes", "firing_rate", "presence_ratio", "snr", "isi_violation", "amplitude_cutoff")
# Below this many contacts every unit is seen on all of them.
_FEWEST_FOR_SPARSITY = 9


def analyze(
    sorting: "BaseSorting",
    recording: "BaseRecording",
    folder: str | os.PathLike | None = None,
    *,
    seed: int = 0,
    n_jobs: int = 1,
    progress: bool = False,
) -> "SortingAnalyzer":
    """Compute waveforms, templates, amplitudes, places, correlograms and quality metrics of every unit.

    Parameters
    ----------
    sorting
        Any sorting of the recording; units without spikes are left out.
    recording
        The recording; it is prepared first unless it comes from `prepare`.
    folder
        A new folder, written atomically, which SpikeInterface-GUI opens; ``None`` keeps all in memory.
    seed
        Of the choice of spikes that stand for a unit.
    n_jobs
        Processes that compute.
    progress
        Whether to show progress bars.

    Returns
    -------
    SortingAnalyzer
        Without extensions where the sorting has no units.

    Raises
    ------
    DataError
        If sorting and recording do not belong together, or the disk has too little room.
    """
    if abs(sorting.get_sampling_frequency() / recording.get_sampling_frequency() - 1) > 1e-6:
        raise DataError(
            f"a sorting at {sorting.get_sampling_frequency():g} Hz",
            expected=f"the recording's {recording.get_sampling_frequency():g} Hz",
            remedy="pass the recording that was sorted",
        )
    prepared = prepare(recording, seed=seed).recording
    with quiet(), repeatable(seed, "analyze"):
        sorting = sorting.remove_empty_units()
        if folder is None:
            return _compute(sorting, prepared, None, seed=seed, n_jobs=n_jobs, progress=progress)
        folder = Path(folder)
        with new_folder(folder, replaces=MANIFEST) as draft:
            _compute(sorting, prepared, draft, seed=seed, n_jobs=n_jobs, progress=progress)
            # Written where a recording cannot be described in JSON; never to be read.
            (draft / "recording.pickle").unlink(missing_ok=True)
            seal(draft, kind=KIND)
        analyzer = read_analyzer(folder)
        if not analyzer.has_recording() and not analyzer.has_temporary_recording():
            analyzer.set_temporary_recording(prepared)
        return analyzer


def read_analyzer(folder: str | os.PathLike) -> "SortingAnalyzer":
    """Open what `analyze` wrote, once every file is as it was written.

    Raises
    ------
    MissingFile, CorruptArtifact
        If it is absent, damaged, or asks for unpickling.
    """
    from spikeinterface.core import load_sorting_analyzer

    folder = Path(folder)
    verify(folder)
    refuse_programs(folder)
    with quiet():
        return load_sorting_analyzer(folder)


def unit_table(analyzer: "SortingAnalyzer") -> "pd.DataFrame":
    """Return one row per unit: the quality metrics, its place (um) and its peak-to-peak amplitude (uV)."""
    import numpy as np
    import pandas as pd

    if not analyzer.has_extension("templates"):
        return pd.DataFrame(
            index=pd.Index([], name="unit"), columns=[*METRICS, "x_um", "y_um", "amplitude_uv"]
        )
    data = {
        name: _extension_data(analyzer, name) for name in ("quality_metrics", "unit_locations", "templates")
    }
    table, places, templates = data["quality_metrics"].copy(), data["unit_locations"], data["templates"]
    table["x_um"], table["y_um"] = places[:, 0], places[:, 1]
    table["amplitude_uv"] = np.ptp(templates, axis=1).max(axis=1)
    table.index = pd.Index(analyzer.unit_ids, name="unit")
    return table


def _extension_data(analyzer: "SortingAnalyzer", name: str) -> Any:
    extension = analyzer.get_extension(name)
    if extension is None:
        raise DataError(
            f"an analyzer without {name}",
            expected="one made by analyze",
            remedy="analyze the recording again",
        )
    return extension.get_data()


def _compute(
    sorting: "BaseSorting",
    recording: "BaseRecording",
    folder: Path | None,
    *,
    seed: int,
    n_jobs: int,
    progress: bool,
) -> "SortingAnalyzer":
    from spikeinterface.core import create_sorting_analyzer

    keep_compiled()
    step_seed = derive(seed, "analyze", "steps") % 2**31
    jobs = {"n_jobs": n_jobs, "chunk_duration": "1s", "progress_bar": progress}
    has_units = len(sorting.unit_ids) > 0
    analyzer = create_sorting_analyzer(
        sorting,
        recording,
        format="memory" if folder is None else "binary_folder",
        folder=folder,
        overwrite=True,
        seed=step_seed,
        peak_sign="neg",
        sparse=has_units and recording.get_num_channels() >= _FEWEST_FOR_SPARSITY,
        job_kwargs=jobs,
    )
    if not has_units:
        return analyzer
    analyzer.compute(
        {
            "random_spikes": {"max_spikes_per_unit": 500, "seed": step_seed},
            "waveforms": {"ms_before": 1.0, "ms_after": 2.0},
            "templates": {},
            "noise_levels": {"random_slices_kwargs": {"seed": step_seed}},
            "spike_amplitudes": {},
            "unit_locations": {"method": "center_of_mass"},
            "template_similarity": {},
            "correlograms": {"window_ms": 50.0, "bin_ms": 1.0},
            "quality_metrics": {"metric_names": list(METRICS)},
        },
        **jobs,
    )
    return analyzer
