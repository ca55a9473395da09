"""The page's section about one decoder."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom.errors import DataError
from neuroloom.reporting.decoding.conditions import Grouping, errors_by_condition
from neuroloom.reporting.decoding.figures import (
    condition_errors,
    predicted_against_true,
    predicted_over_true,
    score_dots,
    training_loss,
)
from neuroloom.reporting.layout import half, wide
from neuroloom.reporting.matrix import shaded_matrix
from neuroloom.reporting.numbers import counted, written
from neuroloom.reporting.page import Block, KeyFigure, Note, Section

if TYPE_CHECKING:
    import pandas as pd
    import pynapple as nap

EXCERPT_S, MAX_DIMENSIONS = 20.0, 3


def decoding_section(
    predicted: Any,
    true: Any,
    *,
    target: str,
    model: str,
    metric: str,
    score: float,
    dimension_scores: Sequence[float] | None = None,
    session_scores: Mapping[str, float] | None = None,
    comparison: Mapping[str, float] | None = None,
    chance: float | None = None,
    losses: "pd.DataFrame | None" = None,
    trials: "nap.IntervalSet | None" = None,
    times_s: np.ndarray | None = None,
    lead: str = "",
    anchor: str = "decoding",
    title: str = "Decoding",
) -> Section:
    """Show what a decoder predicted on data it had not seen.

    Parameters
    ----------
    predicted, true
        Regression: pynapple ``Tsd`` or ``TsdFrame`` at the same times, or arrays (n,) or (n, dims).
        Classification (`metric` contains "accuracy"): one label per trial or bin.
    target, model
        Names for the reader.
    metric, score
        What was measured, e.g. ``"R²"``, and its value; NaN is written as undefined.
    dimension_scores
        One score per dimension, written into its figure.
    session_scores
        Session id -> score.
    comparison
        What the score is compared with, e.g. ``{"sorted units": .7, "true units": .8}``.
    chance
        Score without knowledge, where it is known.
    losses
        Columns ``step`` and one per loss (``training``, ``validation``); NaN where not measured.
    trials
        Of the session, whose labels tell the conditions of errors apart.
    times_s
        When the samples were; by default the times of `true`, where it has any.
    anchor, title
        To be changed when a page has several decoders.

    Raises
    ------
    DataError
        If `predicted` and `true` differ in length.
    """
    own_times_s, true_values = _times_and_values(true)
    times_s = own_times_s if times_s is None else times_s
    _, predicted_values = _times_and_values(predicted)
    if true_values.shape[0] != predicted_values.shape[0]:
        raise DataError(
            f"{len(predicted_values)} predictions",
            expected=f"one for each of {len(true_values)} true values",
            remedy="interpolate the truth to the times of the predictions",
        )
    blocks: list[Block] = []
    if not len(true_values):
        blocks.append(Note("The held-out part has no samples of the target, so there is nothing to score."))
    elif "accuracy" in metric.lower():
        blocks += _classification(predicted_values[:, 0], true_values[:, 0])
    else:
        blocks += _regression(
            times_s, predicted_values, true_values, _names(true, target), metric, dimension_scores
        )
    blocks += _conditions(predicted_values, true_values, times_s, target, metric, trials)
    for scores, name in ((session_scores, f"{metric} by session"), (comparison, f"{metric} compared")):
        if scores:
            listed = ", ".join(f"{each} {written(value)}" for each, value in list(scores.items())[:20])
            blocks.append(
                half(
                    lambda width_px, scores=scores: score_dots(
                        scores, metric=metric, chance=chance, width_px=width_px
                    ),
                    title=name[:1].upper() + name[1:],
                    alt=f"{metric}: {listed}.",
                )
            )
    if losses is not None and len(losses):
        table, steps = losses, losses["step"].to_numpy(float)
        blocks.append(
            half(
                lambda width_px: training_loss(
                    steps,
                    {str(name): table[name].to_numpy(float) for name in table.columns.drop("step")},
                    width_px=width_px,
                ),
                title="Training",
                alt=f"Loss over {counted(int(steps[-1]), 'training step')}.",
            )
        )
    value = written(score) if np.isfinite(score) else "undefined"
    note = f"{model}, {target}" + ("" if chance is None else f"; chance {chance:.2f}")
    return Section(
        title,
        anchor,
        lead=lead or f"{model} decodes {target} with {metric} {value} on data it had not seen.",
        blocks=blocks,
        key_figures=[KeyFigure(value, f"decoding {metric}", note)],
    )


def _regression(
    times_s: np.ndarray,
    predicted: np.ndarray,
    true: np.ndarray,
    names: list[str],
    metric: str,
    dimension_scores: Sequence[float] | None,
) -> list[Block]:
    n_dims = min(true.shape[1], MAX_DIMENSIONS)
    left_out = f" The first {n_dims} of {true.shape[1]} dimensions." if true.shape[1] > n_dims else ""
    rows = _excerpt(times_s, true)
    first_s, last_s = times_s[rows][[0, -1]]

    def part(width_px: int) -> np.ndarray:
        return rows if width_px > 500 else rows[: max(len(rows) // 2, 1)]

    over_time = wide(
        lambda width_px: predicted_over_true(
            times_s[part(width_px)],
            true[part(width_px), :n_dims],
            predicted[part(width_px), :n_dims],
            names=names,
            width_px=width_px,
        ),
        title="Predicted and true over time",
        alt=f"Predicted and true {', '.join(names[:n_dims])} from {first_s:.1f} to {last_s:.1f} s.",
        caption=f"A stretch from the middle of the held-out data.{left_out}",
    )
    scores = [f"{metric} {written(value)}" for value in dimension_scores or []]
    scores += [""] * (n_dims - len(scores))
    against = [
        half(
            lambda width_px, column=column: predicted_against_true(
                true[:, column],
                predicted[:, column],
                name=names[column],
                score=scores[column],
                width_px=width_px,
            ),
            title=f"Predicted against true: {names[column]}",
            alt=f"Predicted against true {names[column]}. {scores[column]}".strip(),
            caption="Held-out samples, evenly thinned to 1,500 where there are more; the line is agreement.",
        )
        for column in range(n_dims)
    ]
    return [over_time, *against]


def _classification(predicted: np.ndarray, true: np.ndarray) -> list[Block]:
    classes = sorted({*true.tolist(), *predicted.tolist()}, key=lambda value: (isinstance(value, str), value))
    place = {value: index for index, value in enumerate(classes)}
    counts = np.zeros((len(classes), len(classes)))
    np.add.at(
        counts, ([place[value] for value in true.tolist()], [place[value] for value in predicted.tolist()]), 1
    )
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = [_class_name(value) for value in classes]
    return [
        half(
            lambda width_px: shaded_matrix(
                shares,
                rows=names,
                columns=names,
                row_title="True",
                column_title="Predicted",
                width_px=width_px,
            ),
            title="Confusion",
            alt="Share of each true class that was given each label. On the diagonal: "
            + ", ".join(f"{name} {share:.2f}" for name, share in zip(names, np.diag(shares), strict=True))
            + ".",
            caption=f"Each row sums to one; {counted(len(true), 'held-out sample')}.",
        )
    ]


def _conditions(
    predicted: np.ndarray,
    true: np.ndarray,
    times_s: np.ndarray,
    target: str,
    metric: str,
    trials: "nap.IntervalSet | None",
) -> list[Block]:
    """Draw the error by trial label, or by direction and size of the truth where there is none."""
    if "accuracy" in metric.lower():
        predicted, true = predicted[:, 0], true[:, 0]
    groupings = errors_by_condition(predicted, true, times_s, target=target, trials=trials)
    return [
        half(
            lambda width_px, grouping=grouping: condition_errors(grouping, width_px=width_px),
            title=f"Error by {grouping.name}",
            alt=f"{grouping.measure.capitalize()} by {grouping.name}: "
            + ", ".join(f"{each.name} {each.error:.3g}" for each in grouping.conditions)
            + ".",
            caption=_explained(grouping),
        )
        for grouping in groupings
    ]


def _explained(grouping: Grouping) -> str:
    fewest, most = (f([each.n_blocks for each in grouping.conditions]) for f in (min, max))
    guess = "most frequent label" if grouping.measure == "share wrong" else "mean"
    counts = f"{fewest} to {most}" if fewest < most else f"{fewest}"
    return (
        f"Dots: {grouping.measure} on held-out samples; bands: its 95 % interval over {grouping.blocks} "
        f"({counts} each), where there are three or more. Upright strokes: the error of always saying the "
        f"{guess}. Worst: {grouping.worst.name} ({grouping.worst.error:.3g})."
    )


def _class_name(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _times_and_values(series: Any) -> tuple[np.ndarray, np.ndarray]:
    values = np.asarray(series.values if hasattr(series, "values") else series)
    times_s = np.asarray(series.t if hasattr(series, "t") else np.arange(len(values)), float)
    return times_s, values.reshape(len(values), -1) if values.size else values.reshape(len(values), 1)


def _names(series: Any, target: str) -> list[str]:
    _, values = _times_and_values(series)
    columns = list(getattr(series, "columns", range(values.shape[1])))
    return [target] if values.shape[1] == 1 else [f"{target} {name}" for name in columns]


def _excerpt(times_s: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return the rows of the stretch nearest the middle where the truth is known most of the time."""
    known = np.isfinite(true).all(axis=1)
    middle = times_s[np.flatnonzero(known)[known.sum() // 2]] if known.any() else times_s[len(times_s) // 2]
    start_s = max(middle - EXCERPT_S / 2, times_s[0])
    return np.flatnonzero((times_s >= start_s) & (times_s <= start_s + EXCERPT_S))
