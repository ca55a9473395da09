import json

import numpy as np
import pytest

from neuroloom.errors import CorruptArtifact, DataError, MissingFile
from neuroloom.sorting.quality import analyze, read_analyzer, unit_table


@pytest.fixture(scope="module")
def folder(tetrode, tmp_path_factory):
    folder = tmp_path_factory.mktemp("analysis") / "analyzer"
    analyze(tetrode[1], tetrode[0], folder)
    return folder


@pytest.fixture
def copied(folder, tmp_path):
    import shutil

    return shutil.copytree(folder, tmp_path / "analyzer")


def test_the_unit_table_tells_heights_counts_and_places(tetrode, folder):
    recording, truth = tetrode
    table = unit_table(read_analyzer(folder))
    assert list(table.index) == list(truth.unit_ids)
    assert list(table["num_spikes"]) == [len(truth.get_unit_spike_train(unit_id=u)) for u in truth.unit_ids]
    # Heights were drawn from 90 to 240 uV; the band-pass takes some off the trough and adds a flank.
    assert table["amplitude_uv"].between(80, 330).all()
    assert table["snr"].between(8, 40).all()
    assert table[["x_um", "y_um"]].to_numpy().max() <= recording.get_channel_locations().max()


def test_spikeinterface_opens_the_folder_by_itself(folder):
    from spikeinterface.core import load_sorting_analyzer

    from neuroloom.sorting.spikeinterface_runs import quiet

    with quiet():
        analyzer = load_sorting_analyzer(folder)
    names = {
        "waveforms",
        "templates",
        "spike_amplitudes",
        "unit_locations",
        "correlograms",
        "quality_metrics",
    }
    assert names <= set(analyzer.get_loaded_extension_names())


def test_the_same_seed_gives_the_same_analysis(tetrode, folder):
    again = analyze(tetrode[1], tetrode[0])
    first = read_analyzer(folder)
    for name in ("templates", "spike_amplitudes", "unit_locations"):
        np.testing.assert_array_equal(
            again.get_extension(name).get_data(), first.get_extension(name).get_data()
        )


def test_an_altered_folder_is_refused(copied):
    path = copied / "extensions" / "templates" / "average.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptArtifact, match="was altered"):
        read_analyzer(copied)


def test_an_absent_folder_is_named(tmp_path):
    with pytest.raises(MissingFile, match="does not exist"):
        read_analyzer(tmp_path / "analyzer")


def test_a_folder_that_names_a_foreign_class_is_refused(copied):
    from neuroloom.artifacts import seal

    path = copied / "settings.json"
    path.write_text(json.dumps({"recording": {"class": "os.system"}}))
    seal(copied, kind="analyzer")
    with pytest.raises(CorruptArtifact, match=r"names the class os\.system"):
        read_analyzer(copied)


def test_a_sorting_of_another_rate_is_refused(tetrode):
    from spikeinterface.core import NumpySorting

    other = NumpySorting.from_unit_dict([{0: np.array([10])}], sampling_frequency=20_000.0)
    with pytest.raises(DataError, match="expected the recording's 30000 Hz"):
        analyze(other, tetrode[0])


@pytest.mark.parametrize(
    "trains", [{}, {0: np.array([], dtype=np.int64)}, {0: np.arange(3000, 90_000, 2000)}]
)
def test_zero_units_empty_units_and_one_unit_work(tetrode, trains):
    from spikeinterface.core import NumpySorting

    sorting = NumpySorting.from_unit_dict([trains], sampling_frequency=30_000.0)
    table = unit_table(analyze(sorting, tetrode[0]))
    assert len(table) == sum(len(train) > 0 for train in trains.values())
    assert {"snr", "amplitude_uv"} <= set(table.columns)
