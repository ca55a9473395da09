"""Rows 5-7, 9, 10 and 16 of the fault table: what can be wrong with samples, units and space."""

import numpy as np
import pytest

from neuroloom.errors import DataError
from neuroloom.findings import refuse_errors
from neuroloom.simulation.recordings import inject
from neuroloom.sorting.checks import check_recording, check_sorting, repair_sorting
from neuroloom.sorting.preprocessing import prepare
from neuroloom.sorting.sorter import sort

TRAIN = np.arange(0.05, 5.9, 0.07)


@pytest.fixture(scope="module")
def traces():
    return inject([TRAIN], duration_s=6.0, amplitudes_uv=[200.0], noise_uv=8.0, seed=2)[0].get_traces()


def as_recording(traces, probe="tetrode"):
    from spikeinterface.core import NumpyRecording

    from neuroloom.simulation.probes import make_probe

    recording = NumpyRecording([traces], 30_000.0)
    recording.set_channel_gains(1.0)
    recording.set_channel_offsets(0.0)
    recording.set_probe(make_probe(probe))
    return recording


def levels(findings):
    return [(finding.level, finding.where) for finding in findings]


# Row 5


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_few_missing_samples_are_interpolated_and_reported(traces, value):
    damaged = traces.copy()
    damaged[60_000:60_300] = value
    recording = as_recording(damaged)
    (finding,) = (f for f in check_recording(recording) if "NaN" in f.what)
    assert finding.level == "warning"
    assert "1,200 samples are NaN or infinite; interpolated" in finding.what
    filtered = prepare(recording).recording.get_traces()
    assert np.isfinite(filtered).all()
    clean = prepare(as_recording(traces)).recording.get_traces()
    # Away from the gap the filter gives what it gives without it.
    np.testing.assert_allclose(filtered[:55_000], clean[:55_000], atol=0.5)


def test_many_missing_samples_are_refused(traces):
    damaged = traces.copy()
    damaged[60_000:66_000] = np.nan
    with pytest.raises(DataError, match=r"3\.3% of the samples are NaN or infinite"):
        prepare(as_recording(damaged))


def test_a_channel_of_missing_samples_is_left_out(traces):
    damaged = traces.copy()
    damaged[:, 1] = np.nan
    prepared = prepare(as_recording(damaged))
    assert prepared.removed == {"1": "missing (NaN or inf in 100% of samples)"}
    assert np.isfinite(prepared.recording.get_traces()).all()


def test_a_recording_of_missing_samples_is_refused(traces):
    with pytest.raises(DataError, match="no channel is usable"):
        prepare(as_recording(np.full_like(traces, np.nan)))


# Row 6


def test_dead_and_saturated_channels_are_left_out_and_reported(traces):
    damaged = traces.copy()
    damaged[:, 0] = 12.0
    damaged[:, 2] = np.clip(damaged[:, 2], -15, 15)
    prepared = prepare(as_recording(damaged))
    assert list(prepared.recording.channel_ids) == [1, 3]
    told = {finding.where: finding.what for finding in prepared.findings}
    assert told["channel 0"] == "dead (constant at 12); left out"
    assert told["channel 2"].startswith("saturated (")


# Row 7


@pytest.mark.parametrize("value", [0.0, -7.5])
def test_a_silent_recording_has_a_warning_and_no_units(value):
    recording = as_recording(np.full((60_000, 4), value, dtype=np.float32))
    assert levels(check_recording(recording)) == [("warning", "recording")] * 2  # silent, and short
    assert len(sort(recording).unit_ids) == 0


def test_silence_with_a_single_event_is_refused_with_the_reason():
    traces = np.zeros((60_000, 4), dtype=np.float32)
    traces[30_000:30_010] = 50.0
    with pytest.raises(DataError, match=r"no channel is usable \(stuck \(100\.0% of samples at one value"):
        sort(as_recording(traces))


def test_noise_with_a_single_event_has_no_units():
    quiet = np.random.default_rng(0).standard_normal((60_000, 4)).astype(np.float32)
    quiet[30_000:30_010] -= 50.0
    assert len(sort(as_recording(quiet)).unit_ids) == 0


# Rows 9 and 10


def sorting_of(**trains):
    from spikeinterface.core import NumpySorting

    units = {name: np.asarray(train) for name, train in trains.items()}
    return NumpySorting.from_unit_dict([units], sampling_frequency=30_000.0)


def sorting_as_stored(train):
    """A sorting whose extractor hands out what its file holds, in its order."""
    sorting = sorting_of(a=[1, 2, 3])
    sorting.get_unit_spike_train = lambda unit_id, segment_index=0: np.asarray(train)
    return sorting


def test_a_sorting_without_units_is_a_warning_not_an_error():
    assert levels(check_sorting(sorting_of())) == [("warning", "sorting")]
    assert len(repair_sorting(sorting_of()).unit_ids) == 0


def test_one_unit_and_a_silent_unit_are_told():
    assert levels(check_sorting(sorting_of(a=[1, 2]))) == [("info", "sorting")]
    assert levels(check_sorting(sorting_of(a=[1, 2], b=[]))) == [("warning", "unit b")]


@pytest.mark.parametrize(
    ("train", "what"),
    [
        ([5, 5, 9], "1 duplicated times; dropped"),
        ([-4, 5, 9], "1 negative times; dropped"),
        ([5, 9, 60_000], "1 times past the end; dropped"),
        ([9, 5, 7], "1 times out of order; sorted"),
    ],
)
def test_strange_times_are_counted_and_mended(traces, train, what):
    recording = as_recording(traces[:60_000])
    sorting = sorting_as_stored(train)
    assert what in [finding.what for finding in check_sorting(sorting, recording)]
    mended = repair_sorting(sorting, recording).get_unit_spike_train(unit_id="a")
    assert set(mended) == {time for time in train if 0 <= time < 60_000}
    assert (np.diff(mended) > 0).all()
    assert check_sorting(repair_sorting(sorting_of(a=mended, b=[3]), recording), recording) == []


@pytest.mark.parametrize("train", [[1.0, np.nan], np.array([np.nan, 5.0])])
def test_times_that_were_nan_are_refused(train):
    for stored in (np.asarray(train), np.array([np.iinfo(np.int64).min, 5])):
        sorting = sorting_as_stored(stored)
        assert ("error", "unit a") in levels(check_sorting(sorting))
        with pytest.raises(DataError, match="1 spike times that were NaN"):
            repair_sorting(sorting)


def test_a_sorting_at_another_rate_than_its_recording_is_an_error(traces):
    recording = as_recording(traces)
    sorting = sorting_of(a=[1, 2], b=[3])
    sorting._sampling_frequency = 20_000.0
    with pytest.raises(DataError, match="sampling rate 20000 Hz"):
        refuse_errors(check_sorting(sorting, recording))


# Row 16


def test_space_for_sorting_is_estimated_before_it_starts(traces, tmp_path, monkeypatch):
    import shutil
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**6, 10**6 - 1000, 1000))
    recording = as_recording(traces)
    with pytest.raises(DataError, match="and 1,000 are free"):
        refuse_errors(check_recording(recording, work_folder=tmp_path / "not" / "made" / "yet"))
    with pytest.raises(DataError, match="1,000 bytes free; expected at least"):
        sort(recording, folder=tmp_path / "sorting")
    assert list(tmp_path.iterdir()) == []


# What else is told


def test_recordings_of_several_segments_are_refused(traces):
    from spikeinterface.core import append_recordings

    recording = as_recording(traces)
    with pytest.raises(DataError, match="it has 2 segments"):
        prepare(append_recordings([recording, recording]))


def test_short_and_slow_recordings_are_told(traces):
    from spikeinterface.core import NumpyRecording

    slow = NumpyRecording([traces[:3000]], 1000.0)
    told = " ".join(finding.what for finding in check_recording(slow))
    assert "it lasts 3.0 s" in told
    assert "sampling rate is 1000 Hz" in told
    with pytest.raises(DataError, match="too short to filter"):
        refuse_errors(check_recording(as_recording(traces[:300])))
