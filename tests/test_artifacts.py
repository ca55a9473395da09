"""Artifacts come back as they were written, or are refused."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neuroloom import artifacts
from neuroloom.artifacts import fingerprint, load_artifact, new_folder, save_artifact, verify, write_bytes
from neuroloom.errors import CorruptArtifact, DataError, MissingFile

arrays = st.dictionaries(
    st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8),
    hnp.arrays(
        st.sampled_from([np.float64, np.float32, np.int64, np.int32, np.uint8, np.bool_]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    ),
    max_size=4,
)
documents = st.dictionaries(
    st.text(max_size=8),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)


@given(arrays=arrays, document=documents)
def test_what_is_saved_is_loaded(tmp_path_factory, arrays, document):
    folder = tmp_path_factory.mktemp("artifact") / "a"
    save_artifact(folder, kind="test", arrays=arrays, document=document, config={"x": 1}, seed=3)
    loaded = load_artifact(folder, kind="test")
    assert loaded.document == document
    assert loaded.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        assert loaded.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded.arrays[name], array)
    assert loaded.provenance["seed"] == 3
    assert loaded.provenance["config"] == {"x": 1}


@pytest.fixture
def saved(tmp_path):
    return save_artifact(tmp_path / "a", kind="test", arrays={"x": np.arange(100.0)}, document={"y": 1})


@pytest.mark.parametrize("name", ["arrays.safetensors", "document.json"])
def test_a_flipped_bit_is_refused(saved, name):
    content = bytearray((saved / name).read_bytes())
    content[-3] ^= 1
    (saved / name).write_bytes(content)
    with pytest.raises(CorruptArtifact, match="altered"):
        load_artifact(saved)


def test_a_truncated_file_is_refused_with_both_sizes(saved):
    content = (saved / "arrays.safetensors").read_bytes()
    (saved / "arrays.safetensors").write_bytes(content[:-8])
    with pytest.raises(CorruptArtifact, match=rf"{len(content) - 8} bytes.*{len(content)} bytes"):
        load_artifact(saved)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"files": {"a": 1}}', '{"format": 99}'])
def test_a_broken_manifest_is_refused(saved, text):
    (saved / "manifest.json").write_text(text)
    with pytest.raises(CorruptArtifact):
        load_artifact(saved)


def test_a_manifest_that_points_outside_its_folder_is_refused(saved):
    manifest = json.loads((saved / "manifest.json").read_text())
    manifest["files"]["../secret"] = {"bytes": 0, "sha256": ""}
    del manifest["sha256"]  # whoever adds such a file can write its hash, too
    (saved / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CorruptArtifact, match="files inside it"):
        verify(saved)


def test_no_byte_of_a_manifest_can_change_unnoticed(saved):
    content = (saved / "manifest.json").read_bytes()
    for position, value in enumerate(content):
        for other in (value ^ 32, value ^ 1):  # the bit of a letter's case, and the lowest
            altered = content[:position] + bytes([other]) + content[position + 1 :]
            (saved / "manifest.json").write_bytes(altered)
            with pytest.raises(CorruptArtifact):
                verify(saved)


def test_the_wrong_kind_is_refused(saved):
    with pytest.raises(CorruptArtifact, match="'test'.*'session'"):
        load_artifact(saved, kind="session")


def test_a_missing_folder_says_so(tmp_path):
    with pytest.raises(MissingFile, match="does not exist"):
        load_artifact(tmp_path / "absent")


def test_a_failed_write_leaves_the_old_version(saved):
    with pytest.raises(RuntimeError), new_folder(saved, replaces="manifest.json") as draft:
        (draft / "half").write_text("..")
        raise RuntimeError
    assert load_artifact(saved).document == {"y": 1}
    assert [path.name for path in saved.parent.iterdir()] == ["a"]


def test_a_kill_between_the_two_renames_falls_back_to_the_previous_version(saved):
    os.rename(saved, saved.parent / f".{saved.name}.previous")
    assert load_artifact(saved).document == {"y": 1}


def test_of_several_writers_at_once_the_last_one_stays(tmp_path):
    def write(number: int) -> None:
        for _ in range(20):
            save_artifact(tmp_path / "shared", kind="session", document={"writer": number})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert load_artifact(tmp_path / "shared").document["writer"] in range(4)
    assert [path.name for path in tmp_path.iterdir()] == ["shared"]


def test_a_users_own_folder_is_never_replaced(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(DataError, match="not ours"):
        save_artifact(tmp_path / "mine", kind="test")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"


def test_a_full_disk_is_noticed_before_writing(saved, monkeypatch):
    usage = artifacts.shutil.disk_usage(saved)._replace(free=10)
    monkeypatch.setattr(artifacts.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match="10 bytes free"):
        save_artifact(saved, kind="test", document={"y": 2})
    assert load_artifact(saved).document == {"y": 1}


def test_kill_minus_nine_while_saving_leaves_a_whole_artifact(tmp_path):
    code = (
        "import sys, numpy as np; from neuroloom.artifacts import save_artifact\n"
        "print('go', flush=True)\n"
        "for i in range(10**6):\n"
        "    arrays = {'x': np.full(50_000, float(i))}\n"
        "    save_artifact(sys.argv[1], kind='test', arrays=arrays, document={'i': i})"
    )
    folder = tmp_path / "a"
    for delay in [0.05, 0.11, 0.17, 0.23]:
        process = subprocess.Popen([sys.executable, "-c", code, folder], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        while not folder.exists():
            time.sleep(0.01)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        loaded = load_artifact(folder, kind="test")
        np.testing.assert_array_equal(loaded.arrays["x"], np.full(50_000, float(loaded.document["i"])))


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = write_bytes(tmp_path / "f", b"old")
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]


def test_what_is_not_a_number_becomes_null():
    assert json.loads(artifacts.to_json({"r2": float("nan"), "n": np.int64(3), "a": np.arange(2)})) == {
        "r2": None, "n": 3, "a": [0, 1],
    }  # fmt: skip


def test_a_fingerprint_depends_on_values_shape_and_dtype():
    a = np.arange(6.0)
    prints = {fingerprint(a), fingerprint(a.reshape(2, 3)), fingerprint(a.astype("f4")), fingerprint(a + 1)}
    assert len(prints) == 4
    assert fingerprint(a) == fingerprint(a.copy())
