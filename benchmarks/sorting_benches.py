"""The recordings of the sorting benchmarks, each with its truth; `make_bench` gives one by its name and seed.

tetrode-5, tetrode-10, 32-channels, 64-channels (Bench A)
    SpikeInterface's ground-truth recordings: 2 to 15 Hz, white noise of 5 or 10 uV.
drift
    SpikeInterface's drifting recording: 32 channels, 20 units, which move 20 um along the probe within 60 s.
mearec-tetrode (Bench B)
    MEArec: 6 Blue Brain cells at a tetrode, 32 kHz, 10 uV; its templates come from `mearec_templates.py`.
hybrid-locust
    Known spikes put into a real recording (../shared/data/voltage/locust_tetrode), among its own units.
arbor-tetrode, blue-brain-tetrode
    Recordings of the two cell libraries by the same code: 6 cells at a tetrode, distant ones, noise of 10 uV.
    Of each library only the cells that the sorter's weights were not trained on.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom.errors import DataError, MissingDependency, MissingFile
from neuroloom.seeds import derive, stream

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording, BaseSorting

BENCH_A: dict[str, dict[str, Any]] = {
    "tetrode-5": {"columns": (2, 2, 25.0), "n_units": 10, "noise_uv": 5.0},
    "tetrode-10": {"columns": (2, 2, 25.0), "n_units": 10, "noise_uv": 10.0},
    "32-channels": {"columns": (2, 16, 20.0), "n_units": 20, "noise_uv": 5.0},
    "64-channels": {"columns": (2, 32, 20.0), "n_units": 40, "noise_uv": 5.0},
}
_PLACES = {"margin_um": 20.0, "minimum_z": 5.0, "maximum_z": 40.0, "minimum_distance": 10.0}
_FIRING = {"firing_rates": (2.0, 15.0), "refractory_period_ms": 4.0}


@dataclass(frozen=True)
class Sources:
    """What the benches are made from beyond their code.

    Attributes
    ----------
    mearec_templates
        File from `mearec_templates.py`.
    blue_brain
        Folder from `neuroloom.simulation.blue_brain.build_blue_brain_library`.
    arbor
        Folder of the default library.
    not_trained_on
        Names of cells; a library that has some of them is reduced to those.
    rate_hz
        Sampling rate of Bench A and of the libraries' benches.
    """

    mearec_templates: Path | None = None
    blue_brain: Path | None = None
    arbor: Path | None = None
    not_trained_on: tuple[str, ...] = ()
    rate_hz: float = 30_000.0


@dataclass(frozen=True)
class Bench:
    """A recording and its truth.

    Attributes
    ----------
    recording, truth
        Of the same length.
    exhaustive
        Whether the truth names all neurons; if not, units without a partner are not false.
    motion
        Whether the probe moves, so that sorters that can follow it are asked to.
    """

    recording: "BaseRecording"
    truth: "BaseSorting"
    exhaustive: bool = True
    motion: bool = False


def make_bench(name: str, seed: int, folder: Path, *, sources: Sources, duration_s: float = 60.0) -> Bench:
    """Return a bench.

    Parameters
    ----------
    name
        One of `BENCHES`.
    seed
        Of everything in it.
    folder
        Where files may be left as long as the bench is used.
    sources
        See `Sources`.
    duration_s
        Length; the real background of the hybrid is at most as long as it is.

    Raises
    ------
    DataError
        If there is no such bench.
    MissingFile, MissingDependency
        If what it is made from is not here.
    """
    if name in BENCH_A:
        return bench_a(name, seed, rate_hz=sources.rate_hz, duration_s=duration_s)
    if name not in _OTHERS:
        raise DataError(
            f"no bench {name!r}", expected=f"one of {', '.join(BENCHES)}", remedy="choose one of those"
        )
    return _OTHERS[name](seed, folder, sources, duration_s)


def bench_a(
    name: str,
    seed: int,
    *,
    rate_hz: float = 30_000.0,
    duration_s: float = 60.0,
    noise_uv: float | None = None,
) -> Bench:
    """Return one of SpikeInterface's ground-truth recordings, if wanted with another noise than its own."""
    chosen = BENCH_A[name] if noise_uv is None else BENCH_A[name] | {"noise_uv": noise_uv}
    return ground_truth(seed, **chosen, rate_hz=rate_hz, duration_s=duration_s)


def ground_truth(
    seed: int,
    *,
    columns: tuple[int, int, float],
    n_units: int,
    noise_uv: float,
    rate_hz: float = 30_000.0,
    duration_s: float = 60.0,
) -> Bench:
    """Return a recording of SpikeInterface's on a probe of (columns, contacts in each, pitch in um)."""
    from spikeinterface.core import generate_ground_truth_recording

    n_channels = columns[0] * columns[1]
    recording, truth = generate_ground_truth_recording(
        durations=[duration_s],
        sampling_frequency=rate_hz,
        num_channels=n_channels,
        num_units=n_units,
        probe=_columns(*columns),
        generate_sorting_kwargs=_FIRING,
        noise_kwargs={"noise_levels": noise_uv, "strategy": "on_the_fly"},
        generate_unit_locations_kwargs=_PLACES,
        seed=seed,
    )
    return Bench(recording, truth)


def bench_b(seed: int, folder: Path, sources: Sources, duration_s: float) -> Bench:
    """Return a MEArec recording: 6 units, 32 kHz, 10 uV."""
    templates = _given(
        sources.mearec_templates, "--mearec-templates", "python benchmarks/mearec_templates.py"
    )
    try:
        import MEArec
    except ImportError:
        raise MissingDependency(
            "MEArec is not installed",
            expected="Bench B's simulator",
            remedy="pip install 'neuroloom[biophysics]'",
        ) from None
    from spikeinterface.extractors import read_mearec

    params = MEArec.get_default_recordings_params()
    params["spiketrains"] |= {"duration": duration_s, "n_exc": 4, "n_inh": 2}
    params["templates"] |= {"min_dist": 10}
    params["recordings"] |= {"fs": 32_000, "noise_level": 10, "filter": False}
    steps = ("spiketrains", "templates", "convolution", "noise")
    # MEArec seeds NumPy's old generator, which takes 32 bits.
    params["seeds"] |= {step: derive(seed, "mearec", step) % 2**31 for step in steps}
    made = MEArec.gen_recordings(params=params, templates=str(templates), verbose=False, tmp_mode=None)
    path = folder / f"mearec-{seed}.h5"
    MEArec.save_recording_generator(made, str(path), verbose=False)
    recording, truth = read_mearec(path)
    return Bench(recording, truth)


def drift(seed: int, folder: Path, sources: Sources, duration_s: float) -> Bench:
    """Return SpikeInterface's drifting recording of a small probe."""
    from spikeinterface.generation import generate_drifting_recording

    _, recording, truth = generate_drifting_recording(
        num_units=20,
        duration=duration_s,
        sampling_frequency=sources.rate_hz,
        probe=_columns(2, 16, 20.0),
        generate_unit_locations_kwargs=_PLACES,
        generate_displacement_vector_kwargs={
            "displacement_sampling_frequency": 5.0,
            "drift_start_um": [0, 10],
            "drift_stop_um": [0, -10],
            "drift_step_um": 1,
            "motion_list": [
                {
                    "drift_mode": "zigzag",
                    "non_rigid_gradient": None,
                    "t_start_drift": 0.1 * duration_s,
                    "t_end_drift": None,
                    "period_s": 2 * duration_s,
                }
            ],
        },
        generate_sorting_kwargs=_FIRING,
        generate_noise_kwargs={"noise_levels": 5.0, "spatial_decay": None},
        seed=seed,
    )
    return Bench(recording, truth, motion=True)


def hybrid_locust(seed: int, folder: Path, sources: Sources, duration_s: float) -> Bench:
    """Return four known units in a trial of the locust recording, whose own units stay in it."""
    from neuroloom.simulation.recordings import inject
    from neuroloom.sorting.preprocessing import noise_uv, prepare
    from neuroloom.sorting.reading import read_recording

    shared = Path(os.environ.get("NEUROLOOM_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    path = shared / "data" / "voltage" / "locust_tetrode" / f"locust_trial_{1 + seed % 2:02d}.raw"
    if not path.exists():
        raise MissingFile(
            f"{path} is not here", expected="the real recordings", remedy="set NEUROLOOM_SHARED"
        )
    real = read_recording(path, dtype="int16", n_channels=4, rate_hz=15_000, probe="tetrode")
    length_s = min(duration_s, real.get_duration())
    real = real.frame_slice(0, int(length_s * 15_000))
    noise = float(np.median(noise_uv(prepare(real, seed=seed).recording, seed=seed)))
    random = stream(seed, "hybrid")
    trains = [_refractory_train(rate, length_s, random) for rate in random.uniform(2, 12, 4)]
    recording, truth = inject(trains, background=real, amplitudes_uv=(7 * noise, 18 * noise), seed=seed)
    return Bench(recording, truth, exhaustive=False)


def blue_brain_tetrode(seed: int, folder: Path, sources: Sources, duration_s: float) -> Bench:
    """Return a recording of Blue Brain's cells."""
    from neuroloom.simulation.library import CellLibrary

    command = "neuroloom.simulation.blue_brain.build_blue_brain_library(FOLDER)"
    library = CellLibrary.load(_given(sources.blue_brain, "--blue-brain-library", command))
    return _of_library(library, seed, sources, duration_s)


def arbor_tetrode(seed: int, folder: Path, sources: Sources, duration_s: float) -> Bench:
    """Return a recording of cells of the default library."""
    from neuroloom.simulation.library import DEFAULT_CELLS, CellLibrary

    return _of_library(CellLibrary.load(sources.arbor or DEFAULT_CELLS), seed, sources, duration_s)


def _of_library(library: Any, seed: int, sources: Sources, duration_s: float) -> Bench:
    from neuroloom.simulation.biophysical import biophysical_recording
    from neuroloom.simulation.scenario import Scenario

    unseen = tuple(cell for cell in library.cells if cell.name in sources.not_trained_on)
    scenario = Scenario(
        duration_s=duration_s,
        rate_hz=sources.rate_hz,
        units=6,
        slowest_hz=2.0,
        noise_uv=10.0,
        smallest_uv=50.0,
    )
    made = biophysical_recording(
        replace(library, cells=unseen or library.cells), scenario=scenario, seed=derive(seed, "library bench")
    )
    # A cell fires as it did in its own simulation, and may be silent for most of a short recording.
    count = made.sorting.count_num_spikes_per_unit(outputs="dict")
    audible = [unit for unit in made.sorting.unit_ids if count[unit] >= 20]
    return Bench(made.recording, made.sorting.select_units(audible))


def _given(path: Path | None, flag: str, command: str) -> Path:
    if path is None or not path.exists():
        raise MissingFile(
            f"{flag} {path}", expected="what this bench is made from", remedy=f"make it by {command}"
        )
    return path


def _columns(columns: int, rows: int, pitch_um: float) -> Any:
    from probeinterface import generate_multi_columns_probe

    probe = generate_multi_columns_probe(
        num_columns=columns, num_contact_per_column=rows, xpitch=pitch_um, ypitch=pitch_um
    )
    probe.set_device_channel_indices(np.arange(columns * rows))
    return probe


def _refractory_train(rate_hz: float, duration_s: float, random: np.random.Generator) -> np.ndarray:
    intervals = 0.004 + random.exponential(1 / rate_hz - 0.004, round(2 * rate_hz * duration_s) + 20)
    times = np.cumsum(intervals)
    return times[(times > 0.01) & (times < duration_s - 0.01)]


_OTHERS: dict[str, Callable[[int, Path, Sources, float], Bench]] = {
    "drift": drift,
    "mearec-tetrode": bench_b,
    "hybrid-locust": hybrid_locust,
    "blue-brain-tetrode": blue_brain_tetrode,
    "arbor-tetrode": arbor_tetrode,
}
BENCHES = (*BENCH_A, *_OTHERS)
