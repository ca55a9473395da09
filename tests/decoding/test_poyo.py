"""The model: sizes, batching, silence, and what it must not depend on."""

import numpy as np
import pytest
import torch

from neuroloom.decoding import attention
from neuroloom.decoding.poyo import CONFIGS, Poyo, PoyoConfig, poyo_config
from neuroloom.decoding.tokens import Train, Windows, draw_units, tokenize
from neuroloom.errors import DataError

TINY = PoyoConfig(dim=16, depth=2, dim_head=8, cross_heads=2, self_heads=2, latents_per_step=2)


def _train(n_spikes=300, n_units=6, *, first_row=0, session=0, seed=0):
    random = np.random.default_rng(seed)
    units = np.arange(n_units) + first_row
    return Train(np.sort(random.uniform(0, 10, n_spikes)), random.choice(units, n_spikes), units, session)


def _windows(starts, train=0):
    starts = np.asarray(starts, dtype=np.float64)
    return Windows(np.full(len(starts), train), starts, np.full(len(starts), -1e9), np.full(len(starts), 1e9))


def _tokens(trains, windows):
    queries = np.tile(np.linspace(0, 0.9, 5), (len(windows), 1))
    return tokenize(trains, windows, queries, context_s=1.0)


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = Poyo(TINY, n_units=12, n_sessions=2, dim_out=2)
    for weight in model.parameters():  # the published start leaves all outputs alike
        torch.nn.init.normal_(weight, std=0.3)
    return model.eval()


def test_the_published_sizes_have_the_published_numbers_of_parameters():
    def millions(name):
        model = Poyo(CONFIGS[name], n_units=0, n_sessions=0, dim_out=2)
        return sum(weight.numel() for weight in model.parameters()) / 1e6

    assert millions("1.3M") == pytest.approx(1.3, rel=0.1)
    assert millions("11.8M") == pytest.approx(11.8, rel=0.1)


def test_a_window_has_the_same_outputs_in_any_batch(model):
    trains = [_train(), _train(900, first_row=6, session=1, seed=1)]
    together = Windows(
        *(
            np.concatenate(x)
            for x in zip(
                *(
                    (w.train, w.start_s, w.low_s, w.high_s)
                    for w in (_windows([0, 3.3]), _windows([5], train=1))
                ),
                strict=True,
            )
        )
    )
    alone = [model(_tokens(trains, together.take(slice(i, i + 1)))) for i in range(3)]
    assert torch.allclose(model(_tokens(trains, together)), torch.cat(alone), atol=1e-5)


def test_padded_and_ragged_attention_agree(model, monkeypatch):
    inputs = _tokens([_train()], _windows([0, 4, 20]))
    ragged = model(inputs)
    monkeypatch.setattr(attention, "is_plain", lambda x: False)
    assert torch.allclose(ragged, model(inputs), atol=1e-5)


def test_the_order_of_spikes_does_not_matter(model):
    train = _train()
    turned = Train(train.times_s, train.unit, train.units[::-1], 0)
    assert torch.allclose(
        model(_tokens([train], _windows([2]))), model(_tokens([turned], _windows([2]))), atol=1e-5
    )


def test_a_window_without_spikes_is_finite_and_says_which_units_are_silent(model):
    silent, fewer = _train(), _train(n_units=3)
    outputs = [model(_tokens([train], _windows([50]))) for train in (silent, fewer)]
    assert all(output.isfinite().all() for output in outputs)
    assert not torch.allclose(*outputs)


def test_every_unit_has_a_start_and_an_end_token():
    inputs = _tokens([_train()], _windows([50]))
    assert inputs.kind.tolist() == [1] * 6 + [2] * 6
    assert inputs.times_s.tolist() == [0.0] * 6 + [1.0] * 6


def test_a_window_reads_nothing_outside_its_stretch():
    train = Train(np.array([0.1, 0.4, 0.6]), np.zeros(3, dtype=np.int64), np.zeros(1, dtype=np.int64), 0)
    windows = Windows(np.array([0]), np.array([0.0]), np.array([0.2]), np.array([0.5]))
    assert _tokens([train], windows).times_s.tolist() == [0.0, 1.0, 0.4]


def test_unit_dropout_removes_all_tokens_of_a_unit():
    random = np.random.default_rng(0)
    inputs = tokenize(
        [_train()], _windows([0]), np.zeros((1, 1)), context_s=1.0, keep_units=(2, 3, 4), random=random
    )
    kept = inputs.unit[inputs.kind == 1]
    assert 2 <= len(kept) <= 4
    assert set(inputs.unit.tolist()) == set(kept.tolist())
    assert len(draw_units(np.arange(2), (30, 100, 300), random)) == 2


def test_five_thousand_units_and_ten_thousand_spikes_fit_in_a_window():
    torch.manual_seed(0)
    model = Poyo(TINY, n_units=5000, n_sessions=1, dim_out=2).eval()
    train = _train(100_000, n_units=5000)
    assert model(_tokens([train], _windows([3]))).isfinite().all()


def test_duplicate_spikes_are_two_tokens(model):
    once = Train(np.array([0.5]), np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64), 0)
    twice = Train(np.array([0.5, 0.5]), np.zeros(2, dtype=np.int64), np.zeros(1, dtype=np.int64), 0)
    one, two = (model(_tokens([train], _windows([0]))) for train in (once, twice))
    assert two.isfinite().all()
    assert not torch.allclose(one, two)


def test_training_moves_every_parameter(model):
    model.train()
    model(_tokens([_train(), _train(first_row=6, session=1)], _windows([0, 1]))).square().sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())


@pytest.mark.parametrize(
    "wrong",
    [{"dim": 0}, {"dim_head": 6}, {"ffn_dropout": 1.0}, {"latent_step_s": 2.0}, {"longest_period_s": 0}],
)
def test_impossible_sizes_are_refused(wrong):
    with pytest.raises(DataError, match=next(iter(wrong)).replace("longest", "shortest")):
        PoyoConfig(**wrong)


def test_an_unknown_config_is_refused_with_the_names_there_are():
    with pytest.raises(DataError, match=r"11\.8M"):
        poyo_config("2B")
