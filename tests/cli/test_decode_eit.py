"""The decode verbs with EIT."""

import numpy as np
import pandas as pd
import pytest

from neuroloom.cli import main
from neuroloom.decoding.estimator import load_decoder
from neuroloom.sessions.session import Session


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("eit")


def save(id, folder, *, n_units, labels):
    random = np.random.default_rng(n_units)
    label = random.integers(2, size=40)
    rate = 0.5 + 3 * (np.repeat(label, 4)[:, None] == np.arange(n_units) % 2)
    session = Session.from_counts(
        random.poisson(rate),
        bin_size_s=0.1,
        id=id,
        trial_lengths=[4] * 40,
        trial_labels={"side": np.array(labels)[label]},
        unit_metadata={"brain_area": ["MOs", "VISp"] * (n_units // 2) + ["MOs"] * (n_units % 2)},
    )
    return session.save(folder / f"{id}.session")


@pytest.fixture(scope="module")
def sessions(folder):
    return [
        str(save(id, folder, n_units=n, labels=("left", "right")))
        for id, n in (("monday", 4), ("tuesday", 6))
    ]


@pytest.fixture(scope="module")
def decoder(folder, sessions):
    out = str(folder / "decoder")
    command = ["decode", "fit", "--model", "eit", "--session", *sessions, "--target", "side", "--out", out]
    command += ["--window-s", "0.2", "--steps", "60", "--learning-rate", "0.01", "--unit-dropout", "0.2"]
    assert main(command) == 0
    return out


def test_fit_predict_and_score_go_through_the_command(decoder, sessions, folder, capsys):
    settings = load_decoder(decoder).settings()
    assert (settings["window_s"], settings["unit_dropout"]) == (0.2, 0.2)
    page = (folder / "decoder.report" / "report.html").read_text()
    assert "Accuracy over the trial" in page
    assert "Attention between groups" in page
    table = str(folder / "predicted.csv")
    assert main(["decode", "predict", "--decoder", decoder, "--session", sessions[0], "--out", table]) == 0
    assert set(pd.read_csv(table)["side"]) <= {"left", "right"}
    assert main(["decode", "score", "--decoder", decoder, "--session", *sessions]) == 0
    printed = capsys.readouterr().out
    assert "accuracy" in printed
    assert "tuesday" in printed


def test_adapt_teaches_another_animal_other_labels(decoder, folder, capsys):
    new = str(save("other", folder, n_units=5, labels=("up", "left")))
    out = str(folder / "adapted")
    command = ["decode", "adapt", "--decoder", decoder, "--session", new, "--out", out]
    assert main([*command, "--mode", "head", "--steps", "5"]) == 0
    assert load_decoder(out).target_.classes == ("left", "right", "up")
    assert "held-out accuracy" in capsys.readouterr().out
    page = (folder / "adapted.report" / "report.html").read_text()
    assert "Accuracy over the trial" in page
    # A head on T answers without attention between units.
    assert "Attention between groups" not in page


def test_a_transformer_over_binned_populations_is_a_model_too(sessions, folder, capsys):
    out = str(folder / "ndt")
    command = ["decode", "fit", "--model", "ndt", "--session", *sessions, "--target", "side", "--out", out]
    assert main([*command, "--window-s", "0.2", "--steps", "60", "--learning-rate", "0.01"]) == 0
    assert "ndt decoder" in capsys.readouterr().out
    assert load_decoder(out).kind == "ndt"


def test_what_is_of_another_model_is_refused(decoder, sessions, folder, capsys):
    command = ["decode", "fit", "--model", "eit", "--session", sessions[0], "--target", "side", "--out"]
    assert main([*command, str(folder / "x"), "--causal"]) == 2
    assert "causal" in capsys.readouterr().err
    assert main([*command, str(folder / "x"), "--config", "small"]) == 2
    assert "EITConfig" in capsys.readouterr().err
    adapt = ["decode", "adapt", "--decoder", decoder, "--session", sessions[0], "--out", str(folder / "x")]
    assert main([*adapt, "--mode", "units"]) == 2
    assert "'interaction'" in capsys.readouterr().err
