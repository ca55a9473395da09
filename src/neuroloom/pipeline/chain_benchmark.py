"""What sorting costs: the same decoder from true spikes, from every sorter, and from no sorting at all.

Every spike source of every recording is a cell, in two stages of a run folder: its spikes, and what a
decoder fitted to them makes of held-out time. A stage is kept as soon as it is done, so that a benchmark
that was killed goes on where it was, and another decoder needs no second sorting.
"""

import dataclasses
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom import __version__, artifacts
from neuroloom.errors import DataError, NeuroloomError
from neuroloom.pipeline.chain import RunConfig, choose_target
from neuroloom.pipeline.decode_stage import learn
from neuroloom.pipeline.known_recordings import (
    Condition,
    KnownRecording,
    first_minutes,
    hybrid,
    simulated_reaching,
)
from neuroloom.pipeline.run_folder import RunFolder
from neuroloom.pipeline.sorting_costs import Cell, write_costs
from neuroloom.pipeline.spike_sources import CROSSINGS, NAMES, TRUE, check_sources, find_spikes, is_for
from neuroloom.pipeline.stages import WELL_DETECTED

if TYPE_CHECKING:
    from spikeinterface import BaseRecording

    from neuroloom.sessions.session import Session

# The voltage at hand, and what a killed sorting had finished.
RECORDING, SORTING = "recording", "sorting.partial"


@dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """The choices of a benchmark.

    Attributes
    ----------
    noise_uv
        Noise levels; neurons near the probe have troughs of 60 to 250 uV.
    drift_um
        Each kind of recording is also made with a drift of this range, at the middle noise level; 0 for none.
    seeds
        Every recording is made once for each.
    minutes
        Length of a recording; of a real session that much of its beginning.
    probe
        Name of a built-in probe.
    sources
        Of spikes (`neuroloom.pipeline.spike_sources`); the truth is always one.
    simulated
        Whether there are simulated recordings of reaching, beside those of a real session.
    model
        Decoder, as in `neuroloom.pipeline.chain.RunConfig`.
    target
        What to decode of a real session; None takes its only behaviour.
    test_fraction
        The last part of a recording, on which decoders are scored.
    threshold
        Of the threshold crossings, in multiples of the noise.
    """

    noise_uv: tuple[float, ...] = (15.0, 30.0, 45.0)
    drift_um: float = 30.0
    seeds: tuple[int, ...] = (0, 1)
    minutes: float = 2.0
    probe: str = "columns-32"
    sources: tuple[str, ...] = (TRUE, "simsort", CROSSINGS)
    simulated: bool = True
    model: str = "wiener"
    target: str | None = None
    test_fraction: float = 0.2
    threshold: float = 4.5


def run_chain_benchmark(
    out: str | os.PathLike,
    *,
    session: "Session | None" = None,
    config: BenchmarkConfig | None = None,
    measure: bool = True,
    command: str = "",
    say: Callable[[str], None] = lambda _: None,
    quiet: bool = True,
) -> list[Cell]:
    """Measure what sorting costs in decoding, on recordings whose truth is known.

    Parameters
    ----------
    out
        Folder; one of an earlier benchmark is continued. Gets ``costs.csv`` and ``.json`` (means over
        seeds), ``cells.csv``, ``costs.svg`` and ``report.html``, all of them again whenever a recording
        is finished.
    session
        Real spike trains and behaviour, to be put into simulated voltage (hybrid recordings).
    config
        Every choice.
    measure
        Otherwise only tables, figure and page are written, of the cells that are kept.
    command
        How it was started, for the page.
    say
        Called with one line of text per cell.
    quiet
        No progress bar.

    Returns
    -------
    list of Cell
        One per recording and spike source, in order; without those that are not kept, if not to `measure`.

    Raises
    ------
    DataError
        If a source, the session or the folder cannot be used, or there is nothing to do.
    """
    from tqdm import tqdm

    config = config or BenchmarkConfig()
    config = dataclasses.replace(config, sources=tuple(dict.fromkeys([TRUE, *config.sources])))
    check_sources(list(config.sources))
    wanted = plan(config, with_hybrid=session is not None)
    if not wanted:
        raise DataError(
            "no recording", expected="simulated ones, or a session", remedy="pass --hybrid FOLDER"
        )
    part = None if session is None else first_minutes(session, config.minutes)
    run = RunFolder(Path(out))
    cells: list[Cell] = []
    n_cells = sum(len(_sources(config, condition)) for condition in wanted)
    with run.locked(), tqdm(total=n_cells, desc="cells", unit="", disable=quiet, file=sys.stderr) as bar:
        for condition in wanted:
            bench = _Bench(run, condition, config, part)
            for source in _sources(config, condition):
                bar.set_postfix_str(f"{condition.name}, {NAMES.get(source, source)}")
                if measure or bench.has(source):
                    cells.append(bench.cell(source))
                    say(cells[-1].sentence())
                bar.update()
            shutil.rmtree(run.path / RECORDING, ignore_errors=True)
            if cells:
                write_costs(cells, run.path, config=dataclasses.asdict(config), command=command)
    return cells


def plan(config: BenchmarkConfig, *, with_hybrid: bool) -> list[Condition]:
    """Return the recordings in order: all of the first seed before any of the second.

    Examples
    --------
    >>> for condition in plan(BenchmarkConfig(seeds=(0,)), with_hybrid=False):
    ...     print(condition.name)
    simulated-15uv-still-seed0
    simulated-30uv-still-seed0
    simulated-45uv-still-seed0
    simulated-30uv-drift30um-seed0
    """
    kinds: list[Any] = [*(["simulated"] if config.simulated else []), *(["hybrid"] if with_hybrid else [])]
    levels = sorted(config.noise_uv)
    conditions = []
    for seed in config.seeds:
        for kind in kinds:
            conditions += [Condition(kind, noise, 0.0, seed) for noise in levels]
            if config.drift_um and levels:
                conditions.append(Condition(kind, levels[len(levels) // 2], config.drift_um, seed))
    return conditions


def _sources(config: BenchmarkConfig, condition: Condition) -> list[str]:
    return [source for source in config.sources if is_for(source, drift_um=condition.drift_um)]


class _Bench:
    """One recording with its cells; nothing is simulated as long as nobody asks for what is not kept."""

    def __init__(
        self, run: RunFolder, condition: Condition, config: BenchmarkConfig, session: "Session | None"
    ):
        self.run, self.condition, self.config = run, condition, config
        self.part = session if condition.kind == "hybrid" else None
        made_from = None if self.part is None else self.part.fingerprint()
        self.key = artifacts.fingerprint(
            __version__, dataclasses.asdict(condition), config.minutes, config.probe, made_from
        )

    @cached_property
    def known(self) -> KnownRecording:
        if self.part is not None:
            return hybrid(self.condition, self.part, probe=self.config.probe)
        return simulated_reaching(self.condition, minutes=self.config.minutes, probe=self.config.probe)

    @cached_property
    def voltage(self) -> "BaseRecording":
        """The recording on disk, so that every source reads the same and none pays for the simulation."""
        from neuroloom.sorting.folders import read_binary_folder, write_recording

        def make(draft: Path) -> None:
            write_recording(self.known.recording, draft / "voltage")

        folder = self.run.stage(RECORDING, make, key=self.key, seed=self.condition.seed)
        return read_binary_folder(folder / "voltage")

    def _stages(self, source: str) -> tuple[tuple[str, str], tuple[str, str]]:
        """Return names and keys of a cell's two stages: spikes, and decoding."""
        config = self.config
        name = f"{self.condition.name}.{source.replace(':', '+')}"
        key = artifacts.fingerprint(self.key, source, config.threshold if source == CROSSINGS else None)
        decoded = artifacts.fingerprint(key, config.model, config.test_fraction, config.target)
        return (f"{name}.spikes", key), (f"{name}.{config.model}", decoded)

    def has(self, source: str) -> bool:
        """Return whether a cell is kept."""
        (spikes, key), (decoding, decoded) = self._stages(source)
        if not self.run.has(spikes, key=key):
            return False
        return bool(self.run.summary(spikes)["failed"]) or self.run.has(decoding, key=decoded)

    def cell(self, source: str) -> Cell:
        """Return what a source is worth, from before or measured now."""
        (name, key), (decoding, decoding_key) = self._stages(source)
        spikes = self.run.stage(
            name, lambda draft: self._find(source, draft), key=key, seed=self.condition.seed
        )
        found = self.run.summary(spikes.name)
        facts: dict[str, Any] = {"score": None, "metric": "", "failed": found["failed"]}
        decoding_s = 0.0
        if not found["failed"]:
            decoded = self.run.stage(
                decoding, lambda draft: self._decode(spikes), key=decoding_key, seed=self.condition.seed
            )
            facts = self.run.summary(decoded.name)
            decoding_s = self.run.seconds(decoded.name)
        return Cell(
            condition=self.condition,
            source=source,
            n_units=found["n_units"],
            n_true_units=found["n_true_units"],
            n_well_detected=found["n_well_detected"],
            sorting_accuracy=found["mean_accuracy"],
            metric=facts["metric"],
            score=facts["score"],
            failed=facts["failed"],
            finding_s=self.run.seconds(spikes.name),
            decoding_s=decoding_s,
        )

    def _find(self, source: str, draft: Path) -> dict[str, Any]:
        from neuroloom.sorting.agreement import compare_with_truth
        from neuroloom.sorting.export import write_sorting

        condition, truth = self.condition, self.known.truth
        try:
            # The truth needs no voltage.
            recording = self.known.recording if source == TRUE else self.voltage
            spikes = find_spikes(
                source,
                recording,
                self.known,
                moves=condition.drift_um > 0,
                threshold=self.config.threshold,
                seed=condition.seed,
                work_folder=self.run.path / SORTING,
            )
        except NeuroloomError as error:
            return {"failed": str(error), "n_units": None, "n_well_detected": None, "mean_accuracy": None,
                    "n_true_units": len(truth.unit_ids)}  # fmt: skip
        write_sorting(spikes, draft / "sorting", seed=condition.seed)
        table = compare_with_truth(spikes, truth)
        table.to_csv(draft / "agreement.csv")
        accuracy = table["accuracy"].to_numpy(float)
        return {
            "failed": "",
            "n_units": len(spikes.unit_ids),
            "n_true_units": len(accuracy),
            "n_well_detected": int((accuracy >= WELL_DETECTED).sum()),
            "mean_accuracy": float(accuracy.mean()),
        }

    def _decode(self, folder: Path) -> dict[str, Any]:
        from neuroloom.sorting.export import read_sorting

        nothing = {"score": None, "metric": ""}
        spikes = read_sorting(folder / "sorting")
        if not len(spikes.unit_ids):
            return nothing | {"failed": "no units, so nothing to decode from"}
        session = self.known.session_of(spikes)
        target = choose_target(
            None if self.part is None else self.config.target, session.behavior, session.trials
        )
        run_config = RunConfig(
            model=self.config.model, test_fraction=self.config.test_fraction, seed=self.condition.seed
        )
        try:
            _, held_out, _ = learn(session, str(target), run_config)
        except NeuroloomError as error:
            return nothing | {"failed": str(error)}
        score = held_out.scores.value
        return {
            "failed": "" if np.isfinite(score) else "the score is undefined",
            "score": float(score) if np.isfinite(score) else None,
            "metric": held_out.scores.metric,
        }
