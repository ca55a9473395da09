"""The live view: lines that fit, one row each; in a pipe only what is new."""

import fcntl
import json
import os
import pty
import re
import struct
import sys
import termios
import threading

import pytest

from neuroloom.artifacts import save_artifact
from neuroloom.cli import watching
from neuroloom.cli.main import main
from neuroloom.cli.watching import Watch, fitted, stage_line
from neuroloom.pipeline.progress import StageProgress, read_progress
from neuroloom.pipeline.run_folder import RunFolder


def training(step, losses):
    return StageProgress("decoding", "running", 12.0, {"step": step, "loss": losses})


@pytest.mark.parametrize("width", [21, 40, 80])
def test_a_line_takes_one_row_of_the_terminal(width):
    line = stage_line(training(300, [1 / n for n in range(1, 100)]), live=True)
    assert len(fitted(line, width)) < width
    assert fitted("short", width) == "short"


def test_a_loss_is_told_with_its_step_and_curve():
    line = stage_line(training(40, [1.0, 0.5, 0.25]), live=True)
    assert "12 s" in line
    assert "loss 0.25  █▃▁  step 40" in line


@pytest.mark.parametrize(("width", "end"), [(45, "▁"), (50, "▁"), (62, "step 300"), (80, "step 300")])
def test_in_a_narrow_terminal_the_curve_shrinks_then_step_and_time_go(width, end):
    line = stage_line(training(300, [1 / n for n in range(1, 100)]), live=True, width=width)
    assert fitted(line, width) == line
    assert line.endswith(end)
    assert 8 <= len(re.findall("[▁▂▃▄▅▆▇█]", line)) <= 40


def test_in_a_pipe_a_running_stage_is_told_again_only_after_ten_more_records():
    told = {
        stage_line(training(n, [1 / k for k in range(1, n + 1)]), live=False, now=False) for n in range(1, 41)
    }
    assert len(told) == 5


def test_a_sorting_tells_its_parts_in_words_and_the_units_so_far():
    stage = StageProgress("sorting", "running", 5.0, {"parts": ["scaled", "units"], "n_units_so_far": 7})
    assert stage_line(stage, live=False).endswith("voltage scaled, units learned  7 units so far")


def test_units_so_far_are_those_that_the_sorting_has_learned(tmp_path):
    import numpy as np

    run = RunFolder(tmp_path / "run")
    with run.locked():
        run.log("sorting", "start")
        arrays = {"neuron": np.array([0, 0, 1, 2])}
        save_artifact(tmp_path / "run" / "sorting.partial" / "units", kind="sorting-stage/units",
                      document={"key": "a"}, arrays=arrays)  # fmt: skip
        assert read_progress(tmp_path / "run")[0].summary == {"parts": ["units"], "n_units_so_far": 3}


def test_a_rerun_that_has_just_begun_is_not_taken_for_the_finished_one_before(tmp_path):
    run = RunFolder(tmp_path)
    with run.locked():
        run.stage("sorting", lambda draft: {}, key="a")
        run.log("report", "done")
    assert read_progress(tmp_path)[-1].state == "done"
    with run.locked():
        assert [stage.state for stage in read_progress(tmp_path)] == ["waiting"] * 6


def test_to_stop_watching_says_that_the_run_goes_on(tmp_path, monkeypatch, capsys):
    run = RunFolder(tmp_path)

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(watching.time, "sleep", interrupt)
    with run.locked():
        run.log("sorting", "start")
        assert main(["watch", str(tmp_path)]) == 0
    assert "the run itself goes on" in capsys.readouterr().out


def test_a_narrow_terminal_shows_each_stage_once_however_often_it_is_drawn(tmp_path, monkeypatch):
    run, columns = RunFolder(tmp_path), 30
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    seen = bytearray()
    reader = threading.Thread(target=_read_all, args=(ours, seen))
    reader.start()
    looks = 0

    def look(_):
        nonlocal looks
        looks += 1
        log = tmp_path / ".decoding.1.draft" / "training" / "all" / "log.jsonl"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("\n".join(json.dumps({"step": n, "loss": 1 / n}) for n in range(1, 2 + 30 * looks)))
        if looks == 5:
            run.log("report", "done")
            held.__exit__(None, None, None)

    monkeypatch.setattr(watching.time, "sleep", look)
    monkeypatch.setattr(watching.shutil, "get_terminal_size", lambda: os.get_terminal_size(theirs))
    held = run.locked()
    held.__enter__()
    run.stage("sorting", lambda draft: {"n_units": 7, "n_well_detected": 6, "n_true_units": 8}, key="a")
    run.log("decoding", "start")
    with open(theirs, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        Watch(folder=tmp_path)()
    reader.join()
    rows = screen(seen.decode(), columns)
    assert looks == 5
    assert sum(row.startswith(("+ sorting", "> sorting")) for row in rows) == 1
    assert sum("decoding" in row for row in rows) == 1
    assert not any(row.startswith("> decoding") and len(row) >= columns for row in rows)


def _read_all(descriptor: int, seen: bytearray) -> None:
    while True:
        try:
            data = os.read(descriptor, 4096)
        except OSError:  # the other end is closed
            break
        if not data:
            break
        seen += data
    os.close(descriptor)


def screen(text: str, columns: int) -> list[str]:
    """Return what a terminal of that width shows in the end."""
    rows, row, column = [""], 0, 0
    for token in re.findall(r"\x1b\[\d*[A-Za-z]|\r|\n|.", text, re.S):
        if token == "\r":
            column = 0
        elif token == "\n":
            row += 1
        elif token.endswith("F") and len(token) > 1:
            row, column = max(row - int(token[2:-1]), 0), 0
        elif token == "\x1b[J":
            rows = [*rows[:row], rows[row][:column]] if row < len(rows) else rows
        else:
            if column >= columns:
                row, column = row + 1, 0
            rows += [""] * (row + 1 - len(rows))
            rows[row] = rows[row][:column].ljust(column) + token + rows[row][column + 1 :]
            column += 1
        rows += [""] * (row + 1 - len(rows))
    return rows
