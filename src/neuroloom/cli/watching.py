"""The verb that shows a running job."""

import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from neuroloom.cli import console
from neuroloom.reporting.numbers import spoken_duration

if TYPE_CHECKING:
    from neuroloom.pipeline.progress import StageProgress

_MARKS = {"waiting": " ", "running": ">", "stopped": "!", "done": "+", "kept": "="}
# What a sorting keeps on disk once it has it -> in words.
_PARTS = {"scaled": "voltage scaled", "white": "whitened", "units": "units learned", "spikes": "spikes found"}
_BARS = "▁▂▃▄▅▆▇█"
_SHORTEST_CURVE, _LONGEST_CURVE, _NARROWEST = 8, 40, 20
# Where lines cannot be drawn over, a loss is told anew only when so many records have come.
_RECORDS_TOLD = 10


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
        try:
            self._follow()
        except KeyboardInterrupt:
            # Only the view ends; what main says of a stopped verb would be untrue of the run.
            print("\nno longer watched; the run itself goes on")

    def _follow(self) -> None:
        from neuroloom.pipeline.progress import is_finished, read_progress

        live = sys.stdout.isatty() and not self.once
        shown: list[str] = []
        while True:
            stages = read_progress(self.folder)
            if live:
                columns = shutil.get_terminal_size().columns
                lines = [stage_line(stage, live=True, width=columns) for stage in stages]
                shown = _draw_over(shown, [fitted(line, columns) for line in lines], columns=columns)
            else:
                lines = [stage_line(stage, live=False, now=self.once) for stage in stages]
                # Only what is new is told.
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


def stage_line(stage: "StageProgress", *, live: bool, now: bool = True, width: int = 120) -> str:
    """Return one line about a stage.

    Parameters
    ----------
    live
        Whether it is drawn over once it is out of date; else the time of a running stage is left out, since
        every second another line would be told.
    now
        Whether the latest record of a loss is told, or that of the last tenth one.
    width
        The curve of a loss takes what of it is left, from 8 to 40 characters.
    """
    parts = [f"{_MARKS[stage.state]} {stage.name:<9}{stage.state:<8}"]
    if stage.seconds is not None and (stage.state != "running" or live):
        parts.append(spoken_duration(round(stage.seconds)) if stage.seconds >= 1 else "<1 s")
    told = stage.summary
    if told.get("parts"):
        parts.append(", ".join(_PARTS.get(str(part), str(part)) for part in told["parts"]))
    if "n_units_so_far" in told:
        parts.append(f"{told['n_units_so_far']} units so far")
    if told.get("loss"):
        parts = _with_loss(parts, told, every=1 if live or now else _RECORDS_TOLD, width=width)
    if "n_units" in told:
        parts.append(f"{told['n_units']} units")
    if told.get("n_well_detected") is not None:
        parts.append(f"{told['n_well_detected']} of {told['n_true_units']} true ones well detected")
    if "metric" in told and told.get("score") is not None:
        parts.append(f"{told['metric']} {told['score']:.2f}")
    return "  ".join(parts).rstrip()


def _with_loss(parts: list[str], told: dict[str, Any], *, every: int, width: int) -> list[str]:
    """Return the parts of a line with a loss and its curve; where it is narrow, less of the others."""
    losses = told["loss"][: max(len(told["loss"]) // every * every, 1)]
    head, loss = parts[:1], f"loss {losses[-1]:.3g}"
    steps = [f"step {told['step']}"] if every == 1 else []
    for before, after in ((parts, steps), (parts, []), (head, [])):
        left = width - len("  ".join([*before, loss, *after])) - 3
        if left >= _SHORTEST_CURVE:
            break
    curve = spark(losses, most=min(max(left, _SHORTEST_CURVE), _LONGEST_CURVE))
    return [*before, loss, curve, *after]


def spark(values: list[float], *, most: int = _LONGEST_CURVE) -> str:
    """Return a curve of up to `most` characters."""
    if len(values) > most:
        values = [values[round(n * (len(values) - 1) / (most - 1))] for n in range(most)]
    low, high = min(values), max(values)
    steps = [(value - low) / (high - low) if high > low else 0.0 for value in values]
    return "".join(_BARS[round(step * (len(_BARS) - 1))] for step in steps)


def fitted(line: str, width: int) -> str:
    """Return a line that takes no second row of a terminal of that width.

    Examples
    --------
    >>> fitted("> decoding running  step 300", 20)
    '> decoding running…'
    """
    width = max(width, _NARROWEST) - 1  # some terminals begin a row at the last column
    return line if len(line) <= width else f"{line[: width - 1].rstrip()}…"


def _draw_over(shown: list[str], lines: list[str], *, columns: int) -> list[str]:
    """Draw lines in place of those that were drawn before, and return what is now there."""
    # After the window was made narrower, the terminal has broken the longer of the old lines.
    rows = sum(-(-max(len(line), 1) // columns) for line in shown)
    up = f"\x1b[{rows}F\x1b[J" if rows else ""
    print(up + "\n".join(lines), flush=True)
    return lines
