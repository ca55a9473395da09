import pytest
import torch

from neuroloom.errors import DataError
from neuroloom.sorting.detector import PaperDetector, make_detector


def inputs(n_contacts=4, seed=0):
    random = torch.Generator().manual_seed(seed)
    voltage = torch.randn(3, n_contacts, 128, generator=random)
    places = torch.randn(3, n_contacts, 2, generator=random) * 20
    return voltage, places, torch.ones(3, n_contacts, dtype=torch.bool)


@pytest.fixture(scope="module")
def detector():
    torch.manual_seed(0)
    return make_detector().eval()


@pytest.mark.parametrize("n_contacts", [1, 2, 4, 8])
def test_any_number_of_contacts_gives_one_logit_per_sample(detector, n_contacts):
    logits = detector(*inputs(n_contacts))
    assert logits.shape == (3, 128)
    assert torch.isfinite(logits).all()


def test_the_order_of_contacts_does_not_matter(detector):
    voltage, places, present = inputs()
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(
        detector(voltage[:, order], places[:, order], present[:, order]), detector(voltage, places, present)
    )


def test_absent_contacts_are_not_seen(detector):
    voltage, places, present = inputs(6)
    present[:, 4:] = False
    noisy = voltage.clone()
    noisy[:, 4:] = 1e3
    torch.testing.assert_close(
        detector(noisy, places, present), detector(voltage[:, :4], places[:, :4], present[:, :4])
    )


def test_where_contacts_are_matters(detector):
    voltage, places, present = inputs()
    assert not torch.allclose(detector(voltage, places * 3, present), detector(voltage, places, present))


def test_the_released_configuration_has_the_released_sizes():
    model = make_detector("paper")
    assert isinstance(model, PaperDetector)
    assert (model.config.dim, model.config.n_layers, model.config.hidden) == (256, 4, 1024)
    assert model.eval()(*inputs(2)).shape == (3, 128)


def test_an_unknown_configuration_is_refused():
    with pytest.raises(DataError, match="strided"):
        make_detector("conv")
