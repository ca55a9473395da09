"""Reconstructions stand beside the truth, and only where they are images."""

import numpy as np
import pytest

from neuroloom.auditing.curve import audit
from neuroloom.auditing.generators import PCA
from neuroloom.reporting.figures_images import image_rows
from neuroloom.reporting.page import Figure
from neuroloom.reporting.section_audit import audit_section


def titles(section) -> list[str]:
    return [block.title for block in section.blocks if isinstance(block, Figure)]


def test_an_audit_of_images_shows_reconstructions():
    rng = np.random.default_rng(0)
    images = rng.uniform(size=(80, 8, 8, 3))
    others = rng.uniform(size=(80, 8, 8, 3))
    responses = images.reshape(80, -1)[:, :6] + 0.1 * rng.normal(size=(80, 6))
    curve = audit(responses, images, generator=PCA(20).fit(others), sizes=[1, 6], n_bootstrap=20, n_draws=1)
    section = audit_section(curve)
    assert "Reconstructions" in titles(section)
    shown = next(block for block in section.blocks if isinstance(block, Figure) and block.size == "wide")
    assert "data:image/png" in shown.svg
    for row in ("truth", "ceiling", "brain, 6", "brain, 1", "random, 6"):
        assert row in shown.alt


def test_an_audit_of_numbers_shows_none():
    rng = np.random.default_rng(0)
    responses = rng.normal(size=(60, 4))
    assert "Reconstructions" not in titles(audit_section(audit(responses, responses[:, :3], n_bootstrap=20)))


@pytest.mark.parametrize("shape", [(3, 8, 8), (3, 8, 8, 3)], ids=["grey", "colour"])
def test_every_row_has_its_name_and_images(shape):
    figure = image_rows({"truth": np.zeros(shape), "brain": np.ones(shape)}, width_px=600)
    assert [text.get_text() for text in figure.texts] == ["truth", "brain"]
    assert len(figure.axes) == 6
