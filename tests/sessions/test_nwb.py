import datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuroloom import Session
from neuroloom.errors import CorruptArtifact, DataError, MissingFile
from neuroloom.sessions.splits import split_time
from neuroloom.sessions.windows import bin_session


# The folder is the same for all examples: each writes over the file of the one before.
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_a_session_read_back_from_nwb_is_equal(any_session, tmp_path, data):
    session = data.draw(any_session)
    path = session.to_nwb(tmp_path / "session.nwb")
    again = Session.from_nwb(path)
    assert again == session
    assert again.findings == ()
    assert list(tmp_path.iterdir()) == [path]


def test_names_that_nwb_uses_itself_are_kept(tmp_path):
    labels = {
        "id": [7, 8],
        "description": ["x", "y"],
        "start_time": [1.0, 2.0],
        "neuroloom_x": [1, 2],
        "x_": [1, 2],
    }
    session = Session.from_counts(
        np.ones((4, 2)),
        bin_size_s=0.1,
        id="a",
        trial_lengths=[2, 2],
        trial_labels=labels,
        unit_metadata={"electrodes": [3, 4], "x_index": [5, 6]},
    )
    assert Session.from_nwb(session.to_nwb(tmp_path / "a.nwb")) == session


def test_a_real_recording_survives_nwb(tmp_path, shared_data):
    with np.load(shared_data / "continuous_reaching" / "m1_contdata95.npz") as data:
        counts, bin_size_s = data["spike_counts"], float(data["bin_size_s"])
        session = Session.from_counts(
            counts, bin_size_s=bin_size_s, id="contdata95", behavior={"velocity": data["hand_velocity"]}
        )
    again = Session.from_nwb(session.to_nwb(tmp_path / "a.nwb"))
    assert again == session
    assert np.array_equal(bin_session(again, bin_size_s)[0], counts)
    assert len(split_time(again)) == 3


def write_foreign(path, **units):
    """A file as other labs write them: rates instead of timestamps, containers, ragged columns."""
    from pynwb import NWBHDF5IO, NWBFile, TimeSeries
    from pynwb.behavior import BehavioralTimeSeries, Position, SpatialSeries

    content = NWBFile(
        session_description="foreign",
        identifier="f",
        session_start_time=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
    )
    content.add_unit_column("firing rate (Hz)", "rate")
    content.add_unit_column("quality", "by hand")
    for key, times in {3: [0.1, 0.5, 0.5, 0.2], 9: []}.items():
        content.add_unit(spike_times=times, id=key, quality="good", **{"firing rate (Hz)": 1.5}, **units)
    content.add_trial_column("target", "direction")
    content.add_trial(start_time=0.0, stop_time=1.0, target="left")
    content.add_trial(start_time=0.9, stop_time=2.0, target="right")
    module = content.create_processing_module("behavior", "b")
    hand = SpatialSeries(
        name="hand", data=np.arange(8).reshape(4, 2), starting_time=0.5, rate=2.0, conversion=0.01,
        reference_frame="table",
    )  # fmt: skip
    module.add(Position(spatial_series=hand))
    module.add(TimeSeries(name="speed", data=[1.0, 2.0], timestamps=[0.0, 1.0], unit="m/s"))
    module.add(TimeSeries(name="video", data=np.zeros((2, 3, 3)), timestamps=[0.0, 1.0], unit="n/a"))
    eye = TimeSeries(name="speed", data=[3.0, 4.0], timestamps=[0.0, 1.0], unit="deg/s")
    content.add_acquisition(BehavioralTimeSeries(time_series=eye, name="eye"))
    content.add_acquisition(TimeSeries(name="raw", data=[0.0], timestamps=[0.0], unit="V"))
    with NWBHDF5IO(path, "w") as stream:
        stream.write(content)


def test_a_file_of_others_is_read_and_what_is_left_out_is_told(tmp_path):
    path = tmp_path / "sub-x_ses-1.nwb"
    write_foreign(path, waveform_mean=np.zeros(5), obs_intervals=[[0.0, 1.0]])
    session = Session.load(path)
    assert session.id == "sub-x_ses-1"
    assert session.unit_ids == ["sub-x_ses-1/3", "sub-x_ses-1/9"]
    assert session.spikes[3].t.tolist() == [0.1, 0.2, 0.5]
    assert session.spikes["quality"].tolist() == ["good", "good"]
    assert session.spikes["firing_rate_Hz"].tolist() == [1.5, 1.5]
    assert session.behavior["hand"].t.tolist() == [0.5, 1.0, 1.5, 2.0]
    assert session.behavior["hand"].values[:, 1] == pytest.approx([0.01, 0.03, 0.05, 0.07])
    assert session.behavior["speed"].values.tolist() == [1.0, 2.0]
    assert session.behavior["eye_speed"].values.tolist() == [3.0, 4.0]
    assert set(session.behavior) == {"hand", "speed", "eye_speed"}
    assert session.trials["target"].tolist() == ["left", "right"]
    assert session.trials.end[0] < 0.9
    told = " | ".join(finding.what for finding in session.findings)
    assert "video" in told
    assert "waveform_mean" in told
    assert "1 overlap" in told


def test_a_file_without_units_or_trials_is_a_session_of_behaviour(tmp_path):
    from pynwb import NWBHDF5IO, NWBFile, TimeSeries

    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    content = NWBFile(session_description="d", identifier="i", session_start_time=start)
    module = content.create_processing_module("behavior", "b")
    module.add(TimeSeries(name="speed", data=[1.0, 2.0], timestamps=[0.0, 1.0], unit="m/s"))
    with NWBHDF5IO(tmp_path / "b.nwb", "w") as stream:
        stream.write(content)
    session = Session.from_nwb(tmp_path / "b.nwb")
    assert (len(session.spikes), session.trials) == (0, None)


def test_an_older_file_stays_when_writing_fails(tmp_path, monkeypatch):
    session = Session.from_arrays(id="a", spike_times_s=[[0.5]], time_support=(0, 1))
    path = session.to_nwb(tmp_path / "a.nwb")

    import pynwb

    def fail(self, content):
        raise OSError("no space left")

    monkeypatch.setattr(pynwb.NWBHDF5IO, "write", fail)
    with pytest.raises(OSError, match="no space"):
        Session.from_arrays(id="b", spike_times_s=[[0.5]], time_support=(0, 1)).to_nwb(path)
    assert Session.from_nwb(path) == session
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_or_found_is_refused(tmp_path):
    session = Session.from_arrays(
        id="a", spike_times_s=[], time_support=(0, 1), behavior={"hand/x": ([0.5], [1.0])}
    )
    with pytest.raises(DataError, match="without / and :"):
        session.to_nwb(tmp_path / "a.nwb")
    with pytest.raises(DataError, match="ending in .nwb"):
        session.to_nwb(tmp_path / "a.h5")
    with pytest.raises(MissingFile, match="check the path"):
        Session.load(tmp_path / "absent.nwb")
    (tmp_path / "store.nwb").mkdir()
    with pytest.raises(DataError, match="Zarr"):
        Session.load(tmp_path / "store.nwb")


def test_an_hdf5_file_that_is_not_nwb_is_refused(tmp_path):
    import h5py

    with h5py.File(tmp_path / "a.nwb", "w") as stream:
        stream["data"] = [1, 2, 3]
    with pytest.raises(CorruptArtifact, match="cannot be read as NWB"):
        Session.load(tmp_path / "a.nwb")
