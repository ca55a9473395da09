"""How a training of POYO went, step by step: the learning curve of unit identification."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from neuroloom.decoding.poyo_data import PoyoData


def curve_rows(
    stage: str, records: Sequence[dict[str, Any]], held_out: PoyoData | None, *, earlier: Sequence[dict]
) -> list[dict[str, Any]]:
    """Return one row per line of a training's log.

    Parameters
    ----------
    stage
        What was learning: ``"units"``, ``"borders"`` or ``"all"``.
    records
        `TrainResult.records`.
    held_out
        The part that decided which weights are kept.
    earlier
        Rows of the stages before, whose steps are counted on.

    Returns
    -------
    list of dict
        ``stage``, ``step``, ``loss``, ``validation_loss``, and ``r2``: of all dimensions together on the
        held-out part; None where it was not measured, or a label is decoded.
    """
    spread = None if held_out is None or held_out.task != "regression" else _spread(held_out)
    first_step = earlier[-1]["step"] if earlier else 0
    rows = []
    for record in records:
        loss = record.get("validation_loss")
        r2 = None if loss is None or not spread else 1 - loss / spread
        rows.append(
            {
                "stage": stage,
                "step": first_step + record["step"],
                "loss": record["loss"],
                "validation_loss": loss,
                "r2": r2,
            }
        )
    return rows


def _spread(data: PoyoData) -> float:
    """Return the loss of always saying the mean of each dimension."""
    values = np.concatenate([each.values for each in data.outputs])
    weights = np.concatenate([each.weights for each in data.outputs])[:, None] * np.isfinite(values)
    values = np.where(np.isfinite(values), values, 0.0)
    total = weights.sum(0)
    mean = (weights * values).sum(0) / np.where(total > 0, total, 1.0)
    return float((weights * (values - mean) ** 2).sum() / max(total.sum(), 1e-30))
