"""Folders of simulated recordings with truth, each different: for training elsewhere, or testing sorters."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neuroloom.artifacts import load_artifact, save_artifact
from neuroloom.errors import DataError
from neuroloom.seeds import derive, stream
from neuroloom.simulation.biophysical import biophysical_recording
from neuroloom.simulation.library import CellLibrary
from neuroloom.simulation.probes import make_probe
from neuroloom.simulation.scenario import Scenario
from neuroloom.simulation.writing import describe_config, read_about, write_simulation

KIND = "simulated-corpus"
INDEX = "index"
PROBES = ("tetrode", "linear-16", "columns-32")


def draw_scenario(
    index: int, *, n_contacts: int, duration_s: float, rate_hz: float = 30_000.0, seed: int = 0
) -> Scenario:
    """Return the scenario of a corpus' recording; a third of those on several contacts drift.

    Units grow with the square root of the number of contacts, noise lies between 3 and 12 uV, and every
    fourth recording hums.
    """
    random = stream(seed, "corpus", index)
    drifts = n_contacts > 4 and random.random() < 1 / 3
    return Scenario(
        duration_s=duration_s,
        rate_hz=rate_hz,
        units=int(np.ceil(random.uniform(1.5, 4.5) * np.sqrt(n_contacts))),
        burst_decay=float(random.uniform(0, 0.4)),
        distant_units=int(random.integers(10, 60)),
        noise_uv=float(np.exp(random.uniform(np.log(3), np.log(12)))),
        noise_colour=float(random.uniform(0, 0.6)),
        shared_noise=float(random.uniform(0, 0.3)),
        hum_uv=float(random.uniform(2, 20)) if random.random() < 0.25 else 0.0,
        hum_hz=float(random.choice([50.0, 60.0])),
        drift_um=float(random.uniform(5, 40)) if drifts else 0.0,
        jumps=int(random.integers(2)) if drifts else 0,
        jump_um=float(random.uniform(5, 25)),
    )


def write_corpus(
    library: CellLibrary,
    folder: str | os.PathLike,
    *,
    n_recordings: int,
    duration_s: float = 60.0,
    rate_hz: float = 30_000.0,
    probes: Sequence[str] = PROBES,
    dtype: str = "float32",
    library_name: str = "default",
    seed: int = 0,
    quiet: bool = False,
) -> Path:
    """Write recordings with truth into ``<folder>/0000``, ``0001``, ..; what is there already stays.

    Parameters
    ----------
    library
        The cells.
    folder
        Where to write. A corpus may be enlarged later: the first recordings stay the same.
    n_recordings, duration_s, rate_hz
        How many, how long, at which rate.
    probes
        Built-in names, taken in turn.
    dtype
        As in `write_simulation`.
    library_name
        What the recordings say about where their cells came from.
    seed
        Of everything.
    quiet
        No progress bar.

    Raises
    ------
    DataError
        If there is nothing to write, a probe is unknown, or the folder holds other recordings.
    """
    from joblib import Parallel, delayed
    from tqdm import tqdm

    if n_recordings < 1 or not probes:
        raise DataError(
            f"{n_recordings} recordings on {len(probes)} probes", expected="at least one of each",
            remedy="pass --recordings 10 and --probe tetrode",
        )  # fmt: skip
    for probe in probes:
        make_probe(probe)
    folder = Path(folder)
    _refuse_foreign(folder)
    work = (
        delayed(_write_one)(
            library,
            folder / f"{index:04d}",
            index,
            probe=probes[index % len(probes)],
            duration_s=duration_s,
            rate_hz=rate_hz,
            dtype=dtype,
            library_name=library_name,
            seed=seed,
        )
        for index in range(n_recordings)
    )
    finished = Parallel(return_as="generator_unordered")(work)
    for _ in tqdm(finished, total=n_recordings, desc="recordings", unit="", disable=quiet):
        pass
    names = sorted(path.name for path in folder.iterdir() if re.fullmatch(r"\d{4,}", path.name))
    save_artifact(
        folder / INDEX,
        kind=KIND,
        document={"recordings": [summary(folder / name) for name in names], "licence": library.licence},
        seed=seed,
    )
    return folder


def summary(folder: Path) -> dict[str, Any]:
    """Return one recording of a corpus as a row: name, probe, units, noise, drift."""
    config = read_about(folder)["config"]
    scenario = config["scenario"]
    kept = ("units", "duration_s", "noise_uv", "hum_uv", "drift_um", "jumps")
    return {"name": folder.name, "probe": config["probe"], **{name: scenario[name] for name in kept}}


def read_corpus(folder: str | os.PathLike) -> list[dict[str, Any]]:
    """Return the rows of a corpus' index."""
    return load_artifact(Path(folder) / INDEX, kind=KIND).document["recordings"]


def _write_one(
    library: CellLibrary,
    folder: Path,
    index: int,
    *,
    probe: str,
    duration_s: float,
    rate_hz: float,
    dtype: Any,
    library_name: str,
    seed: int,
) -> str:
    from joblib import parallel_config

    n_contacts = make_probe(probe).get_contact_count()
    scenario = draw_scenario(index, n_contacts=n_contacts, duration_s=duration_s, rate_hz=rate_hz, seed=seed)
    own_seed = derive(seed, "corpus", "recording", index)
    # A worker that is one of many shares nothing further.
    with parallel_config("sequential"):
        write_simulation(
            lambda: biophysical_recording(library, probe=probe, scenario=scenario, seed=own_seed),
            folder,
            config=describe_config(
                scenario, probe=probe, library=library, library_name=library_name, seed=own_seed
            ),
            dtype=dtype,
            quiet=True,
        )
    return folder.name


def _refuse_foreign(folder: Path) -> None:
    if not folder.exists():
        return
    strange = [p.name for p in folder.iterdir() if not re.fullmatch(rf"\d{{4,}}|{INDEX}|\..*", p.name)]
    if strange:
        raise DataError(
            f"{folder} holds {strange[0]}", expected="a new folder or a corpus", remedy="choose another --out"
        )
