"""The decode verbs with POYO: every verb says what it wrote and what to do next."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neuroloom.cli import main
from neuroloom.decoding.estimator import load_decoder
from neuroloom.sessions.session import Session
from neuroloom.sessions.windows import flatten
from neuroloom.simulation.populations import simulate_reaching


def save(animal: int, folder: Path) -> Path:
    simulated = simulate_reaching(animal, n_units=8, duration_s=30.0)
    session = Session.from_arrays(**simulated.as_session_arguments())
    return session.save(folder / f"animal-{animal}.session")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("poyo")


@pytest.fixture(scope="module")
def first(folder) -> Path:
    return save(0, folder)


@pytest.fixture(scope="module")
def second(folder) -> Path:
    return save(1, folder)


@pytest.fixture(scope="module")
def decoder(folder, first) -> Path:
    out = folder / "decoder"
    command = ["decode", "fit", "--model", "poyo", "--session", str(first), "--target", "velocity"]
    options = ["--causal", "--steps", "3", "--batch-size", "8", "--checkpoints", str(folder / "run")]
    assert main([*command, *options, "--out", str(out)]) == 0
    return out


def test_fit_writes_decoder_page_and_checkpoints(decoder, folder):
    fitted = load_decoder(decoder)
    assert fitted.settings()["causal"] is True
    assert (folder / "run" / "log.jsonl").exists()
    page = (folder / "decoder.report" / "report.html").read_text()
    assert "Predicted against true" in page
    assert "Map of the units" in page
    assert "preferred direction" in page


def test_adapt_writes_a_decoder_a_curve_and_a_page(decoder, second, folder, capsys):
    out = folder / "adapted"
    command = ["decode", "adapt", "--decoder", str(decoder), "--session", str(second), "--out", str(out)]
    assert main([*command, "--mode", "full", "--steps", "2", "--minutes", "0.2"]) == 0
    printed = capsys.readouterr().out
    assert "held-out R²" in printed
    assert f"wrote {out}  (adapted decoder)" in printed
    assert "next: neuroloom decode predict" in printed
    curve = pd.read_csv(folder / "adapted.report" / "learning_curve.csv")
    assert list(curve.columns) == ["step", "stage", "loss", "validation_loss", "r2"]
    assert curve["stage"].tolist() == ["units", "units", "all", "all"]
    assert curve["step"].tolist() == [1, 2, 3, 4]
    assert "Learning curve" in (folder / "adapted.report" / "report.html").read_text()
    assert len(load_decoder(out).units_) == 2


def test_options_of_poyo_are_refused_by_a_filter(first, tmp_path, capsys):
    command = ["decode", "fit", "--session", str(first), "--target", "velocity"]
    assert main([*command, "--out", str(tmp_path / "w")]) == 0
    command = ["decode", "adapt", "--decoder", str(tmp_path / "w"), "--session", str(first)]
    assert main([*command, "--mode", "full", "--out", str(tmp_path / "x")]) == 2
    assert "mode" in capsys.readouterr().err
    assert main(["decode", "stream", "--decoder", str(tmp_path / "w"), "--session", str(first)]) == 2
    assert "poyo" in capsys.readouterr().err


def test_a_session_is_streamed_into_a_table(decoder, first, tmp_path, capsys):
    out = tmp_path / "streamed.csv"
    command = ["decode", "stream", "--decoder", str(decoder), "--session", str(first), "--out", str(out)]
    assert main([*command, "--end-s", "10"]) == 0
    printed = capsys.readouterr().out
    assert "200 predictions, 50 ms apart" in printed
    assert "median ms" in printed
    assert "next: " in printed
    table = pd.read_csv(out)
    expected = load_decoder(decoder).predict(Session.load(first).restrict((0, 10)))
    np.testing.assert_allclose(table["time_s"], expected.t + 0.025)
    np.testing.assert_allclose(table[["0", "1"]], expected.values, atol=1e-3)


def test_lines_of_standard_input_are_streamed_to_standard_output(decoder, first, monkeypatch, capsys):
    flat = flatten(Session.load(first))
    lines = "".join(
        f"{time},{flat.unit_ids[unit]}\n"
        for time, unit in zip(flat.times_s, flat.unit, strict=True)
        if time < 2
    )
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    assert main(["decode", "stream", "--decoder", str(decoder), "--spikes", "-", "--step-ms", "500"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "time_s,0,1"
    assert [line.split(",")[0] for line in printed[1:4]] == ["0.5", "1", "1.5"]


def test_a_stream_of_nothing_or_of_two_things_is_refused(decoder, first, tmp_path, capsys):
    command = ["decode", "stream", "--decoder", str(decoder)]
    assert main(command) == 2
    assert "exactly one" in capsys.readouterr().err
    assert main([*command, "--spikes", str(tmp_path / "none.csv")]) == 2
    assert "none.csv" in capsys.readouterr().err


def test_scores_and_predictions_of_a_poyo_folder(decoder, first, tmp_path, capsys):
    assert main(["decode", "score", "--decoder", str(decoder), "--session", str(first)]) == 0
    assert "next: " in capsys.readouterr().out
    out = tmp_path / "predicted.csv"
    command = ["decode", "predict", "--decoder", str(decoder), "--session", str(first), "--out", str(out)]
    assert main(command) == 0
    assert len(pd.read_csv(out)) == 600
