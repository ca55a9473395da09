import json

import pytest

from neuroloom.cli.main import main
from neuroloom.cli.watching import spark
from neuroloom.errors import MissingFile
from neuroloom.pipeline.progress import is_finished, read_progress
from neuroloom.pipeline.run_folder import RunFolder


def states(folder) -> list[str]:
    return [stage.state for stage in read_progress(folder)]


def test_a_run_is_followed_from_its_start_to_its_page(tmp_path):
    folder, seen = tmp_path / "run", {}

    def sort(draft):
        part = folder / "sorting.partial" / "units"
        part.mkdir(parents=True)
        (part / "manifest.json").write_text("{}")
        seen["sorting"] = read_progress(folder)[0]
        return {"n_units": 7}

    def decode(draft):
        (draft / "training").mkdir()
        lines = [json.dumps({"step": step, "loss": 1 / step}) for step in (1, 2, 4)]
        (draft / "training" / "log.jsonl").write_text("\n".join(lines) + '\n{"step": 5, "lo')
        seen["decoding"] = read_progress(folder)[2]
        return {}

    run = RunFolder(folder)
    assert states(folder) == ["waiting"] * 6
    with run.locked():
        run.stage("sorting", sort, key="a")
        run.stage("session", lambda draft: {}, key="a")
        run.stage("decoding", decode, key="a")
        assert states(folder) == ["done"] * 3 + ["waiting"] * 3
        run.log("report", "done")
    assert seen["sorting"].state == "running"
    assert seen["sorting"].summary == {"parts": ["units"]}
    assert seen["decoding"].summary == {"step": 4, "loss": [1.0, 0.5, 0.25]}
    stages = read_progress(folder)
    assert is_finished(stages)
    assert stages[0].summary == {"n_units": 7}
    with run.locked():
        run.stage("sorting", sort, key="a")
        assert states(folder) == ["kept"] + ["waiting"] * 5


def test_what_a_killed_run_was_doing_is_stopped(tmp_path):
    run = RunFolder(tmp_path)
    with run.locked():
        run.log("sorting", "start")
        assert states(tmp_path)[0] == "running"
    assert states(tmp_path)[0] == "stopped"


def test_the_verb_tells_and_ends(tmp_path, capsys):
    run = RunFolder(tmp_path)
    with run.locked():
        run.stage("sorting", lambda draft: {"n_units": 7}, key="a")
        run.log("report", "done")
    assert main(["watch", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "7 units" in told
    assert "report.html" in told
    run.log("sorting", "start")
    assert main(["watch", str(tmp_path)]) == 0
    assert "goes on from its last finished stage" in capsys.readouterr().out


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(MissingFile, match="holds no run"):
        read_progress(tmp_path)


def test_a_curve_goes_from_its_highest_to_its_lowest():
    curve = spark([1 - n / 200 for n in range(200)])
    assert (curve[0], curve[-1], len(curve)) == ("█", "▁", 40)
    assert spark([2.0]) == "▁"
