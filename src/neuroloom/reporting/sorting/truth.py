"""Blocks about a sorting and the truth: which units were found, and whether confidences hold."""

from typing import TYPE_CHECKING

import numpy as np

from neuroloom.reporting.layout import half
from neuroloom.reporting.matrix import shaded_matrix
from neuroloom.reporting.numbers import counted, written
from neuroloom.reporting.page import Block, KeyFigure
from neuroloom.reporting.sorting.calibration import Calibration, group_by_confidence
from neuroloom.reporting.sorting.figures_truth import agreement_bars, spike_calibration, unit_calibration

if TYPE_CHECKING:
    import pandas as pd
    from spikeinterface.comparison import GroundTruthComparison

FOUND = 0.8


def agreement_blocks(
    agreement: "GroundTruthComparison | pd.DataFrame", matches: "pd.DataFrame | None" = None
) -> tuple[list[Block], KeyFigure]:
    """Draw how well each true unit was found, and, where `matches` are known, which units share spikes."""
    scores = matches
    if hasattr(agreement, "get_performance"):
        scores = agreement.get_ordered_agreement_scores()  # pyright: ignore
        agreement = agreement.get_performance()  # pyright: ignore
    table: pd.DataFrame = agreement  # pyright: ignore
    accuracy = np.nan_to_num(table["accuracy"].to_numpy(float))
    names = list(table.index)
    mean = float(accuracy.mean()) if len(accuracy) else np.nan
    n_found = int((accuracy >= FOUND).sum())
    blocks: list[Block] = []
    if len(names):
        blocks.append(
            half(
                lambda width_px: agreement_bars(names, accuracy, width_px=width_px),
                title="Agreement with the truth",
                alt=f"Accuracy of each of {counted(len(names), 'true unit')}; mean {mean:.2f}.",
                caption=f"{n_found} of {len(names)} true units were found with an accuracy of {FOUND} or "
                f"more (filled bars). Mean accuracy {mean:.2f}.",
            )
        )
    if scores is not None and scores.size and max(scores.shape) <= 80:
        matrix = scores
        blocks.append(
            half(
                lambda width_px: shaded_matrix(
                    matrix.to_numpy(float),
                    rows=list(matrix.index),
                    columns=list(matrix.columns),
                    row_title="True unit",
                    column_title="Sorted unit",
                    width_px=width_px,
                ),
                title="Who matches whom",
                alt="Agreement between every true and every sorted unit; a clean sorting shows a diagonal.",
                caption="Share of spikes in common, out of all spikes of either.",
            )
        )
    note = f"{n_found} of {len(names)} true units at {FOUND} or above"
    return blocks, KeyFigure(written(mean), "accuracy against the truth", note)


def calibration_blocks(calibration: Calibration) -> list[Block]:
    """Draw confidences of units and spikes against the truth; say how far off they are."""
    if not len(calibration.unit_ids):
        return []
    groups = group_by_confidence(calibration.spike_confidence, calibration.spike_right)
    off = float(np.mean(np.abs(calibration.unit_confidence - calibration.unit_precision)))
    n_right, n_spikes = int(np.sum(calibration.spike_right)), len(calibration.spike_right)
    blocks: list[Block] = [
        half(
            lambda width_px: unit_calibration(calibration, width_px=width_px),
            title="Confidence of units and the truth",
            alt=f"Confidence of {counted(len(calibration.unit_ids), 'sorted unit')} against accuracy and "
            f"precision; confidence and precision differ by {off:.2f} on average.",
            caption="A unit's confidence is the expected share of its spikes that are its own, so rings "
            "(precision: that share in truth) belong on the line; dots (accuracy) lie lower by what was "
            f"missed. Units that match no true unit stand at 0. Mean distance of the rings {off:.2f}.",
        )
    ]
    if groups.count.sum():
        blocks.append(
            half(
                lambda width_px: spike_calibration(groups, width_px=width_px),
                title="Confidence of spikes and the truth",
                alt=f"Share of right spikes in {counted(len(groups.count), 'group')} of rising confidence: "
                + ", ".join(
                    f"{share:.2f} at {confidence:.2f}"
                    for share, confidence in zip(groups.share, groups.confidence, strict=True)
                )
                + f". Expected calibration error {groups.error:.3f}.",
                caption=f"Expected calibration error {groups.error:.3f} (mean distance from the line). "
                f"{n_right:,} of {n_spikes:,} spikes are right: a spike of the true unit that matches "
                "theirs. Each dot is a group of equally many spikes (equal confidences stay together) with "
                "its 95 % interval.",
            )
        )
    return blocks
