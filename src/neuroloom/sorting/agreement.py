"""How well a sorting agrees with units that are known to be true."""

from typing import TYPE_CHECKING

import numpy as np

from neuroloom.sorting.spikeinterface_runs import keep_compiled, quiet

if TYPE_CHECKING:
    import pandas as pd
    from spikeinterface.core import BaseSorting

COLUMNS = ("accuracy", "recall", "precision", "n_spikes", "found_unit", "found_spikes")


def compare_with_truth(
    found: "BaseSorting", truth: "BaseSorting", *, tolerance_ms: float = 0.4
) -> "pd.DataFrame":
    """Match every true unit with at most one found unit and count what they share.

    The matching is the one that maximises the sum of accuracies (Hungarian method; SpikeInterface's
    ground-truth comparison, Buccino et al. 2020).

    Parameters
    ----------
    found, truth
        Sortings of one recording.
    tolerance_ms
        Spikes that are no farther apart are one.

    Returns
    -------
    DataFrame
        One row per true unit: accuracy (hits / (hits + misses + false alarms)), recall, precision, its
        number of spikes, and the found unit with its number of spikes (missing where there is none).
    """
    import pandas as pd
    from spikeinterface.comparison import compare_sorter_to_ground_truth

    counts = [len(truth.get_unit_spike_train(unit_id=unit)) for unit in truth.unit_ids]
    index = pd.Index(truth.unit_ids, name="true_unit")
    table = pd.DataFrame(0.0, index=index, columns=["accuracy", "recall", "precision"])
    table["n_spikes"] = counts
    table["found_unit"] = pd.array([pd.NA] * len(index), dtype="object")
    table["found_spikes"] = 0
    if len(found.unit_ids) == 0 or len(index) == 0:
        return table.loc[:, list(COLUMNS)]
    with quiet():
        keep_compiled()
        comparison = compare_sorter_to_ground_truth(
            truth, found, exhaustive_gt=True, delta_time=tolerance_ms, match_mode="hungarian"
        )
        scores = comparison.get_performance()
    for name in ("accuracy", "recall", "precision"):
        table[name] = np.nan_to_num(np.asarray(scores[name], dtype=float))
    known = {str(unit): unit for unit in found.unit_ids}
    matches = comparison.hungarian_match_12
    for true_unit, match in {} if matches is None else matches.items():
        if str(match) in known:
            unit = known[str(match)]
            table.at[true_unit, "found_unit"] = unit
            table.at[true_unit, "found_spikes"] = len(found.get_unit_spike_train(unit_id=unit))
    return table.loc[:, list(COLUMNS)]
