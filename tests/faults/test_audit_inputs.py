"""Faults in what is given to an audit: each is refused with a remedy, or handled and reported."""

import numpy as np
import pytest

from neuroloom.auditing.curve import audit
from neuroloom.auditing.generators import PCA
from neuroloom.errors import DataError, LeakySplit


@pytest.fixture
def brain():
    return np.random.default_rng(0).normal(size=(40, 6))


@pytest.fixture
def targets(brain):
    return brain[:, :2] + 0.1


def quick(*args, **options):
    return audit(*args, **{"n_bootstrap": 10, "n_draws": 1, **options})


def test_repeated_stimuli_on_both_sides_are_refused(brain, targets):
    groups = np.arange(40) // 4
    with pytest.raises(LeakySplit, match="2 groups"):
        quick(brain, targets, groups=groups, test=[0, 1, 2, 39])


def test_groups_that_part_equal_images_or_texts_are_refused(brain):
    images = np.repeat(np.random.default_rng(0).uniform(size=(20, 4, 4)), 2, axis=0)
    with pytest.raises(LeakySplit, match=r"20 stimuli \(rows 1, 3, .*equal one of another group"):
        quick(brain, images, groups=np.arange(40))
    with pytest.raises(LeakySplit, match="leave groups out"):
        quick(brain, images, groups=np.arange(40), test=[0, 2, 4])
    assert quick(brain, images, groups=np.arange(40) // 4, sizes=[1]).facts["n_groups"] == 10


def test_equal_targets_of_different_groups_are_reported(brain, targets):
    curve = quick(brain, np.repeat(targets[:20], 2, axis=0), groups=np.arange(40), sizes=[1])
    assert "20 targets" in curve.findings[0].what
    assert not quick(brain, targets, groups=np.arange(40), sizes=[1]).findings


def test_repeated_targets_without_groups_are_refused_not_guessed(brain, targets):
    with pytest.raises(DataError, match="groups"):
        quick(brain, np.repeat(targets[:20], 2, axis=0))


def test_wrong_shapes_are_refused(brain, targets):
    with pytest.raises(DataError, match=r"\(stimuli, units\)"):
        quick(brain[:, 0], targets)
    with pytest.raises(DataError, match="one stimulus per response"):
        quick(brain, targets[:-1])
    with pytest.raises(DataError, match="one id per stimulus"):
        quick(brain, targets, groups=np.arange(39))


def test_fewer_stimuli_than_folds_are_refused(brain, targets):
    with pytest.raises(DataError, match="between 2 and 40 folds"):
        quick(brain, targets, n_folds=41)
    with pytest.raises(DataError, match="between 2 and 3 folds"):
        quick(brain, targets, groups=np.arange(40) % 3, n_folds=5)


def test_a_single_stimulus_is_refused(brain, targets):
    with pytest.raises(DataError, match="single stimulus"):
        quick(brain[:1], targets[:1])
    with pytest.raises(DataError, match="one group"):
        quick(brain, targets, groups=np.zeros(40))


def test_constant_units_are_reported_and_constant_brains_refused(brain, targets):
    brain[:, 5] = 1.0
    assert "never vary" in quick(brain, targets).findings[0].what
    with pytest.raises(DataError, match="alike"):
        quick(np.ones((40, 3)), targets)


def test_nan_voxels_are_left_out_and_reported(brain, targets):
    clean = quick(brain[:, :5], targets, sizes=[1, 2])
    brain[3, 5] = np.nan
    curve = quick(brain, targets, sizes=[1, 2])
    assert "units 5" in curve.findings[0].where
    assert curve.rows == clean.rows
    with pytest.raises(DataError, match="every unit"):
        quick(np.full((40, 2), np.nan), targets)


def test_nan_targets_are_refused_with_their_rows(brain, targets):
    targets[7, 0] = np.nan
    with pytest.raises(DataError, match="rows 7"):
        quick(brain, targets)


def test_sizes_above_the_rank_repeat_it_and_say_so(brain, targets):
    curve = quick(brain, targets, sizes=[2, 5])
    assert "rank" in curve.findings[0].what
    assert curve.score("brain", "r2", size=5) == curve.score("brain", "r2", size=2)


@pytest.mark.parametrize("sizes", [[0], [7], [1.5], []])
def test_sizes_that_are_no_sizes_are_refused(brain, targets, sizes):
    with pytest.raises(DataError, match="from 1 to 6"):
        quick(brain, targets, sizes=sizes)


def test_a_generator_that_returns_nan_is_refused(brain):
    class Broken(PCA):
        def decode(self, latents):
            return super().decode(latents) * np.nan

    images, others = np.random.default_rng(0).uniform(size=(2, 40, 4, 4))
    with pytest.raises(DataError, match="Broken.decode returned"):
        quick(brain, images, generator=Broken(n_latents=3).fit(others))

    class Blind(PCA):
        def encode(self, stimuli):
            return np.where(np.arange(self.n_latents) == 1, np.nan, super().encode(stimuli))

    with pytest.raises(DataError, match="Blind.encode returned 40 values that are NaN"):
        quick(brain, images, generator=Blind(n_latents=3).fit(others))


@pytest.mark.parametrize("name", ["encode", "decode"])
def test_a_generator_that_returns_other_shapes_is_refused(brain, name):
    class Short(PCA):
        def encode(self, stimuli):
            return super().encode(stimuli)[:-1] if name == "encode" else super().encode(stimuli)

        def decode(self, latents):
            return super().decode(latents)[:, :2]

    images, others = np.random.default_rng(0).uniform(size=(2, 40, 4, 4))
    with pytest.raises(DataError, match=rf"Short.{name} returned shape"):
        quick(brain, images, generator=Short(n_latents=3).fit(others))


def test_images_out_of_range_are_refused_where_it_matters(brain):
    images = 255 * np.random.default_rng(0).uniform(size=(40, 8, 8))
    with pytest.raises(DataError, match=r"0\.\.1, which ssim are made for"):
        quick(brain, images, metrics=["ssim", "pixcorr"])
    assert np.isfinite(quick(brain, images, metrics=["pixcorr"], sizes=[1]).score("brain", "pixcorr"))


def test_metrics_of_other_stimuli_are_refused(brain, targets):
    images = np.random.default_rng(0).uniform(size=(40, 8, 8))
    for stimuli, metric in (
        (targets, "ssim"),
        (targets, "accuracy"),
        (images, "wer"),
        ([f"word {n}" for n in range(40)], "pixcorr"),
    ):
        with pytest.raises(DataError, match=rf"{metric} of stimuli of shape.*for these stimuli one of"):
            quick(brain, stimuli, metrics=[metric])


def test_text_without_a_generator_is_refused(brain):
    with pytest.raises(DataError, match="generator for text"):
        quick(brain, [f"word {n}" for n in range(40)])


def test_two_stimuli_leave_nothing_to_learn_from(brain, targets):
    with pytest.raises(DataError, match="1 training stimuli"):
        quick(brain[:2], targets[:2], sizes=[1])
    assert len(quick(brain[:4], targets[:4], sizes=[1]).curve("brain", "r2")) == 1


def test_a_unit_never_measured_for_a_stimulus_is_left_out(brain, targets):
    repeats = brain[:, :, None] + np.zeros(3)
    repeats[:, 1, 1:] = np.nan
    repeats[4, 2] = np.nan
    curve = quick(repeats, targets, sizes=[1])
    assert "units 2" in curve.findings[0].where
    assert curve.facts["n_units"] == 5


def test_a_constant_target_is_undefined_never_a_number(brain):
    curve = quick(brain, np.ones((40, 1)), groups=np.arange(40))
    assert np.isnan(curve.score("brain", "r2"))


def test_a_time_series_without_groups_is_reported():
    rng = np.random.default_rng(0)
    slow = np.cumsum(rng.normal(size=(300, 8)), axis=0)
    curve = quick(slow, slow[:, :2] + rng.normal(size=(300, 2)), sizes=[1])
    assert "time blocks" in curve.findings[0].remedy
    assert not quick(slow, slow[:, :2], sizes=[1], groups=np.arange(300) // 60).findings
