"""The repeatable share of responses, against simulation and analysis of variance."""

import numpy as np
import pytest

from neuroloom.auditing.curve import audit
from neuroloom.auditing.noise_ceiling import explainable_variance, repeatability, stack_repeats
from neuroloom.errors import DataError


def test_it_finds_the_simulated_share_with_uneven_repeats():
    rng = np.random.default_rng(0)
    share = np.array([0.0, 0.2, 0.8])
    signal = np.sqrt(share)[None, :, None] * rng.normal(size=(3000, 3, 1))
    repeats = signal + np.sqrt(1 - share)[None, :, None] * rng.normal(size=(3000, 3, 6))
    repeats[np.arange(6)[None, None] >= rng.integers(1, 7, size=(3000, 1, 1)) + np.zeros((1, 3, 1))] = np.nan
    np.testing.assert_allclose(explainable_variance(repeats), share, atol=0.03)


def test_presentations_are_stacked_by_stimulus():
    responses = np.arange(10.0).reshape(5, 2)
    stacked = stack_repeats(responses, np.array([7, 3, 7, 7, 3]))
    np.testing.assert_array_equal(stacked[0, 0], [2, 8, np.nan])
    np.testing.assert_array_equal(stacked[1, 1], [1, 5, 7])


def test_an_audit_of_repeated_images_says_what_is_repeatable():
    rng = np.random.default_rng(0)
    images = rng.uniform(size=(30, 4, 4))
    brain = np.repeat(images.reshape(30, -1)[:, :5], 4, axis=0)
    brain = brain / brain.std(0) + rng.normal(size=brain.shape)
    curve = audit(brain, np.repeat(images, 4, axis=0), sizes=[2], n_draws=1, n_bootstrap=10)
    assert curve.facts["explainable_variance"] == pytest.approx(0.5, abs=0.12)
    once = audit(brain[::4], images, sizes=[2], n_draws=1, n_bootstrap=10)
    assert once.facts["explainable_variance"] is None


def test_without_repeats_there_is_no_ceiling():
    with pytest.raises(DataError, match="repeats of some"):
        explainable_variance(np.ones((5, 2, 1)))
    with pytest.raises(DataError, match=r"\(stimuli, units, repeats\)"):
        explainable_variance(np.ones((5, 2)))


@pytest.mark.shared_data
def test_macaque_v4_units_repeat_themselves_in_part(shared_data):
    repeats = np.load(shared_data / "v4_images" / "responses" / "210325_repeats.npy", allow_pickle=False)
    share = explainable_variance(repeats.transpose(1, 0, 2))
    assert 0.1 < np.median(share) < 0.8
    assert share.max() <= 1


def test_averaging_four_repeats_raises_the_ceiling_as_it_should():
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(4000, 1, 1))
    repeats = signal + rng.normal(size=(4000, 1, 4))
    found = repeatability(repeats, np.arange(4000.0)[:, None], np.arange(4000))
    correlation = np.corrcoef(repeats.mean(2)[:, 0], signal[:, 0, 0])[0, 1]
    assert found["explainable_variance"] == pytest.approx(0.5, abs=0.02)
    assert found["noise_ceiling"] == pytest.approx(correlation, abs=0.01)


def test_repeats_along_a_third_axis_are_averaged():
    rng = np.random.default_rng(0)
    images = rng.uniform(size=(40, 4, 4))
    brain = images.reshape(40, -1)[:, :5, None] / images.std() + rng.normal(size=(40, 5, 6))
    brain[:, :, 5] = np.nan
    options = {"sizes": [2], "n_draws": 1, "n_bootstrap": 10}
    curve = audit(brain, images, **options)
    assert curve.rows == audit(brain[..., :5].mean(2), images, **options).rows
    assert curve.facts["explainable_variance"] == pytest.approx(0.5, abs=0.12)
    assert curve.facts["noise_ceiling"] == pytest.approx(np.sqrt(5 / 6), abs=0.06)


def test_time_blocks_are_no_repeats():
    values = np.random.default_rng(0).normal(size=(40, 3))
    assert repeatability(values, values, np.arange(40) // 10)["noise_ceiling"] is None
