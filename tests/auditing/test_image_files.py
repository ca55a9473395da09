"""Image files become arrays."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from neuroloom.auditing.image_files import load_images
from neuroloom.errors import DataError, MissingFile


@pytest.fixture
def folder(tmp_path):
    for value in (2, 0, 1):
        Image.fromarray(np.full((8, 8, 3), 100 * value, dtype=np.uint8)).save(tmp_path / f"im{value}.png")
    return tmp_path


def test_a_folder_and_a_zip_give_the_same_images_sorted_by_name(folder):
    from_folder = load_images(folder, size_px=4)
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        for file in folder.glob("*.png"):
            archive.write(file, file.name)
    assert from_folder.shape == (3, 4, 4, 3)
    np.testing.assert_allclose(from_folder[:, 0, 0, 0], np.array([0, 100, 200]) / 255, rtol=1e-6)
    np.testing.assert_array_equal(load_images(folder / "all.zip", size_px=4), from_folder)


def test_an_array_file_is_resized_and_made_grey(tmp_path):
    images = np.zeros((2, 8, 8, 3))
    images[1] = 1.0
    np.save(tmp_path / "images.npy", images)
    np.testing.assert_array_equal(load_images(tmp_path / "images.npy", size_px=2, colour=False)[1], 1.0)


def test_what_holds_no_images_is_refused(tmp_path):
    with pytest.raises(MissingFile):
        load_images(tmp_path / "none.zip")
    with pytest.raises(DataError, match="holds no images"):
        load_images(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"broken\.png cannot be read"):
        load_images(tmp_path)
    np.save(tmp_path / "large.npy", np.full((1, 4, 4, 3), 80.0))
    with pytest.raises(DataError, match="0..1, or uint8"):
        load_images(tmp_path / "large.npy")
