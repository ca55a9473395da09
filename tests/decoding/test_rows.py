import pytest
import torch
from torch import nn

from neuroloom.decoding.rows import load_weights, only_learning, parameter_groups, weights_from
from neuroloom.errors import CorruptArtifact


class Network(nn.Module):
    """A table and a layer."""

    def __init__(self):
        super().__init__()
        self.unit_table = nn.Embedding(4, 3)
        self.out = nn.Linear(3, 2)

    def forward(self, rows):
        return self.out(self.unit_table(rows))


def test_only_what_may_learn_moves_and_of_tables_only_the_given_rows():
    network = Network()
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    with only_learning(network, lambda name: "table" in name, rows={"unit_table.weight": [1, 3]}):
        groups = parameter_groups(network, weight_decay=0.5)
        optimizer = torch.optim.AdamW(groups, lr=0.1)
        network(torch.arange(4)).square().sum().backward()
        optimizer.step()
    moved = (network.unit_table.weight != before["unit_table.weight"]).any(dim=1)
    assert moved.tolist() == [False, True, False, True]
    assert torch.equal(network.out.weight, before["out.weight"])
    assert all(weight.requires_grad for weight in network.parameters())


def test_tables_and_biases_do_not_decay():
    network = Network()
    fading, still = parameter_groups(network, weight_decay=0.5)
    assert (fading["weight_decay"], still["weight_decay"]) == (0.5, 0.0)
    assert [tuple(each.shape) for each in fading["params"]] == [(2, 3)]
    assert [tuple(each.shape) for each in still["params"]] == [(4, 3), (2,)]


def test_weights_come_from_their_own_stream_and_fit_or_are_refused():
    drawn = []
    for seed in (0, 0, 1):
        with weights_from(seed, "test"):
            drawn.append(Network())
    first, same, other = (each.out.weight for each in drawn)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    load_weights(drawn[2], drawn[0].state_dict())
    assert torch.equal(drawn[2].out.weight, first)
    with pytest.raises(CorruptArtifact, match="fit the decoder again"):
        load_weights(drawn[0], {"out.weight": torch.zeros(1, 1)})
