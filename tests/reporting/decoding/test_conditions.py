"""Errors by condition: those that were put in, in the conditions where they were put."""

import numpy as np
import pandas as pd
import pynapple as nap
import pytest

from neuroloom.reporting.decoding.conditions import errors_by_condition
from neuroloom.reporting.sections import decoding_section


def trials(**labels):
    n = len(next(iter(labels.values())))
    frame = pd.DataFrame({"start": np.arange(n) * 1.0, "end": np.arange(n) + 0.9, **labels})
    return nap.IntervalSet(frame[["start", "end"]].to_numpy(), metadata=frame[[*labels]])


@pytest.fixture
def reaches():
    """Forty trials of ten samples; the decoder is off by 3 to the right and by 1 to the left."""
    side = np.array(["left", "right"] * 20)
    times_s = np.concatenate([start + np.linspace(0.05, 0.85, 10) for start in range(40)])
    of_sample = np.repeat(side, 10)
    angle = np.linspace(0, 40 * np.pi, 400)
    true = 10 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    off = np.where(of_sample == "right", 3.0, 1.0)
    predicted = true + np.stack([off, np.zeros(400)], axis=1)
    return predicted, true, times_s, trials(side=side)


def by_name(grouping):
    return {condition.name: condition for condition in grouping.conditions}


def test_errors_by_trial_label_are_those_put_in(reaches):
    predicted, true, times_s, of_trials = reaches
    (grouping,) = errors_by_condition(predicted, true, times_s, target="velocity", trials=of_trials)
    found = by_name(grouping)
    assert grouping.name == "side"
    assert found["left"].error == pytest.approx(1.0)
    assert found["right"].error == pytest.approx(3.0)
    assert grouping.worst.name == "right"
    assert found["left"].n_blocks == 20
    assert found["left"].low <= 1.0 <= found["left"].high


def test_a_guess_of_the_mean_is_off_by_the_spread_of_the_truth(reaches):
    predicted, true, times_s, of_trials = reaches
    (grouping,) = errors_by_condition(predicted, true, times_s, target="velocity", trials=of_trials)
    assert all(condition.guess == pytest.approx(10.0, rel=0.05) for condition in grouping.conditions)


def test_samples_between_trials_belong_to_none(reaches):
    predicted, true, times_s, of_trials = reaches
    wrong = predicted.copy()
    wrong[0] += 1000
    moved = times_s.copy()
    moved[0] = 0.95
    (grouping,) = errors_by_condition(wrong, true, moved, target="velocity", trials=of_trials)
    assert by_name(grouping)["left"].error == pytest.approx(1.0)


def test_without_trials_direction_and_size_of_the_truth_are_cut_into_eight(reaches):
    predicted, true, times_s, _ = reaches
    growing = np.linspace(0.5, 1, 400)[:, None]
    direction, size = errors_by_condition(predicted, true * growing, times_s, target="velocity")
    assert [condition.name for condition in direction.conditions] == [f"{45 * n}°" for n in range(8)]
    assert size.name == "size of velocity"
    assert len(size.conditions) == 8
    counts = [condition.n_samples for condition in size.conditions]
    assert max(counts) - min(counts) <= 2


def test_trials_without_labels_are_what_intervals_are_over(reaches):
    predicted, true, times_s, _ = reaches
    bare = nap.IntervalSet(np.arange(40) * 1.0, np.arange(40) + 0.9)
    direction, *_ = errors_by_condition(predicted, true, times_s, target="velocity", trials=bare)
    assert direction.blocks == "trials"


def test_a_label_of_many_numbers_is_cut_into_eighths(reaches):
    predicted, true, times_s, _ = reaches
    of_trials = trials(load=np.arange(40) * 1.0)
    (grouping,) = errors_by_condition(predicted, true, times_s, target="velocity", trials=of_trials)
    assert grouping.name == "load (eighths)"
    assert len(grouping.conditions) == 8


def test_labels_that_tell_nothing_apart_are_passed_over(reaches):
    predicted, true, times_s, _ = reaches
    of_trials = trials(monkey=["C"] * 40, name=[f"trial {n}" for n in range(40)])
    names = [
        each.name
        for each in errors_by_condition(predicted, true, times_s, target="velocity", trials=of_trials)
    ]
    assert names == ["direction of velocity"]


def test_few_trials_have_no_interval(reaches):
    predicted, true, times_s, _ = reaches
    of_trials = trials(side=["left", "left", *["right"] * 38])
    (grouping,) = errors_by_condition(predicted, true, times_s, target="velocity", trials=of_trials)
    assert np.isnan(by_name(grouping)["left"].low)
    assert np.isfinite(by_name(grouping)["right"].low)


def test_unknown_samples_and_labels_are_left_out(reaches):
    predicted, true, times_s, _ = reaches
    true = true.copy()
    true[:10] = np.nan
    of_trials = trials(load=[np.nan, np.nan, *[1.0, 2.0] * 19])
    (grouping,) = errors_by_condition(predicted, true, times_s, target="velocity", trials=of_trials)
    assert [condition.name for condition in grouping.conditions] == ["1", "2"]


def test_wrong_labels_are_counted_by_label():
    true = np.array(["a", "b"] * 20)
    predicted = np.where(np.arange(40) % 4 == 1, "a", true)
    times_s = np.arange(40) + 0.5
    (grouping,) = errors_by_condition(predicted, true, times_s, target="side", trials=trials(side=true))
    found = by_name(grouping)
    assert grouping.measure == "share wrong"
    assert (found["a"].error, found["b"].error) == (0.0, 0.5)
    assert (found["a"].guess, found["b"].guess) == (0.0, 1.0)


def test_nothing_known_is_no_error():
    nothing = np.full((5, 2), np.nan)
    assert errors_by_condition(nothing, nothing, np.arange(5.0), target="velocity") == []


def test_a_constant_truth_has_no_conditions():
    still = np.zeros((50, 1))
    assert errors_by_condition(still, still, np.arange(50.0), target="grip") == []


def test_the_section_draws_the_errors_and_names_the_worst(reaches):
    predicted, true, times_s, of_trials = reaches
    section = decoding_section(
        predicted, true, target="velocity", model="Wiener filter", metric="R²", score=0.9,
        trials=of_trials, times_s=times_s,
    )  # fmt: skip
    figure = next(block for block in section.blocks if getattr(block, "title", "") == "Error by side")
    assert "left 1" in figure.alt
    assert "right 3" in figure.alt
    assert "Worst: right (3)" in figure.caption
