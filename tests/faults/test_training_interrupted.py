"""Faults 12, 15 and 16: damaged checkpoints, kill -9 while training, a full disk."""

import errno
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from neuroloom import artifacts
from neuroloom.errors import DataError
from neuroloom.training import checkpoint
from neuroloom.training.journal import read_journal
from neuroloom.training.loop import Batch, Objective, TrainConfig, train

TINY_RUN = os.fspath(Path(__file__).parents[1] / "training" / "tiny_run.py")


def run(*arguments):
    runpy.run_path(TINY_RUN)["main"](arguments)


def start(*arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen([sys.executable, TINY_RUN, *arguments], env=environment)


def wait_for_checkpoint(folder, process, step):
    while process.poll() is None:
        if any(path.is_dir() and int(path.name[5:]) >= step for path in folder.glob("step-" + "[0-9]" * 8)):
            return
        time.sleep(0.01)
    raise AssertionError("the run ended before it could be killed")


def same_weights(first, second):
    one, two = (artifacts.load_artifact(folder, kind="weights").arrays for folder in (first, second))
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], two[name])


def test_killed_training_resumes_to_the_same_bits(tmp_path):
    killed = start("--folder", f"{tmp_path}/killed", "--pause-s", "0.05")
    wait_for_checkpoint(tmp_path / "killed" / "checkpoints", killed, 14)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    # What a kill in the middle of writing leaves behind.
    (tmp_path / "killed" / "checkpoints" / ".step-00000099.abc.draft").mkdir()
    with open(tmp_path / "killed" / "log.jsonl", "a") as log:
        log.write('{"step": 99, "lo')
    run("--folder", f"{tmp_path}/killed", "--weights", f"{tmp_path}/killed-weights")
    run("--folder", f"{tmp_path}/whole", "--weights", f"{tmp_path}/whole-weights")
    same_weights(tmp_path / "whole-weights", tmp_path / "killed-weights")
    losses = [
        [(row["step"], row["loss"], row.get("validation_loss")) for row in read_journal(path)]
        for path in (tmp_path / "whole" / "log.jsonl", tmp_path / "killed" / "log.jsonl")
    ]
    assert losses[0] == losses[1]
    assert not list((tmp_path / "killed" / "checkpoints").glob(".*"))


@pytest.mark.slow
def test_killed_again_and_again_it_still_ends_with_the_same_bits(tmp_path):
    rng = np.random.default_rng(0)
    run("--folder", f"{tmp_path}/whole", "--weights", f"{tmp_path}/whole-weights")
    for _ in range(6):
        process = start("--folder", f"{tmp_path}/killed", "--pause-s", "0.02")
        try:
            process.wait(timeout=2.5 + rng.uniform(0, 2))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    run("--folder", f"{tmp_path}/killed", "--weights", f"{tmp_path}/killed-weights")
    same_weights(tmp_path / "whole-weights", tmp_path / "killed-weights")


def parabola(model, batch: Batch):
    return ((model.weight - 3.0) ** 2).sum() * len(batch.indices), len(batch.indices)


OBJECTIVE = Objective(32, parabola)
CONFIG = TrainConfig(steps=40, batch_size=8, learning_rate=0.1, checkpoint_every=10, device="cpu")


def trained(folder):
    torch.manual_seed(1)
    model = torch.nn.Linear(3, 2)
    return model, train(model, OBJECTIVE, config=CONFIG, folder=folder, quiet=True)


def truncate(folder):
    path = folder / artifacts.ARRAYS
    path.write_bytes(path.read_bytes()[:-10])


def flip_a_bit(folder):
    path = folder / artifacts.ARRAYS
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def lose_the_manifest(folder):
    (folder / artifacts.MANIFEST).unlink()


def empty_the_document(folder):
    (folder / artifacts.DOCUMENT).write_text("")


@pytest.mark.parametrize("damage", [truncate, flip_a_bit, lose_the_manifest, empty_the_document])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path, damage):
    whole, _ = trained(tmp_path / "whole")
    trained(tmp_path / "damaged")
    newest = tmp_path / "damaged" / "checkpoints" / "step-00000040"
    damage(newest)
    model, result = trained(tmp_path / "damaged")
    assert torch.equal(model.weight, whole.weight)
    assert [(finding.level, finding.where) for finding in result.findings] == [("warning", os.fspath(newest))]
    assert "step-00000040.damaged" in {path.name for path in newest.parent.iterdir()}
    assert artifacts.verify(newest)
    assert result.records[0]["step"] == 10


def test_when_every_checkpoint_is_damaged_training_begins_again_and_says_so(tmp_path):
    whole, _ = trained(tmp_path)
    for path in (tmp_path / "checkpoints").iterdir():
        flip_a_bit(path)
    model, result = trained(tmp_path)
    assert torch.equal(model.weight, whole.weight)
    assert len(result.findings) == 2


def test_a_pickle_in_place_of_a_checkpoint_is_never_opened(tmp_path):
    trained(tmp_path)
    newest = tmp_path / "checkpoints" / "step-00000040"
    torch.save({"step": 40}, newest / artifacts.ARRAYS)
    _, result = trained(tmp_path)
    assert len(result.findings) == 1


def test_too_little_disk_is_told_before_the_first_step(tmp_path, monkeypatch):
    nearly_full = shutil._ntuple_diskusage(10**9, 10**9 - 100, 100)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: nearly_full)
    with pytest.raises(DataError, match="100 bytes free"):
        trained(tmp_path)


def test_a_disk_that_fills_up_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    whole, _ = trained(tmp_path / "whole")
    write = Path.write_bytes

    def full(self, data):
        if "step-00000030" in os.fspath(self):
            write(self, data[:50])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DataError, match="ran full at step 30"):
        trained(tmp_path / "full")
    monkeypatch.undo()
    found, findings = checkpoint.load_latest(tmp_path / "full" / "checkpoints")
    assert found.step == 20
    assert findings == []
    assert torch.equal(trained(tmp_path / "full")[0].weight, whole.weight)
