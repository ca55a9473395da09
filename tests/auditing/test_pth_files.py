"""Tensors are read from pickles by following data instructions only."""

import collections
import pickle
import struct

import numpy as np
import pytest
import torch

from neuroloom.auditing.pth_files import read_pth
from neuroloom.errors import CorruptArtifact


@pytest.fixture
def saved(tmp_path):
    tensors = collections.OrderedDict(
        weight=torch.arange(12.0).reshape(3, 4),
        transposed=torch.arange(12.0).reshape(3, 4).T,
        part=torch.arange(12.0)[3:7],
        count=torch.tensor(7),
        double=torch.ones(2, dtype=torch.float64) / 3,
    )
    path = tmp_path / "model.pth"
    torch.save(tensors, path, _use_new_zipfile_serialization=False)
    return path, tensors


def test_tensors_of_any_layout_and_type_are_read_as_they_were_saved(saved):
    path, tensors = saved
    found = read_pth(path)
    assert list(found) == list(tensors)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(found[name], tensor.numpy())
        assert found[name].dtype == tensor.numpy().dtype


def test_a_file_that_would_run_something_is_refused_and_runs_nothing(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    path = tmp_path / "trap.pth"
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
    path.write_bytes(magic + pickle.dumps(1001, protocol=2) + pickle.dumps(Trap(), protocol=2))
    with pytest.raises(CorruptArtifact, match="would call"):
        read_pth(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("kept", [0, 10, 200, -1])
def test_a_truncated_file_is_refused(saved, kept):
    path, _ = saved
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CorruptArtifact):
        read_pth(path)


def test_a_storage_that_claims_more_than_the_file_holds_is_refused(saved):
    path, _ = saved
    data = bytearray(path.read_bytes())
    at = data.rfind(struct.pack("<q", 12))
    data[at : at + 8] = struct.pack("<q", 10**9)
    path.write_bytes(bytes(data))
    with pytest.raises(CorruptArtifact):
        read_pth(path)
