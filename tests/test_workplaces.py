"""Folders in which one process works at a time."""

import multiprocessing

import pytest

from neuroloom.errors import DataError
from neuroloom.workplaces import draft_of, only_process_in, refuse_foreign, remove_drafts


def hold(folder, held, done) -> None:
    with only_process_in(folder, doing="waiting", remedy="go elsewhere"):
        held.set()
        done.wait(60)


def test_a_second_process_is_refused_until_the_first_is_done_or_dead(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    held, done = spawn.Event(), spawn.Event()
    first = spawn.Process(target=hold, args=(tmp_path, held, done))
    first.start()
    assert held.wait(60)
    with (
        pytest.raises(DataError, match=r"another process is waiting in .*wait for it, or go elsewhere"),
        only_process_in(tmp_path, doing="waiting", remedy="go elsewhere"),
    ):
        pass
    first.kill()
    first.join()
    with only_process_in(tmp_path, doing="waiting", remedy="go elsewhere"):
        pass


def test_drafts_are_removed_and_nothing_else_is(tmp_path):
    (draft_of(tmp_path / "result") / "inside").mkdir(parents=True)
    draft_of(tmp_path / "table.csv").write_text("half")
    (tmp_path / "table.csv").write_text("whole")
    (tmp_path / ".hidden").write_text("mine")
    remove_drafts(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "table.csv"]
    remove_drafts(tmp_path / "absent")


def test_only_new_empty_and_own_folders_may_be_written_to(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "manifest.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    for name in ("absent", "empty", "own"):
        refuse_foreign(tmp_path / name, replaces="manifest.json")
    (tmp_path / "file").write_text("all of it")
    for folder, replaces in ((tmp_path / "own", None), (tmp_path, "manifest.json"), (tmp_path / "file", "x")):
        with pytest.raises(DataError, match="is not ours to replace"):
            refuse_foreign(folder, replaces=replaces)
