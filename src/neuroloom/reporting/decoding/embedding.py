"""The page's section about what a decoder has learned of each unit."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neuroloom.errors import DataError
from neuroloom.reporting.decoding.figures_embedding import learning_curve, unit_points
from neuroloom.reporting.layout import half
from neuroloom.reporting.numbers import counted, written
from neuroloom.reporting.page import Block, Note, Section


def embedding_section(
    places: np.ndarray,
    *,
    session_ids: Sequence[str],
    shares: Sequence[float] = (0.0, 0.0),
    direction_rad: np.ndarray | None = None,
    curves: Mapping[str, tuple[Any, Any]] | None = None,
    metric: str = "R²",
    anchor: str = "embedding",
    title: str = "What was learned of the units",
) -> Section:
    """Show the map of unit embeddings, and how fast they were learned.

    Parameters
    ----------
    places
        Shape (units, 2): embeddings on two axes.
    session_ids
        The session of each unit.
    shares
        Share of the embeddings' variance on each axis.
    direction_rad
        Shape (units,): preferred directions, NaN where unknown; None if all are.
    curves
        Name of a stage of learning -> (steps, scores).
    metric
        What the curves' scores are.

    Raises
    ------
    DataError
        If the numbers of units differ.
    """
    places = np.asarray(places, dtype=np.float64).reshape(-1, 2)
    directions = np.full(len(places), np.nan) if direction_rad is None else np.asarray(direction_rad, float)
    if not len(places) == len(session_ids) == len(directions):
        raise DataError(
            f"{len(places)} places, {len(session_ids)} session names, {len(directions)} directions",
            expected="one of each per unit",
            remedy="pass arrays of one length",
        )
    blocks: list[Block] = []
    curves = {
        name: (np.asarray(steps, float), np.asarray(scores, float))
        for name, (steps, scores) in (curves or {}).items()
        if len(steps)
    }
    if curves:
        said = "; ".join(
            f"{name}: " + ", ".join(f"{written(y)} at step {x:.0f}" for x, y in _few(steps, scores))
            for name, (steps, scores) in curves.items()
        )
        blocks.append(
            half(
                lambda width_px: learning_curve(curves, metric=metric, width_px=width_px),
                title="Learning curve",
                alt=f"{metric} over the steps of learning. {said}.",
                caption="On the part of the training data that decides which weights are kept.",
            )
        )
    if len(places):
        n_known = int(np.isfinite(directions).sum())
        colours = "colour and stroke: preferred direction" if n_known else "colour: session"
        blocks.append(
            half(
                lambda width_px: unit_points(
                    places, direction_rad=directions, groups=session_ids, shares=shares, width_px=width_px
                ),
                title="Map of the units",
                alt=f"Embeddings of {counted(len(places), 'unit')} on their two leading axes; {colours}.",
                caption=f"A point is a unit; {colours}"
                + (f" (known for {n_known:,})." if 0 < n_known < len(places) else "."),
            )
        )
    if not blocks:
        blocks.append(Note("The decoder knows no units yet, so there is nothing to draw."))
    n_sessions = len(set(session_ids))
    lead = f"{counted(len(places), 'unit')} of {counted(n_sessions, 'session')}, an embedding each."
    return Section(title, anchor, lead=lead, blocks=blocks)


def _few(steps: np.ndarray, scores: np.ndarray) -> list[tuple[float, float]]:
    chosen = np.unique(np.linspace(0, len(steps) - 1, min(4, len(steps))).round().astype(int))
    return [(float(steps[index]), float(scores[index])) for index in chosen]
