"""Units that were curated by hand come back as they were left: in Phy, and in SpikeInterface."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroloom.errors import DataError, MissingFile, NeuroloomError
from neuroloom.sorting.curation import apply_curation_file, read_phy
from neuroloom.sorting.export import export_phy, read_sorting, write_sorting
from neuroloom.sorting.quality import analyze


@pytest.fixture(scope="module")
def exported(tetrode, tmp_path_factory):
    """A folder that our own export wrote for Phy; it must not be touched."""
    recording, truth = tetrode
    room = tmp_path_factory.mktemp("phy")
    return export_phy(analyze(truth, recording, room / "analyzer"), room / "phy")


@pytest.fixture
def phy(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "phy")


def curate(folder, *, merge=(), split=None, labels=None):
    """Write into a Phy folder what Phy writes when a user saves: new ids for merged and split clusters."""
    clusters = np.load(folder / "spike_clusters.npy")
    new = int(clusters.max()) + 1
    if merge:
        clusters[np.isin(clusters, merge)] = new
        new += 1
    if split is not None:
        of_it = np.flatnonzero(clusters == split)
        clusters[of_it[::2]], clusters[of_it[1::2]] = new, new + 1
    np.save(folder / "spike_clusters.npy", clusters.astype(np.int32))
    table = pd.DataFrame({"cluster_id": list(labels or {}), "group": list((labels or {}).values())})
    table.to_csv(folder / "cluster_group.tsv", sep="\t", index=False)


def trains(sorting):
    return {unit: sorting.get_unit_spike_train(unit_id=unit) for unit in sorting.unit_ids}


def test_a_folder_as_it_was_exported_gives_the_units_of_the_sorting(phy, tetrode):
    sorting, findings = read_phy(phy)
    for unit, train in trains(tetrode[1]).items():
        np.testing.assert_array_equal(trains(sorting)[int(unit)], train)
    assert sorting.get_sampling_frequency() == tetrode[1].get_sampling_frequency()
    assert [finding.what for finding in findings] == ["the units were curated by hand in Phy: 4 unsorted"]


def test_merges_splits_and_labels_of_phy_come_back(phy, tetrode):
    before = trains(read_phy(phy)[0])
    curate(phy, merge=(0, 1), split=2, labels={3: "noise", 4: "good", 5: "mua", 6: "good"})
    sorting, findings = read_phy(phy)
    after = trains(sorting)
    assert list(after) == [4, 5, 6]
    np.testing.assert_array_equal(after[4], np.sort(np.concatenate([before[0], before[1]])))
    np.testing.assert_array_equal(after[5], before[2][::2])
    np.testing.assert_array_equal(np.sort(np.concatenate([after[5], after[6]])), before[2])
    assert sorting.get_property("quality").tolist() == ["good", "mua", "good"]
    assert [finding.what for finding in findings] == [
        "the units were curated by hand in Phy: 2 good, 1 mua, 1 noise",
        "1 of 4 units were left out for their label",
    ]
    good, _ = read_phy(phy, keep=["good"])
    assert list(good.unit_ids) == [4, 6]


def test_labels_outlive_saving(phy, tmp_path):
    curate(phy, labels={0: "good", 1: "mua"})
    sorting, _ = read_phy(phy)
    again = read_sorting(write_sorting(sorting, tmp_path / "sorting"))
    assert again.get_property("quality").tolist() == ["good", "mua", "unsorted", "unsorted"]
    assert again.get_annotation("sorter") == "a sorter, curated by hand in Phy"


def test_no_program_in_a_folder_is_run(phy, tmp_path):
    """Row 13 of the fault table: SpikeInterface's own reader would run it."""
    line = f"open({str(tmp_path / 'owned')!r}, 'w')\n"
    (phy / "params.py").write_text(line + (phy / "params.py").read_text())
    read_phy(phy)
    (phy / "params.py").write_text(f"sample_rate = {line}")
    with pytest.raises(DataError, match="cannot be read"):
        read_phy(phy)
    assert not (tmp_path / "owned").exists()


def test_what_is_not_whole_is_refused(phy):
    np.save(phy / "spike_times.npy", np.load(phy / "spike_times.npy")[:-3])
    with pytest.raises(DataError, match="one cluster for every spike"):
        read_phy(phy)
    (phy / "spike_times.npy").unlink()
    with pytest.raises(MissingFile, match="spike_times"):
        read_phy(phy)
    (phy / "params.py").write_text("sample_rate = 0")
    with pytest.raises(DataError, match="sampling rate 0"):
        read_phy(phy)


@settings(max_examples=60)
@given(
    name=st.sampled_from(["params.py", "spike_times.npy", "spike_clusters.npy", "cluster_group.tsv"]),
    how=st.sampled_from(["flip", "cut", "noise", "delete"]),
    where=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
)
def test_a_damaged_folder_is_read_or_refused(name, how, where, bit, exported, tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged")
    for each in ("params.py", "spike_times.npy", "spike_clusters.npy", "cluster_group.tsv"):
        shutil.copy(exported / each, folder)
    data = bytearray((folder / name).read_bytes())
    at = int(where * min(len(data), 400))
    if how == "flip":
        data[at] ^= 1 << bit
    data = data[:at] if how == "cut" else np.random.default_rng(bit).bytes(200) if how == "noise" else data
    (folder / name).unlink()
    if how != "delete":
        (folder / name).write_bytes(data)
    try:
        read_phy(folder)
    except NeuroloomError:
        return


def curation(tmp_path, **changes):
    content = {
        "format_version": "2",
        "unit_ids": [0, 1, 2, 3],
        "label_definitions": {"quality": {"label_options": ["good", "noise", "MUA"], "exclusive": True}},
        "manual_labels": [{"unit_id": 2, "quality": ["MUA"]}, {"unit_id": 3, "quality": ["noise"]}],
        "merges": [{"unit_ids": [0, 1]}],
        "removed": [],
        "splits": [],
    }
    path = tmp_path / "curation.json"
    path.write_text(json.dumps(content | changes))
    return path


@pytest.fixture
def sorting(tetrode):
    from spikeinterface.core import NumpySorting

    train = dict(enumerate(trains(tetrode[1]).values()))
    return NumpySorting.from_unit_dict([train], sampling_frequency=30_000)


def test_spikeinterfaces_curation_is_applied(sorting, tmp_path):
    curated, findings = apply_curation_file(sorting, curation(tmp_path))
    after = trains(curated)
    assert len(after) == 2
    assert sorted(map(len, after.values())) == sorted(
        [len(trains(sorting)[2]), len(trains(sorting)[0]) + len(trains(sorting)[1])]
    )
    assert sorted(curated.get_property("quality").tolist()) == ["mua", "unsorted"]
    assert "curated by hand in SpikeInterface" in findings[0].what
    assert "1 of 3 units were left out" in findings[1].what


@pytest.mark.parametrize(
    "changes",
    [{"unit_ids": [0, 1]}, {"merges": 3}, {"format_version": "99"}, {"merges": [{"unit_ids": [0, 9]}]}],
)
def test_a_curation_of_something_else_is_refused(sorting, tmp_path, changes):
    with pytest.raises(DataError, match="cannot be applied"):
        apply_curation_file(sorting, curation(tmp_path, **changes))
    with pytest.raises(MissingFile):
        apply_curation_file(sorting, tmp_path / "absent.json")
