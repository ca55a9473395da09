"""Simulated sessions whose behaviour is a known function of the counts."""

import numpy as np
import pytest

from neuroloom.sessions.session import Session


def _counts(n_bins, n_units, seed):
    return np.random.default_rng(seed).poisson(2.0, size=(n_bins, n_units))


@pytest.fixture
def linear_session():
    """Return a maker of sessions whose two-dimensional velocity is linear in this and the last bin."""

    def make(*, id="a", n_bins=600, n_units=6, seed=0, noise=0.3, bin_s=0.05, columns=True):
        import pynapple as nap

        rng = np.random.default_rng(seed + 1)
        counts = _counts(n_bins, n_units, seed)
        now, before = rng.normal(size=(2, n_units, 2))
        velocity = counts @ now + np.vstack([np.zeros((1, n_units)), counts[:-1]]) @ before
        velocity = velocity + noise * rng.normal(size=velocity.shape)
        session = Session.from_counts(counts, bin_size_s=bin_s, id=id, behavior={"velocity": velocity})
        if not columns:
            return session
        frame = session.behavior["velocity"]
        named = nap.TsdFrame(frame.t, frame.values, columns=["x", "y"], time_support=session.time_support)
        return Session.from_arrays(
            id=id,
            spike_times_s={key: session.spikes[key].t for key in session.spikes.index},
            behavior={"velocity": named, "speed": (frame.t, np.linalg.norm(velocity, axis=1))},
            time_support=session.time_support,
        )

    return make


@pytest.fixture
def tuned_session():
    """Return a maker of sessions of trials in which each unit prefers one direction."""

    def make(*, id="a", n_trials=60, n_units=8, seed=0, labels=("left", "right", "up"), gain=3.0):
        rng = np.random.default_rng(seed)
        lengths = rng.integers(3, 8, size=n_trials)
        direction = rng.integers(len(labels), size=n_trials)
        direction[: len(labels)] = np.arange(len(labels))
        preferred = np.arange(n_units) % len(labels)
        rate = 0.5 + gain * (np.repeat(direction, lengths)[:, None] == preferred)
        return Session.from_counts(
            rng.poisson(rate),
            bin_size_s=0.1,
            id=id,
            trial_lengths=lengths,
            trial_labels={"direction": np.array(labels)[direction]},
        )

    return make
