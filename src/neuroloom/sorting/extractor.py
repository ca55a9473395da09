"""The identity extractor: a spike on a few contacts -> a point; spikes of one neuron lie close together.

Trained so that one neuron's points scatter with about unit variance in every direction (see
`neuroloom.sorting.pretrain.identity_loss`), a distance is a number of standard deviations. Each spike is
embedded by itself: no dependence on the batch, no randomness.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from neuroloom.errors import DataError
from neuroloom.sorting.contact_attention import Block, Geometry


@dataclass(frozen=True)
class ContactsConfig:
    """Sizes of the default extractor.

    Attributes
    ----------
    snippet
        Samples per spike at 30 kHz.
    embedding
        Dimensions of the result.
    dim, n_heads, hidden, n_layers
        Of the transformer over contacts.
    """

    snippet: int = 64
    embedding: int = 16
    dim: int = 96
    n_heads: int = 4
    hidden: int = 192
    n_layers: int = 3


class ContactsExtractor(nn.Module):
    """One token per contact (its whole waveform and place) -> transformer over contacts -> embedding."""

    kind = "extractor/contacts"

    def __init__(self, config: ContactsConfig | None = None):
        super().__init__()
        self.config = config = config or ContactsConfig()
        self.lift = nn.Linear(2 * config.snippet, config.dim)
        self.mix = nn.Linear(config.dim, config.dim)
        self.geometry = Geometry(config.dim)
        self.readout = nn.Parameter(torch.randn(1, 1, config.dim) * 0.1)
        self.blocks = nn.ModuleList(
            Block(config.dim, config.n_heads, config.hidden) for _ in range(config.n_layers)
        )
        self.norm = nn.LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.embedding)

    def forward(self, voltage: Tensor, contacts_um: Tensor, present: Tensor) -> Tensor:
        """Return embeddings.

        Parameters
        ----------
        voltage
            In units of each contact's noise, the trough at sample 20, shape ``(B, C, 64)``.
        contacts_um, present
            Shape ``(B, C, 2)`` and ``(B, C)``.

        Returns
        -------
        Tensor
            Shape ``(B, embedding)``.
        """
        x = self.lift(torch.cat([voltage / 4, torch.asinh(voltage)], dim=-1))  # (B, C, dim)
        x = self.mix(gelu(x)) + self.geometry(contacts_um)
        x = torch.cat([self.readout.expand(len(x), -1, -1), x], dim=1)  # (B, 1 + C, dim)
        seen = torch.cat([torch.ones_like(present[:, :1]), present], dim=1)
        for block in self.blocks[:-1]:
            x = block(x, seen)
        x = self.blocks[-1](x, seen, n_asking=1)  # nothing else is read
        return self.head(self.norm(x[:, 0]))


@dataclass(frozen=True)
class PaperExtractorConfig:
    """Sizes of the released extractor: four channels, one GRU layer whose last state is the embedding."""

    n_channels: int = 4
    hidden: int = 512


class PaperExtractor(nn.Module):
    """SimSort's extractor as released (without its denoising across the batch)."""

    kind = "extractor/paper"

    def __init__(self, config: PaperExtractorConfig | None = None):
        super().__init__()
        self.config = config = config or PaperExtractorConfig()
        self.gru = nn.GRU(config.n_channels, config.hidden, batch_first=True)

    def forward(self, voltage: Tensor, contacts_um: Tensor, present: Tensor) -> Tensor:
        """Return embeddings, shape ``(B, 512)``, of voltage of shape ``(B, C, 64)``."""
        n = self.config.n_channels
        x = (voltage * present[..., None])[:, :n, :60]
        if x.shape[1] < n:
            x = torch.nn.functional.pad(x, (0, 0, 0, n - x.shape[1]))
        return self.gru(x.transpose(1, 2))[1][0]


EXTRACTORS: dict[str, tuple[type[nn.Module], type]] = {
    "contacts": (ContactsExtractor, ContactsConfig),
    "paper": (PaperExtractor, PaperExtractorConfig),
}


def make_extractor(config: str = "contacts", *, sizes: dict[str, Any] | None = None) -> nn.Module:
    """Return a fresh extractor by the name of its configuration (``"contacts"`` or ``"paper"``).

    Raises
    ------
    DataError
        If there is no such configuration.
    """
    if config not in EXTRACTORS:
        raise DataError(
            f"extractor {config!r}", expected=f"one of {sorted(EXTRACTORS)}", remedy="choose one of those"
        )
    model, make_config = EXTRACTORS[config]
    return model(make_config(**(sizes or {})))
