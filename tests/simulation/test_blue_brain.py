import shutil
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context

import numpy as np
import pytest

from neuroloom.errors import DataError
from neuroloom.simulation.blue_brain import build_blue_brain_library
from neuroloom.simulation.blue_brain_cell import NeuronCell
from neuroloom.simulation.blue_brain_models import cell_models, compile_mechanisms, mended, rheobase_na
from neuroloom.simulation.library import CellLibrary, describe

for package in ("neuron", "MEArec"):
    if find_spec(package) is None:
        pytest.skip(
            f"{package} of the extra [biophysics] is not installed: the Blue Brain cells are not tested",
            allow_module_level=True,
        )
NAME = "L5_SBC_bNAC219_1"


@pytest.fixture(scope="module")
def mechanisms(tmp_path_factory):
    if not (shutil.which("g++") or shutil.which("c++")):
        pytest.skip("no C++ compiler: the Blue Brain cells are not tested")
    return compile_mechanisms(tmp_path_factory.mktemp("blue-brain") / "mechanisms")


def _two_runs(mechanisms):
    cell = NeuronCell(NAME, mechanisms)
    drive = {"mean_na": rheobase_na(NAME), "noise_na": 0.5 * rheobase_na(NAME), "seed": 0}
    first = cell.run(duration_ms=60, **drive)
    times = first.spike_times_ms[0] + np.arange(-1, 3, 0.025)
    again = cell.run(duration_ms=times[-1] + 1, noise_ms=60, current_times_ms=times, **drive)
    return first, again, times


@pytest.fixture(scope="module")
def runs(mechanisms):
    # NEURON keeps whatever it has loaded, so it gets a process of its own.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_two_runs, mechanisms).result()


def test_the_thirteen_cells_are_found_with_their_rheobase():
    assert len(cell_models()) == 13
    assert all(0.01 < rheobase_na(name) < 1 for name in cell_models())
    with pytest.raises(DataError, match="no cell"):
        rheobase_na("L6_unheard_of")


def test_only_what_neuron_9_refuses_is_mended():
    source = "VERBATIM\ndouble nrn_random_pick(void* r);\nvoid* nrn_random_arg(int argpos);\nENDVERBATIM\n"
    assert mended(source) == "VERBATIM\nENDVERBATIM\n"
    untouched = "NEURON {\n\tSUFFIX x\n}\n"
    assert mended(untouched) == untouched


def test_mechanisms_are_compiled_once(mechanisms):
    before = sorted((path.name, path.stat().st_mtime_ns) for path in mechanisms.rglob("*"))
    assert compile_mechanisms(mechanisms) == mechanisms
    assert sorted((path.name, path.stat().st_mtime_ns) for path in mechanisms.rglob("*")) == before


def test_a_driven_cell_spikes_from_rest(runs):
    first, _, _ = runs
    assert len(first.spike_times_ms) >= 2
    assert 0 < first.soma_mv.max() < 60
    assert -90 < first.soma_mv.min() < -55


def test_membrane_currents_sum_to_zero_at_the_times_asked_for(runs):
    first, again, times = runs
    currents = again.currents_na
    assert currents.shape == (len(again.segment_start_um), len(times))
    np.testing.assert_allclose(again.current_times_ms, times, atol=1e-6)
    assert np.abs(currents.sum(axis=0)).max() < 1e-6 * np.abs(currents).max()
    # The run that records currents is the run that found the spikes.
    np.testing.assert_array_equal(again.soma_mv, first.soma_mv[: len(again.soma_mv)])


def test_the_largest_current_of_a_spike_enters_near_the_soma(runs):
    membrane = runs[1]
    middle = (membrane.segment_start_um + membrane.segment_end_um) / 2
    assert np.linalg.norm(middle[np.argmin(membrane.currents_na.min(axis=1))]) < 60


def test_a_library_of_one_cell_has_plausible_spikes_and_is_kept(mechanisms, tmp_path):
    folder = tmp_path / "library"
    partial = folder.with_name("library.partial")
    shutil.copytree(mechanisms, partial / "mechanisms")
    library = build_blue_brain_library(folder, n_variants=1, duration_ms=700.0, names=[NAME])
    (cell,) = library.cells
    measured = describe(cell)
    assert 0.1 < measured["width_ms"] < 1.0
    assert 5 < measured["amplitude_uv@20"] < 400
    assert measured["amplitude_uv@50"] < measured["amplitude_uv@20"]
    assert 0.5 < measured["rate_hz"] < 60
    assert "NC-SA" in library.licence
    assert not partial.exists()
    again = build_blue_brain_library(folder, n_variants=1, duration_ms=700.0, names=[NAME])
    assert repr(again) == repr(CellLibrary.load(folder)) == repr(library)
    with pytest.raises(DataError, match="another library"):
        build_blue_brain_library(folder, n_variants=2)
