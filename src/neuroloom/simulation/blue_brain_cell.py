"""One of Blue Brain's cells in NEURON: driven by noise, its membrane currents recorded."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from neuroloom.errors import DataError, MissingFile
from neuroloom.simulation.blue_brain_models import model_folder, require_neuron
from neuroloom.simulation.cells import SPIKE_LEVEL_MV, MembraneRun, pink_noise

_START_MV = -75.0


class NeuronCell:
    """A Blue Brain cell in NEURON; one per process.

    Parameters
    ----------
    name
        One of `neuroloom.simulation.blue_brain_models.cell_models`.
    mechanisms
        From `neuroloom.simulation.blue_brain_models.compile_mechanisms`.

    Attributes
    ----------
    segment_start_um, segment_end_um
        Ends of its segments, the soma at the origin, apical dendrites along +y, shape ``(segments, 3)``.
    """

    def __init__(self, name: str, mechanisms: str | os.PathLike):
        require_neuron()
        import neuron

        model = model_folder(name)
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
