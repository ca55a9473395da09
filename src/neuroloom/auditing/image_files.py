"""Images from a folder, a zip file or a NumPy file, as one array in 0..1."""

import os
import zipfile
from pathlib import Path

import numpy as np

from neuroloom.errors import DataError, MissingFile
from neuroloom.numpy_files import read_array

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp")


def load_images(path: str | os.PathLike, *, size_px: int = 32, colour: bool = True) -> np.ndarray:
    """Return images sorted by name, resized to a square (area-averaging), in 0..1.

    Parameters
    ----------
    path
        A folder or zip file of images, or a ``.npy`` file of shape (images, height, width[, 3]).
    size_px
        Side of the result.
    colour
        ``False`` returns luminance (ITU-R 601).

    Returns
    -------
    numpy.ndarray
        float32 (images, size_px, size_px, 3), or without the last axis in grey.

    Raises
    ------
    MissingFile
        If there is nothing at `path`.
    DataError
        If it holds no readable image.
    """
    path = Path(path)
    if not path.exists():
        raise MissingFile(
            f"{path} does not exist", expected="a folder, zip or npy of images", remedy="check it"
        )
    if path.suffix == ".npy":
        raw = read_array(path)
        if raw.ndim not in (3, 4) or not len(raw) or raw.dtype.kind not in "uif":
            raise DataError(
                f"{path} holds {raw.dtype} values of shape {raw.shape}",
                expected="(images, height, width) or (images, height, width, 3) numbers",
                remedy="save one array of images",
            )
        return np.stack([_resized(_to_pillow(image), size_px, colour) for image in raw])
    if path.is_dir():
        names = sorted(str(file) for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
        images = [_read(name, name, size_px, colour) for name in names]
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            # Read in memory: nothing is extracted, so no name can escape a folder.
            names = sorted(name for name in archive.namelist() if name.lower().endswith(SUFFIXES))
            images = [_read(archive.open(name), name, size_px, colour) for name in names]
    else:
        names, images = [], []
    if not images:
        raise DataError(
            f"{path} holds no images",
            expected=f"files ending in {', '.join(SUFFIXES)}",
            remedy="check the path",
        )
    return np.stack(images)


def _read(source, name: str, size_px: int, colour: bool) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(source) as image:
            return _resized(image, size_px, colour)
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(
            f"{name} cannot be read ({error})", expected="an intact image", remedy="repair or remove it"
        ) from None


def _to_pillow(image: np.ndarray):
    from PIL import Image

    if image.dtype != np.uint8:
        if image.min() < 0 or image.max() > 1:
            raise DataError(
                f"image values range from {image.min():.3g} to {image.max():.3g}",
                expected="0..1, or uint8",
                remedy="divide by the largest possible value",
            )
        image = np.round(image * 255).astype(np.uint8)
    return Image.fromarray(image)


def _resized(image, size_px: int, colour: bool) -> np.ndarray:
    from PIL import Image

    small = image.convert("RGB" if colour else "L").resize((size_px, size_px), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32) / np.float32(255)
