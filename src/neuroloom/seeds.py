"""Named, independent random streams: one integer seed, one stream per purpose.

A stream is addressed by its name, so adding a consumer never shifts another's numbers.
"""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def derive(seed: int, *names: str | int) -> int:
    """Return a 63-bit seed that belongs to `seed` and the path of `names` alone.

    Examples
    --------
    >>> derive(0, "noise") == derive(0, "noise")
    True
    >>> derive(0, "noise") == derive(0, "spikes")
    False
    """
    path = repr((int(seed), *names))
    return int.from_bytes(hashlib.sha256(path.encode("utf-8", "backslashreplace")).digest()[:8], "big") >> 1


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Return the NumPy generator of the named stream.

    Examples
    --------
    >>> bool(stream(0, "noise").integers(10) == stream(0, "noise").integers(10))
    True
    """
    return np.random.default_rng(derive(seed, *names))


def torch_stream(seed: int, *names: str | int) -> "torch.Generator":
    """Return the CPU torch generator of the named stream."""
    import torch

    return torch.Generator().manual_seed(derive(seed, *names))
