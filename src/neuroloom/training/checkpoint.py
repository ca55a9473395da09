"""Checkpoints that survive: hashed folders of tensors and JSON, the last two kept, nothing unpickled."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neuroloom import artifacts
from neuroloom.errors import CorruptArtifact, DataError
from neuroloom.findings import Finding

KIND = "checkpoint"
KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """What `load_latest` gives back.

    Attributes
    ----------
    step
        How many optimizer steps had been made.
    tensors
        Name -> tensor, on the CPU.
    document, provenance
        The writer's JSON content, and the config, seed and data fingerprint of the run.
    """

    step: int
    tensors: dict[str, torch.Tensor]
    document: dict[str, Any]
    provenance: dict[str, Any]


def save_checkpoint(
    folder: Path,
    *,
    step: int,
    tensors: Mapping[str, torch.Tensor],
    document: Mapping[str, Any],
    config: Mapping[str, Any],
    seed: int,
    data_fingerprint: str | None = None,
) -> Path:
    """Write ``folder/step-<step>`` atomically, and only then drop all but the last two.

    Raises
    ------
    DataError
        If the disk has too little room; the checkpoints that exist stay as they are.
    """
    # NumPy has no bfloat16: its bits travel as int16.
    halves = [name for name, tensor in tensors.items() if tensor.dtype == torch.bfloat16]
    arrays = {
        name: (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).detach().cpu().numpy()
        for name, tensor in tensors.items()
    }
    path = folder / f"step-{step:08d}"
    try:
        artifacts.save_artifact(
            path,
            kind=KIND,
            document={"step": step, "bfloat16": halves, "content": document},
            arrays=arrays,
            config=config,
            seed=seed,
            data_fingerprint=data_fingerprint,
        )
    except DataError as error:
        if not isinstance(error.__cause__, OSError):
            raise  # it was known before anything was written
        raise DataError(
            f"{folder} ran full at step {step}",
            expected=f"room for {sum(array.nbytes for array in arrays.values()):,} bytes",
            remedy="free some space and run the same command again; it resumes from the last checkpoint",
        ) from error
    for old in _newest_first(folder)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
    return path


def load_latest(folder: Path) -> tuple[Checkpoint | None, list[Finding]]:
    """Return the newest undamaged checkpoint (None if there is none), and a warning per damaged one."""
    findings = []
    for path in _newest_first(folder):
        try:
            artifact = artifacts.load_artifact(path, kind=KIND)
        except CorruptArtifact as error:
            findings.append(
                Finding(
                    "warning",
                    what=f"checkpoint is damaged: {error.found}",
                    where=os.fspath(path),
                    remedy="an older checkpoint, or the beginning, is used instead; check the disk",
                )
            )
            continue
        halves = set(artifact.document["bfloat16"])
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in artifact.arrays.items()}
        tensors |= {name: tensors[name].view(torch.bfloat16) for name in halves}
        content = artifact.document["content"]
        return Checkpoint(artifact.document["step"], tensors, content, artifact.provenance), findings
    return None, findings


def clear_remains(folder: Path) -> None:
    """Remove what a killed process left half-written, and set damaged checkpoints aside."""
    for draft in folder.glob(".step-*.draft"):
        shutil.rmtree(draft, ignore_errors=True)
    for path in _newest_first(folder):
        try:
            artifacts.verify(path)
        except CorruptArtifact:
            aside = path.with_suffix(".damaged")
            shutil.rmtree(aside, ignore_errors=True)
            os.rename(path, aside)


def _newest_first(folder: Path) -> list[Path]:
    return sorted((path for path in folder.glob("step-*") if path.suffix == ""), reverse=True)
