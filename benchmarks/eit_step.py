"""A training step of EIT beside its naive form and a plain TransformerEncoder.

A batch of 32 windows from three sessions of 187, 174 and 96 units (counts drawn at random), in float32 on one
thread: forward, loss, backward, optimizer. Peers, in turns with ours:

naive
    The same network with the same weights, which gives the same outputs: a python loop over sessions, every
    individual of a session folded into the batch, queries, keys and values of all six heads of 64 written
    out.
plain, 16 wide
    torch.nn.TransformerEncoder, 4 layers of 16 with 4 heads, over all tokens (individual and bin) of a window
    as one sequence, padded to the largest session.
plain, same parameters
    The same with layers of 64 and 4 heads: as many weights as EIT.

    OMP_NUM_THREADS=1 python benchmarks/eit_step.py --json step.json
"""

import argparse
from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from table import Row, conditions, finish, median_times, parse_arguments
from torch import Tensor, nn

from neuroloom.decoding.eit import EIT, EITConfig, Layer
from neuroloom.decoding.eit_inputs import EITInputs, population
from neuroloom.threads import set_threads

UNITS, N_CLASSES = (187, 174, 96), 8


def batch(n_windows: int, n_bins: int) -> EITInputs:
    """Return windows of the three sessions in turn."""
    torch.manual_seed(0)
    session = torch.arange(n_windows) % len(UNITS)
    count = torch.tensor(UNITS)[session]
    first = torch.tensor([0, *UNITS[:-1]]).cumsum(0)
    trial = torch.repeat_interleave(torch.arange(n_windows), count)
    place = torch.cat([torch.arange(int(n)) for n in count])
    values = torch.randn(len(trial), n_bins, 1)
    return EITInputs(values, trial, place, first[session][trial] + place, session, max(UNITS))


def attend(layer: Layer, x: Tensor) -> Tensor:
    """x (S, L, D) -> (S, L, D): a layer as one would write it."""
    attention, inside = layer.attention, layer.attention.norm(x)
    q, k, v = attention.to_qkv(inside).unflatten(-1, (3, attention.heads, -1)).unbind(-3)
    read = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
    x = x + attention.to_out(read.transpose(1, 2).flatten(2))
    return x + layer.feed_forward(x)


def naive(model: EIT, inputs: EITInputs) -> tuple[Tensor, Tensor]:
    """Return what the network says of every window, session by session."""
    said: list[tuple[Tensor, Tensor, Tensor]] = []
    for session in inputs.session.unique():
        windows = torch.nonzero(inputs.session == session)[:, 0]
        mine = torch.isin(inputs.trial, windows)
        n = int(mine.sum()) // len(windows)
        tokens = model.embed(inputs.values[mine])
        for layer in model.individual:
            tokens = attend(layer, tokens)  # pyright: ignore
        row = inputs.row[mine]
        part = replace(
            inputs, values=inputs.values[mine], row=row, n_places=n, session=inputs.session[windows],
            trial=torch.arange(len(windows)).repeat_interleave(n), place=torch.arange(n).repeat(len(windows)),
        )  # fmt: skip
        who = population(part)
        padded = tokens.unflatten(0, (len(windows), n)).transpose(1, 2)  # (B, T, N, D)
        alone = model.individual_readout(padded, who, part)
        together = tokens * (1 + model.scale_table(row)[:, None]) + model.shift_table(row)[:, None]
        together = together.unflatten(0, (len(windows), n)).transpose(1, 2).flatten(0, 1)
        for layer in model.interaction:
            together = attend(layer, together)  # pyright: ignore
        together = together.unflatten(0, (len(windows), -1))
        said.append((windows, model.interaction_readout(together, who, part), alone))
    order = torch.cat([each[0] for each in said]).argsort()
    return torch.cat([each[1] for each in said])[order], torch.cat([each[2] for each in said])[order]


class Plain(nn.Module):
    """All tokens of a window as one sequence through torch's own encoder."""

    def __init__(self, width: int):
        super().__init__()
        self.enter, self.who = nn.Linear(1, width), nn.Embedding(sum(UNITS), width)
        layer = nn.TransformerEncoderLayer(width, 4, width, dropout=0.0, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
        self.out = nn.Linear(width, N_CLASSES)

    def forward(self, inputs: EITInputs) -> Tensor:
        """Return what it says of every window and bin."""
        who = population(inputs)
        n_bins = inputs.values.shape[1]
        tokens = self.enter(inputs.values) + self.who(inputs.row)[:, None]  # (M, T, D)
        padded = tokens.new_zeros(*who.present.shape, n_bins, tokens.shape[-1])
        padded[inputs.trial, inputs.place] = tokens
        hidden = ~who.present[:, :, None].expand(-1, -1, n_bins).flatten(1)
        read = self.encoder(padded.flatten(1, 2), src_key_padding_mask=hidden)
        return self.out(read.unflatten(1, (-1, n_bins)).mean(dim=1))


def step(model: nn.Module, outputs: Callable[[], list[Tensor]]) -> Callable[[], None]:
    """Return one training step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def run() -> None:
        loss = sum((F.cross_entropy(each.flatten(0, 1), truth(each)) for each in outputs()), torch.zeros(()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def truth(each: Tensor) -> Tensor:
        return torch.arange(each.shape[0] * each.shape[1]) % N_CLASSES

    return run


def rows_of(n_bins: int, args: argparse.Namespace) -> list[Row]:
    """Return a row for each peer, with windows of some bins."""
    inputs = batch(8 if args.quick else 32, n_bins)
    torch.manual_seed(0)
    config = EITConfig(answer="concatenated", interaction_dropout=0.0, time_code=False)
    model = EIT(config, n_features=1, n_outputs=N_CLASSES, n_rows=sum(UNITS), n_sessions=len(UNITS))
    with torch.no_grad():
        ours, theirs = model(inputs), naive(model, inputs)
        apart = max(
            float((a - b).abs().max())
            for a, b in zip((ours.interaction, ours.individual), theirs, strict=True)
        )
    plain = {"plain, 16 wide": Plain(16), "plain, same parameters": Plain(64)}
    actions = {
        "ours": step(model, lambda: list(vars(model(inputs)).values())),
        "naive": step(model, lambda: list(naive(model, inputs))),
    }
    for name, peer in plain.items():
        actions[name] = step(peer, lambda peer=peer: [peer(inputs)])
    times = dict(zip(actions, median_times(*actions.values(), repeats=1 if args.quick else 5), strict=True))
    about = conditions(
        "torch", windows=len(inputs.session), bins=n_bins, units=UNITS, largest_difference_to_naive=apart,
        parameters={
            name: sum(p.numel() for p in each.parameters()) for name, each in {"ours": model, **plain}.items()
        },
    )  # fmt: skip
    seconds = {name: cpu for name, (_, cpu) in times.items()}
    return [
        Row(f"training step, windows of {n_bins} bins", seconds["ours"], seconds[peer], "s",
            seconds[peer] / seconds["ours"], about | {"peer": peer})
        for peer in ("naive", *plain)
    ]  # fmt: skip


def main() -> None:
    """Run the benchmark."""
    args = parse_arguments(__doc__)
    set_threads(1)
    finish([row for n_bins in (2, 6) for row in rows_of(n_bins, args)], args)


if __name__ == "__main__":
    main()
