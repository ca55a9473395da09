"""Small groups of neighbouring contacts that cover a probe, so that one model serves 1 to 384 channels."""

from dataclasses import dataclass

import numpy as np

LARGEST = 8  # contacts the models see at once
REACH_UM = 120.0  # further contacts belong to another shank or another neighbourhood


@dataclass(frozen=True)
class Neighbourhood:
    """Contacts that are looked at together.

    Attributes
    ----------
    channels
        Indices of the contacts that are seen, at most eight.
    home
        Indices of the contacts whose spikes are looked at here; every contact is at home once.
    contacts_um
        Positions of `channels` around their centre, shape ``(8, 2)``; zeros where there are fewer.
    present
        Which of the eight exist.
    """

    channels: np.ndarray
    home: np.ndarray
    contacts_um: np.ndarray
    present: np.ndarray


def cover(locations_um: np.ndarray) -> list[Neighbourhood]:
    """Cover a probe by overlapping neighbourhoods.

    Parameters
    ----------
    locations_um
        Contact positions, shape ``(contacts, 2 or 3)``.

    Examples
    --------
    A tetrode is one neighbourhood; a probe of 32 contacts is several, and every contact is at home once.

    >>> len(cover(np.array([[0, 0], [25, 0], [0, 25], [25, 25]])))
    1
    >>> column = np.stack([np.zeros(32), 20.0 * np.arange(32)], axis=1)
    >>> sorted(np.concatenate([n.home for n in cover(column)]).tolist()) == list(range(32))
    True
    """
    places = np.asarray(locations_um, dtype=float)[:, :2]
    groups = []
    for component in _connected(places):
        groups += _tiles(places, component)
    return [_neighbourhood(places, home) for home in groups]


def _connected(places: np.ndarray) -> list[np.ndarray]:
    """Contacts that can be reached from each other in steps of at most REACH_UM / 2."""
    from scipy.sparse.csgraph import connected_components

    near = np.linalg.norm(places[:, None] - places[None], axis=-1) <= REACH_UM / 2
    count, label = connected_components(near, directed=False)
    return [np.flatnonzero(label == i) for i in range(count)]


def _tiles(places: np.ndarray, members: np.ndarray) -> list[np.ndarray]:
    """Halve along the longest side until a tile and its surroundings fit into a neighbourhood."""
    extent = np.ptp(places[members], axis=0)
    if len(members) <= LARGEST and extent.max() <= REACH_UM:
        return [members]
    pending, tiles = [members], []
    while pending:
        tile = pending.pop()
        extent = np.ptp(places[tile], axis=0)
        if len(tile) <= LARGEST // 2 and extent.max() <= REACH_UM / 2:
            tiles.append(tile)
            continue
        axis = int(np.argmax(extent))
        order = tile[np.lexsort((places[tile, 1 - axis], places[tile, axis]))]
        # Whole halves of LARGEST / 2 keep rows together.
        half = max(len(order) // 2 // (LARGEST // 2) * (LARGEST // 2), 1)
        if len(order) <= LARGEST // 2:
            half = len(order) // 2
        pending += [order[half:], order[:half]]
    return tiles


def _neighbourhood(places: np.ndarray, home: np.ndarray) -> Neighbourhood:
    centre = places[home].mean(axis=0)
    distance = np.linalg.norm(places - centre, axis=1)
    distance[home] -= 1e6  # those at home are always seen
    nearest = np.argsort(distance, kind="stable")[:LARGEST]
    channels = np.sort(nearest[distance[nearest] <= REACH_UM])
    contacts, present = np.zeros((LARGEST, 2), np.float32), np.zeros(LARGEST, bool)
    contacts[: len(channels)] = places[channels] - places[channels].mean(axis=0)
    present[: len(channels)] = True
    return Neighbourhood(channels, np.sort(home), contacts, present)
