"""The main job: a recording and its behaviour become units, a decoder, an audit and one page.

Each stage takes what the one before it left in the run folder, so that a stopped run goes on where it was
and `neuroloom report` needs nothing but the folder.
"""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from neuroloom import __version__, artifacts
from neuroloom.errors import DataError, UnknownTarget
from neuroloom.findings import Finding, refuse_errors
from neuroloom.pipeline import pages, stages
from neuroloom.pipeline.decode_stage import decode_stage
from neuroloom.pipeline.dynamics_stage import dynamics_stage, has_dynamics
from neuroloom.pipeline.fingerprints import recording_fingerprint, sorting_fingerprint
from neuroloom.pipeline.nwb_results import write_results
from neuroloom.pipeline.run_folder import RunFolder
from neuroloom.workplaces import refuse_full_disk

if TYPE_CHECKING:
    import pynapple as nap
    from spikeinterface import BaseRecording, BaseSorting

StageName = Literal["decoding", "dynamics", "audit"]


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """The choices of a run; all of them are written into the run folder and onto the page.

    Attributes
    ----------
    sorter
        ``"auto"`` or the name of a sorter.
    motion
        How to follow tissue that moves along the probe: ``"auto"`` looks whether it does (`neuroloom.sort`).
    target
        What to decode; None takes the only behaviour or trial label, or else one called ``velocity``.
    model
        ``"wiener"``, ``"gru"``, ``"poyo"`` or ``"eit"``; ``"auto"`` takes ``"poyo"`` where the target is a
        velocity in two dimensions, and else ``"wiener"``. For such a target, and without
        `decoder_options`, ``"poyo"`` adapts the bundled weights instead of starting from nothing.
    decoder_options
        Arguments of the decoder that differ from its defaults.
    test_fraction
        The last part of the session, on which the decoder is scored.
    phy
        Whether to export the sorting for Phy as well.
    skip
        Stages to leave out; without decoding there is neither dynamics nor audit.
    seed
        Seed of all that is random.
    """

    sorter: str = "auto"
    motion: str = "auto"
    target: str | None = None
    model: str = "auto"
    decoder_options: dict[str, Any] = field(default_factory=dict)
    test_fraction: float = 0.2
    phy: bool = True
    skip: tuple[StageName, ...] = ()
    seed: int = 0


def run(
    recording: "BaseRecording",
    *,
    out: str | os.PathLike,
    behavior: "Mapping[str, nap.Tsd | nap.TsdFrame] | None" = None,
    trials: "nap.IntervalSet | None" = None,
    truth: "BaseSorting | None" = None,
    units: "BaseSorting | None" = None,
    notes: Sequence[Finding] = (),
    metadata: Mapping[str, Any] | None = None,
    session_id: str = "session",
    subject: str = "unknown",
    source: str = "",
    command: str = "",
    config: RunConfig | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Path:
    """Sort, decode, model, audit and report one recording.

    Parameters
    ----------
    recording
        Any single-segment recording.
    out
        Run folder; a folder of an earlier run of the same recording is continued.
    behavior, trials
        What the animal did; without them the run ends after sorting.
    truth
        True units, where they are known: the page then shows agreement and what sorting cost in decoding.
    units
        Units of this recording that take the place of sorting, e.g. curated by hand
        (`neuroloom.pipeline.given_units`).
    notes
        Findings of before, for the page.
    metadata
        What only the user knows of session and subject, for ``results.nwb``
        (`neuroloom.sessions.nwb_metadata`).
    session_id, subject
        Names for the session.
    source, command
        Where the recording came from and how the run was started, for the page.
    config
        Every choice.
    say
        Called with one line of text per step.

    Returns
    -------
    Path
        The run folder, with ``report.html`` in it.

    Raises
    ------
    DataError
        If the recording, behaviour or folder cannot be used.
    UnknownTarget
        If the behaviour has no such target.
    """
    from neuroloom.sessions.checks import check_recording
    from neuroloom.sessions.nwb_metadata import checked_metadata

    config = config or RunConfig()
    checked_metadata(metadata or {})
    behavior = dict(behavior or {})
    target = choose_target(config.target, behavior, trials) if "decoding" not in config.skip else None
    findings = refuse_errors(check_recording(recording, work_folder=Path(out)))
    run_folder = RunFolder(Path(out), say=say)
    with refuse_full_disk(run_folder.path), run_folder.locked():
        data = recording_fingerprint(recording)
        about = {
            "source": source,
            "command": command,
            "session_id": session_id,
            "subject": subject,
            "target": target,
            "config": dataclasses.asdict(config),
            "data_fingerprint": data,
            "findings": [finding.as_dict() for finding in [*findings, *notes]],
        }
        artifacts.write_text(run_folder.path / "run.json", artifacts.to_json(about))
        key = artifacts.fingerprint(__version__, data, config.sorter, config.motion, config.phy, config.seed)
        if units is not None:
            key = artifacts.fingerprint(key, sorting_fingerprint(units), units.get_annotation("sorter"))
        sorting = stages.sort_stage(run_folder, recording, key=key, config=config, truth=truth, units=units)
        key = artifacts.fingerprint(key, session_id, subject, *_behavior_parts(behavior, trials))
        if truth is not None:
            key = artifacts.fingerprint(key, sorting_fingerprint(truth))
        session = stages.session_stage(
            run_folder, sorting, recording, behavior, trials, key=key, id=session_id, subject=subject
        )
        if target is not None and len(session.spikes):
            key = artifacts.fingerprint(key, target, config.test_fraction)
            decoded = artifacts.fingerprint(key, config.model, config.decoder_options)
            decode_stage(run_folder, session, target, key=decoded, config=config, truth=truth)
            if "dynamics" not in config.skip and has_dynamics(session):
                dynamics_stage(run_folder, session, target, key=key, config=config)
            if "audit" not in config.skip:
                stages.audit_stage(run_folder, session, target, key=key, config=config)
        write_results(
            run_folder, session, about=about, rate_hz=recording.get_sampling_frequency(), metadata=metadata
        )
        page = pages.write_report(run_folder.path, recording=recording, truth=truth, say=say)
        run_folder.log("report", "done", path=str(page))
    return run_folder.path


def choose_target(
    wanted: str | None, behavior: Mapping[str, Any], trials: "nap.IntervalSet | None"
) -> str | None:
    """Return the name of what to decode, or None where there is nothing.

    Raises
    ------
    UnknownTarget
        If `wanted` is neither a behaviour nor a trial label.
    DataError
        If nothing was wanted and there are several candidates.
    """
    labels = [] if trials is None else list(trials.metadata_columns)
    candidates = [*behavior, *labels]
    if wanted is not None:
        if wanted not in candidates:
            raise UnknownTarget(
                f"target {wanted!r}",
                expected=f"one of {candidates}" if candidates else "a behaviour, but none was given",
                remedy="pass --target with one of these" if candidates else "pass --behavior FILE",
            )
        return wanted
    if "velocity" in behavior:
        return "velocity"
    for only in (list(behavior), labels):
        if len(only) == 1:
            return only[0]
        if len(only) > 1:
            raise DataError(f"no target was chosen among {candidates}", expected="one of them",
                            remedy="pass --target NAME")  # fmt: skip
    return None


def _behavior_parts(behavior: Mapping[str, Any], trials: "nap.IntervalSet | None") -> list[Any]:
    parts: list[Any] = []
    for name, series in sorted(behavior.items()):
        parts += [name, [str(column) for column in getattr(series, "columns", [])], series.t, series.values]
    if trials is not None:
        parts += [
            trials.values,
            {name: np.asarray(trials.get_info(name)) for name in trials.metadata_columns},
        ]
    return parts
