"""Verbs that simulate voltage and learn from it."""

import sys
from pathlib import Path

import numpy as np
import pytest

from neuroloom.artifacts import load_artifact
from neuroloom.cli import main
from neuroloom.pipeline.truth import read_truth
from neuroloom.sorting.pretrained import load_weights
from neuroloom.sorting.reading import read_recording

SHORT = ["--duration-s", "1", "--units", "3", "--distant-units", "2"]


def simulate(*arguments: str | Path) -> int:
    return main(["simulate", *map(str, arguments)])


def options(printed: str) -> dict[str, str]:
    """Return the options of the command that was printed last."""
    words = printed.strip().splitlines()[-1].split()
    assert words[:3] == ["next:", "neuroloom", "sort"]
    return dict(zip(words[3::2], words[4::2], strict=True))


@pytest.mark.parametrize("verb", ["simulate", "pretrain"])
def test_help_names_the_kinds(verb, capsys):
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    printed = capsys.readouterr().out
    kinds = {"simulate": ["recording", "corpus", "library"], "pretrain": ["detector", "extractor"]}[verb]
    assert all(f"• {kind}" in printed for kind in kinds)


def test_a_simulated_recording_can_be_read_as_the_next_command_does(tmp_path, capsys):
    assert simulate("recording", "--out", tmp_path / "sim", *SHORT) == 0
    printed = capsys.readouterr().out
    assert f"wrote {tmp_path / 'sim' / 'truth'}  (3 true units)" in printed
    given = options(printed)
    recording = read_recording(given["--recording"])
    assert recording.get_num_samples(0) == 30_000
    assert len(read_truth(given["--truth"], recording).unit_ids) == 3


def test_a_raw_simulated_recording_too(tmp_path, capsys):
    raw = ["--raw", "--dtype", "int16", "--probe", "linear-8"]
    assert simulate("recording", "--out", tmp_path / "sim", *SHORT, *raw) == 0
    given = options(capsys.readouterr().out)
    recording = read_recording(
        given["--recording"],
        dtype=given["--dtype"],
        n_channels=int(given["--channels"]),
        rate_hz=float(given["--rate-hz"]),
        probe=given["--probe"],
        gain_to_uv=float(given["--gain-to-uv"]),
    )
    assert recording.get_num_channels() == 8
    assert 3 < np.median(recording.get_traces(return_in_uV=True).std(axis=0)) < 30


def test_a_probe_file_is_as_good_as_a_name(tmp_path):
    from probeinterface import write_probeinterface

    from neuroloom.simulation.probes import make_probe

    write_probeinterface(tmp_path / "probe.json", make_probe("linear-3"))
    command = ["recording", "--out", tmp_path / "sim", *SHORT, "--probe", tmp_path / "probe.json"]
    assert simulate(*command) == 0
    assert read_recording(tmp_path / "sim" / "recording").get_num_channels() == 3


def test_the_same_command_again_changes_nothing_and_another_is_refused(tmp_path, capsys):
    assert simulate("recording", "--out", tmp_path / "sim", *SHORT) == 0
    written = (tmp_path / "sim" / "about" / "manifest.json").stat().st_mtime_ns
    assert simulate("recording", "--out", tmp_path / "sim", *SHORT) == 0
    assert (tmp_path / "sim" / "about" / "manifest.json").stat().st_mtime_ns == written
    capsys.readouterr()
    assert simulate("recording", "--out", tmp_path / "sim", *SHORT, "--seed", "1") == 2
    assert "another simulated recording" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--noise-uv", "-1"], "noise_uv is -1.0"),
        (["--probe", "hexode"], "no built-in probe"),
        (["--jobs", "0"], "0 jobs"),
        (["--library", "absent"], "absent does not exist"),
    ],
)
def test_bad_input_ends_with_one_message_and_leaves_nothing(wrong, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert simulate("recording", "--out", "sim", *SHORT, *wrong) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert "Remedy: " in printed
    assert not list(tmp_path.iterdir())


def test_a_cluster_without_its_package_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "distributed", None)
    dask = ["--dask", "tcp://127.0.0.1:8786"]
    assert simulate("recording", "--out", tmp_path / "sim", *SHORT, *dask) == 2
    assert "neuroloom[dask]" in capsys.readouterr().err


def test_a_corpus_is_listed_and_grows(tmp_path, capsys):
    corpus = ["corpus", "--out", tmp_path / "corpus", "--duration-s", "1", "--probe", "tetrode", "linear-8"]
    assert simulate(*corpus, "--recordings", "2") == 0
    assert simulate(*corpus, "--recordings", "3") == 0
    printed = capsys.readouterr().out
    assert "3 recordings" in printed
    assert read_recording(options(printed)["--recording"]).get_num_channels() == 4
    assert read_recording(tmp_path / "corpus" / "0001" / "recording").get_num_channels() == 8


def test_a_library_needs_the_simulator(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "arbor", None)
    assert simulate("library", "--out", tmp_path / "cells") == 2
    assert "neuroloom[biophysics]" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_library_is_simulated_and_resumed(tmp_path, capsys):
    pytest.importorskip("arbor", reason="the extra [biophysics] is not installed")
    from neuroloom.simulation.building import build_library
    from neuroloom.simulation.library import CellLibrary

    build_library(4, cache=tmp_path / "cells.cells")  # as if stopped before it was put together
    assert len(list((tmp_path / "cells.cells").iterdir())) >= 4
    assert simulate("library", "--out", tmp_path / "cells", "--cells", "4") == 0
    assert len(CellLibrary.load(tmp_path / "cells")) == 4
    assert not (tmp_path / "cells.cells").exists()
    assert "fast_spiking" in capsys.readouterr().out


@pytest.mark.parametrize(("kind", "batch"), [("detector", "512"), ("extractor", "8")])
def test_weights_are_trained_and_say_how(kind, batch, tmp_path, capsys):
    command = ["pretrain", kind, "--out", str(tmp_path), "--steps", "1", "--batch-size", batch]
    command += ["--cells", "5"]
    command += ["--geometries", "2", "--device", "cpu"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert f"wrote {tmp_path / kind}" in printed
    assert f"next: neuroloom pretrain {'extractor' if kind == 'detector' else 'detector'}" in printed
    assert load_weights(tmp_path / kind).card["training"]["cells"] == 5
    assert load_artifact(tmp_path / kind).document["card"]["library"]["licence"].startswith("BSD-3-Clause")


def test_steps_and_minutes_exclude_each_other(tmp_path, capsys):
    assert main(["pretrain", "detector", "--out", str(tmp_path), "--steps", "2", "--minutes", "1"]) == 2
    assert "--minutes 1" in capsys.readouterr().err
