"""Units that are known to be true: read from disk, compared with a sorting, and kept beside a run's page."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom import artifacts
from neuroloom.errors import CorruptArtifact, DataError, MissingFile
from neuroloom.pipeline.fingerprints import sorting_fingerprint
from neuroloom.reporting.sorting.calibration import Calibration

if TYPE_CHECKING:
    import pandas as pd
    from spikeinterface.core import BaseRecording, BaseSorting

    from neuroloom.sorting.details import SortingDetails

KIND = "truth-agreement"
TOLERANCE_MS = 0.4
_FORMATS = "a folder or .npz file that SpikeInterface's sorting.save wrote, or a sorting of neuroloom"


def read_truth(path: str | os.PathLike, recording: "BaseRecording") -> "BaseSorting":
    """Open the true units of a recording, from plain arrays alone.

    Parameters
    ----------
    path
        A folder of ``sorting.save(folder=..)`` in SpikeInterface's formats ``numpy_folder`` or
        ``npz_folder``, its .npz file, or what `neuroloom.sorting.export.write_sorting` wrote.
    recording
        Whose units they are.

    Raises
    ------
    MissingFile
        If there is nothing at `path`.
    DataError, CorruptArtifact
        If it cannot be understood, or does not belong to the recording.
    """
    from neuroloom.sorting.export import read_sorting

    path = Path(path)
    if not path.exists():
        raise MissingFile(f"{path} does not exist", expected=_FORMATS, remedy="check the path")
    try:
        if (path / "numpysorting_info.json").is_file():
            truth = _read_numpy_folder(path)
        elif path.suffix == ".npz" or (path / "sorting_cached.npz").is_file():
            truth = _read_npz(path if path.is_file() else path / "sorting_cached.npz")
        elif (path / artifacts.MANIFEST).is_file():
            truth = read_sorting(path)
        else:
            raise ValueError("none of the files that it would have")
    except (OSError, ValueError, KeyError, TypeError, IndexError, EOFError) as error:
        raise DataError(
            f"{path} cannot be read as a sorting ({type(error).__name__}: {error})",
            expected=_FORMATS,
            remedy="save the true units with sorting.save(folder=..)",
        ) from None
    refuse_foreign_units(truth, recording, path)
    return truth


def _read_numpy_folder(folder: Path) -> "BaseSorting":
    info = json.loads((folder / "numpysorting_info.json").read_text())
    spikes = np.load(folder / "spikes.npy", allow_pickle=False)
    return _from_labels(
        spikes["sample_index"],
        spikes["unit_index"],
        list(info["unit_ids"]),
        rate_hz=float(info["sampling_frequency"]),
        n_segments=int(info["num_segments"]),
    )


def _read_npz(path: Path) -> "BaseSorting":
    with np.load(path, allow_pickle=False) as stored:
        unit_ids = stored["unit_ids"].tolist()
        places = {unit: index for index, unit in enumerate(unit_ids)}
        return _from_labels(
            stored["spike_indexes_seg0"],
            np.array([places[unit] for unit in stored["spike_labels_seg0"].tolist()], np.int64),
            unit_ids,
            rate_hz=float(stored["sampling_frequency"][0]),
            n_segments=int(stored["num_segment"][0]),
        )


def _from_labels(
    sample: np.ndarray, unit: np.ndarray, unit_ids: list[Any], *, rate_hz: float, n_segments: int
) -> "BaseSorting":
    from spikeinterface.core import NumpySorting

    if n_segments != 1:
        raise ValueError(f"{n_segments} segments instead of one")
    if len(unit) and not 0 <= unit.min() <= unit.max() < len(unit_ids):
        raise ValueError(f"spikes of units {unit.min()} to {unit.max()} of {len(unit_ids)}")
    trains = {name: np.sort(sample[unit == index]) for index, name in enumerate(unit_ids)}
    return NumpySorting.from_unit_dict([trains], sampling_frequency=rate_hz)


def refuse_foreign_units(truth: "BaseSorting", recording: "BaseRecording", path: Path) -> None:
    """Raise for units at another rate than the recording's, or with spikes outside it."""
    rate_hz, n_samples = recording.get_sampling_frequency(), recording.get_num_samples(0)
    if abs(truth.get_sampling_frequency() / rate_hz - 1) > 1e-6:
        raise DataError(
            f"{path} is sampled at {truth.get_sampling_frequency():g} Hz",
            expected=f"the recording's {rate_hz:g} Hz",
            remedy="pass the units of this recording",
        )
    trains = [train for train in _trains(truth) if len(train)]
    span = [int(min(train[0] for train in trains)), int(max(train[-1] for train in trains))] if trains else []
    if trains and not 0 <= span[0] <= span[1] < n_samples:
        raise DataError(
            f"{path} has spikes at samples {span[0]} to {span[1]}",
            expected=f"0 to {n_samples - 1}, the recording's",
            remedy="pass the units of this recording",
        )


@dataclass(frozen=True)
class Agreement:
    """What a sorting and the truth share.

    Attributes
    ----------
    table
        Of `neuroloom.sorting.agreement.compare_with_truth`.
    matches
        Accuracy of every true (rows) with every sorted unit (columns), partners first and in one order.
    accuracy, precision
        (units,) of every sorted unit with the true unit that is matched to it, which no other sorted unit
        has; 0 where it has none. Matched so that the sum of accuracies is largest, however small they are.
    right
        (spikes,) whether each spike is one of that true unit; ordered by unit, then time.
    """

    table: "pd.DataFrame"
    matches: "pd.DataFrame"
    accuracy: np.ndarray
    precision: np.ndarray
    right: np.ndarray


def compare(sorting: "BaseSorting", truth: "BaseSorting") -> Agreement:
    """Compare a sorting with the truth, unit by unit and spike by spike."""
    import pandas as pd
    from scipy.optimize import linear_sum_assignment

    from neuroloom.sorting.agreement import compare_with_truth

    table = compare_with_truth(sorting, truth, tolerance_ms=TOLERANCE_MS)
    found, true = _trains(sorting), _trains(truth)
    reach = round(TOLERANCE_MS * 1e-3 * sorting.get_sampling_frequency())
    hits = np.array([[_about_in_common(one, other, reach) for other in found] for one in true], float)
    hits = hits.reshape(len(true), len(found))
    n_spikes = np.array([*map(len, true)], float)[:, None] + np.array([*map(len, found)], float)
    scores = hits / np.maximum(n_spikes - hits, 1)
    accuracy, precision = np.zeros(len(found)), np.zeros(len(found))
    right = [np.zeros(len(train), bool) for train in found]
    rows, columns = linear_sum_assignment(-scores)
    for row, column in zip(rows, columns, strict=True):
        right[column] = in_common(found[column], true[row], reach)
        n_right = int(right[column].sum())
        accuracy[column] = n_right / max(n_spikes[row, column] - n_right, 1)
        precision[column] = n_right / max(len(right[column]), 1)
    matches = pd.DataFrame(scores, index=list(truth.unit_ids), columns=list(sorting.unit_ids))
    # Partners in the same place: a clean sorting shows a diagonal, best matches first.
    best = np.argsort(-scores[rows, columns], kind="stable")
    rows = [*rows[best], *np.setdiff1d(np.arange(len(true)), rows)]
    columns = [*columns[best], *np.setdiff1d(np.arange(len(found)), columns)]
    return Agreement(
        table, matches.iloc[rows, columns], accuracy, precision, np.concatenate([np.zeros(0, bool), *right])
    )


def in_common(samples: np.ndarray, others: np.ndarray, reach: int) -> np.ndarray:
    """Return which of `samples` have a partner among `others` within `reach`; each serves only once.

    Parameters
    ----------
    samples, others
        In order.

    Examples
    --------
    >>> in_common(np.array([10, 12, 90]), np.array([11, 50]), 3).tolist()
    [True, False, False]
    """
    shared, at = np.zeros(len(samples), bool), 0
    # Both in order: the earliest free partner leaves the most for those that follow.
    starts = np.searchsorted(others, np.asarray(samples) - reach)
    for index, start in enumerate(starts):
        at = max(at, int(start))
        if at < len(others) and others[at] <= samples[index] + reach:
            shared[index] = True
            at += 1
    return shared


def _about_in_common(samples: np.ndarray, others: np.ndarray, reach: int) -> int:
    """Return how many spikes are in common without a loop; too high only where bursts lie within reach."""

    def near(ones: np.ndarray, those: np.ndarray) -> int:
        return int(
            (np.searchsorted(those, ones + reach, "right") > np.searchsorted(those, ones - reach)).sum()
        )

    return min(near(samples, others), near(others, samples))


def keep_agreement(agreement: Agreement, sorting: "BaseSorting", folder: Path) -> Path:
    """Save an agreement as an artifact, with the fingerprint of the sorting that it is about."""
    table = agreement.table.reset_index()
    document = {
        "sorting": sorting_fingerprint(sorting),
        "columns": list(agreement.table.columns),
        "table": table.astype(object).where(table.notna(), None).to_numpy().tolist(),
        "true_ids": agreement.matches.index.tolist(),
        "found_ids": agreement.matches.columns.tolist(),
    }
    arrays = {
        "matches": agreement.matches.to_numpy(float),
        "accuracy": agreement.accuracy,
        "precision": agreement.precision,
        "right": agreement.right,
    }
    return artifacts.save_artifact(folder, kind=KIND, document=document, arrays=arrays)


def read_agreement(folder: Path, sorting: "BaseSorting") -> Agreement | None:
    """Return what `keep_agreement` left of this very sorting, or None.

    Raises
    ------
    CorruptArtifact
        If it is damaged.
    """
    import pandas as pd

    if not folder.exists():
        return None
    stored = artifacts.load_artifact(folder, kind=KIND)
    document, arrays = stored.document, stored.arrays
    try:
        if document["sorting"] != sorting_fingerprint(sorting):
            return None
        table = pd.DataFrame(document["table"], columns=["true_unit", *document["columns"]])
        matches = pd.DataFrame(arrays["matches"], index=document["true_ids"], columns=document["found_ids"])
        return Agreement(
            table.set_index("true_unit"), matches, arrays["accuracy"], arrays["precision"], arrays["right"]
        )
    except (KeyError, ValueError) as error:
        raise CorruptArtifact(
            f"{folder} cannot be read ({error})", expected="what a report with a truth left",
            remedy="write the report with the truth again",
        ) from None  # fmt: skip


def calibrate(agreement: Agreement, details: "SortingDetails") -> Calibration:
    """Put a sorter's confidences beside the truth.

    Raises
    ------
    DataError
        If they are not of the same sorting.
    """
    order = np.lexsort((details.spike_sample, details.spike_unit))
    return Calibration(
        unit_ids=details.unit_ids.tolist(),
        unit_confidence=np.asarray(details.unit_confidence, float),
        unit_accuracy=agreement.accuracy,
        unit_precision=agreement.precision,
        spike_confidence=np.asarray(details.spike_confidence, float)[order],
        spike_right=agreement.right,
    )


def _trains(sorting: "BaseSorting") -> list[np.ndarray]:
    return [
        np.asarray(sorting.get_unit_spike_train(unit_id=unit, segment_index=0), np.int64)
        for unit in sorting.unit_ids
    ]
