"""Audits of files."""

import numpy as np
import pytest
from PIL import Image

from neuroloom.auditing.run import audit_image_files, audit_text_files, find_generator, train_generator
from neuroloom.errors import DataError, MissingFile


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Sixty images shown and eighty others (one of them the same), as folders of PNG files."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, size=(140, 3, 3, 3), dtype=np.uint8)
    for number, pixels in enumerate(coarse):
        name = "shown" if number < 60 else "others"
        (folder / name).mkdir(exist_ok=True)
        image = Image.fromarray(pixels).resize((16, 16), Image.Resampling.BICUBIC)
        image.save(folder / name / f"{number:03}.png")
    Image.open(folder / "shown" / "000.png").save(folder / "others" / "twin.png")
    brain = coarse[:60].reshape(60, -1) / 255 + 0.1 * rng.normal(size=(60, 27))
    return folder / "shown", folder / "others", brain


def test_a_generator_is_trained_once_without_what_will_be_reconstructed(files, tmp_path):
    shown, others, brain = files
    options = {"exclude": [shown], "size_px": 16, "n_latents": 6, "epochs": 1, "quiet": True}
    first = train_generator([others], tmp_path / "vae", **options)
    assert len(first.seen_) == 80
    stamp = (tmp_path / "vae" / "manifest.json").stat().st_mtime_ns
    again = train_generator([others], tmp_path / "vae", **options)
    assert (tmp_path / "vae" / "manifest.json").stat().st_mtime_ns == stamp
    assert again.seen_ == first.seen_
    curve = audit_image_files(
        brain,
        shown,
        generator=tmp_path / "vae",
        size_px=16,
        sizes=[2],
        metrics=["pixcorr"],
        test_fraction=0.3,
    )
    assert curve.facts["generator"] == "vae"


@pytest.mark.parametrize("name", ["pca", "retrieval-pca"])
def test_a_gallery_makes_a_generator(files, name):
    shown, others, brain = files
    curve = audit_image_files(
        brain, shown, generator=name, gallery=[others], size_px=16, sizes=[5], test_fraction=0.3
    )
    assert curve.score("brain", "two_way", size=5) > curve.score("random", "two_way", size=5)


def test_without_a_generator_pixels_are_predicted(files):
    shown, _, brain = files
    curve = audit_image_files(brain, shown, size_px=4, colour=False, sizes=[5])
    assert curve.metrics == ["r2", "correlation"]


def test_text_files_are_audited(sentences, tmp_path):
    (tmp_path / "stimuli.txt").write_text("\n".join(sentences[:80]))
    (tmp_path / "corpus.txt").write_text("\n".join(sentences[70:400]))
    brain = np.random.default_rng(0).normal(size=(80, 5))
    curve = audit_text_files(
        brain, tmp_path / "stimuli.txt", tmp_path / "corpus.txt", n_features=4, sizes=[1], test_fraction=0.2
    )
    assert curve.metrics == ["wer", "bleu1", "meteor"]
    assert curve.score("ceiling", "wer") < curve.score("random", "wer")


def test_what_is_absent_is_named(files, tmp_path):
    shown, _, brain = files
    with pytest.raises(MissingFile, match="train-generator"):
        audit_image_files(brain, shown, generator=tmp_path / "none")
    with pytest.raises(DataError, match="gallery"):
        find_generator("pca", of=np.ones((3, 4, 4)))
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(DataError, match="is empty"):
        audit_text_files(brain, tmp_path / "empty.txt", tmp_path / "empty.txt")
    with pytest.raises(MissingFile):
        audit_text_files(brain, tmp_path / "none.txt", tmp_path / "empty.txt")
