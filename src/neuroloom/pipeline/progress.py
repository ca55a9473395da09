"""How far a run is, read from its folder while another process works in it."""

import contextlib
import datetime
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neuroloom.artifacts import load_artifact
from neuroloom.errors import MissingFile, NeuroloomError
from neuroloom.pipeline.run_folder import LOG
from neuroloom.training.journal import read_journal
from neuroloom.workplaces import is_held

STAGES = ("sorting", "session", "decoding", "dynamics", "audit", "report")
_FINISHED = ("done", "kept")


@dataclass(frozen=True)
class StageProgress:
    """How far one stage is.

    Attributes
    ----------
    name
        Of the stage.
    state
        ``"waiting"``, ``"running"``, ``"stopped"`` (its process is gone), ``"done"`` or ``"kept"``.
    seconds
        How long it took, or has taken so far; None where nothing is known.
    summary
        What a finished stage said of itself; of a running one what can be told already: finished ``parts`` of
        a sorting and ``n_units_so_far``, ``step`` and ``loss`` (list of float, one per record) of a training.
    """

    name: str
    state: str
    seconds: float | None = None
    summary: dict[str, Any] = field(default_factory=dict)


def read_progress(folder: Path) -> list[StageProgress]:
    """Return how far each stage of a run is, in order.

    Parameters
    ----------
    folder
        A run folder, worked in or not; nothing is written to it.

    Raises
    ------
    MissingFile
        If there is no run in it.
    """
    folder = Path(folder)
    if not (folder / LOG).exists():
        raise MissingFile(
            f"{folder} holds no run", expected=f"a folder of neuroloom run, with {LOG}",
            remedy="pass the folder that was given as --out",
        )  # fmt: skip
    last = {record["stage"]: record for record in _this_run(read_journal(folder / LOG))}
    working = is_held(folder)
    if working and last.get(STAGES[-1], {}).get("event") in _FINISHED:
        last = {}  # the page is of an earlier run: this one has not come to its first stage
    return [_stage(folder, name, last.get(name), working=working) for name in STAGES]


def is_finished(stages: list[StageProgress]) -> bool:
    """Return whether a run has written its page."""
    return stages[-1].state in _FINISHED


def _this_run(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what was logged since the first stage was last begun or found finished."""
    told = ("time", "stage", "event")
    records = [record for record in records if all(isinstance(record.get(name), str) for name in told)]
    begun = [n for n, record in enumerate(records) if record["stage"] == STAGES[0]]
    # A stage that is made has two records, its start and its end.
    starts = [n for n in begun if records[n]["event"] in ("start", "kept")]
    return records[starts[-1] :] if starts else records


def _stage(folder: Path, name: str, last: dict[str, Any] | None, *, working: bool) -> StageProgress:
    if last is None:
        return StageProgress(name, "waiting")
    if last["event"] in _FINISHED:
        stage = _read_summary(folder / name / "stage.json")
        return StageProgress(name, last["event"], stage.get("seconds"), stage.get("summary", {}))
    if not working:
        return StageProgress(name, "stopped", summary=_so_far(folder, name))
    return StageProgress(name, "running", _seconds_since(last["time"]), _so_far(folder, name))


def _read_summary(path: Path) -> dict[str, Any]:
    """Return what a finished stage said of itself; nothing where it is damaged, which its manifest tells."""
    try:
        stage = json.loads(path.read_text())
        return {"seconds": float(stage["seconds"]), "summary": dict(stage["summary"])}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return {}  # and the page has none


def _seconds_since(time: str) -> float | None:
    try:
        return (datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(time)).total_seconds()
    except (ValueError, TypeError):  # a damaged line, or one without its zone
        return None


def _so_far(folder: Path, name: str) -> dict[str, Any]:
    """Return what a stage that is not finished has left on disk."""
    if name == "sorting":
        kept = [path.parent for path in (folder / "sorting.partial").glob("*/manifest.json")]
        kept = sorted((path for path in kept if not path.name.startswith(".")), key=_age)
        so_far: dict[str, Any] = {"parts": [path.name for path in kept]}
        with contextlib.suppress(NeuroloomError, OSError, KeyError):  # it may go away while it is read
            learned = load_artifact(folder / "sorting.partial" / "units").arrays["neuron"]
            so_far["n_units_so_far"] = int(learned.max(initial=-1)) + 1
        return so_far
    if name == "decoding":
        logs = sorted(folder.glob(".decoding.*.draft/training/**/log.jsonl"), key=_age)
        records: list[dict[str, Any]] = []
        with contextlib.suppress(OSError):  # the draft is given its name while it is read
            records = [record for record in (read_journal(logs[-1]) if logs else []) if "loss" in record]
        if records:
            return {"step": records[-1].get("step"), "loss": [float(record["loss"]) for record in records]}
    return {}


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # it has gone since it was found
        return 0.0
