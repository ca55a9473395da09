"""Plain arrays in NumPy files, which are never unpickled."""

import os
from pathlib import Path

import numpy as np

from neuroloom.errors import DataError, MissingFile


def read_array(path: str | os.PathLike) -> np.ndarray:
    """Return the array of a ``.npy`` file.

    Raises
    ------
    MissingFile, DataError
        If it is absent, damaged, or not a plain array.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFile(f"{path} does not exist", expected="a .npy file", remedy="check the path")
    try:
        array = np.load(path, allow_pickle=False)
    except Exception as error:
        # NumPy reads the header as a piece of Python, and raises what a tokenizer or a huge shape raises.
        raise DataError(
            f"{path} cannot be read ({type(error).__name__}: {' '.join(str(error).split())[:200]})",
            expected="a .npy array without objects",
            remedy="save it again",
        ) from None
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path} holds several arrays", expected="one", remedy="save it with numpy.save")
    return array
