"""The trained generator: it learns, keeps, and is refused where it must be."""

import numpy as np
import pytest

from neuroloom.auditing.vae import VAE
from neuroloom.errors import CorruptArtifact, DataError, NotFitted


@pytest.fixture(scope="module")
def images():
    """Blobs of light at random places (400, 16, 16, 3)."""
    rng = np.random.default_rng(0)
    grid = np.arange(16)
    centres = rng.uniform(3, 13, size=(400, 2))
    rows = np.exp(-((grid - centres[:, :1]) ** 2) / 12)
    columns = np.exp(-((grid - centres[:, 1:]) ** 2) / 12)
    blobs = rows[:, :, None] * columns[:, None, :]
    return np.repeat(blobs[..., None], 3, axis=3) * rng.uniform(0.5, 1, size=(400, 1, 1, 3))


@pytest.fixture(scope="module")
def trained(images):
    return VAE(n_latents=8, channels=8, epochs=15, batch_size=16).fit(images[:350], quiet=True)


def test_it_reconstructs_new_images_better_than_their_mean(images, trained):
    new = images[350:]
    error = np.square(trained.decode(trained.encode(new)) - new).mean()
    assert error < 0.4 * np.square(images[:350].mean(0) - new).mean()


def test_a_unit_step_of_latents_moves_the_pixels_by_about_one_unit(images, trained):
    latents = trained.encode(images[:100])
    rng = np.random.default_rng(0)
    step = rng.normal(size=latents.shape)
    step *= 0.1 / np.linalg.norm(step, axis=1, keepdims=True)
    moved = trained.decode(latents + step) - trained.decode(latents)
    length = np.sqrt(np.square(moved.reshape(100, -1)).sum(1).mean())
    assert 0.04 < length < 0.12  # clipping to 0..1 takes some of it


def test_saved_and_read_back_it_makes_the_same_images(images, trained, tmp_path):
    loaded = VAE.load(trained.save(tmp_path / "generator"))
    np.testing.assert_array_equal(loaded.encode(images[:5]), trained.encode(images[:5]))
    np.testing.assert_array_equal(
        loaded.decode(trained.encode(images[:5])), trained.decode(trained.encode(images[:5]))
    )
    assert loaded.seen_ == trained.seen_
    weights = tmp_path / "generator" / "arrays.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(CorruptArtifact):
        VAE.load(tmp_path / "generator")


def test_the_seed_fixes_the_weights(images):
    runs = [VAE(n_latents=3, channels=4, epochs=1).fit(images[:40], quiet=True) for _ in range(2)]
    np.testing.assert_array_equal(runs[0].encode(images[:3]), runs[1].encode(images[:3]))


def test_images_it_cannot_take_are_refused(images):
    with pytest.raises(DataError, match="at least 20"):
        VAE().fit(images[:10])
    with pytest.raises(DataError, match="8 divides"):
        VAE().fit(images[:, :15, :15])
    with pytest.raises(DataError, match="divide uint8"):
        VAE().fit(images * 255)
    with pytest.raises(NotFitted):
        VAE().encode(images)
