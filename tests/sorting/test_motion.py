import numpy as np
import pytest

from neuroloom.errors import DataError
from neuroloom.simulation.probes import make_probe
from neuroloom.simulation.recordings import demo_recording, inject
from neuroloom.sorting.folders import MOVED
from neuroloom.sorting.motion import (
    check_motion,
    choose_motion,
    correct_motion,
    motion_presets,
    range_of_motion,
)
from neuroloom.sorting.preprocessing import prepare
from neuroloom.sorting.sorter import sort
from neuroloom.sorting.spikeinterface_runs import quiet


@pytest.fixture(scope="module")
def drifting():
    """Twelve units along 32 contacts that move by 30 um and back; units, and where the probe was at 5 Hz."""
    from spikeinterface.generation import generate_drifting_recording

    there_and_back = {
        "drift_mode": "zigzag",
        "non_rigid_gradient": None,
        "t_start_drift": 2.0,
        "t_end_drift": None,
        "period_s": 20,
    }
    with quiet():
        _, recording, truth, known = generate_drifting_recording(
            num_units=12,
            duration=30.0,
            probe=make_probe("columns-32"),
            generate_displacement_vector_kwargs={
                "displacement_sampling_frequency": 5.0,
                "drift_start_um": [0, 15],
                "drift_stop_um": [0, -15],
                "drift_step_um": 1,
                "motion_list": [there_and_back],
            },
            generate_sorting_kwargs={"firing_rates": (6.0, 12.0), "refractory_period_ms": 4.0},
            extra_outputs=True,
            seed=0,
        )
    return recording, truth, known["displacement_vectors"][:, 1, 0]


def test_the_motion_of_the_probe_is_followed(drifting):
    recording, _, moved_um = drifting
    corrected = correct_motion(prepare(recording).recording, preset="dredge_fast")
    motion = corrected._kwargs["motion"]
    seen_s, seen_um = motion.temporal_bins_s[0], motion.displacement[0].mean(axis=1)
    true_um = np.interp(seen_s, np.arange(len(moved_um)) / 5.0, moved_um)
    assert np.corrcoef(seen_um, true_um)[0, 1] > 0.9
    assert np.std(seen_um - true_um) < 5


def test_motion_is_estimated_where_a_short_probe_has_contacts(drifting):
    recording = prepare(drifting[0]).recording
    y_um = recording.get_channel_locations()[:, 1]
    for preset in ("dredge_fast", "dredge", "kilosort_like"):
        corrected = correct_motion(recording, preset=preset)
        seen_at_um = corrected._kwargs["motion"].spatial_bins_um
        assert y_um.min() <= seen_at_um.min()
        assert seen_at_um.max() <= y_um.max()
        assert corrected.get_annotation(MOVED)
    assert not recording.get_annotation(MOVED)


def test_what_moves_is_told_from_what_does_not(drifting, array_recording):
    moving = prepare(drifting[0]).recording
    assert 15 < range_of_motion(moving) < 40  # of 30 um
    assert choose_motion(moving, "auto") == "dredge_fast"
    assert choose_motion(moving, "none") == "none"
    still = demo_recording(probe="columns-32", duration_s=20.0, noise_uv=30.0, seed=1).recording
    assert range_of_motion(prepare(still).recording) < 2
    assert choose_motion(prepare(still).recording, "auto") == "none"


def test_few_faint_spikes_are_not_taken_for_motion():
    random = np.random.default_rng(1)
    rates_hz = random.uniform(1, 6, 8)
    trains = {unit: np.sort(random.uniform(0, 30, round(30 * rate))) for unit, rate in enumerate(rates_hz)}
    still, _ = inject(trains, probe="columns-32", duration_s=30.0, noise_uv=60.0, seed=1)
    assert range_of_motion(prepare(still).recording) < 2


@pytest.mark.parametrize(
    ("probe", "n_samples"), [("tetrode", 60_000), ("linear-16", 20_000), ("linear-16", 60_000)]
)
def test_where_motion_cannot_be_seen_there_is_none(array_recording, probe, n_samples):
    n_channels = make_probe(probe).get_contact_count()
    noise = np.random.default_rng(0).normal(0, 8, (n_samples, n_channels)).astype(np.float32)
    assert range_of_motion(prepare(array_recording(noise, probe=probe)).recording) == 0.0


def test_a_sorting_says_whether_motion_was_followed(array_recording):
    traces = np.random.default_rng(0).normal(0, 8, (60_000, 16)).astype(np.float32)
    assert sort(array_recording(traces, probe="linear-16")).get_annotation("motion") == "none"


def test_the_same_seed_gives_the_same_voltage(drifting):
    first, second = (
        correct_motion(prepare(drifting[0]).recording, preset="rigid_fast", seed=3).get_traces(
            start_frame=300_000, end_frame=300_100
        )
        for _ in range(2)
    )
    assert np.array_equal(first, second)


@pytest.mark.slow
@pytest.mark.parametrize("preset", motion_presets())
def test_every_preset_runs(drifting, preset):
    corrected = correct_motion(prepare(drifting[0]).recording, preset=preset)
    assert np.isfinite(corrected.get_traces(start_frame=300_000, end_frame=300_100)).all()


def test_what_prepare_found_is_still_known(drifting):
    corrected = correct_motion(prepare(drifting[0]).recording, preset="kilosort_like")
    assert prepare(corrected).recording is corrected


def test_none_returns_the_recording_itself(drifting):
    assert correct_motion(drifting[0], preset="none") is drifting[0]


@pytest.mark.slow
def test_more_units_of_a_moving_probe_are_found_where_motion_is_followed(drifting):
    from neuroloom.sorting.agreement import compare_with_truth

    recording, truth, _ = drifting
    with_motion, without = (
        compare_with_truth(sort(recording, sorter="simsort", motion=motion), truth)["accuracy"].mean()
        for motion in ("auto", "none")
    )
    assert with_motion > without


@pytest.mark.parametrize(
    ("probe", "motion", "said"),
    [
        ("columns-32", "dredged", "motion 'dredged'; expected one of none, auto, dredge, "),
        (
            "tetrode",
            "dredge",
            "motion 'dredge' for 4 channels; expected at least 8 .*Remedy: pass motion='none'",
        ),
        ("columns-8", "dredge", "motion 'dredge' for contacts within 60 um of depth"),
    ],
)
def test_motion_that_cannot_be_followed_is_refused(array_recording, probe, motion, said):
    n_channels = make_probe(probe).get_contact_count()
    traces = np.random.default_rng(0).normal(0, 8, (30_000, n_channels)).astype(np.float32)
    with pytest.raises(DataError, match=said):
        sort(array_recording(traces, probe=probe), sorter="simsort", motion=motion)


def test_any_probe_may_stay_where_it_is(array_recording):
    check_motion(array_recording(np.zeros((10, 4), np.float32)), "none")


def test_without_spikes_nothing_moves_or_a_preset_that_needs_them_is_refused(array_recording):
    traces = np.random.default_rng(0).normal(0, 8, (60_000, 16)).astype(np.float32)
    noise = array_recording(traces, probe="linear-16")
    assert len(sort(noise, sorter="simsort", motion="dredge_fast").unit_ids) == 0
    with pytest.raises(DataError, match="motion 'kilosort_like' could not be estimated"):
        sort(noise, sorter="simsort", motion="kilosort_like")


def test_silence_has_no_motion(array_recording):
    silence = array_recording(np.zeros((60_000, 16), np.float32), probe="linear-16")
    assert len(sort(silence, sorter="simsort", motion="kilosort_like").unit_ids) == 0
