import numpy as np
import pytest
from probeinterface import ProbeGroup, write_probeinterface

from neuroloom.errors import DataError, MissingFile
from neuroloom.simulation.probes import make_probe
from neuroloom.sorting.probes import attach_probe, load_probe


def test_a_probe_file_places_the_channels_by_its_wiring(tmp_path, array_recording):
    probe = make_probe("linear-4")
    probe.set_device_channel_indices([3, 2, 1, 0])
    write_probeinterface(tmp_path / "probe.json", probe)
    recording = array_recording(np.zeros((100, 4), dtype=np.float32), probe=None)
    attach_probe(recording, tmp_path / "probe.json")
    np.testing.assert_array_equal(recording.get_channel_locations()[:, 1], [75, 50, 25, 0])


def test_a_probe_object_and_a_group_are_taken_as_they_are():
    probe = make_probe("tetrode")
    group = ProbeGroup()
    group.add_probe(probe)
    assert load_probe(group) is group
    assert load_probe(probe).get_contact_count() == 4


def test_a_missing_probe_file_is_named(tmp_path):
    with pytest.raises(MissingFile, match=r"gone\.json does not exist"):
        load_probe(tmp_path / "gone.json")


def test_a_file_that_is_no_probe_is_refused(tmp_path):
    (tmp_path / "probe.json").write_text('{"not": "a probe"}')
    with pytest.raises(DataError, match="cannot be read as a probe"):
        load_probe(tmp_path / "probe.json")


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(DataError, match="single, stereotrode, tetrode"):
        load_probe("octrode")
