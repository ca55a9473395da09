import numpy as np
import pytest

from neuroloom.errors import DataError, MissingFile
from neuroloom.sorting.reading import FORMATS, read_recording


@pytest.fixture
def smooth_counts():
    """Voltage-like integers: every channel wanders on its own."""
    noise = np.random.default_rng(0).standard_normal((20_000, 4))
    smooth = np.apply_along_axis(lambda x: np.convolve(x, np.ones(5) / 5, mode="same"), 0, noise)
    return (300 * smooth).astype(np.int16)


@pytest.fixture
def raw_file(tmp_path, smooth_counts):
    path = tmp_path / "recording.raw"
    smooth_counts.tofile(path)
    return path


def test_a_raw_file_gives_its_samples_probe_and_gain(raw_file, smooth_counts):
    recording = read_recording(
        raw_file, dtype="int16", n_channels=4, rate_hz=15_000, probe="tetrode", gain_to_uv=0.5
    )
    np.testing.assert_array_equal(recording.get_traces(), smooth_counts)
    np.testing.assert_allclose(recording.get_traces(return_in_uV=True), smooth_counts * 0.5)
    assert recording.get_probe().get_contact_count() == 4
    assert recording.get_sampling_frequency() == 15_000


def test_the_probe_stands_for_the_number_of_channels(raw_file):
    assert read_recording(raw_file, dtype="int16", rate_hz=1e4, probe="tetrode").get_num_channels() == 4


def test_a_header_is_skipped(tmp_path, smooth_counts):
    path = tmp_path / "with_header.raw"
    path.write_bytes(b"x" * 100 + smooth_counts.tobytes())
    recording = read_recording(path, dtype="int16", n_channels=4, rate_hz=1e4, header_bytes=100)
    np.testing.assert_array_equal(recording.get_traces(), smooth_counts)


def test_a_raw_file_without_description_is_refused_with_what_is_missing(raw_file):
    with pytest.raises(DataError, match="n_channels, rate_hz is not given"):
        read_recording(raw_file, dtype="int16")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MissingFile, match=r"nothing\.raw does not exist"):
        read_recording(tmp_path / "nothing.raw", dtype="int16", n_channels=4, rate_hz=1e4)


def test_a_folder_that_is_no_recording_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"holds neither binary\.json"):
        read_recording(tmp_path)


def test_an_unknown_file_format_lists_the_known_ones(raw_file):
    with pytest.raises(DataError, match="spikeglx"):
        read_recording(raw_file, file_format="nonsense")


def test_files_of_another_system_are_refused_with_the_way_out(raw_file):
    with pytest.raises(DataError, match="cannot be read as spikeglx"):
        read_recording(raw_file.parent, file_format="spikeglx")


@pytest.mark.parametrize("dtype", ["object", "U5", "no such type"])
def test_types_that_are_no_numbers_are_refused(raw_file, dtype):
    with pytest.raises(DataError, match="expected a number type"):
        read_recording(raw_file, dtype=dtype, n_channels=4, rate_hz=1e4)


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_nwb_gives_its_samples_in_microvolt(tmp_path, smooth_counts, nwb_file, compression):
    path = nwb_file(smooth_counts, rate_hz=20_000.0, compression=compression)
    recording = read_recording(path, probe="tetrode")
    np.testing.assert_array_equal(recording.get_traces(), smooth_counts)
    np.testing.assert_allclose(recording.get_traces(return_in_uV=True), smooth_counts * 0.2, rtol=1e-5)
    assert recording.get_sampling_frequency() == 20_000


def test_what_is_told_about_a_file_must_agree_with_it(smooth_counts, nwb_file):
    path = nwb_file(smooth_counts, rate_hz=20_000.0)
    with pytest.raises(DataError, match=r"has rate_hz 20000\.0; expected 30000"):
        read_recording(path, rate_hz=30_000)
    with pytest.raises(DataError, match="has n_channels 4"):
        read_recording(path, n_channels=8)


def test_nwb_with_several_series_asks_which(smooth_counts, nwb_file):
    path = nwb_file(smooth_counts, rate_hz=20_000.0, names=("wide", "lfp"))
    with pytest.raises(DataError, match="has 2 electrical series"):
        read_recording(path)
    assert read_recording(path, series="acquisition/wide").get_num_channels() == 4
    with pytest.raises(DataError, match="no electrical series 'acquisition/other'"):
        read_recording(path, series="acquisition/other")


def test_nwb_without_voltage_is_refused(smooth_counts, nwb_file):
    with pytest.raises(DataError, match="has no electrical series"):
        read_recording(nwb_file(smooth_counts, rate_hz=20_000.0, names=()))


@pytest.fixture
def nwb_file(tmp_path):
    def make(counts, *, rate_hz, names=("wide",), compression=None):
        import datetime

        from hdmf.backends.hdf5.h5_utils import H5DataIO
        from pynwb import NWBHDF5IO, NWBFile
        from pynwb.ecephys import ElectricalSeries

        start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        file = NWBFile(session_description="d", identifier="i", session_start_time=start)
        device = file.create_device("amplifier")
        group = file.create_electrode_group("tetrode", description="d", location="cortex", device=device)
        for _ in range(counts.shape[1]):
            file.add_electrode(group=group, location="cortex")
        region = file.create_electrode_table_region(list(range(counts.shape[1])), "all")
        for name in names:
            data = H5DataIO(counts, compression=compression, chunks=(5000, 4)) if compression else counts
            series = ElectricalSeries(
                name=name, data=data, electrodes=region, rate=rate_hz, conversion=2e-7, starting_time=0.0
            )
            file.add_acquisition(series)
        path = tmp_path / "file.nwb"
        with NWBHDF5IO(path, "w") as io:
            io.write(file)
        return path

    return make


@pytest.mark.shared_data
def test_the_locust_tetrode_is_read_as_described(shared_data):
    path = shared_data / "voltage" / "locust_tetrode" / "locust_trial_01.raw"
    recording = read_recording(path, dtype="int16", n_channels=4, rate_hz=15_000, probe="tetrode")
    assert recording.get_num_samples() == 431_548
    for wrong in (1, 2, 3, 8):
        if path.stat().st_size % (2 * wrong) == 0:
            with pytest.raises(DataError, match="samples recur every 4 values"):
                read_recording(path, dtype="int16", n_channels=wrong, rate_hz=15_000)


def test_every_file_format_is_known_to_spikeinterface():
    from spikeinterface.extractors import recording_extractor_full_dict

    assert set(FORMATS) <= set(recording_extractor_full_dict)
