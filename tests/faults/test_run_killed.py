"""Row 15 of the fault table: a run that is killed again and again ends as if nobody had touched it."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

N_KILLS = 20
OPTIONS = ("--probe", "tetrode", "--minutes", "0.5", "--seed", "5")


def start(folder: Path) -> subprocess.Popen:
    # The order of a network's sums, and so its last digits, depends on the number of threads.
    environment = os.environ | {"NEUROLOOM_THREADS": str(torch.get_num_threads())}
    command = [sys.executable, "-m", "neuroloom.cli", "demo", "--out", str(folder), *OPTIONS]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)


def results(folder: Path) -> dict[str, str]:
    """Return the hash of every array that the stages of a run left, but for those of training."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("arrays.safetensors")
        if "training" not in path.parts
    }


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_run_killed_at_twenty_random_moments_ends_with_the_result_of_an_undisturbed_one(tmp_path):
    began = time.monotonic()
    assert start(tmp_path / "whole").wait() == 0
    seconds = time.monotonic() - began
    random = np.random.default_rng(int(os.environ.get("NEUROLOOM_TEST_SEED", "0")))
    killed = 0
    while killed < N_KILLS:
        process = start(tmp_path / "killed")
        try:
            # Long enough to get somewhere; what it had finished, the next one starts from.
            assert process.wait(timeout=random.uniform(0.05, 0.6) * seconds) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed += 1
        else:
            # It came to its end before it was killed: compare, and begin another one.
            assert results(tmp_path / "killed") == results(tmp_path / "whole")
            (tmp_path / "killed").rename(tmp_path / f"done-{killed}")
    assert start(tmp_path / "killed").wait() == 0
    assert results(tmp_path / "killed") == results(tmp_path / "whole")
    assert len(results(tmp_path / "whole")) >= 5
    assert not [path for path in (tmp_path / "killed").iterdir() if path.name.endswith(".draft")]
    assert not (tmp_path / "killed" / "sorting.partial").exists()
