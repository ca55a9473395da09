"""Row 16 of the fault table: a full disk loses nothing, says what to do, and once there is room all goes on.

A small tmpfs is mounted where that is allowed (root on Linux); else the size of a file is limited, which
fails in the same place. Where neither is possible the tests are skipped.
"""

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from neuroloom import artifacts
from neuroloom.errors import DataError
from neuroloom.pipeline.run_folder import RunFolder
from neuroloom.sessions.session import Session

SMALL = 2 * 2**20


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(place)]
    if (
        shutil.which("mount") is None
        or os.geteuid() != 0
        or subprocess.run(command, capture_output=True).returncode
    ):
        pytest.skip("no tmpfs can be mounted here: only root on Linux may")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@contextlib.contextmanager
def largest_file(n_bytes: int) -> Iterator[None]:
    """Let no file grow above a size, as a quota does."""
    if not hasattr(resource, "RLIMIT_FSIZE"):
        pytest.skip("this system has no limit on the size of a file")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # an error instead of the end
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def fill(place: Path, *, leave: int) -> Path:
    ballast = place / "ballast"
    ballast.write_bytes(b"0" * (shutil.disk_usage(place).free - leave))
    return ballast


def session(n_spikes: int) -> Session:
    times = np.linspace(0, 99, n_spikes)
    return Session.from_arrays(
        id="a", spike_times_s=[times], behavior={"v": (times, times)}, time_support=(0, 100)
    )


def save_folder(content: Session, place: Path) -> Path:
    return content.save(place / "a.session")


def save_nwb(content: Session, place: Path) -> Path:
    return content.to_nwb(place / "a.nwb")


WRITERS = pytest.mark.parametrize("write", [save_folder, save_nwb])


@WRITERS
@pytest.mark.parametrize("told_before", [True, False], ids=["seen before writing", "met while writing"])
def test_the_good_file_stays_and_the_same_call_succeeds_once_there_is_room(
    small_disk, monkeypatch, write: Callable[[Session, Path], Path], told_before
):
    old, new = session(100), session(30_000)
    path = write(old, small_disk)
    ballast = fill(small_disk, leave=200_000)
    if not told_before:
        # Somebody else takes the room after we looked.
        plenty = shutil.disk_usage(small_disk)._replace(free=10**12)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: plenty)
    with pytest.raises(DataError, match="bytes free" if told_before else "ran full") as caught:
        write(new, small_disk)
    assert "free some space" in caught.value.remedy
    assert Session.load(path) == old
    assert {each.name for each in small_disk.iterdir()} == {path.name, "ballast"}
    ballast.unlink()
    write(new, small_disk)
    assert Session.load(path) == new


@WRITERS
def test_a_quota_is_met_like_a_full_disk(tmp_path, write):
    old, new = session(100), session(30_000)
    path = write(old, tmp_path)
    with largest_file(150_000), pytest.raises(DataError, match="ran full"):
        write(new, tmp_path)
    assert Session.load(path) == old
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    write(new, tmp_path)
    assert Session.load(path) == new


def test_a_stage_that_filled_the_disk_is_made_again_and_those_before_it_are_kept(small_disk):
    run, calls = RunFolder(small_disk / "run"), []

    def stage(name: str, n_bytes: int) -> Callable[[Path], None]:
        def make(draft: Path) -> None:
            calls.append(name)
            np.save(draft / "array.npy", np.zeros(n_bytes, np.uint8))

        return make

    run.stage("first", stage("first", 10_000), key="1")
    ballast = fill(small_disk, leave=300_000)
    with pytest.raises(DataError, match="ran full"):
        run.stage("second", stage("second", 900_000), key="1")
    assert not (run.path / "second").exists()
    assert shutil.disk_usage(small_disk).free > 200_000  # the draft is gone
    ballast.unlink()
    again = RunFolder(small_disk / "run")
    again.stage("first", stage("first", 10_000), key="1")
    again.stage("second", stage("second", 900_000), key="1")
    assert calls == ["first", "second", "second"]
    artifacts.verify(run.path / "second")


def test_the_program_ends_with_one_message_and_the_same_command_goes_on(small_disk):
    """As a user meets it: simulating a recording on a disk that is too small for it."""
    command = [
        sys.executable, "-m", "neuroloom.cli", "simulate", "recording", "--probe", "tetrode",
        "--duration-s", "2", "--units", "2", "--distant-units", "0", "--out", str(small_disk / "recording"),
    ]  # fmt: skip
    ballast = fill(small_disk, leave=400_000)
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2, result.stderr
    assert "free some space" in result.stderr
    assert "Traceback" not in result.stderr
    ballast.unlink()
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
