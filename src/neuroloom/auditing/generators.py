"""Generators: frozen maps between stimuli and latents, from which the audit makes its reconstructions.

Any pipeline takes part that offers ``encode(stimuli) -> latents`` and ``decode(latents) -> stimuli``, both
in NumPy; a diffusion model, for instance, encodes images to its conditioning vectors and decodes by sampling
with fixed noise. Nothing else is asked of it.
"""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from neuroloom.auditing.inputs import row_digests
from neuroloom.errors import DataError, NotFitted


@runtime_checkable
class Generator(Protocol):
    """What the audit asks of a generator."""

    def encode(self, stimuli: np.ndarray) -> np.ndarray:
        """Return latents (stimuli, latents)."""
        ...

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Return stimuli made from latents (stimuli, latents)."""
        ...


@dataclass
class PCA:
    """Principal components of stimuli: the linear generator.

    Parameters
    ----------
    n_latents
        Components kept; at most the rank of the stimuli it is fitted to.
    limits
        Decoded values are clipped to these; ``None`` does not clip.

    Examples
    --------
    >>> images = np.random.default_rng(0).uniform(size=(20, 4, 4))
    >>> generator = PCA(n_latents=16).fit(images)
    >>> bool(np.allclose(generator.decode(generator.encode(images)), images))
    True
    """

    n_latents: int
    limits: tuple[float, float] | None = (0.0, 1.0)
    name: str = "pca"
    mean_: np.ndarray | None = field(default=None, repr=False)
    components_: np.ndarray | None = field(default=None, repr=False)  # (latents, values)
    shape_: tuple[int, ...] = ()
    seen_: frozenset[str] = field(default=frozenset(), repr=False)

    def fit(self, stimuli: np.ndarray) -> "PCA":
        """Learn the components of stimuli (stimuli, ..).

        Raises
        ------
        DataError
            If there are fewer than two stimuli, or no more latents than values can be had.
        """
        stimuli = np.asarray(stimuli, dtype=float)
        rows = stimuli.reshape(len(stimuli), -1)
        most = min(len(rows) - 1, rows.shape[1])
        if not 1 <= self.n_latents <= most:
            raise DataError(
                f"{self.n_latents} latents were asked of {len(rows)} stimuli of {rows.shape[1]} values",
                expected=f"between 1 and {most}",
                remedy="lower n_latents or give more stimuli",
            )
        self.mean_ = rows.mean(0)
        centred = rows - self.mean_
        gram = centred.T @ centred if rows.shape[1] <= len(rows) else centred @ centred.T
        _, vectors = np.linalg.eigh(gram)
        leading = vectors[:, ::-1][:, : self.n_latents]
        directions = leading if rows.shape[1] <= len(rows) else centred.T @ leading
        # Orthonormal again: the kernel form leaves lengths, and rounding leaves small overlaps.
        self.components_ = np.linalg.qr(directions)[0].T
        self.shape_ = stimuli.shape[1:]
        self.seen_ = frozenset(row_digests(stimuli))
        return self

    def encode(self, stimuli: np.ndarray) -> np.ndarray:
        """Return component scores (stimuli, latents)."""
        mean, components = self._learned()
        rows = np.asarray(stimuli, dtype=float).reshape(len(stimuli), -1)
        if rows.shape[1] != len(mean):
            raise DataError(
                f"stimuli have shape {np.shape(stimuli)[1:]}",
                expected=f"{self.shape_}, as in fit",
                remedy="resize them",
            )
        return (rows - mean) @ components.T

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Return stimuli (stimuli, ..) within `limits`."""
        mean, components = self._learned()
        rows = np.asarray(latents) @ components + mean
        if self.limits is not None:
            rows = rows.clip(*self.limits)
        return rows.reshape(len(rows), *self.shape_)

    def _learned(self) -> tuple[np.ndarray, np.ndarray]:
        if self.mean_ is None or self.components_ is None:
            raise NotFitted("this PCA has no components", expected="a fitted one", remedy="call fit first")
        return self.mean_, self.components_
