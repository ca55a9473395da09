"""Every verb does its work, prints what it wrote and what comes next."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neuroloom.auditing.curve import AuditCurve
from neuroloom.cli import main
from neuroloom.decoding.estimator import load_decoder
from neuroloom.sessions.session import Session

VERBS = ["demo", "run", "sort", "match", "decode", "dynamics", "audit", "check", "report", "watch"]


def make_session(id: str, *, seed: int) -> Session:
    rng = np.random.default_rng(seed)
    counts = rng.poisson(3, size=(1200, 6))
    velocity = counts @ rng.normal(size=(6, 2))
    return Session.from_counts(counts, bin_size_s=0.05, id=id, behavior={"velocity": velocity})


def fit(session: Path, *, out: Path) -> list[str]:
    return ["decode", "fit", "--session", str(session), "--target", "velocity", "--out", str(out)]


@pytest.fixture
def monday(tmp_path) -> Path:
    return make_session("monday", seed=0).save(tmp_path / "monday.session")


@pytest.fixture
def tuesday(tmp_path) -> Path:
    return make_session("tuesday", seed=1).to_nwb(tmp_path / "tuesday.nwb")


@pytest.fixture
def decoder(monday, tmp_path, capsys) -> Path:
    folder = tmp_path / "decoder"
    assert (
        main(["decode", "fit", "--session", str(monday), "--target", "velocity", "--out", str(folder)]) == 0
    )
    printed = capsys.readouterr().out
    assert "held-out R²" in printed
    assert f"wrote {folder}" in printed
    assert "next: neuroloom decode predict" in printed
    return folder


def test_help_names_every_verb():
    printed = subprocess.run(
        [sys.executable, "-m", "neuroloom.cli", "--help"], check=True, capture_output=True, text=True
    ).stdout
    assert all(f"• {verb}" in printed for verb in VERBS)


def test_help_for_a_reader_who_has_seen_enough_ends_quietly():
    command = [sys.executable, "-m", "neuroloom.cli", "decode", "fit", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_what_is_fitted_can_be_loaded_predicted_and_scored(decoder, monday, tmp_path, capsys):
    out = tmp_path / "predicted.csv"
    command = ["decode", "predict", "--decoder", str(decoder), "--session", str(monday), "--out", str(out)]
    assert main(command) == 0
    table = pd.read_csv(out)
    predicted = load_decoder(decoder).predict(Session.load(monday))
    np.testing.assert_allclose(table[["0", "1"]], predicted.values)
    np.testing.assert_allclose(table["time_s"], predicted.t)
    assert main(["decode", "score", "--decoder", str(decoder), "--session", str(monday)]) == 0
    assert "monday  1.000" in capsys.readouterr().out


def test_a_decoder_learns_a_new_session_from_nwb(decoder, tuesday, tmp_path, capsys):
    adapted = tmp_path / "adapted"
    assert main(["decode", "score", "--decoder", str(decoder), "--session", str(tuesday)]) == 2
    assert "adapt" in capsys.readouterr().err
    command = ["decode", "adapt", "--decoder", str(decoder), "--session", str(tuesday), "--out", str(adapted)]
    assert main(command) == 0
    assert load_decoder(adapted).score(Session.load(tuesday)) > 0.9


def test_rates_are_measured_anew_in_a_session_that_is_known(decoder, monday, tuesday, tmp_path, capsys):
    out, command = tmp_path / "anew", ["decode", "recalibrate", "--decoder", str(decoder)]
    assert main([*command, "--session", str(monday), "--out", str(out)]) == 0
    assert "next: neuroloom decode predict" in capsys.readouterr().out
    assert load_decoder(out).score(Session.load(monday)) > 0.9
    assert main([*command, "--session", str(tuesday), "--out", str(tmp_path / "never")]) == 2
    assert "adapt" in capsys.readouterr().err


def test_several_sessions_are_fitted_at_once(monday, tuesday, tmp_path, capsys):
    command = ["decode", "fit", "--session", str(monday), str(tuesday), "--target", "velocity"]
    assert main([*command, "--past-bins", "1", "--out", str(tmp_path / "both")]) == 0
    printed = capsys.readouterr().out
    assert "monday" in printed
    assert "tuesday" in printed


def test_an_option_of_another_model_is_refused(monday, tmp_path, capsys):
    command = ["decode", "fit", "--session", str(monday), "--target", "velocity", "--model", "gru"]
    assert main([*command, "--future-bins", "3", "--out", str(tmp_path / "x")]) == 2
    assert "future_bins" in capsys.readouterr().err


def test_an_audit_of_arrays_writes_curve_page_and_table(tmp_path, capsys):
    rng = np.random.default_rng(0)
    responses = rng.normal(size=(200, 8))
    np.save(tmp_path / "responses.npy", responses)
    np.save(tmp_path / "targets.npy", responses @ rng.normal(size=(8, 3)))
    command = ["audit", "arrays", "--responses", str(tmp_path / "responses.npy"), "--targets"]
    assert main([*command, str(tmp_path / "targets.npy"), "--out", str(tmp_path / "audit")]) == 0
    curve = AuditCurve.load(tmp_path / "audit")
    assert curve.score("brain", "r2") > 0.9 > 0.1 > curve.score("random", "r2")
    assert (tmp_path / "audit.report" / "report.html").exists()
    scores = pd.read_csv(tmp_path / "audit.report" / "scores.csv")
    assert set(scores["arm"]) >= {"brain", "random", "shuffled", "mean"}
    assert "wrote" in capsys.readouterr().out


def test_an_audit_of_a_decoder_finds_its_two_dimensions(monday, tmp_path):
    command = ["audit", "decoder", "--session", str(monday), "--target", "velocity", "--sizes", "1", "2", "6"]
    assert main([*command, "--out", str(tmp_path / "audit")]) == 0
    curve = AuditCurve.load(tmp_path / "audit")
    assert curve.score("brain", "r2", size=2) > curve.score("brain", "r2", size=1) + 0.1
    assert curve.score("brain", "r2", size=2) > 0.8


def test_arrays_with_objects_are_refused_unread(tmp_path, capsys):
    np.save(tmp_path / "evil.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    command = [
        "audit",
        "arrays",
        "--responses",
        str(tmp_path / "evil.npy"),
        "--targets",
        str(tmp_path / "evil.npy"),
    ]
    assert main([*command, "--out", str(tmp_path / "audit")]) == 2
    assert "evil.npy" in capsys.readouterr().err
    assert not (tmp_path / "audit").exists()


def test_a_check_finds_nothing_wrong_with_good_data(monday, capsys):
    assert main(["check", "--session", str(monday), "--target", "velocity"]) == 0
    assert "0 errors" in capsys.readouterr().out


def test_a_check_of_hopeless_data_exits_with_two(tmp_path, capsys):
    session = make_session("monday", seed=0)
    constant = {"velocity": (session.behavior["velocity"].t, np.full(1200, np.nan))}
    path = Session.from_arrays(
        id="monday",
        spike_times_s=[session.spikes[0].t],
        behavior=constant,
        time_support=session.time_support,
    ).save(tmp_path / "hopeless.session")
    assert main(["check", "--session", str(path), "--target", "velocity"]) == 2
    assert "error: " in capsys.readouterr().out


def test_a_check_of_nothing_is_refused(capsys):
    assert main(["check"]) == 2
    assert "--recording" in capsys.readouterr().err


def test_a_defect_of_ours_exits_with_one_and_no_traceback(monday, monkeypatch, tmp_path, capsys):
    from neuroloom.decoding import evaluation

    def broken(*_, **__):
        raise RuntimeError("boom")

    monkeypatch.setattr(evaluation, "fit_and_evaluate", broken)
    command = [
        "decode",
        "fit",
        "--session",
        str(monday),
        "--target",
        "velocity",
        "--out",
        str(tmp_path / "x"),
    ]
    assert main(command) == 1
    printed = capsys.readouterr().err
    assert "defect of ours: RuntimeError: boom" in printed
    assert "Traceback" not in printed


def test_artifacts_say_how_they_were_made(decoder):
    manifest = json.loads((decoder / "manifest.json").read_text())
    assert manifest["kind"] == "decoder/wiener"
    assert manifest["provenance"]["config"]["target"] == "velocity"
    assert manifest["provenance"]["data_fingerprint"]
    assert manifest["provenance"]["neuroloom"]


def test_dynamics_are_fitted_scored_and_simulated(tmp_path, capsys):
    rng = np.random.default_rng(0)
    drive = rng.normal(size=(60, 20, 1)).repeat(2, axis=2)
    # Two kinds of trials: the input excites the units of one and inhibits those of the other.
    sign = np.where(np.arange(60) % 2, 1.0, -1.0)
    rates = 6 * np.exp(0.8 * sign[:, None, None] * drive[..., :1] * np.linspace(-1, 1, 6))
    session = Session.from_counts(
        rng.poisson(rates).reshape(1200, 6), bin_size_s=0.05, id="monday",
        behavior={"drive": drive.reshape(1200, 2)[:, 0]}, trial_lengths=[20] * 60,
        trial_labels={"kind": np.arange(60) % 2},
    ).save(tmp_path / "monday.session")  # fmt: skip
    mixture = tmp_path / "mixture"
    fit = ["dynamics", "fit", "--session", str(session), "--components", "2", "--states", "1", "--pcs", "3"]
    fit += ["--shared", "Q", "R", "--ridge", "0.1"]
    assert main([*fit, "--input", "drive", "--out", str(mixture)]) == 0
    assert "held-out log-likelihood per bin" in capsys.readouterr().out
    assert "Impulse responses" in (tmp_path / "mixture.report" / "report.html").read_text()
    assert main(["dynamics", "score", "--mixture", str(mixture), "--session", str(session)]) == 0
    assert "component 2" in capsys.readouterr().out
    out = tmp_path / "drawn"
    assert main(["dynamics", "simulate", "--mixture", str(mixture), "--out", str(out), "--trials", "7"]) == 0
    from neuroloom.artifacts import load_artifact

    assert load_artifact(out).arrays["outputs"].shape == (7, 50, 3)
