import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from neuroloom.decoding.binning import SessionBins
from neuroloom.decoding.sequences import cut_sequences, gather

RUNS = st.lists(st.integers(1, 40), min_size=1, max_size=6)


@given(runs=RUNS, n_bins=st.integers(1, 12), warmup=st.integers(0, 11))
def test_with_the_full_step_every_bin_is_used_once_and_no_border_is_crossed(runs, n_bins, warmup):
    warmup = min(warmup, n_bins - 1)
    stretch = np.repeat(np.arange(len(runs)), runs)
    sequences = cut_sequences([stretch], n_bins=n_bins, warmup=warmup, step=n_bins - warmup)
    places, used = sequences.places(np.arange(len(sequences)))
    np.testing.assert_array_equal(np.bincount(places[used], minlength=len(stretch)), 1)
    assert (stretch[places] == stretch[places[:, :1]]).all()


@given(runs=RUNS, warmup=st.integers(1, 5))
def test_with_a_smaller_step_no_bin_is_forgotten(runs, warmup):
    stretch = np.repeat(np.arange(len(runs)), runs)
    sequences = cut_sequences([stretch], n_bins=12, warmup=warmup, step=warmup)
    places, used = sequences.places(np.arange(len(sequences)))
    assert (np.bincount(places[used], minlength=len(stretch)) >= 1).all()


@given(seed=st.integers(0, 50))
def test_only_wanted_bins_are_read(seed):
    rng = np.random.default_rng(seed)
    wanted = rng.random(60) > 0.4
    sequences = cut_sequences([np.zeros(60)], n_bins=8, warmup=2, step=3, wanted=[wanted])
    places, _ = sequences.places(np.arange(len(sequences)))
    assert wanted[places].all()
    np.testing.assert_array_equal(np.unique(places), np.flatnonzero(wanted))


def test_batches_are_grouped_by_session_and_unknown_bins_weigh_nothing():
    def session(n, units, start):
        truth = np.arange(start, start + n, dtype=np.float32)[:, None]
        truth[2] = np.nan
        return SessionBins(
            np.full((n, units), start, dtype=np.float32), np.zeros(n), truth, np.isfinite(truth[:, 0])
        )

    data = [session(10, 3, 0), session(7, 5, 100)]
    sequences = cut_sequences([each.stretch for each in data], n_bins=4, warmup=0, step=4)
    batch = gather(data, sequences, np.array([3, 0, 4]))
    assert batch.sessions == [0, 1]
    assert [group.shape for group in batch.features] == [(1, 4, 3), (2, 4, 5)]
    np.testing.assert_array_equal(batch.truth[0, :, 0], [0, 1, 0, 3])
    np.testing.assert_array_equal(batch.weight, [[1, 1, 0, 1], [1, 1, 0, 1], [1, 1, 1, 0]])
