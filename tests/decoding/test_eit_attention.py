import numpy as np
import pytest

from neuroloom.decoding.eit_attention import best_head, interaction_auc
from neuroloom.decoding.eit_estimators import EITClassifier
from neuroloom.errors import DataError


def graph(n):
    """Return the graph in which individuals 0 and 1 interact."""
    tied = np.zeros((n, n), dtype=bool)
    tied[0, 1] = tied[1, 0] = True
    return tied


def test_attention_that_follows_the_graph_scores_one_and_its_opposite_zero():
    tied = graph(4)
    follows, avoids = tied * 0.7 + 0.1, ~tied * 0.3
    np.testing.assert_allclose(interaction_auc([np.stack([follows, avoids])], [tied]), [1, 0])
    assert interaction_auc([np.full((4, 4), 0.25)], [tied]) == 0.5


def test_the_area_is_that_of_a_reference():
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng(0)
    weights = [random.random((n, n)).round(1) for n in (3, 5, 4)]  # with ties
    graphs = [graph(len(each)) for each in weights]
    pairs = [np.triu_indices(len(each), 1) for each in weights]
    scores = np.concatenate([(w + w.T)[pair] for w, pair in zip(weights, pairs, strict=True)])
    truth = np.concatenate([g[pair] for g, pair in zip(graphs, pairs, strict=True)])
    assert interaction_auc(weights, graphs) == pytest.approx(roc_auc_score(truth, scores))


def test_the_best_head_is_found():
    tied = graph(4)
    weights = np.full((2, 3, 4, 4), 0.25)
    weights[1, 2] = tied
    assert best_head([weights], [tied]) == (1, 2)


def test_pairs_that_are_all_alike_are_refused():
    with pytest.raises(DataError, match="0 pairs that interact and 3"):
        interaction_auc([np.ones((3, 3))], [np.zeros((3, 3), dtype=bool)])


@pytest.mark.slow
def test_attention_of_an_order_classifier_recovers_pairs_of_bodies():
    from neuroloom.simulation.many_body import simulate_many_body, two_body

    trials = simulate_many_body(two_body(), 120)
    learn, test = trials[:90].crop(10).in_orders(), trials[90:].crop(10, seed=1).in_orders()
    config = {"individual_depth": 1, "interaction_depth": 1, "interaction_dropout": 0.0}
    fitted = EITClassifier("concatenated", identity=True, config=config, steps=2500, device="cpu", quiet=True)
    fitted.fit(learn.positions, learn.labels("connection"), groups=learn.trial)
    weights = np.asarray(fitted.attention(test.positions)).mean(axis=(1, 2))
    assert interaction_auc(list(weights), list(test.interactions)) > 0.85
