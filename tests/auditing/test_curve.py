"""The audit as a whole, on data whose answer is known."""

import numpy as np
import pytest

from neuroloom import artifacts
from neuroloom.auditing.arms import restore_variance
from neuroloom.auditing.curve import AuditCurve, audit
from neuroloom.auditing.generators import PCA
from neuroloom.auditing.joint_bottleneck import JointLinear
from neuroloom.auditing.plots import plot_examples
from neuroloom.auditing.results import Score
from neuroloom.errors import CorruptArtifact


@pytest.fixture(scope="module")
def planted():
    """Responses to 300 images of which the brain sees four dimensions."""
    rng = np.random.default_rng(0)
    basis = rng.normal(size=(10, 64))
    codes = rng.normal(size=(300, 10)) * np.linspace(2, 1, 10)
    images = (0.5 + 0.03 * codes @ basis).clip(0, 1).reshape(300, 8, 8)
    brain = codes[:, :4] @ rng.normal(size=(4, 20)) + 0.5 * rng.normal(size=(300, 20))
    return brain, images, codes


def test_the_curve_rises_to_the_true_dimension_and_stays(planted):
    brain, _, codes = planted
    curve = audit(brain, codes[:, :4], sizes=[1, 2, 4], n_bootstrap=100, groups=np.arange(300))
    scores = [row.score for row in curve.curve("brain", "r2")]
    assert scores[0] < scores[1] < scores[2]
    assert scores[2] > 0.85
    for arm in ("random", "shuffled", "mean"):
        assert abs(curve.score(arm, "r2")) < 0.05


def test_intervals_hold_their_score_and_the_seed_fixes_everything(planted):
    brain, images, _ = planted
    runs = [audit(brain, images, sizes=[1, 3], n_bootstrap=100, seed=7, metrics=["r2"]) for _ in range(2)]
    assert runs[0].rows == runs[1].rows
    for row in runs[0].curve("brain", "r2"):
        assert row.low < row.score < row.high


def test_a_generator_bounds_the_curve_by_its_ceiling(planted):
    brain, images, _ = planted
    generator = PCA(n_latents=6).fit(images[200:])
    curve = audit(brain[:200], images[:200], generator=generator, test_fraction=0.2, n_bootstrap=50)
    for metric in curve.metrics:
        assert curve.score("random", metric) < curve.score("brain", metric) < curve.score("ceiling", metric)
    summary = curve.summary().set_index("metric")
    assert 0 < summary.of_ceiling["pixcorr"] < 1
    assert summary.size_95["pixcorr"] <= 5


def test_default_sizes_end_at_the_rank(planted):
    brain, _, codes = planted
    curve = audit(brain, codes, n_bootstrap=20, groups=np.arange(300))
    assert [row.size for row in curve.curve("brain", "r2")] == [1, 2, 5, 10]


def test_equal_images_are_one_group_without_being_told(planted):
    brain, images, _ = planted
    repeated, answers = np.repeat(images[:60], 3, axis=0), np.repeat(brain[:60], 3, axis=0)
    curve = audit(answers, repeated, sizes=[2], n_bootstrap=20)
    assert curve.facts["n_groups"] == 60


def test_random_folds_over_repeats_would_flatter_and_grouped_ones_do_not():
    rng = np.random.default_rng(0)
    # A brain that answers each of 40 stimuli in its own way, unrelated to the targets.
    stimulus = np.repeat(np.arange(40), 6)
    brain = rng.normal(size=(40, 60))[stimulus] + 0.3 * rng.normal(size=(240, 60))
    targets = rng.normal(size=(40, 3))[stimulus]
    grouped = audit(brain, targets, groups=stimulus, sizes=[3], n_bootstrap=20)
    leaky = audit(brain, targets, groups=np.arange(240), sizes=[3], n_bootstrap=20)
    assert leaky.score("brain", "r2") > 0.5
    assert grouped.score("brain", "r2") < 0.1


def test_a_curve_reads_back_equal(planted, tmp_path):
    brain, images, _ = planted
    brain = brain.copy()
    brain[0, 3] = np.nan
    curve = audit(brain, images, sizes=[1, 19], n_bootstrap=20)
    loaded = AuditCurve.load(curve.save(tmp_path / "audit"))
    assert loaded.rows == curve.rows
    assert loaded.facts == curve.facts
    assert loaded.findings == curve.findings
    for name, kept in curve.examples.items():
        np.testing.assert_array_equal(loaded.examples[name], kept)


def test_the_frame_and_the_figure_have_every_arm(planted):
    brain, images, _ = planted
    curve = audit(brain, images, sizes=[1, 5], n_bootstrap=20)
    frame = curve.to_frame()
    assert list(frame.columns) == ["arm", "size", "metric", "score", "low", "high"]
    assert set(frame.arm) == {"brain", "random", "shuffled", "mean"}
    assert len(curve.plot().axes) == 2
    assert "brain" in repr(curve)


def test_examples_of_images_are_drawn_from_truth_to_noise(planted):
    brain, images, _ = planted
    generator = PCA(n_latents=6).fit(images[200:])
    curve = audit(
        brain[:200],
        images[:200],
        generator=generator,
        sizes=[1, 2, 5],
        test_fraction=0.2,
        n_bootstrap=5,
        n_draws=1,
    )
    figure = plot_examples(curve, n_examples=3)
    assert figure is not None
    assert len(figure.axes) == 3 * (2 + 3 + 1)
    targets = audit(
        brain, images.reshape(300, -1), groups=np.arange(300), sizes=[1], n_bootstrap=5, n_draws=1
    )
    assert plot_examples(targets) is None


def test_the_share_of_random_to_ceiling_grows_with_size_and_knows_distances(planted):
    brain, images, _ = planted
    generator = PCA(n_latents=6).fit(images[200:])
    curve = audit(
        brain[:200], images[:200], generator=generator, sizes=[1, 5], test_fraction=0.2, n_bootstrap=5
    )
    few, many = (curve.of_ceiling("pixcorr", size=size) for size in (1, 5))
    assert 0 < few < many < 1
    assert many == curve.summary().set_index("metric").of_ceiling["pixcorr"]
    assert curve.of_ceiling("pixcorr", arm="random") == 0
    scores = {"random": 0.8, "brain": 0.5, "ceiling": 0.2}
    distances = AuditCurve(
        tuple(Score(arm, 1, "lpips", score, score, score) for arm, score in scores.items()),
        {"lower_is_better": ["lpips"]},
    )
    assert distances.of_ceiling("lpips") == pytest.approx(0.5)


def test_an_empty_curve_still_has_its_columns():
    assert list(AuditCurve((), {}).to_frame().columns) == ["arm", "size", "metric", "score", "low", "high"]


def test_a_whole_folder_that_holds_no_curve_is_refused(tmp_path):
    folder = artifacts.save_artifact(tmp_path / "audit", kind="audit", document={"rows": [{"arm": "brain"}]})
    with pytest.raises(CorruptArtifact, match="content cannot be used"):
        AuditCurve.load(folder)


def test_a_trained_bottleneck_is_drawn_from_several_seeds(planted):
    brain, _, codes = planted
    options = {"sizes": [2], "test_fraction": 0.3, "groups": np.arange(300), "n_bootstrap": 20}
    recipe = JointLinear(epochs=2, unit_variance=True)
    single = [
        audit(brain, codes, bottleneck=each, n_draws=1, **options).score("brain", "r2")
        for each in (recipe, recipe.reseeded(1))
    ]
    both = audit(brain, codes, bottleneck=recipe, n_draws=2, **options).score("brain", "r2")
    assert single[0] != single[1]
    assert both == pytest.approx(np.mean(single))


def test_restoring_variance_leaves_the_truth_and_the_mean_as_they_are(planted):
    _, _, codes = planted
    np.testing.assert_allclose(restore_variance(codes[:9], source=codes, goal=codes), codes[:9])
    mean = np.tile(codes.mean(0), (9, 1))
    np.testing.assert_allclose(restore_variance(mean, source=mean, goal=codes), mean)


@pytest.mark.shared_data
def test_macaque_v4_reconstructs_pixels_above_its_random_arm(shared_data):
    from neuroloom.auditing.image_files import load_images

    folder = shared_data / "v4_images"
    images = load_images(folder / "images" / "201025.zip", size_px=16, colour=False)
    responses = np.load(folder / "responses" / "201025.npy", allow_pickle=False).T
    curve = audit(responses, images, sizes=[1, 10, 89], test=np.arange(1000, 1200), metrics=["r2", "pixcorr"])
    assert curve.score("brain", "r2", size=10) > 0.22
    assert curve.score("brain", "pixcorr", size=10) > 0.3
    brain = {row.metric: row for row in curve.rows if (row.arm, row.size) == ("brain", 10)}
    random = {row.metric: row for row in curve.rows if (row.arm, row.size) == ("random", 10)}
    for metric in ("r2", "pixcorr"):
        assert brain[metric].low > random[metric].high
