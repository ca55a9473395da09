import numpy as np
import pytest

from neuroloom.sorting.merging import merge_alike, shapes_of_one, without_composites
from neuroloom.sorting.noise import NoiseModel
from neuroloom.sorting.templates import LENGTH, LONG, LONG_TROUGH, Units, shifted

N_SAMPLES, REFRACTORY = 60 * 30_000, 45
TETRODE = np.array([[0.0, 0], [25, 0], [0, 25], [25, 25]])
WHITE = NoiseModel(np.eye(LENGTH), np.eye(4))


def template(weights: list[float], *, width: float = 3.0, samples: float = 0.0) -> np.ndarray:
    time = np.arange(LONG) - LONG_TROUGH
    trough = -np.exp(-(time**2) / (2 * width**2)) + 0.3 * np.exp(-((time - 12) ** 2) / 50)
    return shifted(trough[:, None] * np.array(weights), np.array([samples]))[0].astype(np.float32)


def units(*templates: np.ndarray, count: list[int]) -> Units:
    return Units(np.array(templates), np.array(count))


def test_a_unit_that_was_cut_in_two_by_sampling_is_mended():
    one = template([30, 20, 10, 5])
    late = template([30, 20, 10, 5], samples=0.5)
    merged = merge_alike(units(one, late, count=[200, 100]), TETRODE, WHITE)
    assert merged.count.tolist() == [300]


def test_units_of_different_shape_or_place_are_kept_apart():
    made = units(
        template([30, 20, 10, 5]),
        template([30, 20, 10, 5], width=5.0),
        template([20, 30, 10, 5]),
        count=[100, 100, 100],
    )
    assert len(merge_alike(made, TETRODE, WHITE)) == 3


def test_two_units_that_coincide_by_chance_are_no_third():
    first, second = template([40, 10, 10, 5]), template([5, 10, 20, 35], width=5.0)
    both = first + np.concatenate([np.zeros((7, 4), np.float32), second[:-7]])
    n_samples = 60 * 30_000
    rare = units(first, second, both, count=[600, 500, 10])
    assert without_composites(rare, TETRODE, WHITE, n_samples=n_samples).tolist() == [True, True, False]
    # As often as this, it is a neuron that happens to look like the sum.
    often = units(first, second, both, count=[600, 500, 300])
    assert without_composites(often, TETRODE, WHITE, n_samples=n_samples).all()


def trains(seed: int, n: int, *, silent: int) -> np.ndarray:
    """Spikes of a neuron that is silent for so many samples after each."""
    random = np.random.default_rng(seed)
    intervals = silent + random.exponential(N_SAMPLES / n - silent, 2 * n)
    times = np.cumsum(intervals).astype(np.int64)
    return times[times < N_SAMPLES]


def varied(first: np.ndarray, second: np.ndarray, *, scale: float = 1.4) -> int:
    """How many units are left of two of similar shape with these spikes."""
    made = units(
        template([30, 20, 10, 5]), scale * template([30, 22, 10, 6]), count=[len(first), len(second)]
    )
    sample, unit = np.concatenate([first, second]), np.repeat([0, 1], [len(first), len(second)])
    order = np.argsort(sample, kind="stable")
    neuron = shapes_of_one(
        made, sample[order], unit[order], TETRODE, WHITE, refractory=REFRACTORY, n_samples=N_SAMPLES
    )
    return int(neuron.max()) + 1


@pytest.mark.parametrize("seed", range(5))
def test_a_neuron_whose_spikes_come_in_two_sizes_is_one(seed):
    train = trains(seed, 450, silent=600)
    half = np.random.default_rng(seed).random(len(train)) < 0.3
    assert varied(train[half], train[~half]) == 1


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("silent", [100, 600])
def test_two_neurons_of_similar_shape_stay_two(seed, silent):
    assert varied(trains(seed, 200, silent=silent), trains(seed + 100, 200, silent=silent)) == 2


def test_neurons_that_never_fire_in_the_same_minute_stay_two():
    first, second = trains(0, 400, silent=600), trains(1, 400, silent=600)
    assert varied(first[first < N_SAMPLES // 2], second[second > N_SAMPLES // 2]) == 2


def test_steps_of_a_drifting_neuron_are_one():
    weights = np.array([[30, 24, 12, 8], [28, 26, 14, 9], [25, 27, 16, 11], [22, 28, 19, 13]], float)
    train = trains(0, 800, silent=60)
    step = train * len(weights) // N_SAMPLES
    made = units(*(template(list(line)) for line in weights), count=np.bincount(step).tolist())
    neuron = shapes_of_one(made, train, step, TETRODE, WHITE, refractory=REFRACTORY, n_samples=N_SAMPLES)
    assert neuron.tolist() == [0, 0, 0, 0]


def test_larger_steps_are_one_neuron_where_the_tissue_is_known_to_have_moved():
    train = trains(0, 800, silent=60)
    unit = (train > N_SAMPLES // 2).astype(int)
    made = units(template([30, 20, 10, 5]), template([20, 25, 18, 9]), count=np.bincount(unit).tolist())
    known = {"refractory": REFRACTORY, "n_samples": N_SAMPLES}
    assert shapes_of_one(made, train, unit, TETRODE, WHITE, **known).tolist() == [0, 1]
    assert shapes_of_one(made, train, unit, TETRODE, WHITE, **known, moved=True).tolist() == [0, 0]
    brief = unit * ((train // 300_000) % 2)  # the other never stops
    sample, unit = np.append(train, train[brief == 1] + 9_000), np.append(0 * unit, brief[brief == 1])
    order = np.argsort(sample)
    both = shapes_of_one(made, sample[order], unit[order], TETRODE, WHITE, **known, moved=True)
    assert both.tolist() == [0, 1]


def test_shapes_that_have_nothing_in_common_are_never_merged():
    train = trains(0, 300, silent=600)
    made = units(template([30, 20, 10, 5]), template([5, 10, 20, 30]), count=[150, 150])
    unit = np.arange(len(train)) % 2
    neuron = shapes_of_one(made, train, unit, TETRODE, WHITE, refractory=REFRACTORY, n_samples=N_SAMPLES)
    assert neuron.tolist() == [0, 1]
