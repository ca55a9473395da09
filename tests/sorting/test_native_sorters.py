"""What SpikeInterface's sorters are told when they run as they come."""

import pytest

from neuroloom.sorting import native_sorters
from neuroloom.sorting.native_sorters import native_settings, run_native
from neuroloom.sorting.other_sorters import SortingFailed


@pytest.mark.parametrize("name", ["lupin", "spykingcircus2", "tridesclous2"])
@pytest.mark.parametrize("motion", [True, False])
def test_sorters_that_can_follow_motion_are_asked_to_where_there_is_some(name, motion):
    assert native_settings(name, 32, motion=motion) == {"apply_motion_correction": motion}


def test_kilosort_is_told_how_few_channels_there_are():
    few, many = (native_settings("kilosort4", n, motion=False) for n in (4, 64))
    assert few["nearest_chans"] == 4
    assert "nearest_chans" not in many
    assert few["nblocks"] == many["nblocks"] == 0


def test_other_sorters_keep_their_defaults():
    assert native_settings("mountainsort5", 4, motion=False) == {}


def test_a_sorter_that_stops_is_named_with_the_last_line_of_its_log(monkeypatch):
    from spikeinterface import sorters
    from spikeinterface.sorters.utils import SpikeSortingError

    def stop(*_, **__):
        raise SpikeSortingError("Traceback\nValueError: no peaks\n\nSpike sorting failed. See log")

    monkeypatch.setattr(sorters, "run_sorter", stop)
    monkeypatch.setattr(native_sorters, "native_settings", lambda *_, **__: {})

    class Recording:
        def get_num_channels(self) -> int:
            return 4

    with pytest.raises(SortingFailed, match="lupin stopped with ValueError: no peaks"):
        run_native(Recording(), "lupin", seed=0, motion=False)  # type: ignore[arg-type]
