"""One window at a time gives what the model gives."""

import numpy as np
import pytest
import torch

from neuroloom.decoding.poyo import Poyo, PoyoConfig
from neuroloom.decoding.poyo_online import OnlinePoyo
from neuroloom.decoding.tokens import Train, Windows, tokenize

# The second is large enough for oneDNN's products.
SIZES = [
    PoyoConfig(dim=16, depth=2, dim_head=8, cross_heads=2, self_heads=2, latents_per_step=2),
    PoyoConfig(dim=64, depth=1, cross_heads=3, self_heads=8, latents_per_step=16),
]
UNITS = np.array([9, 4, 6, 5])
QUERIES = np.array([0.1, 0.5, 0.975])


def _model(config):
    torch.manual_seed(0)
    model = Poyo(config, n_units=12, n_sessions=3, dim_out=2).eval()
    for weight in model.parameters():  # the published start leaves all outputs alike
        torch.nn.init.normal_(weight, std=0.2)
    return model


def _online(model):
    return OnlinePoyo(
        model, units=torch.from_numpy(UNITS), session=2, query_times_s=torch.from_numpy(QUERIES)
    )


@pytest.mark.parametrize("config", SIZES)
@pytest.mark.parametrize("n_spikes", [0, 1, 1500])
def test_a_window_has_the_outputs_that_the_model_gives(config, n_spikes):
    random = np.random.default_rng(0)
    unit, times = random.integers(0, len(UNITS), n_spikes), np.sort(random.uniform(0, 1, n_spikes))
    model = _model(config)
    window = Windows(*(np.array([each]) for each in (0, 0.0, -1.0, 2.0)))
    inputs = tokenize([Train(times, UNITS[unit], UNITS, 2)], window, QUERIES[None], context_s=1.0)
    with torch.inference_mode():
        expected = model(inputs)[0]
    found = _online(model)(torch.from_numpy(unit), torch.from_numpy(times))
    assert expected.std() > 0.05
    assert torch.allclose(found, expected, atol=1e-5)


def test_windows_do_not_remember_those_before_them():
    online = _online(_model(SIZES[0]))
    one = torch.tensor([1, 3, 3]), torch.tensor([0.1, 0.2, 0.9], dtype=torch.float64)
    before = online(*one).clone()
    online(torch.zeros(500, dtype=torch.int64), torch.linspace(0, 1, 500, dtype=torch.float64))
    assert torch.equal(online(*one), before)
