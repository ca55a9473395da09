"""Random sessions of every shape that a session can have."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from neuroloom.sessions.columns import TAKEN_BY_TRIALS, TAKEN_BY_UNITS
from neuroloom.sessions.session import Session

# Whole numbers of 1/1024 s: exact in binary, so that borders can be hit exactly.
TICK_S = 1 / 1024
TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=6)
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True)
KINDS = ["text", "float64", "float32", "int64", "int8", "uint16", "bool"]


@st.composite
def label_columns(draw, n_rows: int, taken: frozenset[str]) -> dict[str, np.ndarray]:
    names = draw(st.lists(NAMES.filter(lambda name: name not in taken), max_size=3, unique=True))
    columns = {}
    for name in names:
        kind = draw(st.sampled_from(KINDS))
        if kind == "text":
            columns[name] = np.array(draw(st.lists(TEXT, min_size=n_rows, max_size=n_rows)), dtype=np.str_)
        else:
            columns[name] = draw(npst.arrays(kind, n_rows))
    return columns


@st.composite
def random_sessions(draw, most_units: int = 4) -> Session:
    ticks = draw(st.lists(st.integers(-2_000, 20_000), min_size=2, max_size=6, unique=True))
    borders = np.sort(ticks[: len(ticks) // 2 * 2]).reshape(-1, 2)
    within = st.builds(
        lambda number, share: borders[number, 0] + round(share * (borders[number, 1] - borders[number, 0])),
        st.integers(0, len(borders) - 1),
        st.floats(0, 1),
    )
    times = st.lists(within, max_size=30, unique=True).map(lambda each: np.sort(each) * TICK_S)
    keys = draw(st.lists(st.integers(0, 50), max_size=most_units, unique=True))
    behavior = {}
    for name in draw(st.lists(TEXT.filter(lambda n: n and not set("/:.") & set(n)), max_size=2, unique=True)):
        at = draw(times)
        shape = draw(st.sampled_from([(len(at),), (len(at), 1), (len(at), 3)]))
        behavior[name] = (
            at,
            draw(npst.arrays(draw(st.sampled_from(["float32", "float64", "int16"])), shape)),
        )
    trials = None
    if draw(st.booleans()):
        # Neighbours that touch, as trials laid end to end do.
        inner = [np.unique(draw(st.lists(st.integers(a, b), max_size=4))) for a, b in borders]
        starts = np.concatenate([each[:-1] for each in inner])
        ends = np.concatenate([each[1:] for each in inner])
        labels = draw(label_columns(len(starts), TAKEN_BY_TRIALS))
        trials = pd.DataFrame({"start": starts * TICK_S, "end": ends * TICK_S, **labels})
    return Session.from_arrays(
        id=draw(TEXT.filter(bool)),
        subject=draw(TEXT.filter(bool)),
        spike_times_s={key: draw(times) for key in keys},
        behavior=behavior,
        trials=trials,
        time_support=borders * TICK_S,
        unit_metadata=draw(label_columns(len(keys), TAKEN_BY_UNITS)),
    )


@pytest.fixture(scope="session")
def any_session() -> st.SearchStrategy[Session]:
    """A hypothesis strategy; draw from it with `data.draw(any_session)`."""
    return random_sessions()
