import json

import numpy as np
import pytest

from neuroloom.errors import DataError
from neuroloom.sorting.folders import read_binary_folder, write_recording
from neuroloom.sorting.reading import read_recording
from neuroloom.sorting.spikeinterface_runs import quiet


@pytest.fixture
def recording(array_recording):
    return array_recording(np.random.default_rng(0).standard_normal((5000, 4)).astype(np.float32))


def save(recording, folder, *, file_format="binary"):
    """Save with SpikeInterface alone, as users do."""
    with quiet():
        recording.save(folder=folder, format=file_format)


def test_a_written_recording_is_read_back_equal(tmp_path, recording):
    recording.set_property("quality", np.array(["good", "good", "bad", "good"]))
    written = write_recording(recording, tmp_path / "saved")
    for read in (written, read_recording(tmp_path / "saved")):
        np.testing.assert_array_equal(read.get_traces(), recording.get_traces())
        np.testing.assert_array_equal(read.get_channel_locations(), recording.get_channel_locations())
        assert read.get_sampling_frequency() == recording.get_sampling_frequency()
        assert list(read.get_property("quality")) == ["good", "good", "bad", "good"]
        assert read.has_scaleable_traces()


def test_writing_replaces_only_what_it_wrote(tmp_path, recording):
    write_recording(recording, tmp_path / "saved")
    write_recording(recording, tmp_path / "saved")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("words")
    with pytest.raises(DataError, match="not ours to replace"):
        write_recording(recording, tmp_path / "mine")


def test_an_interrupted_write_leaves_nothing_under_the_name(tmp_path, recording, monkeypatch):
    def stop(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("neuroloom.sorting.folders.seal", stop)
    with pytest.raises(KeyboardInterrupt):
        write_recording(recording, tmp_path / "saved")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file_format", ["binary", "zarr"])
def test_folders_that_spikeinterface_wrote_are_read(tmp_path, recording, file_format):
    folder = tmp_path / "saved.zarr"
    save(recording, folder, file_format=file_format)
    read = read_recording(folder)
    np.testing.assert_array_equal(read.get_traces(), recording.get_traces())
    np.testing.assert_array_equal(read.get_channel_locations(), recording.get_channel_locations())


def test_a_folder_cannot_point_outside_itself(tmp_path, recording):
    write_recording(recording, tmp_path / "saved")
    path = tmp_path / "saved" / "binary.json"
    document = json.loads(path.read_text())
    document["kwargs"]["file_paths"] = ["../secret.raw"]
    path.write_text(json.dumps(document))
    (tmp_path / "saved" / "manifest.json").unlink()
    (tmp_path / "secret.raw").write_bytes(bytes(1600))
    with pytest.raises(DataError, match="expected a file in that folder"):
        read_binary_folder(tmp_path / "saved")


def test_properties_that_would_be_unpickled_are_left_out(tmp_path, recording):
    save(recording, tmp_path / "saved")
    trap = np.array([Trap(tmp_path / "sprung")] * 4, dtype=object)
    np.save(tmp_path / "saved" / "properties" / "trap.npy", trap, allow_pickle=True)
    read = read_recording(tmp_path / "saved")
    assert "trap" not in read.get_property_keys()
    assert not (tmp_path / "sprung").exists()


def test_zarr_that_asks_for_unpickling_is_refused(tmp_path, recording):
    folder = tmp_path / "saved.zarr"
    save(recording, folder, file_format="zarr")
    path = folder / "channel_ids" / ".zarray"
    document = json.loads(path.read_text())
    document["filters"] = [{"id": "pickle", "protocol": 5}]
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match="asks for unpickling"):
        read_recording(folder)


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (type(self.path).touch, (self.path,))
