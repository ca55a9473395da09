"""Units that are left out while spikes are found again: what remains is numbered as its spikes are."""

from typing import Any

import numpy as np
import pytest

from neuroloom.sorting import learning
from neuroloom.sorting.learning import Learner
from neuroloom.sorting.preprocessing import prepare
from neuroloom.sorting.simsort import write_scaled
from neuroloom.sorting.spikeinterface_runs import quiet, repeatable
from neuroloom.sorting.templates import Units, mean_waveforms
from neuroloom.sorting.workspace import SimSortOptions, Workspace


@pytest.fixture(scope="module")
def work(tetrode, tmp_path_factory):
    """The tetrode as simsort works on it."""
    folder = tmp_path_factory.mktemp("work")
    recording = prepare(tetrode[0]).recording
    write_scaled(recording, folder / "scaled.npy")
    scaled = np.load(folder / "scaled.npy", mmap_mode="r")
    work = Workspace(scaled, recording, options=SimSortOptions(), seed=0)
    work.whitener.write(scaled, folder / "white.npy")
    work.white = np.load(folder / "white.npy", mmap_mode="r")
    return work


@pytest.fixture(scope="module")
def cells(tetrode, work):
    """The true cells as units, and their true trains."""
    truth = tetrode[1]
    trains = [np.asarray(truth.get_unit_spike_train(unit_id=unit), np.int64) for unit in truth.unit_ids]
    label = np.repeat(np.arange(len(trains)), list(map(len, trains)))
    templates = mean_waveforms(work.scaled, np.concatenate(trains), label, len(trains), seed=0)
    return Units(templates, np.bincount(label)), trains


def settled(work, units):
    nobody: Any = None  # no events are looked for
    with quiet(), repeatable(0, "learning"):
        return Learner(work, nobody, enter=lambda _: None)._settled(units)


def share_in_common(found: np.ndarray, true: np.ndarray) -> float:
    """Return the share of true spikes that have a found one within 1 ms."""
    distance = np.abs(found[None, :] - true[:, None]).min(axis=1, initial=np.iinfo(np.int64).max)
    return float(np.mean(distance <= 30))


def nearest_cell(template: np.ndarray, units: Units) -> int:
    return int(np.argmin(np.sum((units.templates - template) ** 2, axis=(1, 2))))


def test_sound_units_all_stay(work, cells):
    units, sample, unit = settled(work, cells[0])
    assert [nearest_cell(template, cells[0]) for template in units.templates] == [0, 1, 2, 3]
    for one, train in enumerate(cells[1]):
        assert share_in_common(sample[unit == one], train) > 0.9


@pytest.mark.parametrize("tries", [1, 2, 3])
def test_after_the_last_try_spikes_carry_the_numbers_of_the_units_that_remain(
    work, cells, tries, monkeypatch
):
    # Nothing is ever pure enough, so that every try leaves one of these neighbours out.
    monkeypatch.setattr(learning, "_LEAST_PURE", 1.1)
    monkeypatch.setattr(learning, "_MOST_REPEATS", tries)
    units, sample, unit = settled(work, cells[0])
    assert len(units) == len(cells[0]) - tries
    assert sorted(np.unique(unit)) == list(range(len(units)))
    assert np.all(np.diff(sample) >= 0)
    remaining = [nearest_cell(template, cells[0]) for template in units.templates]
    assert len(set(remaining)) == len(units)
    for one, cell in enumerate(remaining):
        # A cell without a unit of its own may fall to a neighbour's; those that have one may not.
        shares = [share_in_common(sample[unit == one], cells[1][each]) for each in remaining]
        assert remaining[int(np.argmax(shares))] == cell
        assert max(shares) > 0.9


def test_when_every_unit_was_left_out_none_has_spikes(work, cells, monkeypatch):
    monkeypatch.setattr(learning, "_LEAST_PURE", 1.1)
    monkeypatch.setattr(learning, "_MOST_REPEATS", len(cells[0]))
    units, sample, unit = settled(work, cells[0])
    assert (len(units), len(sample), len(unit)) == (0, 0, 0)


def test_only_templates_of_faint_units_that_lose_energy_stay_as_they_were():
    before = np.zeros((3, 8, 2), np.float32)
    before[:, 4, 0] = -6, -6, -20
    after = before * np.array([0.8, 1.2, 0.8], np.float32)[:, None, None]  # faint, faint, large
    kept = learning.unless_blurred(after, before)
    np.testing.assert_array_equal(kept, np.stack([before[0], after[1], after[2]]))
