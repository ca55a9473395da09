"""A stage is finished or absent; what is finished is never lost and never made twice."""

import json
import os
import signal
import subprocess
import sys

import pytest

from neuroloom.errors import DataError
from neuroloom.pipeline.run_folder import RunFolder


def writer(text: str, calls: list[str]):
    def make(draft):
        calls.append(text)
        (draft / "out.txt").write_text(text)
        return {"text": text}

    return make


def test_a_finished_stage_is_kept(tmp_path):
    run, calls = RunFolder(tmp_path / "run"), []
    run.stage("sorting", writer("a", calls), key="1")
    folder = RunFolder(tmp_path / "run").stage("sorting", writer("a", calls), key="1")
    assert calls == ["a"]
    assert (folder / "out.txt").read_text() == "a"
    assert run.summary("sorting") == {"text": "a"}


def test_a_stage_whose_input_changed_is_made_again(tmp_path):
    run, calls = RunFolder(tmp_path / "run"), []
    run.stage("sorting", writer("a", calls), key="1")
    folder = run.stage("sorting", writer("b", calls), key="2")
    assert calls == ["a", "b"]
    assert (folder / "out.txt").read_text() == "b"


def test_a_failed_stage_leaves_nothing_that_looks_finished(tmp_path):
    run = RunFolder(tmp_path / "run")

    def fail(draft):
        (draft / "out.txt").write_text("half")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        run.stage("sorting", fail, key="1")
    assert sorted(path.name for path in run.path.iterdir()) == ["log.jsonl"]


def test_a_damaged_stage_is_made_again_and_said(tmp_path):
    said, calls = [], []
    run = RunFolder(tmp_path / "run", say=said.append)
    folder = run.stage("sorting", writer("a", calls), key="1")
    (folder / "out.txt").write_text("b")
    run.stage("sorting", writer("a", calls), key="1")
    assert calls == ["a", "a"]
    assert any("damaged" in line for line in said)


def test_what_people_change_with_other_programs_is_no_damage_and_never_lost(tmp_path):
    run, said, calls = RunFolder(tmp_path / "run"), [], []
    run.say = said.append

    def make(draft):
        calls.append(1)
        (draft / "phy").mkdir()
        (draft / "phy" / "spike_clusters").write_text("0 1 2")

    for key in ("1", "1", "2", "3"):
        folder = run.stage("sorting", make, key=key, theirs=("phy",))
        if key == "1":
            (folder / "phy" / "spike_clusters").write_text("0 0 2")
    assert len(calls) == 3
    # The first was curated; what was made from key 2 nobody touched.
    assert (tmp_path / "run" / "sorting-phy-1" / "spike_clusters").read_text() == "0 0 2"
    assert not (tmp_path / "run" / "sorting-phy-2").exists()
    assert (folder / "phy" / "spike_clusters").read_text() == "0 1 2"
    assert any("what you changed in phy is kept in" in line for line in said)


def test_a_users_folder_is_refused_untouched(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(DataError, match="not a neuroloom run"):
        RunFolder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_two_processes_do_not_work_in_one_folder(tmp_path):
    first, second = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "run")
    with first.locked(), pytest.raises(DataError, match="another process"), second.locked():
        pass


def test_every_line_of_the_log_is_json(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.stage("sorting", writer("a", []), key="1")
    events = [json.loads(line)["event"] for line in (run.path / "log.jsonl").read_text().splitlines()]
    assert events == ["start", "done"]


def test_kill_minus_nine_inside_a_stage_loses_only_that_stage(tmp_path):
    code = """if 1:
        import sys, time
        from pathlib import Path
        from neuroloom.pipeline.run_folder import RunFolder
        run = RunFolder(Path(sys.argv[1]))
        with run.locked():
            run.stage("first", lambda draft: (draft / "x").write_text("1") and None, key="1")
            def slow(draft):
                (draft / "x").write_text("half")
                print("inside", flush=True)
                time.sleep(60)
            run.stage("second", slow, key="1")
    """
    process = subprocess.Popen([sys.executable, "-c", code, tmp_path / "run"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    run, calls = RunFolder(tmp_path / "run"), []
    with run.locked():
        run.stage("first", writer("again", calls), key="1")
        run.stage("second", writer("done", calls), key="1")
    assert calls == ["done"]
