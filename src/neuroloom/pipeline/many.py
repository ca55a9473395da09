"""Many recordings, each sorted into a run folder of its own: by workers of this machine or of a cluster."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuroloom.errors import DataError
from neuroloom.pipeline.chain import RunConfig, run

if TYPE_CHECKING:
    from spikeinterface import BaseRecording


@dataclass(frozen=True)
class Outcome:
    """What became of one recording.

    Attributes
    ----------
    recording
        Where it came from.
    folder
        Its run folder, as ``neuroloom sort`` leaves it.
    n_units
        How many units were found; None if it could not be sorted.
    error
        Why not, or an empty text.
    """

    recording: Path
    folder: Path
    n_units: int | None
    error: str = ""


def sort_many(
    recordings: Sequence[str | os.PathLike],
    *,
    out: str | os.PathLike,
    read: "Callable[[Path], BaseRecording] | None" = None,
    config: RunConfig | None = None,
    command: str = "",
    quiet: bool = False,
) -> list[Outcome]:
    """Sort each recording into ``out/<its name>``; what is finished there already stays.

    Work is shared by joblib where the caller is inside `neuroloom.simulation.workers.workers`; workers of a
    cluster must see the same files. A recording that cannot be sorted does not stop the others.

    Parameters
    ----------
    recordings
        Files or folders. Those that share a name are told apart by the folder above them.
    out
        Where the run folders stand.
    read
        Opens one of them; the default is `neuroloom.sorting.reading.read_recording` without options.
    config
        Choices of every run; decoding and audit are left out, since behaviour belongs to one recording.
    command
        How this was started, for the pages.
    quiet
        No progress bar.

    Returns
    -------
    list of Outcome
        One per recording, in their order.

    Raises
    ------
    DataError
        If there are none, or two cannot be told apart by name.
    """
    from joblib import Parallel, delayed
    from tqdm import tqdm

    from neuroloom.sorting.reading import read_recording

    paths = [Path(path) for path in recordings]
    config = replace(config or RunConfig(), skip=("decoding", "audit"))
    work = (
        delayed(_sort_one)(path, Path(out) / name, read or read_recording, config, command)
        for path, name in zip(paths, run_names(paths), strict=True)
    )
    sorting: Any = Parallel(return_as="generator_unordered")(work)
    finished = tqdm(sorting, total=len(paths), desc="recordings", unit="", disable=quiet)
    of_path: dict[Path, Outcome] = {outcome.recording: outcome for outcome in finished}
    return [of_path[path] for path in paths]


def run_names(paths: Sequence[Path]) -> list[str]:
    """Return a name for the run folder of each recording.

    Raises
    ------
    DataError
        If there are none, or two cannot be told apart by name.

    Examples
    --------
    >>> run_names([Path("monday.raw"), Path("0000/recording"), Path("0001/recording")])
    ['monday', '0000-recording', '0001-recording']
    """
    if not paths:
        raise DataError("no recordings", expected="at least one", remedy="pass --recording FILE FILE ..")
    often = Counter(path.stem for path in paths)
    names = [path.stem if often[path.stem] == 1 else f"{path.parent.name}-{path.stem}" for path in paths]
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise DataError(
            f"{len(twice)} names stand for two recordings ({', '.join(twice[:3])})",
            expected="recordings that differ in their name or in the folder above",
            remedy="rename one, or sort them into different --out",
        )
    return names


def _sort_one(
    path: Path, folder: Path, read: "Callable[[Path], BaseRecording]", config: RunConfig, command: str
) -> Outcome:
    """Sort one recording, in whatever process this is."""
    from neuroloom.sorting.export import read_sorting

    try:
        run(
            read(path),
            out=folder,
            session_id=folder.name,
            source=os.fspath(path),
            command=command,
            config=config,
        )
        return Outcome(path, folder, len(read_sorting(folder / "sorting" / "sorting").unit_ids))
    # Whatever befell this one, the others are still worth sorting; its text goes into the table.
    except Exception as error:
        return Outcome(path, folder, None, f"{type(error).__name__}: {error}")
