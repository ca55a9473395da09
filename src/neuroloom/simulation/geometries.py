"""Random neighbourhoods of contacts: single wires, tetrodes, linear, staggered and dense probes."""

import numpy as np

MAX_CONTACTS = 8


def draw_contacts(random: np.random.Generator) -> np.ndarray:
    """Return up to eight contacts around their centre, shape ``(contacts, 3)`` in um, in the plane z = 0.

    Half of the draws are tetrodes and two-column probes; every layout has a random pitch, and a tenth of
    the contacts of the larger ones is missing (dead channels).
    """
    kind = random.choice(
        ["single", "stereo", "square", "diamond", "linear", "columns", "staggered", "grid"],
        p=[0.05, 0.04, 0.25, 0.09, 0.13, 0.2, 0.14, 0.1],
    )
    pitch = float(np.exp(random.uniform(np.log(12), np.log(50))))
    if kind == "single":
        contacts = np.zeros((1, 2))
    elif kind == "stereo":
        contacts = np.array([[0.0, 0.0], [pitch, 0.0]])
    elif kind == "square":
        contacts = _grid(2, 2, pitch, pitch)
    elif kind == "diamond":
        contacts = np.array([[0.0, 1], [1, 0], [0, -1], [-1, 0]]) * pitch * random.uniform(0.5, 1)
    elif kind == "linear":
        contacts = _grid(1, int(random.integers(3, 9)), pitch, pitch * random.uniform(0.8, 2))
    elif kind == "columns":
        contacts = _grid(2, int(random.integers(3, 5)), pitch * random.uniform(0.7, 1.4), pitch)
    elif kind == "staggered":
        contacts = _grid(2, 4, pitch, pitch * random.uniform(0.8, 1.2))
        contacts[1::2, 1] += pitch / 2
    else:
        contacts = _grid(3, 3, pitch, pitch)[: int(random.integers(6, 9))]
    if len(contacts) > 4 and random.random() < 0.3:
        keep = random.random(len(contacts)) > 0.15
        contacts = contacts[keep] if keep.sum() >= 3 else contacts
    contacts = contacts + random.normal(0, 0.5, contacts.shape)
    contacts -= contacts.mean(axis=0)
    return np.column_stack([contacts, np.zeros(len(contacts))])


def _grid(columns: int, rows: int, x_pitch: float, y_pitch: float) -> np.ndarray:
    return np.array([[column * x_pitch, row * y_pitch] for row in range(rows) for column in range(columns)])
