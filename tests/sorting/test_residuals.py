import numpy as np
import pytest

from neuroloom.sorting.residuals import Subtraction, own_waveforms, sharper
from neuroloom.sorting.templates import LONG, LONG_TROUGH, core, shifted


def templates() -> np.ndarray:
    """Two units on four channels, 30 and 12 times the noise."""
    time = np.arange(LONG) - LONG_TROUGH
    trough = -np.exp(-(time**2) / 18) + 0.3 * np.exp(-((time - 14) ** 2) / 60)
    sizes = np.array([[30.0, 20, 8, 3], [2, 5, 9, 12]])
    return (trough[None, :, None] * sizes[:, None, :]).astype(np.float32)


def voltage(sample, unit, height, delay, *, length=6000, noise=0.0) -> np.ndarray:
    traces = np.random.default_rng(0).normal(0, noise, (length, 4)).astype(np.float32)
    for at, one, high, late in zip(sample, unit, height, delay, strict=True):
        shape = shifted(templates()[one], np.array([late]))[0]
        traces[at - LONG_TROUGH : at - LONG_TROUGH + LONG] += high * shape
    return traces


SAMPLE, UNIT = np.array([1000, 1012, 2500, 4000, 4050]), np.array([0, 1, 1, 0, 0])
HEIGHT, DELAY = np.array([1.1, 0.8, 1.0, 0.9, 1.05]), np.array([0.3, -0.4, 0.2, -0.1, 0.4])


def test_overlapping_spikes_are_fitted_with_their_own_height_and_part_of_a_sample():
    traces = voltage(SAMPLE, UNIT, HEIGHT, DELAY)
    (left,) = Subtraction(templates()).chunks(traces, SAMPLE, UNIT, chunk=6000)
    assert left.height == pytest.approx(HEIGHT, abs=0.04)
    assert left.delay == pytest.approx(DELAY, abs=0.15)
    assert np.square(left.residual).sum() < 0.01 * np.square(traces).sum()


def test_chunks_do_not_change_what_is_left():
    traces = voltage(SAMPLE, UNIT, HEIGHT, DELAY, noise=1.0)
    (whole,) = Subtraction(templates()).chunks(traces, SAMPLE, UNIT, chunk=6000)
    parts = list(Subtraction(templates()).chunks(traces, SAMPLE, UNIT, chunk=2000))
    assert np.concatenate([part.rows for part in parts]).tolist() == whole.rows.tolist()
    assert np.concatenate([part.height for part in parts]) == pytest.approx(whole.height, abs=1e-5)
    inner = [part.residual[slice(*part.inside)] for part in parts]
    assert np.concatenate(inner) == pytest.approx(whole.residual, abs=1e-3)


def test_a_spike_is_shown_without_the_one_on_top_of_it():
    traces = voltage(SAMPLE, UNIT, HEIGHT, DELAY)
    (left,) = Subtraction(templates()).chunks(traces, SAMPLE, UNIT, chunk=6000)
    own = own_waveforms(left, templates(), 1, np.arange(4))
    wanted = core(templates()[[1]]) * np.array([0.8, 1.0])[:, None, None]
    assert np.abs(own - wanted).max() < 0.6  # of 12


def test_remainders_misfit_and_spikes_do_not():
    traces = voltage(SAMPLE, UNIT, HEIGHT, DELAY, noise=1.0)
    claimed = np.append(SAMPLE, 5000), np.append(UNIT, 0)
    traces[4990:5010] -= 15  # a step is no spike
    (left,) = Subtraction(templates()).chunks(traces, *claimed, chunk=6000)
    assert left.misfit[:-1].max() < 3 < left.misfit[-1]


def test_a_blurred_template_is_sharpened_by_its_spikes():
    random = np.random.default_rng(1)
    sample = np.arange(200, 58_000, 300)
    unit, delay = np.zeros(len(sample), int), random.uniform(-0.5, 0.5, len(sample))
    traces = voltage(sample, unit, np.ones(len(sample)), delay, length=60_000, noise=1.0)
    cut = traces[sample[:, None] + np.arange(-LONG_TROUGH, LONG - LONG_TROUGH)]
    blurred = np.stack([1.25 * cut.mean(axis=0), templates()[1]])
    better = sharper(blurred, Subtraction(blurred).chunks(traces, sample, unit, chunk=20_000))
    error = [np.linalg.norm(given[0] - templates()[0]) for given in (blurred, better)]
    assert error[1] < 0.1 * error[0]
    assert np.array_equal(better[1], blurred[1])  # it has no spikes to learn from
