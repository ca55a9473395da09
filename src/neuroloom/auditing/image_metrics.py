"""Scores of reconstructed images: structure, and likeness in the eyes of a network.

The networks are those of `neuroloom.auditing.networks`; images of any size are brought to `size_px` first.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from neuroloom.auditing.metrics import Statistic, identification, mean_over_stimuli, row_correlation

NetworkName = Literal["alexnet", "efficientnet"]


@dataclass(frozen=True)
class SSIM:
    """Structural similarity (Wang et al. 2004): Gaussian window of sigma 1.5, per channel, averaged."""

    name: str = "ssim"
    higher_is_better: bool = True
    of: ClassVar[str] = "images"

    def describe(self, stimuli: np.ndarray) -> np.ndarray:
        """Return images (stimuli, height, width, channels)."""
        images = np.asarray(stimuli, dtype=float)
        return images[..., None] if images.ndim == 3 else images

    def statistic(self, truth: np.ndarray, reconstruction: np.ndarray, *, groups: np.ndarray) -> Statistic:
        """See `Metric`."""
        mean_x, mean_y = _blurred(truth), _blurred(reconstruction)
        variance_x = _blurred(truth**2) - mean_x**2
        variance_y = _blurred(reconstruction**2) - mean_y**2
        covariance = _blurred(truth * reconstruction) - mean_x * mean_y
        c1, c2 = 0.01**2, 0.03**2  # for values in 0..1
        likeness = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
            (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
        )
        return mean_over_stimuli(likeness.reshape(len(likeness), -1).mean(1))


@dataclass(frozen=True)
class _NetworkMetric:
    """Metrics of a network's features.

    Parameters
    ----------
    name
        Value of the `metric` column.
    network, layer
        Whose features: a layer of AlexNet (1 to 5), or EfficientNet's pooled ones.
    size_px
        Side to which images are scaled for the network.
    """

    name: str
    network: NetworkName
    layer: int = 0
    size_px: int = 64
    of: ClassVar[str] = "images"

    @property
    def eyes(self) -> tuple[str, int, int]:
        """What tells one description of stimuli from another."""
        return self.network, self.layer, self.size_px

    def describe(self, stimuli: np.ndarray) -> np.ndarray:
        """Return features (stimuli, features)."""
        return network_features(stimuli, network=self.network, layer=self.layer, size_px=self.size_px)


@dataclass(frozen=True)
class NetworkTwoWay(_NetworkMetric):
    """2-way identification by a network's features.

    How often the features of a reconstruction correlate more with those of its own stimulus than with
    those of another one. Ties count half.
    """

    higher_is_better: bool = True

    def statistic(self, truth: np.ndarray, reconstruction: np.ndarray, *, groups: np.ndarray) -> Statistic:
        """See `Metric`."""
        return identification(truth, reconstruction, groups=groups)


@dataclass(frozen=True)
class FeatureDistance(_NetworkMetric):
    """1 - correlation between a network's features of reconstruction and stimulus; smaller is better."""

    higher_is_better: bool = False

    def statistic(self, truth: np.ndarray, reconstruction: np.ndarray, *, groups: np.ndarray) -> Statistic:
        """See `Metric`."""
        return mean_over_stimuli(1 - row_correlation(truth, reconstruction))


@dataclass(frozen=True)
class LPIPS:
    """Learned perceptual distance on shift-tolerant AlexNet (Zhang et al. 2018; Ghildyal & Liu 2022).

    Channels are normalised at every place, squared differences weighted by what was learned from human
    judgements, averaged over places and summed over the five layers. Smaller is better.
    """

    name: str = "lpips"
    network: NetworkName = "alexnet"
    size_px: int = 64
    higher_is_better: bool = False
    of: ClassVar[str] = "images"

    def describe(self, stimuli: np.ndarray) -> list[np.ndarray]:
        """Return, per layer, weighted unit channel vectors (stimuli, places, channels), float32."""
        import torch

        from neuroloom.auditing.networks import alexnet, image_batches

        network, layers = alexnet(), []
        with torch.inference_mode():
            for batch in image_batches(stimuli, size_px=self.size_px):
                unit = []
                for features, importance in zip(network(batch), network.importance, strict=True):
                    rows = features.flatten(2).transpose(1, 2)  # (B, places, channels)
                    rows = rows / (rows.norm(dim=2, keepdim=True) + 1e-10)
                    # The learned weights are not negative; their roots make a plain squared distance of it.
                    unit.append((rows * importance.clamp(min=0).sqrt()).numpy())
                layers.append(unit)
        return [np.concatenate(parts) for parts in zip(*layers, strict=True)]

    def statistic(
        self, truth: list[np.ndarray], reconstruction: list[np.ndarray], *, groups: np.ndarray
    ) -> Statistic:
        """See `Metric`."""
        distance = np.zeros(len(truth[0]))
        for one, other in zip(truth, reconstruction, strict=True):
            distance += np.square(one - other).sum(2).mean(1)
        return mean_over_stimuli(distance)


IMAGE_METRICS = (
    SSIM(),
    NetworkTwoWay("alexnet2", "alexnet", 2),
    NetworkTwoWay("alexnet5", "alexnet", 5),
    NetworkTwoWay("efficientnet", "efficientnet"),
    FeatureDistance("efficientnet_distance", "efficientnet"),
    LPIPS(),
)


def network_features(images: np.ndarray, *, network: NetworkName, layer: int, size_px: int) -> np.ndarray:
    """Return float32 features (images, features) of a network's layer; see `NetworkTwoWay`.

    Raises
    ------
    MissingDependency
        If the extra ``images`` is not installed.
    """
    import torch

    from neuroloom.auditing.networks import alexnet, efficientnet, image_batches

    rows = []
    with torch.inference_mode():
        for batch in image_batches(images, size_px=size_px):
            if network == "alexnet":
                rows.append(alexnet()(batch, depth=layer)[-1].flatten(1).numpy())
            else:
                rows.append(efficientnet()(batch).numpy())
    return np.concatenate(rows)


def _blurred(images: np.ndarray) -> np.ndarray:
    """Return images (n, h, w, c) under an 11x11 Gaussian window, where the window fits inside."""
    from scipy.ndimage import gaussian_filter1d

    for axis in (1, 2):
        reach = min(5, (images.shape[axis] - 1) // 2)
        images = gaussian_filter1d(images, 1.5, axis=axis, radius=reach)
        images = images.take(np.arange(reach, images.shape[axis] - reach), axis=axis)
    return images
