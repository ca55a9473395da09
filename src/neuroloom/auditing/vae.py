"""A small convolutional variational autoencoder of images: the generator that is trained here.

No pretrained generator of natural images comes in a registry package; this one is trained in minutes on two
cores from a few thousand small images.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from neuroloom import artifacts, seeds
from neuroloom.auditing.inputs import row_digests
from neuroloom.errors import DataError, NotFitted
from neuroloom.training.loop import Batch, Objective, TrainConfig, TrainResult, train

KIND = "generator/vae"
_BATCH = 256


class Network(nn.Module):
    """Encoder and decoder over three halvings of the image.

    Parameters
    ----------
    n_latents
        Size of the latent vector.
    size_px
        Side of the square images; a multiple of 8.
    channels
        Channels after the first halving; the next ones have two and four times as many.
    """

    def __init__(self, *, n_latents: int, size_px: int, channels: int):
        super().__init__()
        c, side = channels, size_px // 8
        self.encoder = nn.Sequential(
            nn.Conv2d(3, c, 4, 2, 1),  # (B, c, H/2, W/2)
            nn.SiLU(),
            nn.Conv2d(c, 2 * c, 4, 2, 1),  # (B, 2c, H/4, W/4)
            nn.SiLU(),
            nn.Conv2d(2 * c, 4 * c, 4, 2, 1),  # (B, 4c, H/8, W/8)
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(4 * c * side**2, 2 * n_latents),  # mean and log variance
        )
        self.decoder = nn.Sequential(
            nn.Linear(n_latents, 4 * c * side**2),
            nn.Unflatten(1, (4 * c, side, side)),
            nn.SiLU(),
            nn.ConvTranspose2d(4 * c, 2 * c, 4, 2, 1),  # (B, 2c, H/4, W/4)
            nn.SiLU(),
            nn.ConvTranspose2d(2 * c, c, 4, 2, 1),  # (B, c, H/2, W/2)
            nn.SiLU(),
            nn.ConvTranspose2d(c, 3, 4, 2, 1),  # (B, 3, H, W)
        )

    def posterior(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and log variance (B, latents) given images (B, 3, H, W)."""
        mean, log_variance = self.encoder(images - 0.5).chunk(2, dim=1)
        return mean, log_variance.clamp(-12, 4)

    def images(self, latents: torch.Tensor) -> torch.Tensor:
        """Return images (B, 3, H, W), not yet clipped, from latents (B, latents)."""
        return self.decoder(latents) + 0.5


@dataclass
class VAE:
    """Convolutional variational autoencoder (Kingma & Welling 2014) behind the generators' interface.

    The latents it hands out are the posterior means in the decoder's own metric: a unit step in any
    direction changes the pixels by about one unit. Squared error of predicted latents is then squared error
    of pixels, to first order, so a regression spends its dimensions on what can be seen.

    Parameters
    ----------
    n_latents, channels
        Sizes of the network.
    noise
        Standard deviation of the pixel noise that the model assumes; smaller means sharper images and
        latents further from a standard normal.
    epochs, batch_size, learning_rate
        Training.
    seed
        Seed of weights, order, noise and flips.
    """

    n_latents: int = 128
    channels: int = 32
    noise: float = 0.1
    epochs: float = 30
    batch_size: int = 64
    learning_rate: float = 2e-3
    seed: int = 0
    name: str = "vae"
    network_: Network | None = field(default=None, repr=False)
    metric_: np.ndarray = field(default_factory=lambda: np.eye(0), repr=False)  # M^½, (latents, latents)
    inverse_metric_: np.ndarray = field(default_factory=lambda: np.eye(0), repr=False)
    shape_: tuple[int, ...] = ()
    seen_: frozenset[str] = field(default=frozenset(), repr=False)

    def fit(
        self,
        stimuli: np.ndarray,
        *,
        folder: str | os.PathLike | None = None,
        quiet: bool = False,
    ) -> "VAE":
        """Train on images (stimuli, size, size, 3) in 0..1, a twentieth of them for validation.

        Parameters
        ----------
        stimuli
            Square images whose side is a multiple of 8.
        folder
            Where the run's log and checkpoints go; a killed run found there is resumed.
        quiet
            Hide the progress bar.

        Raises
        ------
        DataError
            If images have another shape or range, or there are fewer than 20.
        """
        images = _checked(stimuli)
        order = seeds.stream(self.seed, "vae", "validation").permutation(len(images))
        n_held_out = max(1, len(images) // 20)
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seeds.derive(self.seed, "vae", "weights"))
            network = Network(n_latents=self.n_latents, size_px=images.shape[1], channels=self.channels)
        config = TrainConfig(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=0.0,
            seed=self.seed,
        )
        self._train(network, pixels[order[n_held_out:]], pixels[order[:n_held_out]], config, folder, quiet)
        self.network_ = network.cpu().requires_grad_(False)
        self.shape_ = images.shape[1:]
        self.metric_, self.inverse_metric_ = _pixel_metric(self.network_, pixels[order[:64]])
        self.seen_ = frozenset(row_digests(images))
        return self

    def encode(self, stimuli: np.ndarray) -> np.ndarray:
        """Return latents (stimuli, latents): posterior means in the decoder's metric."""
        network = self._learned()
        images = np.asarray(stimuli, dtype=np.float32)
        if images.shape[1:] != self.shape_:
            raise DataError(
                f"images have shape {images.shape[1:]}", expected=f"{self.shape_}", remedy="resize them"
            )
        pixels = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
        with torch.inference_mode():
            means = torch.cat([network.posterior(part)[0] for part in pixels.split(_BATCH)])
        return means.double().numpy() @ self.metric_

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Return images (stimuli, size, size, 3) in 0..1."""
        network = self._learned()
        means = torch.from_numpy(np.asarray(latents) @ self.inverse_metric_).float()
        with torch.inference_mode():
            made = torch.cat([network.images(part) for part in means.split(_BATCH)])
        return made.clamp(0, 1).permute(0, 2, 3, 1).double().numpy()

    def save(self, folder: str | os.PathLike, *, data_fingerprint: str | None = None) -> Path:
        """Write the trained generator as an artifact folder."""
        network = self._learned()
        weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
        return artifacts.save_artifact(
            folder,
            kind=KIND,
            document={
                "settings": self.settings(),
                "shape": self.shape_,
                "seen": sorted(self.seen_),
            },
            arrays={**weights, "metric": self.metric_, "inverse_metric": self.inverse_metric_},
            seed=self.seed,
            data_fingerprint=data_fingerprint,
        )

    @classmethod
    def load(cls, folder: str | os.PathLike) -> "VAE":
        """Read a generator written by `save`.

        Raises
        ------
        CorruptArtifact
            If the folder is damaged or holds something else.
        """
        stored = artifacts.load_artifact(folder, kind=KIND)
        with artifacts.refuse_foreign_content(folder, expected="a generator"):
            made = cls(**stored.document["settings"])
            made.shape_ = tuple(stored.document["shape"])
            made.seen_ = frozenset(stored.document["seen"])
            arrays = dict(stored.arrays)
            made.metric_, made.inverse_metric_ = arrays.pop("metric"), arrays.pop("inverse_metric")
            network = Network(n_latents=made.n_latents, size_px=made.shape_[0], channels=made.channels)
            network.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
        made.network_ = network.eval().requires_grad_(False)
        return made

    def _train(
        self,
        network: Network,
        training: torch.Tensor,
        validation: torch.Tensor,
        config: TrainConfig,
        folder: str | os.PathLike | None,
        quiet: bool,
    ) -> TrainResult:
        def prepare(batch: Batch) -> torch.Tensor:
            images = training[torch.from_numpy(batch.indices)]
            mirrored = torch.from_numpy(batch.stream("flip").random(len(images)) < 0.5)
            images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
            return images.to(batch.device)

        def prepare_validation(batch: Batch) -> torch.Tensor:
            return validation[torch.from_numpy(batch.indices)].to(batch.device)

        return train(
            network,
            Objective(len(training), self._loss, prepare),
            validation=Objective(len(validation), self._loss, prepare_validation),
            config=config,
            folder=folder,
            label="generator",
            data_fingerprint=artifacts.fingerprint(training.numpy()),
            quiet=quiet,
        )

    def _loss(self, network: Any, images: torch.Tensor) -> tuple[torch.Tensor, float]:
        """The negative evidence lower bound, per image and pixel value."""
        mean, log_variance = network.posterior(images)
        latents = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        misfit = functional.mse_loss(network.images(latents), images, reduction="sum") / (2 * self.noise**2)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum()
        return (misfit + divergence) / images[0].numel(), float(len(images))

    def settings(self) -> dict[str, Any]:
        """Return the parameters by name."""
        names = ("n_latents", "channels", "noise", "epochs", "batch_size", "learning_rate", "seed")
        return {name: getattr(self, name) for name in names}

    def _learned(self) -> Network:
        if self.network_ is None:
            raise NotFitted("this VAE has no weights", expected="a trained one", remedy="call fit or load")
        return self.network_


def _checked(stimuli: np.ndarray) -> np.ndarray:
    images = np.asarray(stimuli, dtype=np.float32)
    square = images.ndim == 4 and images.shape[1] == images.shape[2] and images.shape[3] == 3
    if not square or images.shape[1] % 8 or len(images) < 20:
        raise DataError(
            f"images have shape {images.shape}",
            expected="at least 20 of shape (size, size, 3) with a size that 8 divides",
            remedy="resize them with load_images(size_px=32)",
        )
    if not (images.min() >= 0 and images.max() <= 1):
        raise DataError(
            f"image values range from {images.min():.3g} to {images.max():.3g}",
            expected="0..1",
            remedy="divide uint8 images by 255",
        )
    return images


@torch.no_grad()
def _pixel_metric(network: Network, images: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return M^½ and M^-½, where M = E[JᵀJ] is how far the pixels move when the latents do."""
    latents = network.posterior(images)[0]
    base = network.images(latents).flatten(1)  # (B, values)
    step = 0.1
    moved = torch.stack(
        [
            network.images(latents + step * direction).flatten(1) - base
            for direction in torch.eye(latents.shape[1])
        ]
    )  # (latents, B, values)
    jacobian = moved.flatten(1).double() / step
    metric = (jacobian @ jacobian.T / len(images)).numpy()
    values, vectors = np.linalg.eigh(metric)
    # Latents the decoder ignores keep a small length, so that the metric can be undone.
    values = np.maximum(values, 1e-4 * values[-1])
    return (vectors * np.sqrt(values)) @ vectors.T, (vectors / np.sqrt(values)) @ vectors.T
