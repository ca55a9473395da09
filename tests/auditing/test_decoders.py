"""The audit of a decoder, on a population whose dimension is known."""

import numpy as np
import pynapple as nap
import pytest

from neuroloom.auditing.decoders import audit_decoder, audit_session
from neuroloom.auditing.virtual_units import LEVELS, PopulationBottleneck, as_virtual_units
from neuroloom.decoding.eit_decoder import EITDecoder
from neuroloom.decoding.gru import GRUDecoder
from neuroloom.decoding.poyo_decoder import PoyoDecoder
from neuroloom.decoding.wiener import WienerDecoder
from neuroloom.errors import DataError, UnknownTarget
from neuroloom.sessions.session import Session
from neuroloom.sessions.windows import bin_session


@pytest.fixture(scope="module")
def population():
    """Thirty units that follow a two-dimensional velocity, 2,000 bins of 50 ms, and 40 trials of 2.5 s."""
    rng = np.random.default_rng(0)
    kernel = np.exp(-np.arange(20) / 5)
    velocity = np.stack([np.convolve(rng.normal(size=2000), kernel, "same") for _ in range(2)], axis=1)
    velocity /= velocity.std(0)
    rates = np.exp(0.5 + 0.35 * velocity @ rng.normal(size=(2, 30)))
    side = np.repeat(["left", "right"], 20)[rng.permutation(40)]
    rates *= 1 + 0.8 * (np.repeat(side == "left", 50)[:, None] & (np.arange(30) < 8))
    return Session.from_counts(
        rng.poisson(rates),
        bin_size_s=0.05,
        id="reach",
        behavior={"velocity": velocity},
        trial_lengths=np.full(40, 50),
        trial_labels={"side": side},
    )


def test_two_dimensions_carry_a_two_dimensional_velocity(population):
    curve = audit_session(population, "velocity", sizes=[1, 2, 5], past_bins=3)
    brain = {row.size: row.score for row in curve.curve("brain", "r2")}
    assert list(brain) == [1, 2, 5, 30]
    assert brain[1] < 0.6 * brain[2]
    assert brain[2] > 0.85 * brain[30]
    for arm in ("random", "shuffled", "mean"):
        assert all(row.score < 0.1 for row in curve.curve(arm, "r2"))
    assert curve.score("ceiling", "r2") > 0.95


def test_at_full_size_the_decoder_is_the_untouched_one(population):
    curve = audit_session(population, "velocity", sizes=[2], past_bins=3)
    from neuroloom.sessions.splits import split_time

    train, test = split_time(population, (0.8, 0.2), gap_s=1.0)
    decoder = WienerDecoder("velocity", past_bins=3).fit(population.restrict(train))
    assert curve.score("brain", "r2") == pytest.approx(decoder.score(population.restrict(test)))


def test_a_trial_label_is_audited_by_accuracy(population):
    curve = audit_decoder(lambda: WienerDecoder("side", past_bins=3), population, [2], n_draws=1)
    assert curve.metrics == ["accuracy"]
    assert curve.score("brain", "accuracy", size=2) > 0.7
    assert curve.score("ceiling", "accuracy") > 0.95
    assert curve.score("random", "accuracy", size=2) < 0.7


def test_sessions_are_squeezed_one_by_one(population):
    other = Session(
        id="second",
        subject="unknown",
        spikes=population.spikes[[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
        behavior=population.behavior,
        trials=population.trials,
        time_support=population.time_support,
    )
    curve = audit_decoder(
        lambda: WienerDecoder("velocity", past_bins=2), [population, other], [2], n_draws=1, n_bootstrap=20
    )
    assert curve.facts["n_sessions"] == 2
    assert curve.facts["n_units"] == 30
    assert curve.score("brain", "r2", size=2) > 0.5


def test_virtual_units_hold_the_code_to_a_fraction_of_its_spread(population):
    rng = np.random.default_rng(0)
    code = rng.normal(size=(2000, 3))
    squeezed = as_virtual_units(population, code, bin_s=0.05)
    counts, _ = bin_session(squeezed, 0.05)
    back = (counts / LEVELS - 0.5) * 8
    assert np.abs(back - code.clip(-4, 4)).max() <= 8 / LEVELS / 2 + 1e-9
    assert isinstance(squeezed.spikes, nap.TsGroup)
    assert squeezed.behavior is not None
    assert squeezed.trials is not None


def test_the_full_bottleneck_loses_nothing():
    rng = np.random.default_rng(0)
    counts = rng.poisson(2, size=(200, 6)).astype(float)
    counts[:, 2] = 0  # a silent unit
    fitted = PopulationBottleneck.fit(counts, counts[:, :2], groups=np.arange(200) // 20, seed=0)
    np.testing.assert_allclose(fitted.directions.T @ fitted.directions, np.eye(6), atol=1e-10)
    code = fitted.encode(counts, size=6)
    back = (code * fitted.spread) @ fitted.directions.T
    np.testing.assert_allclose(back, fitted.scaling.apply(counts), atol=1e-9)


def test_what_cannot_be_audited_is_refused(population):
    with pytest.raises(UnknownTarget):
        audit_session(population, "speed")
    with pytest.raises(DataError, match="from 1 to 30"):
        audit_session(population, "velocity", sizes=[31])


# Few steps: whether each runs through every arm, not how good it becomes.
TRAINED = {
    "gru": lambda: GRUDecoder("velocity", hidden=16, width=8, steps=60, quiet=True),
    "poyo": lambda: PoyoDecoder("velocity", config="small", bin_s=0.05, steps=2, batch_size=4, quiet=True),
    "eit": lambda: EITDecoder("velocity", bin_s=0.05, steps=4, batch_size=4, quiet=True),
    "eit of a label": lambda: EITDecoder("side", bin_s=0.05, steps=4, batch_size=4, quiet=True),
}


@pytest.mark.parametrize("kind", list(TRAINED))
def test_trained_decoders_of_counts_and_of_spikes_are_audited_alike(population, kind):
    short = population.restrict((0, 40))
    curve = audit_decoder(TRAINED[kind], short, [2], n_draws=1, n_bootstrap=10)
    assert {(row.arm, row.size) for row in curve.rows} == {
        ("brain", 2),
        ("brain", 30),
        ("random", 2),
        ("random", 30),
        ("shuffled", 2),
        ("shuffled", 30),
        ("mean", 0),
        ("ceiling", 0),
    }
    assert all(np.isfinite(row.score) for row in curve.rows)
    if kind == "gru":
        assert curve.score("ceiling", "r2") > 0.4
        assert curve.score("random", "r2") < 0.2


def test_a_decoder_that_depends_on_its_seed_is_trained_from_several(population):
    short = population.restrict((0, 20))

    def recurrent(seed=0):
        return GRUDecoder("velocity", hidden=4, width=4, steps=3, quiet=True, seed=seed)

    def linear(seed=0):
        return WienerDecoder("velocity", past_bins=2, seed=seed)

    seeds = [
        audit_decoder(factory, short, [1], n_draws=2, n_bootstrap=5).facts["n_seeds"]
        for factory in (recurrent, lambda: recurrent(), linear)
    ]
    assert seeds == [2, 1, 1]
