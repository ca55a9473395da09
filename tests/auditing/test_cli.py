"""Audits as a user starts them: files in, a curve, a page and a table out."""

import numpy as np
import pandas as pd
import pytest

from neuroloom.auditing.curve import AuditCurve
from neuroloom.cli import main


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Sixty images, eighty others, and responses to the former: averaged, and all four repeats."""
    folder = tmp_path_factory.mktemp("audit")
    rng = np.random.default_rng(0)
    coarse = rng.uniform(size=(140, 4, 4, 3)).repeat(4, axis=1).repeat(4, axis=2)
    np.save(folder / "shown.npy", coarse[:60])
    np.save(folder / "others.npy", coarse[60:])
    signal = coarse[:60, ::4, ::4].reshape(60, -1)[:, :12] / coarse.std()
    repeats = signal[..., None] + 0.7 * rng.normal(size=(60, 12, 4))
    np.save(folder / "responses.npy", repeats.mean(2))
    np.save(folder / "repeats_units_first.npy", repeats.transpose(1, 0, 2))
    return folder


def run(*words) -> int:
    return main([str(word) for word in words])


def test_a_trained_generator_reconstructs_images_and_the_page_shows_all_arms(files, tmp_path, capsys):
    shown, others, vae = files / "shown.npy", files / "others.npy", tmp_path / "vae"
    options = ["--size-px", 16, "--latents", 8, "--epochs", 2]
    assert (
        run("audit", "train-generator", "--images", others, "--exclude", shown, "--out", vae, *options) == 0
    )
    command = ["audit", "images", "--responses", files / "responses.npy", "--images", shown, "--size-px", 16]
    command += ["--generator", vae, "--sizes", 1, 4, "--metrics", "pixcorr", "ssim", "--draws", 1]
    assert run(*command, "--out", tmp_path / "curve", "--restorations", "train", "test") == 0
    assert "wrote" in capsys.readouterr().out
    curve = AuditCurve.load(tmp_path / "curve")
    kinds = ("", "_restored", "_transductive")
    arms = {f"{arm}{kind}" for arm in ("brain", "random", "shuffled") for kind in kinds}
    assert set(curve.arms) == arms | {"mean", "ceiling"}
    scores = pd.read_csv(tmp_path / "curve.report" / "scores.csv")
    assert list(scores.columns) == ["arm", "size", "metric", "score", "low", "high"]
    page = (tmp_path / "curve.report" / "report.html").read_text()
    for words in (
        "Reconstructions",
        "brain, 4",
        "random, 4, restored",
        "of random to ceiling",
        "transductive",
    ):
        assert words in page


def test_repeats_give_a_noise_ceiling_that_the_page_names(files, tmp_path):
    command = ["audit", "images", "--responses", files / "repeats_units_first.npy", "--units-first"]
    command += ["--images", files / "shown.npy", "--generator", "pca", "--gallery", files / "others.npy"]
    assert run(*command, "--size-px", 8, "--sizes", 4, "--draws", 1, "--out", tmp_path / "curve") == 0
    curve = AuditCurve.load(tmp_path / "curve")
    assert curve.facts["noise_ceiling"] == pytest.approx(np.sqrt(1 / (1 + 0.49 / 4)), abs=0.05)
    assert "Noise ceiling" in (tmp_path / "curve.report" / "report.html").read_text()


@pytest.mark.parametrize("name", ["pca", "joint"])
def test_other_bottlenecks_are_chosen_by_name(files, tmp_path, name):
    responses, targets = files / "responses.npy", tmp_path / "targets.npy"
    np.save(targets, np.load(responses)[:, :3])
    command = ["audit", "arrays", "--responses", responses, "--targets", targets, "--bottleneck", name]
    command += ["--sizes", 3, "--draws", 1, "--test-fraction", 0.3, "--out", tmp_path / "curve"]
    assert run(*command) == 0
    expected = {"pca": "PCABottleneck", "joint": "JointLinear"}[name]
    assert AuditCurve.load(tmp_path / "curve").facts["bottleneck"] == expected


def test_text_is_reconstructed_and_shown(sentences, tmp_path):
    (tmp_path / "texts.txt").write_text("\n".join(sentences[:60]))
    (tmp_path / "corpus.txt").write_text("\n".join(sentences[60:300]))
    np.save(tmp_path / "responses.npy", np.random.default_rng(0).normal(size=(60, 4)))
    command = ["audit", "text", "--responses", tmp_path / "responses.npy", "--texts", tmp_path / "texts.txt"]
    command += ["--corpus", tmp_path / "corpus.txt", "--sizes", 1, "--draws", 1, "--test-fraction", 0.2]
    assert run(*command, "--out", tmp_path / "curve") == 0
    curve = AuditCurve.load(tmp_path / "curve")
    assert curve.examples["truth"][0] in (tmp_path / "curve.report" / "report.html").read_text()


def test_a_leaky_split_ends_with_one_message(files, tmp_path, capsys):
    images = np.load(files / "shown.npy")
    images[1] = images[0]
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "groups.npy", np.arange(60))
    command = ["audit", "images", "--responses", files / "responses.npy", "--images", tmp_path / "images.npy"]
    assert run(*command, "--groups", tmp_path / "groups.npy", "--out", tmp_path / "curve") == 2
    assert "another group" in capsys.readouterr().err
    assert not (tmp_path / "curve").exists()
