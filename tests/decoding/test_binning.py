import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from neuroloom.decoding.binning import UnitScale, bin_for, inner_validation, lagged
from neuroloom.decoding.targets import find_target
from neuroloom.sessions.session import Session


@given(seed=st.integers(0, 50), past=st.integers(0, 4), future=st.integers(0, 3), start=st.integers(0, 10))
def test_lags_read_their_neighbours_and_never_another_stretch(seed, past, future, start):
    if past + future == 0:
        return
    rng = np.random.default_rng(seed)
    stretch = np.repeat(np.arange(4), rng.integers(1, 6, size=4))
    values = rng.normal(size=(len(stretch), 2))
    found = lagged(values, stretch, slice(start, None), past=past, future=future)
    for row, bin_ in enumerate(range(start, len(stretch))):
        sources = range(bin_ - past + 1, bin_ + future + 1)
        same = [0 <= source < len(stretch) and stretch[source] == stretch[bin_] for source in sources]
        inside = [values[source] for source, near in zip(sources, same, strict=True) if near]
        others = np.mean(inside, axis=0) if inside else np.zeros(2)
        lags = found[row].reshape(len(sources), 2)
        np.testing.assert_array_equal(lags[same], np.reshape(inside, (-1, 2)))
        np.testing.assert_allclose(lags[~np.array(same)], np.broadcast_to(others, (same.count(False), 2)))


def test_a_silent_unit_does_not_tell_how_long_a_trial_has_lasted():
    # Its scaled counts are a constant below 0, the unit's mean; none may change at a trial's start.
    stretch = np.repeat(np.arange(3), 8)
    found = lagged(np.full((24, 1), -0.05), stretch, slice(None), past=5, future=2)
    np.testing.assert_allclose(found, -0.05)


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=30),
    fraction=st.floats(0.05, 0.5),
    gap=st.integers(0, 12),
)
def test_inner_validation_comes_last_and_shares_no_lag_with_training(lengths, fraction, gap):
    stretch = np.repeat(np.arange(len(lengths)), lengths)
    train, validation = inner_validation(stretch, fraction=fraction, gap=gap)
    assert not (train & validation).any()
    if train.any() and validation.any():
        last, first = np.flatnonzero(train)[-1], np.flatnonzero(validation)[0]
        assert first - last > gap or stretch[first] != stretch[last]
        assert validation[first:].all()


def test_short_trials_are_validated_whole():
    stretch = np.repeat(np.arange(50), 6)
    train, validation = inner_validation(stretch, fraction=0.2, gap=9)
    assert not set(stretch[train]) & set(stretch[validation])
    assert validation.sum() == 60


def test_labels_are_binned_trial_by_trial(tuned_session):
    session = tuned_session(n_trials=5)
    bins = bin_for(session, find_target([session], "direction"), 0.1)
    lengths = np.round((session.trials.end - session.trials.start) / 0.1).astype(int)
    np.testing.assert_array_equal(np.bincount(bins.stretch), lengths)


def test_units_are_scaled_in_the_models_order_and_lost_ones_rest_at_their_mean():
    counts = np.array([[0, 4], [2, 8]])
    session = Session.from_counts(counts, bin_size_s=1.0, id="a")
    scale = UnitScale.of(["a/1", "a/7", "a/0"], np.array([[4, 1, 0], [8, 1, 2]]))
    scaled = scale.apply(session, counts)
    np.testing.assert_allclose(scaled[:, 1], 0)
    np.testing.assert_allclose(scaled[1, 0], 2 / np.sqrt(4 + 5 / 3), rtol=1e-6)
    np.testing.assert_allclose(scaled[1, 2], 1 / np.sqrt(1 + 5 / 3), rtol=1e-6)


def test_silent_units_stay_finite():
    scale = UnitScale.of(["a/0"], np.zeros((3, 1)))
    session = Session.from_counts(np.zeros((3, 1), dtype=int), bin_size_s=1.0, id="a")
    assert np.isfinite(scale.apply(session, np.zeros((3, 1)))).all()
