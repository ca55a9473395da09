"""Generators: frozen maps between stimuli and latents, from which the audit makes its reconstructions.

Any pipeline takes part that offers ``encode(stimuli) -> latents`` and ``decode(latents) -> stimuli``, both
in NumPy; a diffusion model, for instance, encodes images to its conditioning vectors and decodes by sampling
with fixed noise. Three attributes are used where a generator has them: ``name``; ``networks``, the names of
pretrained networks inside it (a metric that looks through one of them is flagged as circular); and ``seen_``,
the digests of the stimuli it was trained on (test stimuli among them are refused).
"""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from neuroloom.auditing.image_metrics import NetworkName, network_features
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


@dataclass
class Retrieval:
    """Reconstruction by looking up the most similar stimulus of a gallery.

    Similarity is the cosine of latents around the gallery's mean, so that the shrinkage of a regression does
    not favour stimuli near the mean.

    Parameters
    ----------
    embedding
        Gives the latents: a generator (its decoder is not used) or anything with ``fit`` and ``encode``.
    """

    embedding: "PCA | NetworkEmbedding"
    gallery_: np.ndarray | None = field(default=None, repr=False)
    latents_: np.ndarray | None = field(default=None, repr=False)
    seen_: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def name(self) -> str:
        """``"retrieval"`` and the embedding's name."""
        return f"retrieval by {getattr(self.embedding, 'name', type(self.embedding).__name__)}"

    @property
    def networks(self) -> tuple[str, ...]:
        """Networks inside the embedding."""
        return tuple(getattr(self.embedding, "networks", ()))

    def fit(self, stimuli: np.ndarray) -> "Retrieval":
        """Keep stimuli (stimuli, ..) as the gallery and fit the embedding to them."""
        self.gallery_ = np.asarray(stimuli)
        self.embedding.fit(self.gallery_)
        self.latents_ = self.embedding.encode(self.gallery_)
        self.seen_ = frozenset(row_digests(self.gallery_))
        return self

    def encode(self, stimuli: np.ndarray) -> np.ndarray:
        """Return the embedding's latents (stimuli, latents)."""
        return self.embedding.encode(stimuli)

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Return the most similar gallery item for each row of latents."""
        if self.gallery_ is None or self.latents_ is None:
            raise NotFitted("this gallery is empty", expected="a fitted one", remedy="call fit first")
        mean = self.latents_.mean(0)
        gallery, wanted = self.latents_ - mean, np.asarray(latents) - mean
        length = np.linalg.norm(gallery, axis=1)
        cosine = wanted @ (gallery / np.where(length > 0, length, 1.0)[:, None]).T
        return self.gallery_[cosine.argmax(1)]


@dataclass
class NetworkEmbedding:
    """Principal components of a network's features of images; an embedding for `Retrieval`.

    Parameters
    ----------
    network, layer, size_px
        As in `neuroloom.auditing.image_metrics.NetworkTwoWay`.
    n_latents
        Components kept.
    """

    network: NetworkName = "efficientnet"
    layer: int = 0
    size_px: int = 64
    n_latents: int = 128
    components_: PCA | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The network's name, with its layer where it has several."""
        return f"{self.network}{self.layer or ''}"

    @property
    def networks(self) -> tuple[str, ...]:
        """The network's name."""
        return (self.network,)

    def fit(self, stimuli: np.ndarray) -> "NetworkEmbedding":
        """Learn the components of the features of images (stimuli, height, width[, 3])."""
        self.components_ = PCA(n_latents=self.n_latents, limits=None).fit(self._features(stimuli))
        return self

    def encode(self, stimuli: np.ndarray) -> np.ndarray:
        """Return latents (stimuli, latents)."""
        if self.components_ is None:
            raise NotFitted("this embedding is not fitted", expected="a fitted one", remedy="call fit first")
        return self.components_.encode(self._features(stimuli))

    def _features(self, stimuli: np.ndarray) -> np.ndarray:
        return network_features(
            np.asarray(stimuli), network=self.network, layer=self.layer, size_px=self.size_px
        )
