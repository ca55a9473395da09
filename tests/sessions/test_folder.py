import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuroloom import Session
from neuroloom.artifacts import save_artifact
from neuroloom.errors import CorruptArtifact, DataError, MissingFile


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_session_read_back_from_its_folder_is_equal(any_session, tmp_path, data):
    session = data.draw(any_session)
    again = Session.load(session.save(tmp_path / "a.session"))
    assert again == session
    assert again.findings == session.findings
    assert list(again.behavior) == list(session.behavior)


def test_findings_survive_saving(tmp_path):
    session = Session.from_arrays(id="a", spike_times_s=[[0.5, 0.25]], time_support=(0, 1))
    assert Session.load(session.save(tmp_path / "a.session")).findings == session.findings != ()


def test_a_damaged_folder_is_refused(tmp_path):
    folder = Session.from_arrays(id="a", spike_times_s=[[0.5]], time_support=(0, 1)).save(
        tmp_path / "a.session"
    )
    payload = bytearray((folder / "arrays.safetensors").read_bytes())
    payload[-1] ^= 1
    (folder / "arrays.safetensors").write_bytes(payload)
    with pytest.raises(CorruptArtifact, match="altered after writing"):
        Session.load(folder)


def test_a_folder_of_something_else_is_refused(tmp_path):
    save_artifact(tmp_path / "model", kind="decoder/wiener")
    with pytest.raises(CorruptArtifact, match="holds a 'decoder/wiener'"):
        Session.load(tmp_path / "model")
    save_artifact(tmp_path / "hollow", kind="session", arrays={"time_support": np.zeros((1, 2))})
    with pytest.raises(CorruptArtifact, match="content cannot be used"):
        Session.load(tmp_path / "hollow")
    with pytest.raises(MissingFile):
        Session.load(tmp_path / "absent")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    with pytest.raises(DataError, match="not ours to replace"):
        Session.from_arrays(id="a", spike_times_s=[], time_support=(0, 1)).save(tmp_path / "mine")
