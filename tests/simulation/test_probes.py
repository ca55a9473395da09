import numpy as np
import pytest

from neuroloom.errors import DataError
from neuroloom.simulation.probes import make_probe


@pytest.mark.parametrize(
    ("name", "n_contacts", "nearest_um"),
    [
        ("single", 1, None),
        ("stereotrode", 2, 25),
        ("tetrode", 4, 25),
        ("linear-32", 32, 25),
        ("columns-32", 32, 20),
    ],
)
def test_built_in_probes_have_their_contacts_and_are_wired(name, n_contacts, nearest_um):
    probe = make_probe(name)
    np.testing.assert_array_equal(probe.device_channel_indices, np.arange(n_contacts))
    places = probe.contact_positions
    if nearest_um:
        distances = np.linalg.norm(places[:, None] - places, axis=2)[~np.eye(n_contacts, dtype=bool)]
        assert distances.min() == nearest_um


@pytest.mark.parametrize("name", ["", "columns-33", "linear-0", "linear-99999", "linear-3x", "neuropixels"])
def test_other_names_are_refused_with_the_known_ones(name):
    with pytest.raises(DataError, match="expected one of single"):
        make_probe(name)
