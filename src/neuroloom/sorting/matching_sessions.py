"""The same neurons in two sortings of one probe: pairs of units by the shapes of their spikes."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom.errors import DataError, MissingFile
from neuroloom.sorting.quality import read_analyzer
from neuroloom.sorting.spikeinterface_runs import keep_compiled, quiet

if TYPE_CHECKING:
    import pandas as pd
    from spikeinterface.core import SortingAnalyzer

SAME = 0.8
REFRACTORY_S = 0.0015
COLUMNS = (
    "first", "second", "similarity", "runner_up", "first_spikes", "second_spikes",
    "first_violations", "second_violations",
)  # fmt: skip
# Where an analyzer lies in what the verbs `sort` and `run` write, and in a stage of it.
_PLACES = (Path("sorting") / "analyzer", Path("analyzer"), Path())
_LAG_S = 0.0003  # by which the spikes of one unit may be aligned differently
_SAME_PLACE_UM = 1.0
_ENOUGH = 0.5  # of either probe's contacts


@dataclass(frozen=True)
class MatchedUnits:
    """Which units of two sortings are the same neurons.

    Attributes
    ----------
    pairs
        One row per pair, the most alike first: the units' ids (``first``, ``second``), their
        ``similarity``, the largest similarity of either with any third unit of the other sorting
        (``runner_up``), and for each sorting its number of spikes and of intervals below 1.5 ms
        (``first_spikes``, ``first_violations``, ..).
    only_first, only_second
        Ids of the units without a partner.
    similarity
        Of every unit of the first sorting (rows) with every unit of the second (columns).
    """

    pairs: "pd.DataFrame"
    only_first: list[Any]
    only_second: list[Any]
    similarity: "pd.DataFrame"


def match_units(
    first: "SortingAnalyzer | str | os.PathLike",
    second: "SortingAnalyzer | str | os.PathLike",
    *,
    least: float = SAME,
) -> MatchedUnits:
    """Find the units that two recordings from one probe have in common.

    Similarity is ``1 - |a - b| / (|a| + |b|)`` of the units' mean waveforms in microvolt on all contacts that
    both recordings have, at the best of lags up to .3 ms (SpikeInterface's template similarity, ``l2``): 1
    for equal waveforms, 0 for unrelated ones of equal size, and lower for the same shape in another size.
    Partners are chosen so that the sum of similarities is largest (Hungarian method).

    Parameters
    ----------
    first, second
        A folder that ``neuroloom sort`` or ``neuroloom run`` wrote, a folder of an analyzer, or an analyzer
        (`neuroloom.sorting.quality.analyze`).
    least
        Similarity from which two units may be the same.

    Returns
    -------
    MatchedUnits
        Spikes of a neuron change from day to day, and two neurons may look alike: a pair whose
        ``runner_up`` is close to its ``similarity`` may be another pair in truth.

    Raises
    ------
    DataError
        If a sorting has no units, the probes or sampling rates differ, or `least` is not between 0 and 1.
    MissingFile, CorruptArtifact
        If a folder is absent, holds no sorting, or is damaged.
    """
    import pandas as pd
    from scipy.optimize import linear_sum_assignment

    if not 0 < least < 1:
        raise DataError(f"least={least:g}", expected="between 0 and 1", remedy=f"leave it at {SAME:g}")
    one, other = _opened(first), _opened(second)
    scores = _similarity(one, other)
    alike = scores.to_numpy()
    rows = []
    # Below `least` no pair may gain from another that is none.
    for row, column in zip(*linear_sum_assignment(-np.where(alike < least, 0, alike)), strict=True):
        if alike[row, column] < least:
            continue
        rivals = np.concatenate([np.delete(alike[row], column), np.delete(alike[:, column], row)])
        units = scores.index[row], scores.columns[column]
        spikes, violations = zip(_counts(one, units[0]), _counts(other, units[1]), strict=True)
        runner_up = float(rivals.max()) if len(rivals) else float("nan")
        rows.append((*units, float(alike[row, column]), runner_up, *spikes, *violations))
    pairs = pd.DataFrame(rows, columns=list(COLUMNS))
    pairs = pairs.sort_values("similarity", ascending=False, kind="stable", ignore_index=True)
    return MatchedUnits(
        pairs,
        [unit for unit in scores.index if unit not in set(pairs["first"])],
        [unit for unit in scores.columns if unit not in set(pairs["second"])],
        scores,
    )


def _opened(source: "SortingAnalyzer | str | os.PathLike") -> "SortingAnalyzer":
    """Return an analyzer that has units and their templates."""
    if isinstance(source, str | os.PathLike):
        name, analyzer = str(source), _read(Path(source))
    else:
        name, analyzer = "the analyzer", source
    if not analyzer.get_num_units():
        raise _no_units(name)
    if not analyzer.has_extension("templates"):
        raise DataError(
            f"{name} has no templates",
            expected="mean waveforms of its units",
            remedy="make it with neuroloom.sorting.quality.analyze",
        )
    return analyzer


def _read(folder: Path) -> "SortingAnalyzer":
    if not folder.exists():
        raise MissingFile(f"{folder} does not exist", expected="a sorted recording", remedy="check the path")
    for place in _PLACES:
        if (folder / place / "extensions").is_dir():
            return read_analyzer(folder / place)
    # The verbs analyze every sorting that has units.
    if (folder / "sorting" / "sorting").is_dir():
        raise _no_units(str(folder))
    raise MissingFile(
        f"{folder} holds no waveforms of sorted units",
        expected="what `neuroloom sort` wrote",
        remedy="pass the --out of `neuroloom sort`, or analyze with neuroloom.sorting.quality.analyze",
    )


def _no_units(name: str) -> DataError:
    return DataError(
        f"{name} has no units",
        expected="at least one unit in each sorting",
        remedy="look at the recording with `neuroloom check`",
    )


def _similarity(first: "SortingAnalyzer", second: "SortingAnalyzer") -> "pd.DataFrame":
    import pandas as pd
    from spikeinterface.core.template_tools import get_dense_templates_array
    from spikeinterface.postprocessing.template_similarity import compute_similarity_with_templates_array

    rates_hz = first.sampling_frequency, second.sampling_frequency
    if abs(rates_hz[0] / rates_hz[1] - 1) > 1e-6:
        raise DataError(
            f"recordings at {rates_hz[0]:g} and {rates_hz[1]:g} Hz",
            expected="the same sampling rate",
            remedy="resample one of them and sort it again",
        )
    channels = _shared_channels(first, second)
    templates = [
        get_dense_templates_array(analyzer, return_in_uV=True)[:, :, mine]
        for analyzer, mine in zip((first, second), channels, strict=True)
    ]
    if templates[0].shape[1] != templates[1].shape[1]:
        raise DataError(
            f"templates of {templates[0].shape[1]} and {templates[1].shape[1]} samples",
            expected="the same length",
            remedy="analyze both sortings with neuroloom.sorting.quality.analyze",
        )
    keep_compiled()
    with quiet():
        similarity, _ = compute_similarity_with_templates_array(
            *templates, method="l2", support="dense", num_shifts=round(_LAG_S * rates_hz[0])
        )
    return pd.DataFrame(similarity, index=list(first.unit_ids), columns=list(second.unit_ids))


def _shared_channels(first: "SortingAnalyzer", second: "SortingAnalyzer") -> tuple[np.ndarray, np.ndarray]:
    """Return the channels of either whose contacts are in the same places; bad ones may be missing."""
    places = [np.asarray(one.get_channel_locations(), float)[:, :2] for one in (first, second)]
    distance = np.linalg.norm(places[0][:, None] - places[1][None], axis=-1)
    mine = np.flatnonzero(distance.min(axis=1) < _SAME_PLACE_UM)
    if len(mine) < _ENOUGH * max(map(len, places)):
        raise DataError(
            f"probes of {len(places[0])} and {len(places[1])} contacts that share {len(mine)}",
            expected="two recordings from one probe",
            remedy="pass sortings of the same probe, with the same probe file",
        )
    return mine, distance[mine].argmin(axis=1)


def _counts(analyzer: "SortingAnalyzer", unit: Any) -> tuple[int, int]:
    """Return how many spikes a unit has, and how many intervals within the refractory period."""
    sample = np.asarray(analyzer.sorting.get_unit_spike_train(unit_id=unit, segment_index=0))
    shortest = REFRACTORY_S * analyzer.sampling_frequency
    return len(sample), int(np.count_nonzero(np.diff(sample) < shortest))
