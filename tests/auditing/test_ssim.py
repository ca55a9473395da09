"""Structural similarity against its definition."""

import numpy as np
import pytest

from neuroloom.auditing.image_metrics import SSIM


def slow_ssim(x, y):
    """One channel, window by window."""
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    values = []
    for i in range(5, x.shape[0] - 5):
        for j in range(5, x.shape[1] - 5):
            a, b = x[i - 5 : i + 6, j - 5 : j + 6], y[i - 5 : i + 6, j - 5 : j + 6]
            ma, mb = (window * a).sum(), (window * b).sum()
            va, vb = (window * (a - ma) ** 2).sum(), (window * (b - mb) ** 2).sum()
            cov = (window * (a - ma) * (b - mb)).sum()
            values.append(
                (2 * ma * mb + 1e-4) * (2 * cov + 9e-4) / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4))
            )
    return np.mean(values)


@pytest.mark.parametrize("size", [16, 20])
def test_ssim_is_its_definition(size):
    rng = np.random.default_rng(0)
    truth, guess = rng.uniform(size=(2, 3, size, size))
    metric = SSIM()
    statistic = metric.statistic(metric.describe(truth), metric.describe(guess), groups=np.arange(3))
    for image in range(3):
        weights = np.eye(3)[[image]]
        assert statistic(weights)[0] == pytest.approx(slow_ssim(truth[image], guess[image]), rel=1e-9)


def test_an_image_is_like_itself_even_when_small():
    images = np.random.default_rng(0).uniform(size=(4, 8, 8, 3))
    metric = SSIM()
    described = metric.describe(images)
    assert metric.statistic(described, described, groups=np.arange(4))(np.ones((1, 4)))[0] == pytest.approx(1)
