"""Whatever the bytes of a single file are, reading it ends, and with nothing but an error of the one family.

Text has no checksum: a digit that became another digit is another table. So a damaged table is either
refused, or what comes out of it is a table that could have been meant: finite times in order.
"""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroloom.auditing.image_files import load_images
from neuroloom.decoding.replay import spikes_in_lines
from neuroloom.errors import NeuroloomError
from neuroloom.numpy_files import read_array
from neuroloom.pipeline.pages import read_about
from neuroloom.pipeline.progress import read_progress
from neuroloom.pipeline.run_folder import LOG, RunFolder
from neuroloom.reporting.page import Note, Section
from neuroloom.reporting.section_files import FILE, read_section, write_section
from neuroloom.sessions.behavior_files import read_behavior, read_trials
from neuroloom.sessions.session import Session

PIECES = st.sampled_from(
    [b"", b",", b"\n", b'"', b"\0", b"\xff\xfe", b"nan", b"inf", b"1e999", b"-", b"time_s", b"{", b"[" * 3000]
)


@st.composite
def spoiled(draw, whole: bytes) -> bytes:
    """Return a file of which some bytes, or all, were lost or replaced."""
    how = draw(st.sampled_from(["bytes", "cut", "middle", "random"]))
    if how == "random":
        return draw(st.binary(max_size=200))
    start = draw(st.integers(0, len(whole)))
    if how == "cut":
        return whole[:start]
    if how == "middle":
        return whole[:start] + draw(PIECES) + whole[start + draw(st.integers(0, 20)) :]
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data)


BEHAVIOR = ("time_s,x,y\n" + "".join(f"{k / 10},{k},{-k}\n" for k in range(12))).encode()
TRIALS = ("start,end,side\n" + "".join(f"{k},{k + 0.5},{'lr'[k % 2]}\n" for k in range(6))).encode()
SPIKES = ("time_s,unit\n" + "".join(f"{k / 10},monday/{k % 3}\n" for k in range(12))).encode()


@settings(max_examples=150)
@given(data=spoiled(BEHAVIOR))
def test_a_table_of_behaviour(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "velocity.csv"
    path.write_bytes(data)
    with contextlib.suppress(NeuroloomError):
        behavior, trials = read_behavior(path)
        (series,) = behavior.values()
        assert trials is None
        assert np.isfinite(series.t).all()
        assert (np.diff(series.t) > 0).all()
        Session.from_arrays(id="a", spike_times_s=[[0.5]], behavior=behavior)


@settings(max_examples=150)
@given(data=spoiled(TRIALS))
def test_a_table_of_trials(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "trials.csv"
    path.write_bytes(data)
    with contextlib.suppress(NeuroloomError):
        trials = read_trials(path)
        assert np.isfinite(trials.values).all()
        assert (trials.end > trials.start).all()


@settings(max_examples=150)
@given(data=spoiled(SPIKES))
def test_lines_of_spikes(data):
    with contextlib.suppress(NeuroloomError):
        spikes = list(spikes_in_lines(data.decode(errors="replace").splitlines()))
        assert all(np.isfinite(time_s) and isinstance(unit, str) for time_s, unit in spikes)


def test_a_table_that_is_a_folder_or_absent(tmp_path):
    (tmp_path / "velocity.csv").mkdir()
    for read in (read_behavior, read_trials):
        for name in ("velocity.csv", "absent.csv"):
            with pytest.raises(NeuroloomError):
                read(tmp_path / name)


def npy(array: np.ndarray) -> bytes:
    import io

    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@settings(max_examples=100)
@given(data=spoiled(npy(np.zeros((2, 4, 4, 3), np.uint8))))
def test_arrays_and_images_in_numpy_files(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("array") / "a.npy"
    path.write_bytes(data)
    for read in (read_array, load_images):
        with contextlib.suppress(NeuroloomError):
            assert isinstance(read(path), np.ndarray)


@settings(max_examples=100)
@given(data=st.data())
def test_a_section_of_a_page(data, tmp_path_factory):
    room = tmp_path_factory.mktemp("section")
    path = write_section(Section("Title", "title", blocks=[Note("text")]), room)
    path.write_bytes(data.draw(spoiled(path.read_bytes())))
    assert path.name == FILE
    with contextlib.suppress(NeuroloomError):
        assert isinstance(read_section(room), Section)


ABOUT = json.dumps(
    {
        "source": "a.raw", "command": "neuroloom run", "session_id": "a", "subject": "b", "target": None,
        "config": {"seed": 0}, "data_fingerprint": "", "findings": [],
    }
).encode()  # fmt: skip


@settings(max_examples=100)
@given(data=spoiled(ABOUT))
def test_what_a_run_says_of_itself(data, tmp_path_factory):
    room = tmp_path_factory.mktemp("run")
    (room / "run.json").write_bytes(data)
    with contextlib.suppress(NeuroloomError):
        assert isinstance(read_about(room), dict)


LINES = b"".join(
    b'{"time": "2026-11-27T20:19:02.947+00:00", "stage": "%s", "event": "%s"}\n' % (stage, event)
    for stage, event in [(b"sorting", b"start"), (b"sorting", b"done"), (b"session", b"start")]
)


@settings(max_examples=100)
@given(data=st.data())
def test_the_log_and_the_summaries_of_a_run(data, tmp_path_factory):
    run = RunFolder(tmp_path_factory.mktemp("run") / "a")
    run.stage("sorting", lambda draft: {"n_units": 3}, key="1")
    run.log("session", "start")
    for name in (LOG, "sorting/stage.json"):
        path = run.path / name
        if data.draw(st.booleans()):
            path.write_bytes(data.draw(spoiled(LINES)))
    with contextlib.suppress(NeuroloomError):
        assert len(read_progress(run.path)) == 6
