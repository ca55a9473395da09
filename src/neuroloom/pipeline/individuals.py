"""What a page shows of a decoder of individuals: when it is right, and which areas attend to which."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from neuroloom.decoding.targets import known
from neuroloom.reporting import sections
from neuroloom.reporting.page import Section

if TYPE_CHECKING:
    from neuroloom.decoding.eit_decoder import EITDecoder
    from neuroloom.decoding.evaluation import HeldOut
    from neuroloom.sessions.session import Session

# Column of unit metadata that says where a unit was.
AREA = "brain_area"
# Trials whose attention is averaged; it takes a number for each pair of units, layer and head.
N_TRIALS = 20


def individuals(
    decoder: "EITDecoder", held_out: "Mapping[str, HeldOut]", sessions: "Sequence[Session]"
) -> list[Section]:
    """Return the section, of the first session that is held out; none where there is nothing to show."""
    if not held_out:
        return []
    session_id, result = next(iter(held_out.items()))
    session = next((each for each in sessions if each.id == session_id), None)
    times_s = accuracy = weights = groups = chance = None
    if decoder.target_.task == "classification" and session is not None:
        times_s, accuracy = over_time(result, session, decoder.bin_s)
        chance = 1 / len(np.unique(np.asarray(result.true)[known(np.asarray(result.true))]))
    together = decoder.answers_[session_id] == "interaction"
    if together and session is not None and AREA in session.spikes.metadata_columns:
        part = session
        if session.trials is not None and len(session.trials) > N_TRIALS:
            part = session.restrict(session.trials[-N_TRIALS:])
        weights = decoder.attention(part).mean(axis=(0, 1))
        area = dict(zip(session.unit_ids, session.spikes.get_info(AREA), strict=True))
        groups = [str(area.get(unit, "unknown")) for unit in decoder.units_[session_id]]
    if weights is None and not (times_s is not None and len(times_s) > 1):
        return []
    return [
        sections.attention_section(
            weights=weights, groups=groups, times_s=times_s, accuracy=accuracy, chance=chance
        )
    ]


def over_time(result: "HeldOut", session: "Session", bin_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the middle of each bin after the start of its trial, and the share of right labels in it."""
    assert session.trials is not None
    starts = np.asarray(session.trials.start)
    trial = np.searchsorted(starts, result.times_s, side="right") - 1
    number = np.floor((result.times_s - starts[trial]) / bin_s + 1e-6).astype(int)
    true, usable = np.asarray(result.true), known(np.asarray(result.true))
    number, right = number[usable], (np.asarray(result.predicted) == true)[usable]
    count = np.bincount(number)
    share = np.bincount(number, weights=right) / np.maximum(count, 1)
    bins = np.flatnonzero(count)
    return (bins + 0.5) * bin_s, share[bins]
