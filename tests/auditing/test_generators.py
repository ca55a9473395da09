"""Generators: round trips and refusals."""

import numpy as np
import pytest

from neuroloom.auditing.generators import PCA, Generator
from neuroloom.errors import DataError, NotFitted


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
