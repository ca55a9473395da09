"""A decoder is looked at only on what it has not seen."""

import numpy as np
import pytest

from neuroloom.decoding.evaluation import evaluate, fit_and_evaluate, hold_out, make_decoder, prediction_table
from neuroloom.errors import DataError, UnknownTarget
from neuroloom.sessions.session import Session


@pytest.fixture(scope="module")
def session() -> Session:
    rng = np.random.default_rng(0)
    counts = rng.poisson(3, size=(1200, 6))
    velocity = counts @ rng.normal(size=(6, 2))
    return Session.from_counts(
        counts, bin_size_s=0.05, id="a", behavior={"velocity": velocity, "speed": velocity[:, 0]},
        trial_lengths=[20] * 60, trial_labels={"side": ["left", "right"] * 30},
    )  # fmt: skip


def test_held_out_time_comes_after_training_with_a_gap(session):
    train, test = hold_out(session, "velocity", 0.2)
    assert test.time_support.start[0] - train.time_support.end[-1] >= 1.0
    assert test.duration_s == pytest.approx(0.2 * session.duration_s, rel=0.15)


def test_labels_are_held_out_by_whole_trials(session):
    train, test = hold_out(session, "side", 0.2)
    assert train.trials is not None
    assert test.trials is not None
    assert len(train.trials) == 48
    assert len(test.trials) == 12


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 1.5])
def test_an_impossible_fraction_is_refused(session, fraction):
    with pytest.raises(DataError, match="test fraction"):
        hold_out(session, "velocity", fraction)


def test_predictions_stand_beside_the_truth(session):
    decoder = make_decoder("wiener", "velocity", options={"past_bins": 1})
    held_out = fit_and_evaluate(decoder, [session])["a"]
    assert held_out.predicted.shape == held_out.true.shape == (len(held_out.times_s), 2)
    assert held_out.scores.value > 0.99
    residual = held_out.true - held_out.predicted
    r2 = 1 - residual.var(axis=0) / held_out.true.var(axis=0)
    assert held_out.scores.value == pytest.approx(r2.mean(), abs=1e-2)


def test_a_one_dimensional_target_stays_one_dimensional(session):
    decoder = make_decoder("wiener", "speed", options={"past_bins": 1})
    assert fit_and_evaluate(decoder, [session])["a"].predicted.ndim == 1


def test_labels_are_compared_bin_by_bin(session):
    decoder = make_decoder("wiener", "side", options={"past_bins": 1})
    held_out = fit_and_evaluate(decoder, [session])["a"]
    assert set(held_out.true) == {"left", "right"}
    assert held_out.scores.value == pytest.approx(np.mean(held_out.true == held_out.predicted))


def test_without_a_test_fraction_everything_is_training(session):
    decoder = make_decoder("wiener", "velocity")
    assert fit_and_evaluate(decoder, [session], test_fraction=0) == {}
    assert evaluate(decoder, session).scores.value > 0.9


def test_a_table_of_predictions_has_a_column_per_dimension(session):
    decoder = make_decoder("wiener", "velocity").fit(session)
    table = prediction_table(decoder, session)
    assert list(table.columns) == ["time_s", "0", "1"]
    np.testing.assert_array_equal(table["0"], decoder.predict(session).values[:, 0])


def test_an_unknown_model_or_option_or_target_is_refused(session):
    with pytest.raises(DataError, match="wiener"):
        make_decoder("oracle", "velocity")
    with pytest.raises(DataError, match="past_bins"):
        make_decoder("wiener", "velocity", options={"colour": "red"})
    with pytest.raises(UnknownTarget, match="velocity"):
        fit_and_evaluate(make_decoder("wiener", "force"), [session])
