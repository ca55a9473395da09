"""Many channels are sorted in a time and a memory that can be afforded."""

import subprocess
import sys

import pytest

MANY = """
import resource, sys, time
import numpy as np
from neuroloom import sort
from neuroloom.threads import set_threads
from neuroloom.simulation.recordings import inject
set_threads(1)
random = np.random.default_rng(0)
trains = []
for _ in range(30):
    times = np.sort(random.uniform(0.01, 9.99, 120))
    trains.append(times[np.insert(np.diff(times) > 0.004, 0, True)])
recording, truth = inject(trains, probe="columns-384", duration_s=10.0, amplitudes_uv=(120.0, 300.0), seed=5)
traces = recording.get_traces()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
start = time.perf_counter()
found = sort(recording, sorter="simsort")
seconds = time.perf_counter() - start
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
from neuroloom.sorting.agreement import compare_with_truth
accuracy = compare_with_truth(found, truth)["accuracy"]
print(len(found.unit_ids), float((accuracy > 0.8).mean()), seconds, grown)
"""


@pytest.mark.slow
def test_384_channels_for_10_seconds_are_sorted_in_minutes_and_bounded_memory():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MANY], capture_output=True, text=True, check=True
    )
    n_units, well_found, seconds, grown_mb = map(float, done.stdout.split())
    assert 24 <= n_units <= 36
    assert well_found > 0.8
    assert seconds < 300
    assert grown_mb < 2500
