"""NWB files that other people's tools accept: clean under nwbinspector, and saying what made them."""

import json
import warnings

import numpy as np
import pandas as pd
import pynapple as nap
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroloom import Session, __version__
from neuroloom.errors import CorruptArtifact, DataError, MissingFile
from neuroloom.sessions.nwb import write_nwb
from neuroloom.sessions.nwb_metadata import metadata_of_recording, read_metadata, read_provenance
from neuroloom.sessions.regular_times import describe_times, regular_times

METADATA = {
    "NWBFile": {
        "session_start_time": "2026-01-02T10:00:00+01:00",
        "experimenter": ["Doe, Jane"],
        "institution": "University of Somewhere",
        "experiment_description": "reaching to eight targets",
        "keywords": ["reaching"],
    },
    "Subject": {"species": "Rattus norvegicus", "sex": "F", "age": "P90D"},
}


def session(**changes) -> Session:
    trials = pd.DataFrame({"start": [0.0, 0.5], "end": [0.4, 0.9], "side": ["l", "r"]})
    given = {
        "id": "monday",
        "subject": "rat1",
        "spike_times_s": [[0.1, 0.2, 0.5], [0.3]],
        "behavior": {
            "velocity": (np.arange(0, 1, 1 / 30), np.random.default_rng(0).random((30, 2)), ["x", "y"])
        },
        "trials": trials,
        "time_support": (0, 1),
        "unit_metadata": {"snr": [1.0, 2.0]},
    }
    return Session.from_arrays(**(given | changes))


def complaints(path) -> dict[str, list[str]]:
    """Return what nwbinspector says of a file, by its importance."""
    nwbinspector = pytest.importorskip("nwbinspector", reason="nwbinspector is not installed (extra dev)")
    found: dict[str, list[str]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for message in nwbinspector.inspect_nwbfile(nwbfile_path=path):
            found.setdefault(message.importance.name, []).append(
                f"{message.check_function_name}: {message.message}"
            )
    return found


def test_with_what_only_the_user_knows_nwbinspector_has_nothing_to_say(tmp_path):
    whole = session()
    decoded = {"velocity": whole.behavior["velocity"]}
    path = write_nwb(whole, tmp_path / "a.nwb", metadata=METADATA, decoded=decoded, resolution_s=1 / 30_000)
    assert complaints(path) == {}
    assert Session.from_nwb(path) == whole


def test_without_it_nothing_is_missing_but_that(tmp_path):
    told = complaints(session(subject="unknown").to_nwb(tmp_path / "a.nwb"))
    names = {line.split(":")[0] for lines in told.values() for line in lines}
    unknown = ("subject_exists", "experimenter_exists", "experiment_description", "institution", "keywords")
    assert names <= {f"check_{each}" for each in (*unknown, "session_start_time_old_date")}


def test_a_session_of_trials_with_pauses_is_clean_too(tmp_path):
    counts = np.random.default_rng(0).poisson(2.0, size=(60, 3))
    pieces = Session.from_counts(
        counts,
        bin_size_s=0.05,
        id="a",
        behavior={"speed": counts.sum(1) * 1.0},
        trial_lengths=np.full(6, 10),
        trial_labels={"side": np.array(["l", "r"] * 3)},
        trial_gap_s=1.0,
    )
    path = write_nwb(pieces, tmp_path / "a.nwb", metadata=METADATA)
    assert complaints(path) == {}
    assert Session.from_nwb(path) == pieces


def test_a_file_says_what_made_it(tmp_path):
    whole = session()
    made_by = {"seed": 3, "config": {"model": "poyo"}, "data_fingerprint": "abc"}
    path = write_nwb(whole, tmp_path / "a.nwb", provenance=made_by)
    assert read_provenance(path) == {
        "neuroloom": __version__,
        "session_fingerprint": whole.fingerprint(),
        **made_by,
    }
    with pytest.raises(MissingFile):
        read_provenance(tmp_path / "absent.nwb")


def test_what_was_decoded_stands_beside_the_behaviour_and_is_not_taken_for_it(tmp_path):
    pynwb = pytest.importorskip("pynwb")
    whole = session()
    made = nap.TsdFrame(0.5 + np.arange(10) / 20, np.ones((10, 2)), columns=["x", "y"])
    path = write_nwb(whole, tmp_path / "a.nwb", decoded={"velocity": made})
    with pynwb.NWBHDF5IO(path, "r") as stream:
        series = stream.read().processing["behavior"]["velocity_decoded"]
        assert series.rate == 20.0
        np.testing.assert_array_equal(series.data[:], made.values)
    assert set(Session.from_nwb(path).behavior) == {"velocity"}


def test_metadata_come_from_yaml_json_and_from_the_recordings_own_nwb_file(tmp_path):
    import yaml

    (tmp_path / "a.yaml").write_text(yaml.safe_dump(METADATA))
    (tmp_path / "a.json").write_text(json.dumps(METADATA))
    metadata = read_metadata(tmp_path / "a.yaml")
    assert metadata == read_metadata(tmp_path / "a.json")
    path = write_nwb(session(), tmp_path / "a.nwb", metadata=metadata)
    again = read_metadata(path)
    assert again["Subject"] == metadata["Subject"] | {"description": "subject rat1"}
    for name, value in metadata["NWBFile"].items():
        assert again["NWBFile"][name] == value


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[1, 2]", "NWBFile, Subject"),
        ("Animal: {sex: F}", "Animal"),
        ("Subject: {sexx: F}", "sexx"),
        ("Subject: {sex: 3}", "Subject.sex"),
        ("Subject: [F]", "Subject"),
        ("NWBFile: {session_start_time: yesterday}", "yesterday"),
        ("NWBFile: {keywords: 3}", "keywords"),
        ("a: [", "cannot be read"),
        ("!!python/object/apply:os.system ['touch /tmp/owned']", "cannot be read"),
    ],
)
def test_metadata_that_nwb_does_not_know_are_refused(tmp_path, text, found):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(DataError, match=found):
        read_metadata(tmp_path / "a.yaml")


def test_a_file_of_others_has_no_provenance_of_ours(tmp_path):
    pynwb = pytest.importorskip("pynwb")
    from neuroloom.sessions.nwb import UNKNOWN_START

    file = pynwb.NWBFile(session_description="x", identifier="y", session_start_time=UNKNOWN_START)
    with pynwb.NWBHDF5IO(tmp_path / "a.nwb", "w") as stream:
        stream.write(file)
    with pytest.raises(CorruptArtifact, match="does not say"):
        read_provenance(tmp_path / "a.nwb")


@given(
    start_s=st.integers(0, 10**6).map(lambda n: n / 1000),
    rate_hz=st.sampled_from([1.0, 4.0, 20.0, 30.0, 50.0, 60.0, 100.0, 125.0, 1000.0, 29.97, 1 / 0.033]),
    n=st.integers(3, 400),
    form=st.sampled_from(["divided", "multiplied", "centres"]),
)
def test_times_that_a_rate_describes_come_back_to_the_last_bit(start_s, rate_hz, n, form):
    times = regular_times(start_s, rate_hz, n, form=form)
    told = describe_times(times)
    if told is None:
        # Only where halving a step does not come back; the times themselves are then kept.
        assert form == "centres"
        return
    again = regular_times(told["start_s"], told["rate_hz"], n, form=told["form"])
    np.testing.assert_array_equal(again, times)
    assert told["rate_hz"] == pytest.approx(rate_hz)


def test_times_with_a_jump_keep_themselves():
    assert describe_times(np.array([0.0, 1.0, 2.0, 4.0])) is None
    assert describe_times(np.array([0.0, 1.0])) is None
    assert describe_times(np.array([1.0, 1.0, 1.0])) is None


def test_what_a_recording_does_not_tell_stops_nothing(tmp_path):
    path = write_nwb(session(), tmp_path / "a.nwb", metadata=METADATA)
    told = metadata_of_recording(path)
    assert told is not None
    assert told["Subject"]["sex"] == "F"
    path.write_bytes(path.read_bytes()[:5000])
    assert metadata_of_recording(path) is None
    assert metadata_of_recording(tmp_path / "a.raw") is None
