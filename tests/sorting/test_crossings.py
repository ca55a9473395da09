"""Threshold crossings, channel by channel."""

import numpy as np
import pytest

from neuroloom.errors import DataError
from neuroloom.simulation.recordings import inject
from neuroloom.sorting import scanning
from neuroloom.sorting.crossings import threshold_crossings

TIMES_S = np.arange(0.05, 3.9, 0.1)


@pytest.fixture(scope="module")
def recording():
    made, _ = inject([TIMES_S], probe="tetrode", duration_s=4.0, noise_uv=5.0, amplitudes_uv=[100.0], seed=2)
    return made


def test_every_large_spike_is_crossed_once_on_its_best_channel(recording):
    found = threshold_crossings(recording, threshold=6.0)
    best = max(found.unit_ids, key=lambda unit: len(found.get_unit_spike_train(unit_id=unit)))
    crossings = found.get_unit_spike_train(unit_id=best) / 30_000
    assert crossings == pytest.approx(TIMES_S, abs=0.0005)


def test_a_lower_threshold_lets_noise_in(recording):
    counts = [threshold_crossings(recording, threshold=t).count_total_num_spikes() for t in (6.0, 4.0, 3.0)]
    assert counts == sorted(counts)
    assert counts[-1] > 4 * counts[0]


def test_crossings_do_not_depend_on_how_the_recording_is_read(recording, monkeypatch):
    whole = threshold_crossings(recording).to_spike_vector()
    monkeypatch.setattr(scanning, "_CHUNK_VALUES", 4 * 1000)
    parts = threshold_crossings(recording).to_spike_vector()
    assert np.array_equal(parts["sample_index"], whole["sample_index"])


def test_noise_alone_seldom_crosses():
    quiet, _ = inject([], probe="tetrode", duration_s=4.0, noise_uv=5.0)
    assert threshold_crossings(quiet, threshold=6.0).count_total_num_spikes() == 0


@pytest.mark.parametrize("threshold", [0.0, -4.5, float("nan")])
def test_a_threshold_that_is_none_is_refused(recording, threshold):
    with pytest.raises(DataError, match="threshold"):
        threshold_crossings(recording, threshold=threshold)
