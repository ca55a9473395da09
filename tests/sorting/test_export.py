import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroloom.errors import CorruptArtifact, DataError
from neuroloom.sorting.export import export_phy, read_sorting, write_sorting
from neuroloom.sorting.quality import analyze

trains = st.lists(st.lists(st.integers(0, 10**9), unique=True).map(sorted), max_size=5)


@given(trains=trains, rate_hz=st.floats(1e3, 1e5))
def test_a_sorting_is_read_back_equal(tmp_path_factory, trains, rate_hz):
    from spikeinterface.core import NumpySorting

    units = {f"unit {index}": np.array(train, dtype=np.int64) for index, train in enumerate(trains)}
    sorting = NumpySorting.from_unit_dict([units], sampling_frequency=rate_hz)
    read = read_sorting(write_sorting(sorting, tmp_path_factory.mktemp("round") / "trip"))
    assert read.get_sampling_frequency() == rate_hz
    assert list(read.unit_ids) == list(units)
    for unit, train in units.items():
        np.testing.assert_array_equal(read.get_unit_spike_train(unit_id=unit), train)


def test_a_sorting_keeps_its_start(tmp_path, tetrode):
    recording, truth = tetrode[0].clone(), tetrode[1].clone()
    recording.shift_times(100.0)
    truth.register_recording(recording)
    read = read_sorting(write_sorting(truth, tmp_path / "sorting"))
    for unit in truth.unit_ids:
        np.testing.assert_allclose(
            read.get_unit_spike_train(unit_id=unit, return_times=True),
            truth.get_unit_spike_train(unit_id=unit, return_times=True),
        )


def test_a_cut_sorting_is_refused(tmp_path, tetrode):
    folder = write_sorting(tetrode[1], tmp_path / "sorting")
    path = folder / "arrays.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CorruptArtifact, match="bytes; expected"):
        read_sorting(folder)


def test_phy_gets_spikes_templates_features_and_voltage(tmp_path, tetrode):
    recording, truth = tetrode
    analyzer = analyze(truth, recording, tmp_path / "analyzer")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "analyzer").rglob("*")}
    folder = export_phy(analyzer, tmp_path / "phy")
    n_spikes = truth.count_total_num_spikes()
    times, clusters = (np.load(folder / f"spike_{name}.npy").ravel() for name in ("times", "clusters"))
    for unit in truth.unit_ids:
        np.testing.assert_array_equal(times[clusters == unit], truth.get_unit_spike_train(unit_id=unit))
    assert np.load(folder / "templates.npy").shape == (4, 90, 4)
    assert np.load(folder / "pc_features.npy").shape == (n_spikes, 3, 4)
    assert np.load(folder / "amplitudes.npy").shape == (n_spikes, 1)
    assert (folder / "recording.dat").stat().st_size == recording.get_num_samples() * 4 * 4
    assert "sample_rate = 30000.0" in (folder / "params.py").read_text()
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "analyzer").rglob("*")}


def test_phy_needs_units(tmp_path, tetrode):
    from spikeinterface.core import NumpySorting

    nothing = NumpySorting.from_unit_dict([{}], sampling_frequency=30_000.0)
    with pytest.raises(DataError, match="a sorting without units"):
        export_phy(analyze(nothing, tetrode[0]), tmp_path / "phy")
    assert not (tmp_path / "phy").exists()
