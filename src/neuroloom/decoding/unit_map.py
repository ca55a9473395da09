"""What a decoder has learned about each unit, on two axes: a map of the unit embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neuroloom.decoding.poyo_decoder import PoyoDecoder
from neuroloom.sessions.session import Session

# Column of unit metadata that simulated populations, and sessions with fitted tuning, may have.
DIRECTION = "preferred_direction_rad"


@dataclass(frozen=True)
class UnitMap:
    """Unit embeddings on their two leading principal axes.

    Attributes
    ----------
    unit_ids, session_ids
        Id of each unit, and of its session.
    points
        Shape (units, 2).
    shares
        Shape (2,): share of the embeddings' variance on each axis.
    direction_rad
        Shape (units,): preferred direction; NaN where it is not known.
    """

    unit_ids: list[str]
    session_ids: list[str]
    points: np.ndarray
    shares: np.ndarray
    direction_rad: np.ndarray


def unit_map(decoder: PoyoDecoder, sessions: Sequence[Session] = ()) -> UnitMap:
    """Return the map of all units that a fitted decoder knows.

    Parameters
    ----------
    decoder
        Fitted.
    sessions
        Where preferred directions are looked up, in the unit metadata ``preferred_direction_rad``.
    """
    known = [(unit, session) for session, units in decoder.units_.items() for unit in units]
    rows = [decoder.rows_[unit] for unit, _ in known]
    embeddings = decoder.model_.unit_embedding.weight.detach().cpu().numpy()[rows].astype(np.float64)
    centred = embeddings - embeddings.mean(axis=0) if len(embeddings) else embeddings
    left, size, _ = np.linalg.svd(centred, full_matrices=False)
    points = np.zeros((len(known), 2))
    n_axes = min(2, len(size))
    points[:, :n_axes] = left[:, :n_axes] * size[:n_axes]
    shares = np.zeros(2)
    shares[:n_axes] = size[:n_axes] ** 2 / max(float((size**2).sum()), 1e-30)
    directions: dict[str, float] = {}
    for session in sessions:
        if DIRECTION in session.spikes.metadata_columns:
            values = np.asarray(session.spikes.get_info(DIRECTION), dtype=np.float64)
            directions |= dict(zip(session.unit_ids, values.tolist(), strict=True))
    return UnitMap(
        [unit for unit, _ in known],
        [session for _, session in known],
        points,
        shares,
        np.array([directions.get(unit, np.nan) for unit, _ in known]),
    )
