"""Runs of one small model that has all that makes a run hard to repeat: dropout, masks, sparse use."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

TINY_RUN = os.fspath(Path(__file__).parent / "tiny_run.py")


@pytest.fixture
def run_tiny():
    """Return a function that runs ``tiny_run.py`` with arguments: here, or by torchrun."""

    def run(*arguments: str, processes: int = 1) -> None:
        if processes == 1:
            runpy.run_path(TINY_RUN)["main"](arguments)
            return
        command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
        command += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0", TINY_RUN, *arguments]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    return run
