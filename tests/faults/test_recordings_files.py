"""Rows 1-4, 8 and 11 of the fault table: what can be wrong with a recording's file and its description."""

import json

import numpy as np
import pytest
from probeinterface import ProbeGroup, write_probeinterface

from neuroloom.errors import CorruptArtifact, DataError
from neuroloom.findings import refuse_errors
from neuroloom.simulation.probes import make_probe
from neuroloom.simulation.recordings import inject
from neuroloom.sorting.checks import check_recording
from neuroloom.sorting.folders import write_recording
from neuroloom.sorting.reading import read_recording
from neuroloom.sorting.spikeinterface_runs import quiet


@pytest.fixture(scope="module")
def recording():
    return inject([np.arange(0.05, 1.9, 0.05)], duration_s=2.0, seed=0)[0]


@pytest.fixture
def raw(tmp_path):
    path = tmp_path / "recording.raw"
    np.random.default_rng(0).integers(-500, 500, (10_000, 4)).astype(np.int16).tofile(path)
    return path


# Row 1


def test_a_partial_frame_is_refused_with_its_bytes_and_dropped_on_demand(raw):
    raw.write_bytes(raw.read_bytes()[:-3])
    with pytest.raises(DataError, match="79,997 bytes, 5 more than 9,999 whole frames"):
        read_recording(raw, dtype="int16", n_channels=4, rate_hz=1e4)
    recording = read_recording(raw, dtype="int16", n_channels=4, rate_hz=1e4, allow_partial=True)
    assert recording.get_num_samples() == 9_999
    assert any("5 bytes were dropped" in finding.what for finding in check_recording(recording))


# Row 2


def test_a_saved_recording_cut_in_half_is_refused_by_its_manifest(tmp_path, recording):
    write_recording(recording, tmp_path / "saved")
    path = tmp_path / "saved" / "traces_cached_seg0.raw"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CorruptArtifact, match="480,000 bytes; expected 960,000 bytes"):
        read_recording(tmp_path / "saved")


def test_a_saved_recording_that_lost_a_file_is_refused(tmp_path, recording):
    write_recording(recording, tmp_path / "saved")
    (tmp_path / "saved" / "probegroup.json").unlink()
    with pytest.raises(CorruptArtifact, match=r"probegroup\.json is missing"):
        read_recording(tmp_path / "saved")


# Row 3


@pytest.mark.parametrize(("dtype", "n_channels"), [("float32", 2), ("float64", 1)])
def test_a_wrong_type_is_refused(raw, dtype, n_channels):
    with pytest.raises(DataError, match="does not look like"):
        read_recording(raw, dtype=dtype, n_channels=n_channels, rate_hz=1e4)


def test_a_wrong_channel_count_is_refused_and_can_be_insisted_on(tmp_path):
    smooth = np.cumsum(np.random.default_rng(0).standard_normal((30_000, 6)), axis=0)
    wiggly = np.diff(smooth, axis=0, n=1)[:, :] + 0.5 * np.roll(np.diff(smooth, axis=0), 1, axis=0)
    path = tmp_path / "six.raw"
    (100 * wiggly[:29_996]).astype(np.int16).tofile(path)
    assert read_recording(path, dtype="int16", n_channels=6, rate_hz=1e4).get_num_samples() == 29_996
    with pytest.raises(DataError, match="samples recur every 6 values, not every 4"):
        read_recording(path, dtype="int16", n_channels=4, rate_hz=1e4)
    insisted = read_recording(path, dtype="int16", n_channels=4, rate_hz=1e4, trust_layout=True)
    assert insisted.get_num_channels() == 4


def test_a_channel_count_that_does_not_fit_the_size_is_refused(raw):
    with pytest.raises(DataError, match="a multiple of 14 bytes"):
        read_recording(raw, dtype="int16", n_channels=7, rate_hz=1e4)


# Row 4


def test_an_empty_file_is_refused(tmp_path):
    path = tmp_path / "empty.raw"
    path.touch()
    with pytest.raises(DataError, match="holds no complete frame"):
        read_recording(path, dtype="int16", n_channels=4, rate_hz=1e4)


@pytest.mark.parametrize("rate_hz", [0.0, -30_000.0, float("nan"), float("inf")])
def test_an_impossible_sampling_rate_is_refused(raw, rate_hz):
    with pytest.raises(DataError, match=r"sampling rate is .*; expected a positive number"):
        read_recording(raw, dtype="int16", n_channels=4, rate_hz=rate_hz)


def test_an_empty_recording_is_an_error():
    from spikeinterface.core import NumpyRecording

    with pytest.raises(DataError, match="recording: it is empty"):
        refuse_errors(check_recording(NumpyRecording([np.empty((0, 4), dtype=np.float32)], 30_000.0)))


@pytest.mark.parametrize("rate_hz", [0.0, float("nan")])
def test_a_recording_object_with_an_impossible_rate_is_an_error(rate_hz):
    from spikeinterface.core import NumpyRecording

    recording = NumpyRecording([np.zeros((1000, 4), dtype=np.float32)], 30_000.0)
    recording._sampling_frequency = rate_hz
    (finding,) = check_recording(recording)
    assert finding.level == "error"
    assert "sampling rate is" in finding.what


# Row 8


def test_a_probe_with_another_number_of_contacts_is_refused(raw):
    with pytest.raises(DataError, match="8 wired contacts for a recording of 4 channels"):
        read_recording(raw, dtype="int16", n_channels=4, rate_hz=1e4, probe="linear-8")


def test_a_probe_without_wiring_is_refused(tmp_path, raw):
    probe = make_probe("tetrode")
    probe.device_channel_indices = None
    write_probeinterface(tmp_path / "probe.json", probe)
    with pytest.raises(DataError, match="none of 4 contacts is wired to a channel"):
        read_recording(raw, dtype="int16", n_channels=4, rate_hz=1e4, probe=tmp_path / "probe.json")


@pytest.mark.parametrize("wiring", [[0, 1, 2, 9], [0, 1, 1, 2]])
def test_a_probe_wired_to_absent_or_doubled_channels_is_refused(raw, wiring):
    probe = make_probe("tetrode")
    probe._contact_array = None
    probe.device_channel_indices = np.array(wiring)
    with pytest.raises(DataError, match="contacts are wired to channels"):
        read_recording(raw, dtype="int16", n_channels=4, rate_hz=1e4, probe=probe)


def test_contacts_at_one_place_are_refused(raw):
    probe = make_probe("tetrode")
    probe._contact_positions[1] = probe._contact_positions[0]
    with pytest.raises(DataError, match="contacts share a place"):
        read_recording(raw, dtype="int16", n_channels=4, rate_hz=1e4, probe=probe)


def test_many_channels_without_a_probe_are_an_error_and_few_a_warning(raw):
    few = read_recording(raw, dtype="int16", n_channels=4, rate_hz=1e4)
    assert [f.level for f in check_recording(few) if f.where == "probe"] == ["warning"]
    many = read_recording(raw, dtype="int16", n_channels=8, rate_hz=1e4)
    with pytest.raises(DataError, match="no probe for 8 channels"):
        refuse_errors(check_recording(many))


def test_a_group_of_probes_is_wired_as_a_whole(raw):
    group = ProbeGroup()
    for first in (0, 2):
        probe = make_probe("stereotrode")
        probe.move([200.0 * first, 0.0])
        probe.set_device_channel_indices([first, first + 1])
        group.add_probe(probe)
    recording = read_recording(raw, dtype="int16", n_channels=4, rate_hz=1e4, probe=group)
    np.testing.assert_array_equal(recording.get_channel_locations()[:, 0], [0, 0, 400, 400])


# Row 11


@pytest.fixture
def nwb(tmp_path):
    import h5py

    path = tmp_path / "file.nwb"
    with h5py.File(path, "w") as file:
        series = file.create_group("acquisition/wide")
        series.attrs["neurodata_type"] = "ElectricalSeries"
        data = series.create_dataset("data", (40_000, 4), dtype="int16", chunks=(10_000, 4))
        data[:20_000] = 1
        start = series.create_dataset("starting_time", data=0.0)
        start.attrs["rate"] = 30_000.0
    return path


def test_nwb_cut_in_half_is_refused_with_its_path(nwb):
    nwb.write_bytes(nwb.read_bytes()[: nwb.stat().st_size // 2])
    with pytest.raises(DataError, match=r"file\.nwb cannot be read .*copy the file again"):
        read_recording(nwb)


def test_nwb_that_is_no_hdf5_is_refused(nwb):
    nwb.write_text("not a recording")
    with pytest.raises(DataError, match=r"file\.nwb cannot be read"):
        read_recording(nwb)


def test_nwb_whose_writer_was_stopped_lacks_chunks(nwb):
    with pytest.raises(DataError, match="has 2 of 4 chunks"):
        read_recording(nwb)


def test_nwb_with_an_impossible_rate_or_no_samples_is_refused(nwb):
    import h5py

    with h5py.File(nwb, "a") as file:
        file["acquisition/wide/starting_time"].attrs["rate"] = float("nan")
    with pytest.raises(DataError, match="sampling rate of nan Hz"):
        read_recording(nwb)
    with h5py.File(nwb, "a") as file:
        del file["acquisition/wide/data"]
        file["acquisition/wide"].create_dataset("data", (0, 4), dtype="int16")
    with pytest.raises(DataError, match=r"has shape \(0, 4\)"):
        read_recording(nwb)


@pytest.fixture
def zarr_folder(tmp_path, recording):
    folder = tmp_path / "saved.zarr"
    with quiet():
        recording.save(folder=folder, format="zarr", chunk_size=10_000)
    return folder


def test_a_missing_zarr_chunk_is_refused_and_is_silence_on_demand(zarr_folder):
    (zarr_folder / "traces_seg0" / "3.0").unlink()
    with pytest.raises(DataError, match="has 5 of 6 chunks"):
        read_recording(zarr_folder)
    partial = read_recording(zarr_folder, allow_partial=True)
    assert not partial.get_traces(start_frame=30_000, end_frame=40_000).any()


def test_a_cut_zarr_chunk_is_an_error_with_its_time(zarr_folder):
    path = zarr_folder / "traces_seg0" / "3.0"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"0\.000 s to 2\.000 s cannot be read"):
        refuse_errors(check_recording(read_recording(zarr_folder)))


def test_zarr_without_its_metadata_is_refused(zarr_folder):
    (zarr_folder / ".zattrs").write_text(json.dumps({}))
    with pytest.raises(DataError, match="cannot be opened"):
        read_recording(zarr_folder)
