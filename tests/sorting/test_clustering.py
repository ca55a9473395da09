import numpy as np
import pytest

from neuroloom.sorting.clustering import cluster_embeddings


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
