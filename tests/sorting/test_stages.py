import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from neuroloom.errors import DataError
from neuroloom.sorting.stages import StageCache, open_stages

ARRAYS = {"sample": np.arange(5), "depth": np.linspace(0, 1, 5).reshape(5, 1)}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "sorting.partial"


def interrupted(folder, key="k"):
    """Leave a folder as an error in the middle of the work does."""
    with pytest.raises(RuntimeError), open_stages(folder, key=key) as cache:
        cache.put("events", ARRAYS)
        cache.file("scaled", lambda path: path.write_bytes(bytes(1000)))
        raise RuntimeError
    return folder


def kept(folder, key="k") -> dict:
    with open_stages(folder, key=key) as cache:
        return cache.get("events")


def test_a_finished_stage_is_found_again(folder):
    found = kept(interrupted(folder))
    assert found.keys() == ARRAYS.keys()
    assert all(np.array_equal(found[name], ARRAYS[name]) for name in ARRAYS)


def test_a_stage_that_was_not_made_is_absent(folder):
    with open_stages(folder, key="k") as cache:
        assert cache.get("events") is None


def test_put_returns_what_get_would(folder):
    with open_stages(folder, key="k") as cache:
        given = cache.put("events", ARRAYS)
        assert all(np.array_equal(given[name], found) for name, found in cache.get("events").items())


def test_a_file_is_made_once(folder):
    interrupted(folder)

    def never(path):
        raise AssertionError

    with open_stages(folder, key="k") as cache:
        assert cache.file("scaled", never).read_bytes() == bytes(1000)


def test_the_folder_is_gone_once_the_work_is_done(folder):
    kept(interrupted(folder))
    assert not folder.exists()


def test_another_key_starts_anew(folder):
    assert kept(interrupted(folder), key="other") is None


def test_a_stage_under_another_key_is_absent(folder):
    interrupted(folder)
    assert StageCache(folder, key="other").get("events") is None
    remade = StageCache(folder, key="other").file("scaled", lambda path: path.write_bytes(b"new"))
    assert remade.read_bytes() == b"new"


@pytest.mark.parametrize("name", ["arrays.safetensors", "document.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["cut", "altered", "gone"])
def test_a_damaged_stage_is_as_good_as_absent(folder, name, damage):
    path = interrupted(folder) / "events" / name
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[: len(content) // 2] if damage == "cut" else b"\xff" + content[1:])
    with open_stages(folder, key="k") as cache:
        assert cache.get("events") is None
        cache.put("events", ARRAYS)
        assert cache.get("events") is not None


def test_a_damaged_file_is_made_again(folder):
    interrupted(folder)
    (folder / "scaled" / "array.npy").write_bytes(bytes(999) + b"\x01")
    with open_stages(folder, key="k") as cache:
        assert cache.file("scaled", lambda path: path.write_bytes(b"new")).read_bytes() == b"new"


def test_a_file_whose_making_fails_leaves_nothing(folder):
    with open_stages(folder, key="k") as cache:
        with pytest.raises(ZeroDivisionError):
            cache.file("scaled", lambda path: path.write_bytes(bytes(1 // 0)))
        assert not (folder / "scaled").exists()


def test_a_damaged_key_starts_anew(folder):
    (interrupted(folder) / "key.json").write_text("{")
    assert kept(folder) is None


def test_a_folder_of_someone_else_is_refused(folder):
    folder.mkdir()
    (folder / "thesis.txt").write_text("all of it")
    with pytest.raises(DataError, match=r"sorting\.partial exists and holds no sorting in progress"):
        kept(folder)
    assert (folder / "thesis.txt").read_text() == "all of it"


def test_two_sortings_in_one_folder_are_refused(folder):
    with open_stages(folder, key="k"), pytest.raises(DataError, match="another process is sorting in"):
        kept(folder)


def test_a_stage_cannot_lie_outside_the_folder(folder):
    with open_stages(folder, key="k") as cache, pytest.raises(DataError, match=r"a stage named '\.\./up'"):
        cache.put("../up", ARRAYS)


WORK = """
import sys, time
import numpy as np
from neuroloom import artifacts
from neuroloom.sorting.stages import open_stages
with open_stages(sys.argv[1], key="k") as cache:
    cache.put("events", {"sample": np.arange(5), "depth": np.linspace(0, 1, 5).reshape(5, 1)})
    cache.file("scaled", lambda path: path.write_bytes(bytes(1000)))
    if sys.argv[2] == "writing":  # killed with the next stage on disk, but not yet under its name
        artifacts.seal = lambda *args, **kwargs: (print("now", flush=True), time.sleep(600))
        cache.put("units", {"templates": np.zeros(1000)})
    print("now", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("moment", ["between", "writing"])
def test_a_kill_costs_the_stage_in_progress_alone(folder, moment):
    process = subprocess.Popen(
        [sys.executable, "-c", WORK, str(folder), moment], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "now\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    time.sleep(0.1)
    with open_stages(folder, key="k") as cache:
        assert np.array_equal(cache.get("events")["sample"], ARRAYS["sample"])
        assert cache.file("scaled", lambda path: path.write_bytes(b"new")).read_bytes() == bytes(1000)
        assert cache.get("units") is None
        assert not list(folder.glob(".*.draft"))
    assert not folder.exists()
