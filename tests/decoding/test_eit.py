"""Properties of the EIT network: what it must not see, and what it must not care about."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from neuroloom.decoding.eit import ANSWERS, EIT, Attention, EITConfig, Layer
from neuroloom.decoding.eit_inputs import EITInputs
from neuroloom.errors import DataError

sizes = st.lists(st.integers(1, 6), min_size=1, max_size=4)


def network(answer="pooled", *, identity=False, seed=0, **changes):
    torch.manual_seed(seed)
    config = EITConfig(answer=answer, identity=identity, dim=8, heads=2, dim_head=8, **changes)  # pyright: ignore
    return EIT(config, n_features=2, n_outputs=3, n_rows=40, n_sessions=2).eval()


def batch(populations, *, n_bins=4, seed=0, rows=None, used=None):
    """Return trials with these numbers of individuals."""
    counts = np.array(populations)
    trial = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(len(trial)) - np.repeat(np.cumsum(counts) - counts, counts)
    values = torch.randn(len(trial), n_bins, 2, generator=torch.Generator().manual_seed(seed))
    row = torch.arange(len(trial)) if rows is None else torch.as_tensor(rows)
    session = torch.arange(len(counts)) % 2
    return EITInputs(
        values,
        torch.from_numpy(trial),
        torch.from_numpy(place),
        row,
        session,
        max(1, int(counts.max())),
        used,
    )


def permuted(inputs, order):
    """Return a batch of one trial with its individuals in another order."""
    order = torch.as_tensor(order)
    return EITInputs(
        inputs.values[order], inputs.trial, inputs.place, inputs.row[order], inputs.session, inputs.n_places
    )


def assert_close(a, b):
    torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-4)


@given(st.permutations(list(range(5))), st.integers(1, 4))
def test_the_individual_module_is_permutation_equivariant(order, n_bins):
    model, inputs = network(), batch([5], n_bins=n_bins)
    assert_close(model.represent(permuted(inputs, order)), model.represent(inputs)[list(order)])


@given(st.permutations(list(range(5))), st.booleans())
def test_pooled_outputs_do_not_depend_on_the_order_of_individuals(order, identity):
    model, inputs = network(identity=identity), batch([5])
    one, other = model(inputs), model(permuted(inputs, order))
    assert_close(one.interaction, other.interaction)
    assert_close(one.individual, other.individual)


@given(st.permutations(list(range(5))))
def test_answers_about_individuals_and_pairs_go_with_them(order):
    order, inputs = list(order), batch([5])
    single = network("individual")
    assert_close(single(permuted(inputs, order)).interaction, single(inputs).interaction[:, order])
    pair = network("pair")
    expected = pair(inputs).interaction
    assert_close(pair(permuted(inputs, order)).interaction, expected[:, order][:, :, order])
    assert_close(expected, expected.transpose(1, 2))


@pytest.mark.parametrize("identity", [False, True])
@pytest.mark.parametrize("answer", ANSWERS)
@given(sizes, st.integers(1, 5))
def test_trials_do_not_depend_on_the_batch_they_are_in(answer, identity, populations, n_bins):
    model, inputs = network(answer, identity=identity), batch(populations, n_bins=n_bins)
    together = model(inputs)
    for number, n in enumerate(populations):
        mine = inputs.trial == number
        alone = model(
            EITInputs(
                inputs.values[mine], torch.zeros(n, dtype=torch.long), inputs.place[mine], inputs.row[mine],
                inputs.session[number : number + 1], n,
            )
        )  # fmt: skip
        for name in ("interaction", "individual"):
            found, expected = getattr(together, name)[number], getattr(alone, name)[0]
            cut = {"individual": (slice(n),), "pair": (slice(n), slice(n))}.get(answer, ())
            assert_close(found[cut], expected)


@pytest.mark.parametrize("identity", [False, True])
@pytest.mark.parametrize("answer", ANSWERS)
def test_masked_places_change_nothing(answer, identity):
    model, inputs = network(answer, identity=identity), batch([3, 2])
    wider = EITInputs(
        inputs.values, inputs.trial, inputs.place, inputs.row, inputs.session, inputs.n_places + 4
    )
    found, expected = model(wider).interaction, model(inputs).interaction
    cut = {"individual": (slice(None), slice(3)), "pair": (slice(None), slice(3), slice(3))}.get(answer, ())
    compared = [(found[cut], expected)]
    if answer in ("individual", "pair"):  # the padding of the second trial has no meaning
        compared = [(found[0][cut[1:]], expected[0]), (found[1, :2], expected[1, :2])]
        if answer == "pair":
            compared[1] = (found[1, :2, :2], expected[1, :2, :2])
    for each in compared:
        assert_close(*each)


@pytest.mark.parametrize("answer", ANSWERS)
def test_bins_of_padding_change_nothing(answer):
    model, inputs = network(answer), batch([3, 2], n_bins=4)
    values = torch.cat([inputs.values, torch.full((5, 2, 2), 100.0)], dim=1)
    used = torch.arange(6).expand(2, 6) < 4
    padded = EITInputs(values, inputs.trial, inputs.place, inputs.row, inputs.session, inputs.n_places, used)
    found, expected = model(padded).interaction, model(inputs).interaction
    assert_close(found[:, :4] if answer in ("pooled", "concatenated") else found, expected)


def test_an_individual_does_not_see_the_others_in_its_own_module():
    model, inputs = network(), batch([3])
    before = model.represent(inputs)[0]
    inputs.values[1:] += 10
    assert torch.equal(model.represent(inputs)[0], before)


@pytest.mark.parametrize("masked", [False, True])
def test_folded_attention_is_multi_head_attention(masked):
    torch.manual_seed(0)
    attention = Attention(16, heads=6, dim_head=64)
    x = torch.randn(3, 7, 16)
    mask = torch.rand(3, 7) < 0.6 if masked else None
    if mask is not None:
        mask[:, 0] = True
    query, key, value = attention.to_qkv(attention.norm(x)).unflatten(-1, (3, 6, 64)).permute(2, 0, 3, 1, 4)
    seen = None if mask is None else mask[:, None, None]
    expected = F.scaled_dot_product_attention(query, key, value, attn_mask=seen)
    assert_close(attention(x, mask), attention.to_out(expected.transpose(1, 2).flatten(2)))
    scores = query @ key.transpose(2, 3) / 8
    scores = scores if seen is None else scores.masked_fill(~seen, float("-inf"))
    assert_close(attention.weights(x, mask), scores.softmax(dim=-1))


@given(sizes)
def test_attention_between_individuals_sums_to_one_and_never_falls_on_padding(populations):
    model, inputs = network(), batch(populations)
    weights = model.attention(inputs)
    widest = max(populations)
    assert weights.shape == (len(populations), 2, 2, widest, widest)
    for number, n in enumerate(populations):
        assert_close(weights[number, :, :, :n, :n].sum(dim=-1), torch.ones(2, 2, n))
        assert not weights[number, :, :, :, n:].any()


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_trial_without_individuals_leaves_the_others_and_the_gradient_finite(answer):
    model, inputs, full = network(answer), batch([3, 0, 2]), batch([3, 2])
    out = model(inputs)
    (out.interaction.square().sum() + out.individual.square().sum()).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    if answer in ("pooled", "concatenated"):
        assert_close(out.interaction[0], model(full).interaction[0])


@pytest.mark.parametrize("identity", [False, True])
def test_offset_drops_the_residual_around_attention(identity):
    plain, offset = network(identity=identity), network(identity=identity, offset=True)
    inputs = batch([3])
    assert not torch.allclose(plain(inputs).interaction, offset(inputs).interaction)
    (layer, _) = offset.individual
    assert isinstance(layer, Layer)
    x = torch.randn(2, 4, 8)
    read = layer.attention(x, None)
    assert_close(layer(x, None), read + layer.feed_forward(read))


def test_without_a_time_code_time_is_a_set():
    inputs = batch([3])
    turned = EITInputs(
        inputs.values.flip(1), inputs.trial, inputs.place, inputs.row, inputs.session, inputs.n_places
    )
    blind, seeing = network(time_code=False), network()
    assert_close(blind(turned).interaction, blind(inputs).interaction.flip(1))
    assert not torch.allclose(seeing(turned).interaction, seeing(inputs).interaction.flip(1), atol=1e-3)


def test_the_release_has_about_as_many_parameters():
    config = EITConfig(answer="concatenated")
    model = EIT(config, n_features=1, n_outputs=8, n_rows=50)
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(107_000, rel=0.1)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"dim": 0}, "dim"),
        ({"interaction_dropout": 1.0}, "interaction_dropout"),
        ({"answer": "all"}, "pooled"),
    ],
)
def test_impossible_sizes_are_refused_by_name(changes, named):
    with pytest.raises(DataError, match=named):
        EITConfig(**changes)
