"""The command of the guide: torchrun starts the verb in two processes, and one decoder comes out."""

import os
import subprocess
import sys

import numpy as np
import pytest

from neuroloom.decoding.estimator import load_decoder
from neuroloom.sessions.session import Session
from neuroloom.simulation.populations import simulate_reaching


@pytest.mark.slow
def test_decode_fit_under_torchrun_leaves_the_decoder_that_one_process_leaves(tmp_path):
    session = Session.from_arrays(
        **simulate_reaching(0, n_units=8, duration_s=40.0).as_session_arguments()
    ).save(tmp_path / "a.session")
    # A processor computes 32 windows as two pieces of 16, so that dropout draws as in two processes.
    verb = ["-m", "neuroloom.cli", "decode", "fit", "--model", "poyo", "--session", str(session),
            "--target", "velocity", "--steps", "6", "--batch-size", "32", "--device", "cpu"]  # fmt: skip
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    predicted = []
    for name, start in (("one", []), ("two", torchrun)):
        out = ["--out", str(tmp_path / name), "--checkpoints", str(tmp_path / f"{name}.checkpoints")]
        done = subprocess.run(
            [sys.executable, *start, *verb, *out],
            env=environment,
            capture_output=True,
            text=True,
            timeout=400,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(f"wrote {tmp_path / name} ") == 1
        predicted.append(load_decoder(tmp_path / name).predict(Session.load(session)).values)
    assert np.std(predicted[0]) > 0
    np.testing.assert_allclose(*predicted, rtol=1e-2, atol=1e-2 * np.std(predicted[0]))
