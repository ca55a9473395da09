"""Two processes of torchrun fit the decoder that one fits."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

RUN = os.fspath(Path(__file__).with_name("poyo_run.py"))


@pytest.mark.slow
def test_two_processes_have_the_loss_curve_of_one(tmp_path):
    runpy.run_path(RUN)["main"](os.fspath(tmp_path / "one.json"))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run(
        [*command, RUN, os.fspath(tmp_path / "two.json")], check=True, env=environment, timeout=300
    )
    one, two = (json.loads((tmp_path / name).read_text()) for name in ("one.json", "two.json"))
    for alone, together in zip(one[:2], two[:2], strict=True):
        assert [row["step"] for row in alone] == [row["step"] for row in together]
        for name in ("loss", "validation_loss"):
            np.testing.assert_allclose(
                *(np.array([row[name] for row in curve], dtype=float) for curve in (alone, together)),
                rtol=1e-4,
            )
    np.testing.assert_allclose(one[2], two[2], rtol=1e-2, atol=1e-2)
