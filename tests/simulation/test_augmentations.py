import pytest
import torch

from neuroloom.simulation.augmentations import (
    PUBLISHED_DETECTOR,
    PUBLISHED_EXTRACTOR,
    Published,
    contact_order,
    gain_errors,
    published,
)
from neuroloom.simulation.draws import Draw


def draw(seed=0):
    return Draw(torch.Generator().manual_seed(seed))


def test_every_order_of_the_present_contacts_is_as_likely():
    present = torch.tensor([True, True, True, False]).repeat(6000, 1)
    order = contact_order(draw(), present)
    assert (order[:, 3] == 3).all()
    kinds, counts = order[:, :3].unique(dim=0, return_counts=True)
    assert len(kinds) == 6
    assert (counts.float() / 1000 - 1).abs().max() < 0.12


def test_gain_errors_are_small_and_partly_common():
    factors = gain_errors(draw(), 20_000, 4)
    assert factors.mean().item() == pytest.approx(1, abs=0.005)
    assert 0.83 < factors.min() < factors.max() < 1.18
    correlation = torch.corrcoef(factors.T)[0, 1].item()
    assert correlation == pytest.approx(0.1**2 / (0.1**2 + 0.07**2), abs=0.04)


def test_the_published_augmentation_changes_one_to_four_present_contacts():
    voltage = torch.randn(4000, 6, 50, generator=torch.Generator().manual_seed(1))
    present = torch.tensor([True, True, True, True, True, False]).repeat(4000, 1)
    changed = (published(draw(), voltage, present, PUBLISHED_DETECTOR) != voltage).any(dim=2)
    per_row = changed.sum(dim=1)
    assert not changed[:, 5].any()
    assert (per_row > 0).float().mean().item() == pytest.approx(0.8, abs=0.03)
    assert set(per_row.tolist()) == {0, 1, 2, 3, 4}


def test_scale_shift_and_noise_lie_in_their_ranges():
    pulse = torch.zeros(2000, 1, 60)
    pulse[..., 30] = 100.0
    present = torch.ones(2000, 1, dtype=torch.bool)
    always = Published(probability=1.0, smallest_scale=PUBLISHED_EXTRACTOR.smallest_scale)
    changed = published(draw(), pulse, present, always)[:, 0]
    height, at = changed.max(dim=1)
    assert set((at - 30).tolist()) == set(range(-5, 6))
    assert 45 < height.min() < 55
    assert 97 < height.max() < 104
    assert changed[:, :20].std().item() == pytest.approx(0.9, abs=0.02)


def test_nothing_changes_without_strength():
    voltage = torch.randn(10, 4, 50)
    present = torch.ones(10, 4, dtype=torch.bool)
    assert torch.equal(
        published(draw(), voltage, present, Published(probability=0.0, smallest_scale=0.0)), voltage
    )
