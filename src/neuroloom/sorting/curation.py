"""Units that somebody looked at: Phy folders and SpikeInterface's curation files, read back.

SpikeInterface's reader of Phy folders runs ``params.py`` as a program; here it is only looked through for the
sampling rate.
"""

import ast
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom.errors import DataError, MissingFile
from neuroloom.findings import Finding
from neuroloom.numpy_files import read_array

if TYPE_CHECKING:
    from spikeinterface.core import BaseSorting

PARAMS, QUALITY = "params.py", "quality"
UNSORTED, NOISE = "unsorted", "noise"
KEPT = ("good", "mua", UNSORTED)
_REMEDY = "export the folder again, or copy it again whole"


def read_phy(folder: str | os.PathLike, *, keep: Sequence[str] = KEPT) -> "tuple[BaseSorting, list[Finding]]":
    """Return the units of a Phy folder as they were curated: merges, splits and labels.

    Parameters
    ----------
    folder
        With ``params.py``, ``spike_times.npy``, ``spike_clusters.npy`` and the labels in
        ``cluster_group.tsv``.
    keep
        Labels of the units to return; a unit without a label is ``"unsorted"``.

    Returns
    -------
    sorting
        Units by Phy's cluster ids, each with its label in the property ``quality``.
    findings
        That the units were curated by hand, and what was left out.

    Raises
    ------
    MissingFile, DataError
        If a file is absent or cannot be understood. Nothing in the folder is ever run.
    """
    from spikeinterface.core import NumpySorting

    folder = Path(folder)
    rate_hz = _sampling_rate(folder / PARAMS)
    samples = _whole_numbers(folder / "spike_times.npy")
    clusters = _whole_numbers(folder / "spike_clusters.npy")
    if len(samples) != len(clusters):
        raise DataError(
            f"{folder} has {len(samples)} spike times and {len(clusters)} spike clusters",
            expected="one cluster for every spike",
            remedy=_REMEDY,
        )
    if len(samples) and samples.min() < 0:
        raise DataError(
            f"{folder} has a spike at sample {samples.min()}", expected="0 or later", remedy=_REMEDY
        )
    labels = _phy_labels(folder)
    ids = [int(cluster) for cluster in np.unique(clusters)]
    trains = {unit: np.sort(samples[clusters == unit]) for unit in ids}
    sorting = NumpySorting.from_unit_dict([trains], sampling_frequency=rate_hz)
    sorting.set_property(QUALITY, np.array([labels.get(unit, UNSORTED) for unit in ids], dtype=np.str_))
    sorting.annotate(sorter="a sorter, curated by hand in Phy")
    return keep_labelled(sorting, keep, where=str(folder), by="in Phy")


def apply_curation_file(
    sorting: "BaseSorting", path: str | os.PathLike, *, keep: Sequence[str] = KEPT
) -> "tuple[BaseSorting, list[Finding]]":
    """Return units after the labels, removals, merges and splits of SpikeInterface's curation format.

    Parameters
    ----------
    sorting
        The units that were curated, by the ids that they had then.
    path
        A ``.json`` file that SpikeInterface-GUI or `spikeinterface.curation` wrote.
    keep
        Labels to keep; upper and lower case are the same, and a unit without a label is ``"unsorted"``.

    Raises
    ------
    MissingFile, DataError
        If the file is absent, is no curation, or is one of other units.
    """
    from spikeinterface.core import NumpySorting
    from spikeinterface.curation import apply_curation

    path = Path(path)
    if not path.is_file():
        raise MissingFile(f"{path} does not exist", expected="a .json file", remedy="check the path")
    try:
        content = json.loads(path.read_text())
        if set(map(str, content["unit_ids"])) != set(map(str, sorting.unit_ids)):
            raise ValueError(f"it is of the units {content['unit_ids']}, not {list(sorting.unit_ids)}")
        curated: Any = apply_curation(sorting, content)
        trains = {_plain(unit): curated.get_unit_spike_train(unit_id=unit) for unit in curated.unit_ids}
        quality = curated.get_property(QUALITY)
    except Exception as error:
        # Its reader validates with pydantic and with assertions, and fails in many ways on foreign content.
        raise DataError(
            f"{path} cannot be applied ({type(error).__name__}: {' '.join(str(error).split())[:300]})",
            expected="a curation of these very units in SpikeInterface's format",
            remedy="pass the sorting that was curated, and the file that SpikeInterface saved",
        ) from None
    made = NumpySorting.from_unit_dict([trains], sampling_frequency=sorting.get_sampling_frequency())
    labels = [UNSORTED] * len(trains) if quality is None else [str(each) for each in quality]
    made.set_property(QUALITY, np.array([label.lower() or UNSORTED for label in labels], dtype=np.str_))
    made.annotate(
        sorter=f"{sorting.get_annotation('sorter') or 'a sorter'}, curated by hand in SpikeInterface"
    )
    return keep_labelled(made, keep, where=str(path), by="in SpikeInterface")


def keep_labelled(
    sorting: "BaseSorting", keep: Sequence[str], *, where: str, by: str
) -> "tuple[BaseSorting, list[Finding]]":
    """Return the units whose label is one of `keep`, and findings that count all labels."""
    labels = np.asarray(sorting.get_property(QUALITY))
    counts = {str(label): int(np.count_nonzero(labels == label)) for label in np.unique(labels)}
    kept = np.isin(labels, list(keep))
    told = ", ".join(f"{n} {label}" for label, n in counts.items()) or "none"
    findings = [
        Finding("info", f"the units were curated by hand {by}: {told}", where, "see the property quality")
    ]
    if not kept.all():
        what = f"{np.count_nonzero(~kept)} of {len(kept)} units were left out for their label"
        findings.append(Finding("info", what, where, f"labels that are kept: {', '.join(keep)}"))
    chosen = [unit for unit, is_kept in zip(sorting.unit_ids, kept, strict=True) if is_kept]
    selected = sorting.select_units(chosen)
    selected.annotate(sorter=sorting.get_annotation("sorter"))
    return selected, findings


def _sampling_rate(path: Path) -> float:
    if not path.is_file():
        raise MissingFile(
            f"{path} does not exist", expected="a folder for Phy, with params.py", remedy="check the path"
        )
    rate_hz: Any = None
    try:
        for line in ast.parse(path.read_text()).body:
            if isinstance(line, ast.Assign) and any(
                isinstance(name, ast.Name) and name.id == "sample_rate" for name in line.targets
            ):
                rate_hz = float(ast.literal_eval(line.value))
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError, OSError) as error:
        raise DataError(
            f"{path} cannot be read ({error})", expected="sample_rate = ..", remedy=_REMEDY
        ) from None
    if rate_hz is None or not (math.isfinite(rate_hz) and rate_hz > 0):
        raise DataError(
            f"{path} has the sampling rate {rate_hz}",
            expected="a line such as sample_rate = 30000.0",
            remedy="write the rate of the recording there",
        )
    return rate_hz


def _whole_numbers(path: Path) -> np.ndarray:
    values = read_array(path)
    if values.size != max(values.shape, default=0) or (values.size and values.dtype.kind not in "iu"):
        raise DataError(
            f"{path} holds {values.dtype} values of shape {values.shape}",
            expected="one whole number per spike",
            remedy=_REMEDY,
        )
    return values.ravel().astype(np.int64)


def _phy_labels(folder: Path) -> dict[int, str]:
    """Return the label of each cluster that has one."""
    import pandas as pd

    for name, separator in (
        ("cluster_group.tsv", "\t"),
        ("cluster_groups.csv", "\t"),
        ("cluster_info.tsv", "\t"),
    ):
        path = folder / name
        if not path.is_file():
            continue
        try:
            table: pd.DataFrame = pd.read_csv(path, sep=separator)
            ids = table["cluster_id" if "cluster_id" in table else "id"]
            labels = table["group"].fillna(UNSORTED).astype(str)
            return {int(unit): label.strip().lower() for unit, label in zip(ids, labels, strict=True)}
        except (ValueError, KeyError, OSError, OverflowError) as error:
            raise DataError(
                f"{path} cannot be read ({type(error).__name__}: {' '.join(str(error).split())[:200]})",
                expected="columns cluster_id and group, parted by tabs",
                remedy="save again in Phy",
            ) from None
    return {}


def _plain(unit: Any) -> Any:
    return unit.item() if isinstance(unit, np.generic) else unit
