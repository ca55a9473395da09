"""Faults in sessions given to the audit of a decoder."""

import numpy as np
import pytest

from neuroloom.auditing.decoders import audit_session
from neuroloom.errors import DataError
from neuroloom.sessions.session import Session


def session(n_units, *, n_bins=400, silent=False, constant=False):
    rng = np.random.default_rng(0)
    speed = np.ones(n_bins) if constant else np.sin(np.arange(n_bins) / 9)
    rates = np.exp(np.outer(speed, np.ones(n_units)))
    counts = np.zeros((n_bins, n_units), dtype=int) if silent else rng.poisson(rates)
    return Session.from_counts(counts, bin_size_s=0.05, id="s", behavior={"speed": speed})


def test_a_session_without_units_is_refused():
    with pytest.raises(DataError, match="no units"):
        audit_session(session(0), "speed")


def test_one_unit_is_audited():
    curve = audit_session(session(1), "speed", past_bins=3)
    assert [row.size for row in curve.curve("brain", "r2")] == [1]
    assert curve.score("brain", "r2") > 0.2


def test_silent_units_score_nothing_and_do_not_crash():
    curve = audit_session(session(3, silent=True), "speed", past_bins=2)
    assert curve.score("brain", "r2") <= 0.05


def test_a_constant_behaviour_is_undefined_never_a_number():
    curve = audit_session(session(3, constant=True), "speed", sizes=[2], past_bins=2)
    assert np.isnan(curve.score("brain", "r2"))
    assert curve.summary().size_50.isna().all()


def test_a_session_too_short_to_split_is_refused():
    with pytest.raises(DataError):
        audit_session(session(3, n_bins=15), "speed")
