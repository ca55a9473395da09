"""The spike detector: voltage of a few contacts -> the probability of a spike at every sample.

`StridedDetector` is ours: patches of eight samples, any number and arrangement of up to eight contacts.
`PaperDetector` is SimSort's as released: four channels, one token per sample.
"""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from neuroloom.errors import DataError
from neuroloom.sorting.contact_attention import Block, Geometry


@dataclass(frozen=True)
class StridedConfig:
    """Sizes of the default detector.

    Attributes
    ----------
    window
        Samples per window at 30 kHz.
    stride
        Samples per token.
    kernel
        Samples each token sees of each contact.
    dim, n_heads, hidden, n_layers
        Of the transformer over time.
    """

    window: int = 128
    stride: int = 8
    kernel: int = 24
    stem: int = 32
    dim: int = 64
    n_heads: int = 4
    hidden: int = 128
    n_layers: int = 3


class StridedDetector(nn.Module):
    """Strided stem per contact -> pooling over contacts -> transformer over time -> logits per sample.

    The order of contacts does not matter; absent contacts are not seen.
    """

    kind = "detector/strided"

    def __init__(self, config: StridedConfig | None = None):
        super().__init__()
        self.config = config = config or StridedConfig()
        self.stem = nn.Conv1d(
            2, config.stem, config.kernel, config.stride, padding=(config.kernel - config.stride) // 2
        )
        self.lift = nn.Linear(config.stem, config.dim)
        self.geometry = Geometry(config.dim)
        self.score = nn.Linear(config.dim, config.n_heads)
        self.value = nn.Linear(config.dim, config.dim)
        self.merge = nn.Linear(2 * config.dim, config.dim)
        n_tokens = config.window // config.stride
        self.position = nn.Parameter(torch.randn(n_tokens, config.dim) * 0.1)
        self.blocks = nn.ModuleList(
            Block(config.dim, config.n_heads, config.hidden) for _ in range(config.n_layers)
        )
        self.norm = nn.LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.stride)
        nn.init.constant_(self.head.bias, -3.0)  # spikes are rare

    def forward(self, voltage: Tensor, contacts_um: Tensor, present: Tensor) -> Tensor:
        """Return logits.

        Parameters
        ----------
        voltage
            In units of each contact's noise, shape ``(B, C, 128)``.
        contacts_um
            Around the neighbourhood's centre, shape ``(B, C, 2)``.
        present
            Which contacts exist, shape ``(B, C)``.

        Returns
        -------
        Tensor
            Shape ``(B, 128)``.
        """
        batch, n_contacts, n_samples = voltage.shape
        # The logarithmic copy keeps large spikes in range, the linear one small ones in proportion.
        x = torch.stack([voltage / 4, torch.asinh(voltage)], dim=2).reshape(-1, 2, n_samples)
        x = torch.nn.functional.gelu(self.stem(x)).transpose(1, 2)  # (B*C, tokens, stem)
        x = self.lift(x).reshape(batch, n_contacts, -1, self.config.dim)  # (B, C, tokens, dim)
        x = x + self.geometry(contacts_um)[:, :, None]
        absent = ~present[:, :, None, None]
        weight = self.score(x).masked_fill(absent, -torch.inf).softmax(dim=1)  # (B, C, tokens, heads)
        value = torch.nn.functional.gelu(self.value(x))
        heads = value.unflatten(-1, (self.config.n_heads, -1))
        mean = (weight[..., None] * heads).sum(dim=1).flatten(-2)  # (B, tokens, dim)
        largest = value.masked_fill(absent, -torch.inf).amax(dim=1)
        x = self.merge(torch.cat([mean, largest], dim=-1)) + self.position
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)).flatten(1)


@dataclass(frozen=True)
class PaperDetectorConfig:
    """Sizes of the released detector: four channels, 2,000-sample windows, one token per sample."""

    n_channels: int = 4
    dim: int = 256
    n_heads: int = 4
    hidden: int = 1024
    n_layers: int = 4
    dropout: float = 0.2


class PaperDetector(nn.Module):
    """SimSort's detector as released: linear embedding, sinusoidal positions, transformer, one logit.

    It has a fixed number of channels and ignores where they are; it costs about a hundred times
    `StridedDetector`, and is here to compare.
    """

    kind = "detector/paper"

    def __init__(self, config: PaperDetectorConfig | None = None):
        super().__init__()
        self.config = config = config or PaperDetectorConfig()
        self.embed = nn.Linear(config.n_channels, config.dim)
        layer = nn.TransformerEncoderLayer(
            config.dim, config.n_heads, config.hidden, config.dropout, batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, config.n_layers)
        self.head = nn.Linear(config.dim, 1)

    def forward(self, voltage: Tensor, contacts_um: Tensor, present: Tensor) -> Tensor:
        """Return logits, shape ``(B, samples)``, of voltage of shape ``(B, C, samples)``."""
        n = self.config.n_channels
        x = (voltage * present[..., None])[:, :n]
        if x.shape[1] < n:
            x = torch.nn.functional.pad(x, (0, 0, 0, n - x.shape[1]))
        x = self.embed(x.transpose(1, 2))  # (B, samples, dim)
        return self.head(self.encoder(x + _sinusoids(x.shape[1], x.shape[2], x.device))).squeeze(-1)


def _sinusoids(n_positions: int, dim: int, device: torch.device) -> Tensor:
    position = torch.arange(n_positions, device=device)[:, None]
    rate = torch.exp(
        torch.arange(0, dim, 2, device=device) * (-torch.log(torch.tensor(10000.0)).item() / dim)
    )
    table = torch.zeros(n_positions, dim, device=device)
    table[:, 0::2], table[:, 1::2] = torch.sin(position * rate), torch.cos(position * rate)
    return table


DETECTORS: dict[str, tuple[type[nn.Module], type]] = {
    "strided": (StridedDetector, StridedConfig),
    "paper": (PaperDetector, PaperDetectorConfig),
}


def make_detector(config: str = "strided", *, sizes: dict[str, Any] | None = None) -> nn.Module:
    """Return a fresh detector by the name of its configuration (``"strided"`` or ``"paper"``).

    Raises
    ------
    DataError
        If there is no such configuration.
    """
    if config not in DETECTORS:
        raise DataError(
            f"detector {config!r}", expected=f"one of {sorted(DETECTORS)}", remedy="choose one of those"
        )
    model, make_config = DETECTORS[config]
    return model(make_config(**(sizes or {})))


def sizes(model: nn.Module) -> dict[str, Any]:
    """Return the sizes that `make_detector` or `make_extractor` needs to make `model` again."""
    return asdict(model.config)  # pyright: ignore[reportArgumentType]
