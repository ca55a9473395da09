from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

import neuroloom
from neuroloom.decoding.baselines import NDTDecoder, PopulationClassifier
from neuroloom.decoding.estimator import load_decoder
from neuroloom.errors import DataError, NotFitted, UnknownUnit
from neuroloom.sessions.splits import split_trials

SMALL: dict[str, Any] = {
    "width": 16,
    "depth": 1,
    "heads": 2,
    "dropout": 0.1,
    "steps": 150,
    "learning_rate": 0.01,
}
SMALL |= {"quiet": True, "device": "cpu"}


def parts(session):
    train, test = split_trials(session, (0.75, 0.25))
    return session.restrict(train), session.restrict(test)


def labelled(n_trials, *, seed=0):
    """Return trials of 3 individuals; the label is which of them moves."""
    random = np.random.default_rng(seed)
    label = np.arange(n_trials) % 3
    loudness = np.where(label[:, None] == np.arange(3), 3.0, 0.3)
    return random.normal(size=(n_trials, 3, 4, 2)) * loudness[..., None, None], label


def test_a_transformer_over_time_decodes_many_sessions_and_is_adapted(tuned_session, tmp_path):
    sessions = [tuned_session(id="a", n_units=5), tuned_session(id="b", n_units=9, seed=5)]
    decoder = NDTDecoder("direction", window_s=0.3, **SMALL).fit(sessions)
    assert all(decoder.score(session) > 0.85 for session in sessions)
    train, test = parts(tuned_session(id="c", n_units=12, seed=9, n_trials=80))
    with pytest.raises(UnknownUnit, match="adapt"):
        decoder.predict(train)
    assert decoder.adapt(train).score(test) > 0.8
    loaded = load_decoder(decoder.save(tmp_path / "decoder"))
    assert isinstance(loaded, NDTDecoder)
    for session in (*sessions, test):
        np.testing.assert_array_equal(loaded.predict(session).values, decoder.predict(session).values)


def test_it_decodes_a_behaviour(linear_session):
    session = linear_session()
    decoder = NDTDecoder("velocity", bin_s=0.05, window_s=0.2, **{**SMALL, "steps": 400})
    decoder.fit(session.restrict((0, 22)))
    assert decoder.score(session.restrict((22, 30))) > 0.5
    assert neuroloom.NDTDecoder is NDTDecoder


@pytest.mark.parametrize("kind", ["ndt", "gru", "logistic"])
def test_trials_are_told_apart_by_the_whole_population(kind: Any):
    x, label = labelled(120)
    if kind == "logistic":
        x = x**2  # which a line can tell
    fitted = PopulationClassifier(kind, **SMALL).fit(x[:90], label[:90], groups=np.arange(90) // 2)
    assert fitted.score(x[90:], label[90:]) > 0.85
    copy = clone(fitted)
    assert isinstance(copy, PopulationClassifier)
    assert copy.kind == kind


def test_what_a_population_cannot_be_is_refused():
    x, label = labelled(12)
    with pytest.raises(NotFitted, match="call fit first"):
        PopulationClassifier().predict(x)
    with pytest.raises(DataError, match="'bert'.*ndt"):
        PopulationClassifier("bert").fit(x, label)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="one per trial"):
        PopulationClassifier().fit(x, label[:5])
    with pytest.raises(DataError, match="two classes"):
        PopulationClassifier().fit(x, np.zeros(12))
    with pytest.raises(DataError, match="2 to 3 individuals"):
        PopulationClassifier().fit([x[0], x[1][:2]], [0, 1])
    fitted = PopulationClassifier(**{**SMALL, "steps": 1}).fit(x, label)
    with pytest.raises(DataError, match="4 and 6"):
        fitted.predict(x[:, :2])
