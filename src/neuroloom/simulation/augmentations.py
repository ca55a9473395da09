"""What happens to simulated scenes between the electrode and the network, on any device.

Order of contacts, errors of gain, and the published augmentation (Zhang et al. 2025). Sampling rate and noise
colour are part of how a scene is made: see `neuroloom.simulation.bank` and `neuroloom.simulation.corpus`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from neuroloom.simulation.draws import Draw


@dataclass(frozen=True)
class Published:
    """Strength of the published augmentation.

    Attributes
    ----------
    probability
        Share of windows or snippets that are changed, each on one to four contacts.
    smallest_scale
        Those contacts are multiplied by a factor between this and 1.
    noise
        Standard deviation of Gaussian noise added to them.
    jitter
        Largest shift of each, in samples.
    """

    probability: float
    smallest_scale: float
    noise: float = 0.9
    jitter: int = 5


PUBLISHED_DETECTOR = Published(probability=0.8, smallest_scale=0.0)
PUBLISHED_EXTRACTOR = Published(probability=0.5, smallest_scale=0.5)


def contact_order(draw: Draw, present: Tensor) -> Tensor:
    """Return a random order of every row's contacts, absent ones last, shape ``(rows, contacts)``."""
    return (draw.uniform(0, 1, *present.shape) + 2.0 * ~present).argsort(dim=1)


def gain_errors(draw: Draw, n_rows: int, n_contacts: int) -> Tensor:
    """Return factors around 1, shape ``(rows, contacts)``.

    Noise levels are estimates: 10 % of error common to all contacts, 7 % of each contact's own.
    """
    return draw.uniform(0.9, 1.1, n_rows, 1) * draw.uniform(0.93, 1.07, n_rows, n_contacts)


def published(draw: Draw, voltage: Tensor, present: Tensor, strength: Published) -> Tensor:
    """Scale, jitter and blur one to four contacts of some rows, as the published training does.

    Parameters
    ----------
    draw
        Source of randomness.
    voltage
        Shape ``(rows, contacts, samples)``.
    present
        Shape ``(rows, contacts)``.
    strength
        `PUBLISHED_DETECTOR` or `PUBLISHED_EXTRACTOR`.

    Returns
    -------
    Tensor
        Shape ``(rows, contacts, samples)``.
    """
    rows, n_contacts, n_samples = voltage.shape
    rank = contact_order(draw, present).argsort(dim=1)
    changed = draw.uniform(0, 1, rows, 1) < strength.probability
    chosen = (rank < 1 + draw.integers(4, rows, 1)) & present & changed
    scale = torch.where(chosen, draw.uniform(strength.smallest_scale, 1, rows, n_contacts), 1.0)
    shift = chosen * (draw.integers(2 * strength.jitter + 1, rows, n_contacts) - strength.jitter)
    index = (torch.arange(n_samples, device=voltage.device) - shift[..., None]) % n_samples
    noise = strength.noise * chosen[..., None] * draw.normal(rows, n_contacts, n_samples)
    return voltage.gather(2, index) * scale[..., None] + noise
