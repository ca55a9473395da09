"""Whatever happens to a saved folder, reading it gives what was saved or an error of the one family."""

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroloom import artifacts
from neuroloom.auditing.curve import AuditCurve, audit
from neuroloom.auditing.vae import VAE
from neuroloom.decoding.eit_decoder import EITDecoder
from neuroloom.decoding.eit_estimators import EITRegressor
from neuroloom.decoding.estimator import load_decoder
from neuroloom.decoding.gru import GRUDecoder
from neuroloom.decoding.poyo_decoder import PoyoDecoder
from neuroloom.decoding.wiener import WienerDecoder
from neuroloom.dynamics.mixture import MixtureOfLDS
from neuroloom.errors import CorruptArtifact, NeuroloomError
from neuroloom.sessions.session import Session
from neuroloom.simulation.library import DEFAULT_CELLS, CellLibrary
from neuroloom.simulation.linear_systems import simulate_mixture
from neuroloom.sorting.details import SortingDetails, read_details, write_details
from neuroloom.sorting.export import read_sorting, write_sorting
from neuroloom.sorting.folders import read_binary_folder, write_recording
from neuroloom.sorting.pretrained import bundled_weights, load_weights, save_weights

FOLDER = "details"  # the one name that a reader looks for
FEW = {"steps": 2, "batch_size": 4, "device": "cpu", "quiet": True}


@dataclass(frozen=True)
class Kind:
    """A kind of folder that neuroloom writes: how one is made, read, and written again."""

    make: Callable[[Path], Any]
    read: Callable[[Path], Any]
    write: Callable[[Any, Path], Any]


def saved(thing: Any, folder: Path) -> Any:
    return thing.save(folder)


def session(*, bins=80, units=3) -> Session:
    rng = np.random.default_rng(0)
    counts = rng.poisson(2.0, size=(bins, units))
    return Session.from_counts(
        counts,
        bin_size_s=0.05,
        id="a",
        behavior={"velocity": np.column_stack([counts[:, 0], counts[:, 1]]) * 1.0},
        trial_lengths=np.full(bins // 10, 10),
        trial_labels={"side": np.array(["l", "r"])[np.arange(bins // 10) % 2]},
        unit_metadata={"area": ["M1", "M1", "PMd"]},
    )


def recording():
    from spikeinterface.core import NumpyRecording

    from neuroloom.simulation.probes import make_probe

    traces = np.random.default_rng(0).normal(size=(500, 4)).astype(np.float32)
    made = NumpyRecording([traces], sampling_frequency=10_000)
    made.set_probe(make_probe("tetrode"))
    return made


def sorting():
    from spikeinterface.core import NumpySorting

    made = NumpySorting.from_unit_dict([{1: np.array([5, 90, 300]), 4: np.array([40])}], 10_000)
    made.set_property("confidence", np.array([0.5, 0.9]))
    return made


def details() -> SortingDetails:
    return SortingDetails(
        unit_ids=np.array([1, 4]),
        unit_confidence=np.array([0.5, 0.9]),
        spike_sample=np.array([5, 40, 90, 300]),
        spike_unit=np.array([0, 1, 0, 0]),
        spike_confidence=np.array([0.9, 0.8, 0.7, 0.6]),
        spike_amplitude=np.ones(4),
    )


def mixture() -> MixtureOfLDS:
    from neuroloom.seeds import stream
    from neuroloom.simulation.linear_systems import random_system

    systems = [random_system(state_dim=1, input_dim=1, output_dim=2, rng=stream(0, "tests", "damage"))]
    sample = simulate_mixture(systems, n_trajectories=8, n_steps=12, input_kind="white", seed=0)
    return MixtureOfLDS(n_components=1, state_dim=1, max_iter=2, n_init=1).fit(sample.outputs, sample.inputs)


def curve() -> AuditCurve:
    brain = np.random.default_rng(0).normal(size=(30, 4))
    return audit(brain, brain[:, :2], groups=np.arange(30), n_bootstrap=2, n_draws=1, sizes=[1, 2])


def eit_regressor() -> EITRegressor:
    x = np.random.default_rng(0).normal(size=(8, 3, 4, 2))
    return EITRegressor("pooled", config=EIT, **FEW).fit(x, x.mean(axis=(1, 2))[:, 0])


EIT = {"heads": 1, "dim_head": 4, "individual_depth": 1, "interaction_depth": 1}
POYO = {"dim": 16, "depth": 1, "dim_head": 8, "latents_per_step": 2}
KINDS = {
    "session": Kind(lambda to: session().save(to), Session.load, saved),
    "wiener": Kind(lambda to: WienerDecoder("velocity").fit(session()).save(to), load_decoder, saved),
    "wiener of labels": Kind(lambda to: WienerDecoder("side").fit(session()).save(to), load_decoder, saved),
    "gru": Kind(
        lambda to: GRUDecoder("velocity", width=4, hidden=4, **FEW).fit(session()).save(to),
        load_decoder,
        saved,
    ),
    "poyo": Kind(
        lambda to: PoyoDecoder("velocity", config=POYO, **FEW).fit(session()).save(to), load_decoder, saved
    ),
    "eit decoder": Kind(
        lambda to: EITDecoder("side", config=EIT, window_s=0.3, **FEW).fit(session()).save(to),
        load_decoder,
        saved,
    ),
    "eit regressor": Kind(lambda to: eit_regressor().save(to), EITRegressor.load, saved),
    "mixture": Kind(lambda to: mixture().save(to), MixtureOfLDS.load, saved),
    "audit curve": Kind(lambda to: curve().save(to), AuditCurve.load, saved),
    "generator": Kind(
        lambda to: (
            VAE(n_latents=2, channels=2, epochs=1, batch_size=4)
            .fit(np.random.default_rng(0).random((24, 8, 8, 3)), quiet=True)
            .save(to)
        ),
        VAE.load,
        saved,
    ),
    "sorting": Kind(lambda to: write_sorting(sorting(), to), read_sorting, write_sorting),
    "details": Kind(lambda to: write_details(details(), to), read_details, write_details),
    "detector": Kind(
        lambda to: shutil.copytree(bundled_weights("detector"), to),
        load_weights,
        lambda model, to: save_weights(model, to, card=model.card),
    ),
    "cell library": Kind(
        lambda to: CellLibrary(CellLibrary.load(DEFAULT_CELLS).cells[:2], "licence", "source").save(to),
        CellLibrary.load,
        saved,
    ),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Callable[[str], Path]:
    """Return a whole folder of a kind, made once; it must not be touched."""
    room = tmp_path_factory.mktemp("whole")

    def folder_of(name: str) -> Path:
        if not (room / name).exists():
            KINDS[name].make(room / name / FOLDER)
        return room / name / FOLDER

    return folder_of


def content(name: str, thing: Any, scratch: Path) -> tuple[Any, dict[str, Any], Any]:
    """Return all that a thing read from a folder says when it is written again."""
    again = artifacts.load_artifact(Path(KINDS[name].write(thing, scratch)))
    arrays = {key: (each.dtype.str, each.shape, each.tobytes()) for key, each in again.arrays.items()}
    return again.document, arrays, again.provenance["config"]


DAMAGES = st.fixed_dictionaries(
    {
        "file": st.integers(0, 10**6),
        "how": st.sampled_from(
            ["flip", "flip", "flip", "truncate", "delete", "noise", "longer", "zeros", "folder"]
        ),
        "where": st.floats(0, 1, exclude_max=True),
        "bit": st.integers(0, 7),
    }
)


def damage(folder: Path, *, file: int, how: str, where: float, bit: int) -> None:
    """Do to one file in a folder what disks, copies and people do."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    path = paths[file % len(paths)]
    data = bytearray(path.read_bytes())
    at = int(where * len(data))
    if how == "flip":
        data[at] ^= 1 << bit
    elif how == "truncate":
        data = data[:at]
    elif how == "noise":
        data = np.random.default_rng(bit).bytes(len(data))
    elif how == "longer":
        data += b"0" * (bit + 1)
    elif how == "zeros":
        data[at:] = bytes(len(data) - at)
    if how in ("delete", "folder"):
        path.unlink()
    if how == "folder":
        path.mkdir()
    elif how != "delete":
        path.write_bytes(data)


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=40)
@given(how=DAMAGES)
def test_a_damaged_folder_is_refused_or_gives_what_was_saved(name, how, whole, tmp_path_factory):
    room = tmp_path_factory.mktemp("damaged")
    damaged = room / FOLDER
    shutil.copytree(whole(name), damaged)
    damage(damaged, **how)
    try:
        found = KINDS[name].read(damaged)
    except NeuroloomError:  # which cannot be made without a remedy
        pass
    else:
        assert content(name, found, room / "b") == content(name, KINDS[name].read(whole(name)), room / "c")
    shutil.rmtree(room)


FOREIGN: Any = st.sampled_from([None, "word", -1, 0.5, [], {}, ["word"], [[1, 2], [3]], {"word": 1}])


def alter(value: Any, *, at: int, new: Any, drop: bool) -> Any:
    """Return JSON content of which one part, of all that there are, is dropped or replaced."""
    places: list[tuple[Any, Any]] = []

    def visit(part: Any) -> None:
        items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
        for key, inner in list(items):
            places.append((part, key))
            visit(inner)

    value = json.loads(json.dumps(value))
    visit(value)
    if places:
        part, key = places[at % len(places)]
        if drop:
            del part[key]
        else:
            part[key] = new
    return value


@pytest.mark.parametrize("name", KINDS)
# A table of no rows, for no unit, makes torch warn and is used.
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@settings(max_examples=40)
@given(
    at=st.integers(0, 10**6),
    new=FOREIGN,
    drop=st.booleans(),
    part=st.sampled_from(["document", "document", "arrays", "config", "kind"]),
    shape=st.sampled_from([(), (0,), (3,), (2, 5)]),
)
def test_content_of_others_under_a_right_hash_is_refused_or_used(
    name, at, new, drop, part, shape, whole, tmp_path_factory
):
    """A whole folder may come from another version, or from somebody who knows how hashes are made."""
    room = tmp_path_factory.mktemp("foreign")
    shutil.copytree(whole(name), room / FOLDER)
    found = artifacts.load_artifact(room / FOLDER)
    document, arrays, kind = found.document, dict(found.arrays), found.kind
    config, key = found.provenance["config"], sorted(found.arrays)[at % len(found.arrays)]
    if part == "document":
        document = alter(document, at=at, new=new, drop=drop)
    elif part == "config":
        config = alter({"config": config}, at=at, new=new, drop=drop).get("config")
    elif part == "kind":
        kind = str(new)
    elif drop:
        del arrays[key]
    else:
        arrays[key] = np.zeros(shape, arrays[key].dtype)
    shutil.rmtree(room / FOLDER)
    artifacts.save_artifact(
        room / FOLDER, kind=kind, document=document, arrays=arrays, config=config,
        data_fingerprint=found.provenance["data_fingerprint"],
    )  # fmt: skip
    with contextlib.suppress(CorruptArtifact):
        KINDS[name].read(room / FOLDER)
    shutil.rmtree(room)


@settings(max_examples=60)
@given(how=DAMAGES)
def test_the_description_of_a_saved_recording_cannot_change_unnoticed(how, tmp_path_factory):
    """Its voltage may be as large as a disk, and is only known by its size."""
    room = tmp_path_factory.mktemp("recording")
    write_recording(recording(), room / FOLDER)
    whole = read_binary_folder(room / FOLDER)
    traces = whole.get_traces().copy()
    damage(room / FOLDER, **how)
    with contextlib.suppress(NeuroloomError):
        found = read_binary_folder(room / FOLDER)
        np.testing.assert_array_equal(found.get_channel_locations(), whole.get_channel_locations())
        assert found.get_sampling_frequency() == whole.get_sampling_frequency()
        np.testing.assert_array_equal(found.get_traces(), traces)
    shutil.rmtree(room)


def test_what_is_neither_file_nor_folder_is_refused(whole, tmp_path):
    shutil.copytree(whole("session"), tmp_path / FOLDER)
    path = tmp_path / FOLDER / artifacts.ARRAYS
    path.unlink()
    os.mkfifo(path)  # reading it would wait for ever
    with pytest.raises(CorruptArtifact, match="missing"):
        Session.load(tmp_path / FOLDER)
