"""Fault 11: an unreadable or truncated NWB file."""

import re

import numpy as np
import pytest

from neuroloom import Session
from neuroloom.errors import CorruptArtifact


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    session = Session.from_counts(
        np.random.default_rng(0).poisson(2, (500, 6)),
        bin_size_s=0.1,
        id="a",
        behavior={"v": np.arange(500.0)},
    )
    return session.to_nwb(tmp_path_factory.mktemp("whole") / "a.nwb").read_bytes()


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.7, 0.999])
def test_a_truncated_file_is_refused_with_its_path_and_a_remedy(whole, tmp_path, share):
    path = tmp_path / "cut.nwb"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CorruptArtifact, match=re.escape(str(path))) as caught:
        Session.load(path)
    assert "again" in caught.value.remedy


def test_a_damaged_spike_time_is_met_as_an_error(whole, tmp_path):
    spikes = Session.from_counts([[1]], bin_size_s=np.pi, id="a")
    data = bytearray(spikes.to_nwb(tmp_path / "a.nwb").read_bytes())
    time = spikes.spikes[0].t.tobytes()
    # The last copy: HDF5 keeps none of the values anywhere else.
    at = data.rfind(time)
    assert at > 0
    data[at] ^= 1
    (tmp_path / "a.nwb").write_bytes(data)
    with pytest.raises(CorruptArtifact, match="cannot be read as NWB"):
        Session.load(tmp_path / "a.nwb")


def test_a_file_of_noise_is_refused(tmp_path):
    path = tmp_path / "noise.nwb"
    path.write_bytes(np.random.default_rng(0).bytes(4096))
    with pytest.raises(CorruptArtifact, match="whole NWB file"):
        Session.load(path)
