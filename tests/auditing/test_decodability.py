"""Properties are read from a bottleneck once it is wide enough to carry them."""

import numpy as np
import pytest

from neuroloom.auditing.decodability import decodability, participation_ratio
from neuroloom.auditing.generators import PCA
from neuroloom.auditing.properties import image_properties, text_properties
from neuroloom.errors import DataError, LeakySplit


@pytest.fixture(scope="module")
def planted():
    """Targets of three independent dimensions of falling variance, followed by twenty noisy units."""
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(400, 3)) * [3.0, 2.0, 1.0]
    brain = codes @ rng.normal(size=(3, 20)) + 0.3 * rng.normal(size=(400, 20))
    brain[:, 15:] = rng.normal(size=(400, 5))  # five units know nothing
    return brain, codes


def test_a_property_appears_at_the_size_of_its_dimension(planted):
    brain, codes = planted
    found = decodability(
        brain,
        codes,
        properties={"first": codes[:, 0], "last": codes[:, 2], "sign": np.where(codes[:, 0] > 0, "+", "-")},
        sizes=(1, 3),
        groups=np.arange(400),
    )
    frame = found.to_frame()
    assert list(frame.columns) == ["arm", "size", "property", "score", "low", "high"]
    assert found.score("last", size=3) > 0.9
    assert found.score("last", size=1) < found.score("last", size=3)
    assert found.score("sign", size=3) > 0.85
    assert abs(found.score("first", size=3, arm="random")) < 0.2
    assert 0.35 < found.score("sign", size=3, arm="random") < 0.65
    assert found.effective_dimensions[1] == pytest.approx(1)
    assert found.effective_dimensions[3] == pytest.approx(3, abs=0.3)


def test_units_that_know_nothing_have_small_patterns(planted):
    brain, codes = planted
    regions = ["cortex"] * 15 + ["elsewhere"] * 5
    found = decodability(
        brain, codes, properties={"a": codes[:, 0]}, sizes=(3,), groups=np.arange(400), regions=regions
    )
    means = found.units().groupby("region")["pattern"].mean()
    assert means["elsewhere"] < 0.3 * means["cortex"]
    assert len(found.plot().axes) == 3


def test_the_participation_ratio_counts_independent_columns():
    rng = np.random.default_rng(0)
    one = rng.normal(size=(5000, 1))
    assert participation_ratio(np.repeat(one, 4, axis=1)) == pytest.approx(1)
    assert participation_ratio(rng.normal(size=(5000, 4)) * [1, 10, 100, 1000]) == pytest.approx(4, rel=0.01)
    assert participation_ratio(np.ones((10, 2))) == 0


def test_image_properties_are_what_they_say():
    images = np.zeros((3, 8, 8, 3))
    images[1] = 0.5
    images[2, :, 4:, 0] = 1.0
    found = image_properties(images)
    np.testing.assert_allclose(found["brightness"], [0, 0.5, 0.299 / 2])
    np.testing.assert_allclose(found["contrast"], [0, 0, 0.299 / 2], atol=1e-12)
    assert found["gradient"][2] > found["gradient"][1]
    np.testing.assert_allclose(found["saturation"], [0, 0, 0.5])
    np.testing.assert_allclose(found["red_green"], [0, 0, 0.5])


def test_text_properties_count_words():
    found = text_properties(["to be or not to be", "neurons fire", ""])
    np.testing.assert_allclose(found["n_words"], [6, 2, 0])
    np.testing.assert_allclose(found["function_words"], [1, 0, 0])
    np.testing.assert_allclose(found["repetition"], [1 / 3, 0, 0])


def test_properties_of_the_wrong_length_are_refused(planted):
    brain, codes = planted
    with pytest.raises(DataError, match="one value per stimulus"):
        decodability(brain, codes, properties={"a": codes[:-1, 0]}, groups=np.arange(400))
    with pytest.raises(DataError, match="no properties of their own"):
        decodability(brain, codes, groups=np.arange(400))
    with pytest.raises(DataError, match="one region per unit"):
        decodability(brain, codes, properties={"a": codes[:, 0]}, groups=np.arange(400), regions=["x"])


def test_units_keep_their_numbers_and_regions_where_others_were_left_out(planted):
    brain, codes = planted
    holed = brain.copy()
    holed[3, 2] = np.nan
    regions = [f"area {number}" for number in range(20)]
    found = decodability(
        holed, codes, properties={"a": codes[:, 0]}, sizes=(3,), groups=np.arange(400), regions=regions
    )
    table = found.units()
    assert table.unit.tolist() == [number for number in range(20) if number != 2]
    assert table.region.tolist() == [regions[number] for number in table.unit]


def test_default_sizes_end_at_the_rank_and_impossible_ones_are_refused(planted):
    brain, codes = planted
    options = {"properties": {"a": codes[:, 0]}, "groups": np.arange(400), "n_bootstrap": 5}
    assert list(decodability(brain, codes, **options).effective_dimensions) == [1, 2, 3]
    with pytest.raises(DataError, match="from 1 to 20"):
        decodability(brain, codes, sizes=(21,), **options)


def test_a_generator_that_knows_the_stimuli_is_refused():
    rng = np.random.default_rng(0)
    images, brain = rng.uniform(size=(40, 4, 4)), rng.normal(size=(40, 5))
    with pytest.raises(LeakySplit):
        decodability(brain, images, generator=PCA(n_latents=3).fit(images))
