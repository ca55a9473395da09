import numpy as np
import pytest

from neuroloom.sorting.clustering import cluster_embeddings, merge_alike, without_composites
from neuroloom.sorting.noise import NoiseModel
from neuroloom.sorting.templates import LENGTH, LONG, LONG_TROUGH, Units, centred, shift_waveforms

TETRODE = np.array([[0.0, 0], [25, 0], [0, 25], [25, 25]])
WHITE = NoiseModel(np.eye(LENGTH), np.eye(4))


def template(weights: list[float], *, width: float = 3.0, samples: float = 0.0) -> np.ndarray:
    time = np.arange(LONG) - LONG_TROUGH
    trough = -np.exp(-(time**2) / (2 * width**2)) + 0.3 * np.exp(-((time - 12) ** 2) / 50)
    made = (trough[:, None] * np.array(weights))[None]
    return shift_waveforms(made, samples)[0].astype(np.float32)


def units(*templates: np.ndarray, count: list[int]) -> Units:
    return Units(np.array(templates), np.array(count))


def test_well_separated_units_are_told_apart_without_their_number():
    random = np.random.default_rng(0)
    centres = 12 * np.eye(16)[:7]
    truth = np.repeat(np.arange(7), 150)
    found = cluster_embeddings(centres[truth] + random.normal(size=(len(truth), 16)), seed=0)
    pairs = {(int(a), int(b)) for a, b in zip(truth, found, strict=True)}
    assert len({b for _, b in pairs}) == 7
    assert len(pairs) <= 9  # all but stray spikes


def test_one_unit_stays_one():
    random = np.random.default_rng(1)
    assert set(cluster_embeddings(random.normal(size=(600, 16)), seed=0)) == {0}


def test_clusters_are_the_same_for_a_seed():
    random = np.random.default_rng(2)
    points = random.normal(size=(400, 16)) + 6 * random.integers(0, 3, (400, 1))
    assert np.array_equal(cluster_embeddings(points, seed=3), cluster_embeddings(points, seed=3))


@pytest.mark.parametrize("n", [0, 1, 5])
def test_a_handful_of_spikes_is_one_cluster(n):
    assert cluster_embeddings(np.zeros((n, 16)), seed=0).tolist() == [0] * n


def test_a_unit_that_was_cut_in_two_by_sampling_is_mended():
    one = template([30, 20, 10, 5])
    late = template([30, 20, 10, 5], samples=0.5)
    merged, number = merge_alike(units(one, late, count=[200, 100]), TETRODE, WHITE)
    assert len(merged) == 1
    assert merged.count.tolist() == [300]
    assert number.tolist() == [0, 0]


def test_units_of_different_shape_or_place_are_kept_apart():
    made = units(
        template([30, 20, 10, 5]),
        template([30, 20, 10, 5], width=5.0),
        template([20, 30, 10, 5]),
        count=[100, 100, 100],
    )
    assert len(merge_alike(made, TETRODE, WHITE)[0]) == 3


def test_two_units_that_coincide_by_chance_are_no_third():
    first, second = template([40, 10, 10, 5]), template([5, 10, 20, 35], width=5.0)
    both = first + np.concatenate([np.zeros((7, 4), np.float32), second[:-7]])
    n_samples = 60 * 30_000
    rare = units(first, second, both, count=[600, 500, 10])
    assert without_composites(rare, TETRODE, WHITE, n_samples=n_samples).tolist() == [True, True, False]
    # As often as this, it is a neuron that happens to look like the sum.
    often = units(first, second, both, count=[600, 500, 300])
    assert without_composites(often, TETRODE, WHITE, n_samples=n_samples).all()


def test_troughs_are_moved_to_the_same_sample():
    moved = centred(units(template([30, 20, 10, 5], samples=4.0), count=[10])).templates[0]
    assert moved.min(axis=1).argmin() == LONG_TROUGH
