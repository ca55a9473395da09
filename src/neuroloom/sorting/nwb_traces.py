"""The raw voltage in an NWB file, once it is known to be all there."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuroloom.errors import DataError

if TYPE_CHECKING:
    from spikeinterface.core import BaseRecording


def read_nwb_traces(path: Path, *, series: str | None = None, allow_partial: bool = False) -> "BaseRecording":
    """Open the raw voltage in an NWB file, lazily.

    Parameters
    ----------
    path
        The file.
    series
        Path of the electrical series inside it, where there are several.
    allow_partial
        Read what was never written as silence.

    Raises
    ------
    DataError
        If the file is damaged, has no voltage, or several series to choose from.
    """
    import h5py
    from spikeinterface.extractors import read_nwb_recording

    try:
        with h5py.File(path, "r") as file:
            found: list[str] = []
            # Only what was acquired or processed; NWB also has series of class ElectricalSeries elsewhere.
            file.visititems(lambda name, item: found.append(name) if _is_series(item) else None)
            if series is not None and series not in found:
                raise DataError(
                    f"{path} has no electrical series {series!r}",
                    expected=f"one of {found}",
                    remedy="pass one of these",
                )
            if not found:
                raise DataError(
                    f"{path} has no electrical series",
                    expected="raw voltage in acquisition",
                    remedy="pass the file with the raw recording; for spike times make a session of this one",
                )
            if series is None and len(found) > 1:
                raise DataError(
                    f"{path} has {len(found)} electrical series",
                    expected=f"the name of one of {found}",
                    remedy="pass one of these as series",
                )
            _check_series(file[series or found[0]], path, allow_partial=allow_partial)
        return read_nwb_recording(file_path=path, electrical_series_path=series or found[0])
    except DataError:
        raise
    except Exception as error:  # h5py and the extractor raise many kinds for a damaged file
        raise DataError(
            f"{path} cannot be read ({type(error).__name__}: {error})",
            expected="a complete NWB file",
            remedy="copy the file again; h5ls or nwbinspector show how much of it is left",
        ) from None


def _is_series(item: Any) -> bool:
    kind = item.attrs.get("neurodata_type", b"")
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    return kind == "ElectricalSeries" and "data" in item


def _check_series(series: Any, path: Path, *, allow_partial: bool) -> None:
    data = series["data"]
    if 0 in data.shape:
        raise DataError(
            f"{path}: {series.name} has shape {data.shape}",
            expected="samples by channels",
            remedy="record again, or pass another series",
        )
    rate = series["starting_time"].attrs.get("rate") if "starting_time" in series else None
    if rate is not None and not (math.isfinite(rate) and rate > 0):
        raise DataError(
            f"{path}: {series.name} has a sampling rate of {float(rate):g} Hz",
            expected="a positive number",
            remedy="correct the rate in the file",
        )
    if data.chunks is not None and not allow_partial:
        n_chunks = math.prod(-(-size // chunk) for size, chunk in zip(data.shape, data.chunks, strict=True))
        if data.id.get_num_chunks() < n_chunks:
            raise DataError(
                f"{path}: {series.name} has {data.id.get_num_chunks()} of {n_chunks} chunks",
                expected="all of them; missing ones would be read as silence",
                remedy="copy or write the file again, or allow partial recordings",
            )
