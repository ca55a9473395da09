import pytest
import torch

from neuroloom.errors import DataError
from neuroloom.sorting.contact_attention import Block
from neuroloom.sorting.extractor import make_extractor


def inputs(n_contacts=4, seed=0, batch=5):
    random = torch.Generator().manual_seed(seed)
    voltage = torch.randn(batch, n_contacts, 64, generator=random)
    places = torch.randn(batch, n_contacts, 2, generator=random) * 20
    return voltage, places, torch.ones(batch, n_contacts, dtype=torch.bool)


@pytest.fixture(scope="module")
def extractor():
    torch.manual_seed(0)
    return make_extractor().eval()


@pytest.mark.parametrize("config", ["contacts", "paper"])
def test_a_spike_is_embedded_alike_whatever_else_is_in_the_batch(config):
    model = make_extractor(config).eval()
    voltage, places, present = inputs()
    alone = model(voltage[:1], places[:1], present[:1])
    torch.testing.assert_close(model(voltage, places, present)[:1], alone, atol=1e-5, rtol=1e-4)


def test_the_order_of_contacts_does_not_matter(extractor):
    voltage, places, present = inputs()
    order = torch.tensor([3, 1, 0, 2])
    torch.testing.assert_close(
        extractor(voltage[:, order], places[:, order], present[:, order]), extractor(voltage, places, present)
    )


def test_absent_contacts_are_not_seen(extractor):
    voltage, places, present = inputs(8)
    present[:, 3:] = False
    torch.testing.assert_close(
        extractor(voltage, places, present), extractor(voltage[:, :3], places[:, :3], present[:, :3])
    )


@pytest.mark.parametrize("n_contacts", [1, 8])
def test_any_number_of_contacts_gives_one_point(extractor, n_contacts):
    assert extractor(*inputs(n_contacts)).shape == (5, 16)


def test_an_unknown_configuration_is_refused():
    with pytest.raises(DataError, match="contacts"):
        make_extractor("lstm")


def test_the_first_tokens_of_a_block_do_not_depend_on_who_else_asks():
    torch.manual_seed(0)
    block, x = Block(16, 4, 32), torch.randn(5, 9, 16)
    present = torch.rand(1, 9) > 0.3
    present[:, 0] = True
    for n_asking in (1, 4):
        torch.testing.assert_close(block(x, present, n_asking=n_asking), block(x, present)[:, :n_asking])
