"""Reaching sessions: kinematics in closed form, spikes against the rates they came from."""

import numpy as np
import pytest

from neuroloom.errors import DataError
from neuroloom.sessions.session import Session
from neuroloom.simulation import populations
from neuroloom.simulation.populations import make_animal, simulate_cohort, simulate_reaching


def test_reaches_are_minimum_jerk():
    session = simulate_reaching(0, n_units=1, duration_s=30.0, rate_hz=1000.0)
    numeric = np.gradient(session.position_cm, session.times_s, axis=0)
    assert np.allclose(numeric, session.velocity_cm_s, atol=0.05)
    peak = np.linalg.norm(session.velocity_cm_s, axis=1).max()
    trials = session.trials
    way = np.hypot(trials["target_x"][0], trials["target_y"][0])
    assert way == pytest.approx(8.0)  # the first reach starts in the centre
    assert 1.5 * way / 2 < peak < 40


def test_the_hand_rests_before_a_reach_and_is_at_the_target_after_it():
    session = simulate_reaching(1, n_units=1, duration_s=60.0)
    for i in range(len(session.trials["start"])):
        waiting = (session.times_s >= session.trials["start"][i]) & (
            session.times_s < session.trials["onset"][i]
        )
        assert not session.velocity_cm_s[waiting].any()
        last = np.searchsorted(session.times_s, session.trials["end"][i]) - 1
        target = session.trials["target_x"][i], session.trials["target_y"][i]
        assert np.allclose(session.position_cm[last], target)


def test_units_fire_most_along_their_preferred_direction():
    session = simulate_reaching(0, task="random_target", n_units=20, duration_s=300.0)
    strong = np.argsort(session.units["direction_gain"])[-5:]
    for unit in strong:
        lead = session.units["lead_s"][unit]
        counts, _ = np.histogram(session.spike_times_s[unit] + lead, np.arange(0, 300.001, 0.02))
        rates = np.linalg.lstsq(session.velocity_cm_s, counts - counts.mean(), rcond=None)[0]
        found = np.arctan2(rates[1], rates[0])
        truth = session.units["preferred_direction_rad"][unit]
        assert abs(np.angle(np.exp(1j * (found - truth)))) < np.deg2rad(35)


@pytest.mark.parametrize("refractory_s", [0.0, 0.004])
def test_a_dead_time_leaves_the_rate_as_it_was(refractory_s):
    rate, duration = 40.0, 500.0
    wanted = np.full(round(duration / populations._STEP_S), rate / (1 - rate * refractory_s))
    spikes = populations._draw(wanted, duration, refractory_s, np.random.default_rng(0))
    assert len(spikes) / duration == pytest.approx(rate, rel=0.02)
    gaps = np.diff(spikes)
    assert gaps.min() >= refractory_s
    # A Poisson process has coefficient of variation 1; a dead time d lowers it to 1 - r d.
    assert gaps.std() / gaps.mean() == pytest.approx(1 - rate * refractory_s, abs=0.03)


def test_sessions_of_an_animal_share_habits_and_not_units():
    first, second = (simulate_reaching(2, session=number, n_units=8, duration_s=20.0) for number in (0, 1))
    assert first.subject == second.subject
    assert not np.allclose(first.units["preferred_direction_rad"], second.units["preferred_direction_rad"])
    assert make_animal(2) != make_animal(3)


def test_the_seed_decides_everything():
    first, again, other = (simulate_reaching(0, n_units=3, duration_s=20.0, seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first.spike_times_s, again.spike_times_s, strict=True))
    assert not np.array_equal(first.velocity_cm_s, other.velocity_cm_s)


def test_a_cohort_has_forty_sessions_of_six_animals_with_both_tasks():
    cohort = simulate_cohort(units_per_session=(2, 4), duration_s=10.0)
    assert len(cohort) == 40
    assert len({session.id for session in cohort}) == 40
    assert len({session.subject for session in cohort}) == 6
    assert {session.id.split("-")[2] for session in cohort} == {"center_out", "random_target"}
    assert {len(session.spike_times_s) for session in cohort} == {2, 3, 4}


def test_a_simulated_session_becomes_a_session():
    simulated = simulate_reaching(0, n_units=3, duration_s=20.0)
    session = Session.from_arrays(**simulated.as_session_arguments())
    assert set(session.behavior) == {"velocity", "position"}
    assert "direction" in session.trials.metadata_columns
    assert np.allclose(session.spikes.get_info("baseline_hz"), simulated.units["baseline_hz"])


@pytest.mark.parametrize("wrong", [{"task": "juggling"}, {"n_units": 0}, {"duration_s": 1.0}])
def test_impossible_sessions_are_refused(wrong):
    with pytest.raises(DataError):
        simulate_reaching(0, **wrong)
