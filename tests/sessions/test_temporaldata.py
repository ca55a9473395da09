"""Sessions of brainsets, written by the libraries that define the format and read without them."""

import importlib
import warnings

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroloom.errors import CorruptArtifact, DataError, MissingFile, NeuroloomError
from neuroloom.sessions.session import Session


@pytest.fixture(scope="module", params=["temporaldata", "torch_brain.data"])
def library(request):
    """The module with ``Data``; the second is where the first went on."""
    return pytest.importorskip(request.param, reason="it comes with the extra bench")


def write(library, path, **changes):
    parts = {
        "spikes": library.IrregularTimeSeries(
            timestamps=np.array([0.1, 0.2, 0.3, 0.35]), unit_index=np.array([0, 2, 0, 2]), domain="auto"
        ),
        "units": library.ArrayDict(
            id=np.array(["u0", "u1", "u2"]), depth=np.array([1.0, 2.0, 3.0]), waveform=np.zeros((3, 8))
        ),
        "cursor": library.IrregularTimeSeries(
            timestamps=np.arange(10) / 10, pos=np.zeros((10, 2)), vel=np.ones((10, 2)), domain="auto"
        ),
        "pupil": library.RegularTimeSeries(size=np.arange(20.0), sampling_rate=20.0, domain="auto"),
        "trials": library.Interval(
            start=np.array([0.0, 0.5]), end=np.array([0.4, 0.9]), side=np.array(["l", "r"])
        ),
        "session": library.Data(id="monday"),
        "subject": library.Data(id="monkey"),
        "domain": library.Interval(0.0, 1.0),
    }
    data = library.Data(**{name: part for name, part in (parts | changes).items() if part is not None})
    with h5py.File(path, "w") as file:
        data.to_hdf5(file)
    return path


@pytest.fixture
def path(library, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the newer library announces changes of its own
        return write(library, tmp_path / "a.h5")


def test_units_behaviour_trials_and_names_are_read(path):
    session = Session.from_temporaldata(path)
    assert (session.id, session.subject) == ("monday", "monkey")
    assert [session.spikes[key].t.tolist() for key in session.spikes.index] == [[0.1, 0.3], [], [0.2, 0.35]]
    assert list(session.spikes.get_info("id")) == ["u0", "u1", "u2"]
    assert list(session.spikes.get_info("depth")) == [1.0, 2.0, 3.0]
    assert set(session.behavior) == {"cursor.pos", "cursor.vel", "pupil"}
    np.testing.assert_allclose(session.behavior["pupil"].t, np.arange(20) / 20)
    assert session.behavior["cursor.vel"].shape == (10, 2)
    assert list(session.trials.get_info("side")) == ["l", "r"]
    assert session.time_support.values.tolist() == [[0.0, 1.0]]
    assert "waveform" in session.findings[0].what
    assert Session.load(session.save(path.parent / "a.session")) == session


def test_a_file_without_units_or_without_trials_is_a_session_too(library, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bare = write(library, tmp_path / "b.h5", units=None, trials=None, session=None, subject=None)
    session = Session.from_temporaldata(bare)
    assert (session.id, session.subject, session.trials, len(session.spikes)) == ("b", "unknown", None, 3)


def test_spikes_of_units_that_are_not_described_are_refused(library, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        units = library.ArrayDict(id=np.array(["u0"]))
        path = write(library, tmp_path / "c.h5", units=units)
    with pytest.raises(DataError, match="unit 2, where 1 units"):
        Session.from_temporaldata(path)


def test_what_is_no_brainset_is_refused(tmp_path):
    with pytest.raises(MissingFile):
        Session.from_temporaldata(tmp_path / "absent.h5")
    (tmp_path / "a.h5").write_text("words")
    with pytest.raises(CorruptArtifact, match="cannot be read"):
        Session.from_temporaldata(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["x"] = 3
    with pytest.raises(CorruptArtifact, match="of the kind unknown"):
        Session.from_temporaldata(tmp_path / "b.h5")


@settings(max_examples=40)
@given(how=st.sampled_from(["flip", "cut"]), where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_damaged_file_is_read_or_refused(library, how, where, bit, tmp_path_factory):
    """HDF5 as these libraries write it has no checksums: a flipped digit may be another number."""
    room = tmp_path_factory.mktemp("damaged")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = write(library, room / "a.h5")
    data = bytearray(path.read_bytes())
    at = int(where * len(data))
    data[at] ^= 1 << bit
    path.write_bytes(data[:at] if how == "cut" else data)
    try:
        Session.from_temporaldata(path)
    except NeuroloomError:
        return


def test_the_reader_needs_neither_library():
    source = importlib.import_module("neuroloom.sessions.temporaldata").__file__
    with open(str(source)) as text:
        assert not any(
            line.strip().startswith(("import temporaldata", "import torch_brain")) for line in text
        )
