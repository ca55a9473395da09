import numpy as np
import pytest

from neuroloom import artifacts
from neuroloom.errors import DataError
from neuroloom.simulation import many_body
from neuroloom.simulation.many_body import (
    ManyBody,
    energy,
    simulate_many_body,
    simulate_trial,
    three_body,
    two_body,
)

SPRINGS = ManyBody(systems=(5,), law="springs", n_steps=40)
CHARGES = ManyBody(systems=(4, 2), law="charges", charges=(-1.0, 0.0, 1.0), softening=0.1)


def drift(config, trials):
    """Return the largest change of energy of each trial, beside its kinetic energy at most."""
    total = energy(config, trials)
    moving = (trials.masses[..., None] * (trials.velocities**2).sum(axis=-1)).sum(axis=1) / 2
    return np.abs(total - total[:, :1]).max(axis=1) / moving.max(axis=1)


@pytest.mark.parametrize(
    "config", [two_body(), three_body(), SPRINGS, CHARGES], ids=["pairs", "triples", "springs", "charges"]
)
def test_energy_is_kept(config):
    trials = simulate_many_body(config, 10, seed=1)
    assert drift(config, trials).max() < 1e-6


def test_two_unit_masses_go_around_a_circle_in_the_time_that_kepler_says():
    config = ManyBody(systems=(2,), velocity_noise=0.0, duration=40.0, n_steps=4001)
    trial = simulate_trial(config, 0)
    radius = np.linalg.norm(trial["positions"], axis=-1)  # (bodies, steps)
    np.testing.assert_allclose(radius, radius[0, 0], rtol=1e-6)
    # Separation 2 r, total mass 2: period 2 pi sqrt((2 r)³ / 2).
    period = 2 * np.pi * np.sqrt((2 * radius[0, 0]) ** 3 / 2)
    angle = np.unwrap(np.arctan2(trial["positions"][0, :, 1], trial["positions"][0, :, 0]))
    assert angle[-1] - angle[0] == pytest.approx(2 * np.pi * 40.0 / period, rel=1e-6)


def test_a_spring_between_two_bodies_swings_as_the_harmonic_oscillator():
    config = ManyBody(systems=(2,), law="springs", connected=1.0, strength=3.0)
    trial = simulate_trial(config, 0)
    apart = trial["positions"][0] - trial["positions"][1]
    speed = trial["velocities"][0] - trial["velocities"][1]
    times = np.linspace(0, config.duration, config.n_steps)[:, None]
    omega = np.sqrt(2 * 3.0)
    np.testing.assert_allclose(
        apart, apart[0] * np.cos(omega * times) + speed[0] / omega * np.sin(omega * times), atol=1e-6
    )


def test_forces_are_the_slope_of_the_potential():
    random = np.random.default_rng(0)
    for config in (two_body(), SPRINGS, CHARGES):
        n = config.n_bodies
        couplings = simulate_trial(config, 3)["couplings"]
        positions = random.normal(size=(n, 2))
        slope = np.empty((n, 2))
        for place in np.ndindex(n, 2):
            step = np.zeros((n, 2))
            step[place] = 1e-6
            up, down = (config.potential(positions + sign * step, couplings) for sign in (1, -1))
            slope[place] = (up - down) / 2e-6
        np.testing.assert_allclose(config.forces(positions, couplings), -slope, rtol=1e-5, atol=1e-7)


def test_systems_do_not_feel_each_other():
    trials = simulate_many_body(two_body(), 4)
    # Momentum is kept by each system for itself.
    momentum = (trials.masses[..., None, None] * trials.velocities)[:, :2].sum(axis=1)
    np.testing.assert_allclose(momentum, np.broadcast_to(momentum[:, :1], momentum.shape), atol=1e-7)


def test_the_true_graph_is_symmetric_within_systems_and_follows_the_law():
    gravity = simulate_many_body(two_body(), 2).interactions
    pairs = np.kron(np.eye(2), np.ones((2, 2))).astype(bool) & ~np.eye(4, dtype=bool)
    assert (gravity == pairs).all()
    springs = simulate_many_body(SPRINGS, 20).interactions
    assert (springs == springs.swapaxes(1, 2)).all()
    assert not springs[:, np.arange(5), np.arange(5)].any()
    assert 0.3 < springs.sum() / (20 * 20) < 0.7
    charges = simulate_many_body(CHARGES, 20)
    assert not charges.interactions[:, :4, 4:].any()
    assert 0 < charges.interactions[:, :4, :4].sum() < 20 * 12


def test_masses_have_the_range_of_their_role():
    trials = simulate_many_body(two_body(), 50)
    light, heavy = trials.masses[:, [0, 2]], trials.masses[:, [1, 3]]
    assert light.min() >= 0.8
    assert light.max() <= 1.2 <= heavy.min()
    assert heavy.max() <= 1.6


@pytest.mark.parametrize("n", [1, 2, 7])
def test_any_number_of_bodies_moves(n):
    trial = simulate_trial(ManyBody(systems=(n,), n_steps=5, duration=1.0, softening=0.05), 0)
    assert trial["positions"].shape == (n, 5, 2)
    assert np.isfinite(trial["positions"]).all()


def test_a_trial_depends_on_seed_and_number_alone():
    few, many = simulate_many_body(two_body(), 2, seed=3), simulate_many_body(two_body(), 5, seed=3)
    np.testing.assert_array_equal(few.positions, many.positions[:2])
    assert not np.array_equal(few.positions, simulate_many_body(two_body(), 2, seed=4).positions)


def test_trials_are_simulated_once_and_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(many_body, "PIECE", 3)
    config = two_body(n_steps=5, duration=1.0)
    first = simulate_many_body(config, 4, cache=tmp_path)
    folders = sorted(tmp_path.iterdir())
    assert len(folders) == 2
    monkeypatch.setattr(many_body, "simulate_trial", None)
    again = simulate_many_body(config, 6, cache=tmp_path)
    np.testing.assert_array_equal(again.positions[:4], first.positions)
    np.testing.assert_array_equal(again.trial, np.arange(6))


def test_a_damaged_cache_is_simulated_again(tmp_path, monkeypatch):
    monkeypatch.setattr(many_body, "PIECE", 3)
    config = two_body(n_steps=5, duration=1.0)
    first = simulate_many_body(config, 3, cache=tmp_path)
    (folder,) = tmp_path.iterdir()
    (folder / artifacts.ARRAYS).write_bytes(b"short")
    np.testing.assert_array_equal(simulate_many_body(config, 3, cache=tmp_path).positions, first.positions)
    artifacts.verify(folder)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"systems": ()}, "systems"),
        ({"systems": (2, 0)}, "systems"),
        ({"law": "magnets"}, "gravity, springs, charges"),
        ({"masses": ((0.0, 1.0),)}, "masses"),
        ({"radius": (1.5, 0.5)}, "radius"),
        ({"n_steps": 1}, "n_steps"),
        ({"velocity_noise": float("nan")}, "velocity_noise"),
    ],
)
def test_impossible_systems_are_refused_by_name(changes, named):
    with pytest.raises(DataError, match=named):
        ManyBody(**changes)


def test_no_trials_are_refused():
    with pytest.raises(DataError, match="0 trials"):
        simulate_many_body(two_body(), 0)
