"""Accuracy over the trial, and attention by group or beside the true interactions."""

import numpy as np
import pytest

from neuroloom.errors import DataError
from neuroloom.reporting.page import Figure, Note
from neuroloom.reporting.sections import attention_section

GRAPH = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=bool)


def test_accuracy_over_the_trial_says_its_best_and_its_last_bin():
    (figure,) = attention_section(
        times_s=np.array([0.05, 0.15, 0.25]), accuracy=np.array([0.4, 0.9, 0.7]), chance=0.125
    ).blocks
    assert isinstance(figure, Figure)
    assert "0.90 at 0.15 s; 0.70 at 0.25 s" in figure.alt
    assert "chance" in figure.svg


def test_attention_between_groups_is_relative_to_an_even_spread():
    weights = np.array([[0.1, 0.1, 0.8], [0.1, 0.1, 0.8], [1 / 3, 1 / 3, 1 / 3]])
    (figure,) = attention_section(weights=weights, groups=["MOs", "MOs", "VISp"]).blocks
    assert isinstance(figure, Figure)
    assert "MOs to VISp 2.4" in figure.alt
    assert "1 is 2.4 times that" in figure.caption
    assert "MOs (2)" in figure.svg


def test_many_groups_are_shown_as_others():
    groups = [f"area {number // 2}" for number in range(40)]
    (figure,) = attention_section(weights=np.full((40, 40), 1 / 40), groups=groups).blocks
    assert isinstance(figure, Figure)
    assert "others" in figure.svg


def test_attention_is_shown_beside_the_true_interactions():
    weights = np.full((1, 2, 3, 3), 1 / 3)
    weights[0, 1] = GRAPH
    shown = attention_section(
        trial_weights=[weights], graphs=[GRAPH], areas=np.array([[0.5, 1.0]]), chosen=(0, 1)
    )
    by_head, found, truth = (each for each in shown.blocks if isinstance(each, Figure))
    assert "area under the ROC curve of 1.00" in shown.lead
    assert "head 2 * 1.00" in by_head.alt
    assert "1 with 2 (1.00)" in found.alt
    assert truth.title == "Interactions in that trial"


def test_what_cannot_be_drawn_is_said_or_refused():
    assert isinstance(attention_section().blocks[0], Note)
    wide = np.zeros((1, 1, 30, 30))
    (note,) = attention_section(trial_weights=[wide], graphs=[wide[0, 0]]).blocks
    assert isinstance(note, Note)
    with pytest.raises(DataError, match="1 groups of 3"):
        attention_section(weights=np.ones((3, 3)), groups=["a"])
