"""EIT: individuals first, then the population (Liu et al., "Seeing the forest and the tree", NeurIPS 2022).

The individual module T reads each individual's time series alone, with the same weights for all. The
interaction module S then lets the individuals of one time bin attend to each other. Each has a readout of its
own; the loss is that of S plus half that of T.

Populations of different size share a batch: T takes all individuals end to end, without padding, and S takes
them padded, with a mask. There is no loop over sessions, trials or individuals.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuroloom.decoding.attention import Dropout, FeedForward
from neuroloom.decoding.eit_inputs import (
    EITInputs,
    Population,
    bin_shares,
    population,
    time_code,
    to_places,
    visible,
)
from neuroloom.decoding.linear import Linear
from neuroloom.errors import DataError

Answer = Literal["pooled", "concatenated", "individual", "pair"]
ANSWERS = ("pooled", "concatenated", "individual", "pair")


@dataclass(frozen=True, kw_only=True)
class EITConfig:
    """The size and form of an EIT.

    Attributes
    ----------
    dim, heads, dim_head
        Width of a token, heads, and dimensions of a head.
    individual_depth, interaction_depth
        Layers of T and of S.
    individual_dropout, interaction_dropout
        Dropout inside the layers of T and of S; readouts have that of S.
    answer
        ``"pooled"``: outputs per bin from a mean over individuals; does not depend on their order or
        number. ``"concatenated"``: outputs per bin from a weight for each individual, as released.
        ``"individual"``: outputs for each individual. ``"pair"``: one for each pair of them.
    identity
        Whether an individual is known by its row: S then adds an embedding to its token and scales it by
        another. Without, individuals are exchangeable.
    offset
        Leave out the residual around attention, as released.
    time_code
        Add the place in time to T's tokens, which otherwise are a set; the release does not.
    """

    dim: int = 16
    heads: int = 6
    dim_head: int = 64
    individual_depth: int = 2
    interaction_depth: int = 2
    individual_dropout: float = 0.0
    interaction_dropout: float = 0.5
    answer: Answer = "pooled"
    identity: bool = True
    offset: bool = False
    time_code: bool = True

    def __post_init__(self):
        sizes = ("dim", "heads", "dim_head", "individual_depth", "interaction_depth")
        rates = ("individual_dropout", "interaction_dropout")
        wanted = {name: (getattr(self, name) >= 1, "a whole number of at least 1") for name in sizes}
        wanted |= {name: (0 <= getattr(self, name) < 1, "a rate from 0 to below 1") for name in rates}
        wanted["answer"] = (self.answer in ANSWERS, f"one of {', '.join(ANSWERS)}")
        for name, (fits, expected) in wanted.items():
            if not fits:
                found = f"{name} is {getattr(self, name)!r}"
                raise DataError(found, expected=expected, remedy="change the EITConfig")

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class EITOutputs:
    """What S says, and what T says without it.

    Attributes
    ----------
    interaction, individual
        (B, T, outputs), (B, N, outputs) or (B, N, N), as `EITConfig.answer` has it; of no meaning where
        there is no individual.
    """

    interaction: Tensor
    individual: Tensor


class Attention(nn.Module):
    """Pre-norm self-attention of few dimensions and many heads, folded.

    With x the normed token, query · key is x A x' with A = Wq' Wk (D, D) for each head, and value and output
    together are B = Wo Wv (D, D). So keys and values of all heads are x itself, D = 16 numbers instead of
    2 x 6 x 64, and the heads are just more queries. The result is the same but for rounding.
    """

    def __init__(self, dim: int, *, heads: int, dim_head: int):
        super().__init__()
        self.heads, self.dim_head = heads, dim_head
        self.norm = nn.LayerNorm(dim)
        self.to_qkv = nn.Linear(dim, 3 * heads * dim_head, bias=False)
        self.to_out = nn.Linear(heads * dim_head, dim)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x (S, L, D), mask of what may be seen (S, L) bool -> (S, L, D)."""
        x = self.norm(x)
        query = self.queries(x).flatten(1, 2)  # (S, L H, D)
        seen = None if mask is None else mask[:, None, None]  # (S, 1, 1, L)
        read = F.scaled_dot_product_attention(
            query[:, None], x[:, None], x[:, None], attn_mask=seen, scale=self.dim_head**-0.5
        )
        read = read.reshape(*x.shape[:2], -1)  # (S, L, H D)
        value = self.to_qkv.weight.view(3, self.heads, self.dim_head, -1)[2]  # (H, d, D)
        out = self.to_out.weight.view(-1, self.heads, self.dim_head)  # (D, H, d)
        fold = torch.einsum("hdi,ohd->hio", value, out).flatten(0, 1)  # (H D, D)
        return read @ fold + self.to_out.bias

    def queries(self, x: Tensor) -> Tensor:
        """x (S, L, D), normed -> (S, L, H, D)."""
        query, key, _ = self.to_qkv.weight.view(3, self.heads, self.dim_head, -1)  # each (H, d, D)
        fold = torch.einsum("hdi,hdj->ihj", query, key).flatten(1)  # (D, H D)
        return (x @ fold).unflatten(-1, (self.heads, -1))

    def weights(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Return who attends to whom, (S, H, L, L); rows sum to 1."""
        x = self.norm(x)
        scores = self.queries(x).transpose(1, 2) @ x[:, None].transpose(2, 3) * self.dim_head**-0.5
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, None], float("-inf"))
        return scores.softmax(dim=-1)


class Layer(nn.Module):
    """Attention, then feed-forward."""

    def __init__(self, config: EITConfig, *, expansion: int, dropout: float):
        super().__init__()
        self.offset = config.offset
        self.attention = Attention(config.dim, heads=config.heads, dim_head=config.dim_head)
        self.feed_forward = FeedForward(config.dim, dropout=dropout, expansion=expansion)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x (S, L, D), mask (S, L) -> (S, L, D)."""
        read = self.dropout(self.attention(x, mask))
        x = read if self.offset else x + read
        return x + self.dropout(self.feed_forward(x))


class Pooled(nn.Module):
    """The mean over individuals -> outputs per bin; of known individuals, the sum of each times its gains.

    Gains scatter around 0, so that what all tokens share does not drown what each adds: a plain mean of many
    has to be told apart by its last few percent, and dropout hides them.
    """

    def __init__(self, config: EITConfig, n_outputs: int, *, n_rows: int, n_sessions: int):
        super().__init__()
        self.norm = nn.LayerNorm(config.dim)
        self.dropout = Dropout(config.interaction_dropout)
        self.out = nn.Linear(config.dim, n_outputs)
        if config.identity:
            self.gain_table = nn.Embedding(n_rows, config.dim)
            nn.init.normal_(self.gain_table.weight, std=(3 * max(1, n_rows / n_sessions)) ** -0.5)

    def forward(self, tokens: Tensor, who: Population, inputs: EITInputs) -> Tensor:
        """tokens (B, T, N, D) -> (B, T, outputs)."""
        count = who.present.sum(dim=1).clamp(min=1)[:, None, None]  # (B, 1, 1)
        share = who.present[..., None].float()  # (B, N, 1)
        if hasattr(self, "gain_table"):
            gains = (share * self.gain_table(who.row)).to(tokens)  # (B, N, D)
            return self.out(torch.einsum("btnd,bnd->btd", self.dropout(self.norm(tokens)), gains))
        mean = ((share / count).mT[:, None].to(tokens) @ tokens)[:, :, 0]  # (B, T, D)
        return self.out(self.dropout(self.norm(mean)))


class Concatenated(nn.Module):
    """One number per individual, normed over the population, times the individual's own weights."""

    def __init__(self, config: EITConfig, n_outputs: int, *, n_rows: int, n_sessions: int):
        super().__init__()
        self.narrow = nn.Linear(config.dim, 1)
        self.dropout = Dropout(config.interaction_dropout)
        self.weight_table = nn.Embedding(n_rows, n_outputs)
        self.bias_table = nn.Embedding(n_sessions, n_outputs)
        # As drawn for Linear(N, outputs), for a population of some size.
        nn.init.normal_(self.weight_table.weight, std=(3 * max(1, n_rows / n_sessions)) ** -0.5)
        nn.init.zeros_(self.bias_table.weight)

    def forward(self, tokens: Tensor, who: Population, inputs: EITInputs) -> Tensor:
        """tokens (B, T, N, D) -> (B, T, outputs)."""
        level = self.narrow(tokens)[..., 0].float()  # (B, T, N)
        present = who.present[:, None].float()  # (B, 1, N)
        count = present.sum(dim=2, keepdim=True).clamp(min=1)
        away = (level - (level * present).sum(dim=2, keepdim=True) / count) * present
        variance = (away**2).sum(dim=2, keepdim=True) / count
        level = self.dropout(away * torch.rsqrt(variance + 1e-5))
        weights = self.weight_table(who.row)  # (B, N, outputs)
        return level @ weights + self.bias_table(inputs.session)[:, None]


class Individual(nn.Module):
    """The mean over time of an individual's token -> its outputs."""

    def __init__(self, config: EITConfig, n_outputs: int):
        super().__init__()
        self.norm = nn.LayerNorm(config.dim)
        self.dropout = Dropout(config.interaction_dropout)
        self.out = nn.Linear(config.dim, n_outputs)

    def forward(self, tokens: Tensor, who: Population, inputs: EITInputs) -> Tensor:
        """tokens (B, T, N, D) -> (B, N, outputs)."""
        mean = (tokens * bin_shares(inputs, tokens)[..., None, None]).sum(dim=1)
        return self.out(self.dropout(self.norm(mean)))


class Pair(nn.Module):
    """A symmetric product of two individuals' tokens, averaged over time -> one log-odds per pair."""

    def __init__(self, config: EITConfig):
        super().__init__()
        self.norm = nn.LayerNorm(config.dim)
        self.dropout = Dropout(config.interaction_dropout)
        self.project = nn.Linear(config.dim, config.dim)
        self.weight = nn.Parameter(torch.randn(config.dim) * config.dim**-0.5)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, tokens: Tensor, who: Population, inputs: EITInputs) -> Tensor:
        """tokens (B, T, N, D) -> (B, N, N)."""
        seen = self.project(self.dropout(self.norm(tokens)))
        weighed = seen * self.weight * bin_shares(inputs, tokens)[..., None, None]
        return torch.einsum("btid,btjd->bij", weighed, seen) + self.bias


class EIT(nn.Module):
    """The model.

    Parameters
    ----------
    config
        Its size and form.
    n_features, n_outputs
        Numbers per individual and bin, and numbers per answer.
    n_rows, n_sessions
        Rows of the tables of individuals and sessions; used with `identity` or a concatenated answer.
    """

    def __init__(
        self, config: EITConfig, *, n_features: int, n_outputs: int, n_rows: int = 1, n_sessions: int = 1
    ):
        super().__init__()
        self.config = config
        dim, dropout = config.dim, config.interaction_dropout
        self.embed = Linear(n_features, dim)
        self.hidden_token = nn.Parameter(torch.zeros(dim))  # for bins that are hidden in pre-training
        self.individual = nn.ModuleList(
            Layer(config, expansion=2, dropout=config.individual_dropout)
            for _ in range(config.individual_depth)
        )
        self.interaction = nn.ModuleList(
            Layer(config, expansion=1, dropout=dropout) for _ in range(config.interaction_depth)
        )
        self.dropout = Dropout(dropout)
        if config.identity:
            self.shift_table, self.scale_table = nn.Embedding(n_rows, dim), nn.Embedding(n_rows, dim)

        def readout(*, rows: bool) -> nn.Module:
            if config.answer == "individual":
                return Individual(config, n_outputs)
            if config.answer == "pair":
                return Pair(config)
            if rows:
                return Concatenated(config, n_outputs, n_rows=n_rows, n_sessions=n_sessions)
            return Pooled(config, n_outputs, n_rows=n_rows, n_sessions=n_sessions)

        concatenated = config.answer == "concatenated"
        self.interaction_readout = readout(rows=concatenated)
        # T's tokens do not say whose they are, so that a mean over known individuals would lose it.
        self.individual_readout = readout(rows=concatenated or config.identity)

    def forward(self, inputs: EITInputs, *, alone: bool = False) -> EITOutputs:
        """Return the outputs of S and of T; where T is asked alone, those of T for both."""
        tokens = self.represent(inputs)  # (M, T, D)
        who = population(inputs)
        of_individuals = self.individual_readout(to_places(tokens, inputs), who, inputs)
        if alone:
            return EITOutputs(of_individuals, of_individuals)
        together = self.interact(tokens, inputs, who)
        return EITOutputs(self.interaction_readout(together, who, inputs), of_individuals)

    def represent(self, inputs: EITInputs) -> Tensor:
        """Return T's token of every individual and bin, (M, T, D); each individual by itself."""
        tokens = self.embed(inputs.values)
        if inputs.hidden is not None:
            tokens = torch.where(inputs.hidden[..., None], self.hidden_token.to(tokens), tokens)
        if self.config.time_code:
            tokens = tokens + time_code(*tokens.shape[1:]).to(tokens)
        mask = None if inputs.used is None else inputs.used[inputs.trial]  # (M, T)
        for layer in self.individual:
            tokens = layer(tokens, mask)
        return tokens

    def interact(self, tokens: Tensor, inputs: EITInputs, who: Population) -> Tensor:
        """Return S's tokens (B, T, N, D) from those of T, (M, T, D)."""
        together, mask = self.enter(tokens, inputs), visible(inputs, who)
        for layer in self.interaction:
            together = layer(together, mask)
        return together.unflatten(0, (-1, tokens.shape[1]))

    def enter(self, tokens: Tensor, inputs: EITInputs) -> Tensor:
        """Return T's tokens (M, T, D) as S takes them, with their identity, (B T, N, D)."""
        if self.config.identity:
            shift, scale = self.shift_table(inputs.row), self.scale_table(inputs.row)  # (M, D)
            tokens = tokens * (1 + scale[:, None]) + shift[:, None]
        return to_places(self.dropout(tokens), inputs).flatten(0, 1)

    @torch.no_grad()
    def attention(self, inputs: EITInputs) -> Tensor:
        """Return who attends to whom in S, mean over the used bins, (B, layers, heads, N, N)."""
        mask = visible(inputs, population(inputs))
        together, found = self.enter(self.represent(inputs), inputs), []
        for layer in self.interaction:
            weights = layer.attention.weights(together, mask)  # pyright: ignore
            found.append(weights.unflatten(0, (len(inputs.session), -1)))  # (B, T, H, N, N)
            together = layer(together, mask)
        share = bin_shares(inputs, found[0])[:, :, None, None, None]
        return torch.stack([(share * each).sum(dim=1) for each in found], dim=1)
