"""The verb that shows a running job."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from neuroloom.cli import console

if TYPE_CHECKING:
    from neuroloom.pipeline.progress import StageProgress

_MARKS = {"waiting": " ", "running": ">", "stopped": "!", "done": "+", "kept": "="}
_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 40


@dataclass(frozen=True, kw_only=True)
class Watch:
    """Follow a run that works elsewhere: its stages, units, loss curve, until its page is written."""

    folder: Positional[Path]
    """Run folder, the --out of run or demo."""
    every_s: float = 1.0
    """Seconds between two looks."""
    once: bool = False
    """Look once and end."""

    def __call__(self) -> None:
        from neuroloom.pipeline.progress import is_finished, read_progress

        redraw = sys.stdout.isatty() and not self.once
        shown: list[str] = []
        while True:
            stages = read_progress(self.folder)
            lines = [stage_line(stage) for stage in stages]
            if redraw and shown:
                print(f"\x1b[{len(shown)}F\x1b[J", end="")
                shown = []
            # Where lines cannot be drawn over, only what is new is told.
            for line in lines:
                if line not in shown:
                    print(line, flush=True)
            shown = lines
            stopped = any(stage.state == "stopped" for stage in stages)
            if self.once or stopped or is_finished(stages):
                break
            time.sleep(self.every_s)
        if stopped:
            print("the run was stopped; the same command goes on from its last finished stage")
        elif is_finished(stages):
            console.wrote(self.folder / "report.html", "the report")
            console.following(f"neuroloom report {self.folder} --open")


def stage_line(stage: "StageProgress") -> str:
    """Return one line about a stage."""
    parts = [f"{_MARKS[stage.state]} {stage.name:<9}{stage.state:<8}"]
    # Every second another line would be told where it cannot be drawn over.
    if stage.seconds is not None and (stage.state != "running" or sys.stdout.isatty()):
        parts.append(f"{stage.seconds:.0f} s")
    told = stage.summary
    if told.get("parts"):
        parts.append("finished: " + ", ".join(told["parts"]))
    if "loss" in told:
        parts.append(f"step {told['step']}, loss {told['loss'][-1]:.3g} {spark(told['loss'])}")
    if "n_units" in told:
        parts.append(f"{told['n_units']} units")
    if told.get("n_well_detected") is not None:
        parts.append(f"{told['n_well_detected']} of {told['n_true_units']} true ones well detected")
    if "metric" in told and told.get("score") is not None:
        parts.append(f"{told['metric']} {told['score']:.2f}")
    return "  ".join(parts)


def spark(values: list[float]) -> str:
    """Return a curve of up to 40 characters."""
    if len(values) > _WIDTH:
        values = [values[round(n * (len(values) - 1) / (_WIDTH - 1))] for n in range(_WIDTH)]
    low, high = min(values), max(values)
    steps = [(value - low) / (high - low) if high > low else 0.0 for value in values]
    return "".join(_BARS[round(step * (len(_BARS) - 1))] for step in steps)
