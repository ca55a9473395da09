"""Units that a run is given instead of sorting: of an earlier sorting, or curated by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from neuroloom.errors import DataError
from neuroloom.findings import Finding
from neuroloom.pipeline.truth import read_truth, refuse_foreign_units
from neuroloom.sorting import curation

if TYPE_CHECKING:
    from spikeinterface import BaseRecording, BaseSorting

_GUI = Path("spikeinterface_gui") / "curation_data.json"


def read_given_units(
    path: Path,
    recording: "BaseRecording",
    *,
    curated: Path | None = None,
    keep: Sequence[str] = curation.KEPT,
    out: Path | None = None,
) -> "tuple[BaseSorting, list[Finding]]":
    """Return units and what is to be said of them.

    Parameters
    ----------
    path
        A Phy folder, an analyzer folder (with what SpikeInterface-GUI saved in it), or a sorting that
        neuroloom or SpikeInterface saved.
    recording
        Whose units they are.
    curated
        A curation in SpikeInterface's format to be applied to them.
    keep
        Labels of the units to keep.
    out
        Run folder that will be written: not the one that the units are in.

    Raises
    ------
    MissingFile, DataError, CorruptArtifact
        If a file cannot be read, or the units are not this recording's.
    """
    path = Path(path)
    if out is not None and path.resolve().is_relative_to(Path(out).resolve()):
        raise DataError(
            f"the units in {path} are inside {out}, which this run would write again",
            expected="another run folder",
            remedy="choose another --out",
        )
    findings: list[Finding] = []
    if (path / curation.PARAMS).is_file():
        sorting, findings = curation.read_phy(path, keep=keep)
    elif (path / "spikeinterface_info.json").is_file() and (path / "sorting").is_dir():
        from neuroloom.sorting.quality import read_analyzer

        sorting = read_analyzer(path).sorting
        curated = curated or next((each for each in [path / _GUI] if each.is_file()), None)
    else:
        sorting = read_truth(path, recording)
    if curated is not None:
        sorting, more = curation.apply_curation_file(sorting, curated, keep=keep)
        findings += more
    refuse_foreign_units(sorting, recording, path)
    if sorting.get_annotation("sorter") is None:
        sorting.annotate(sorter="an earlier sorting")
    return sorting, findings
