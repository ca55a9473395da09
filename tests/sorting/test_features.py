import numpy as np

from neuroloom.simulation.recordings import inject
from neuroloom.sorting.features import waveform_features
from neuroloom.sorting.quality import analyze


def test_features_explain_the_waveforms_as_well_as_a_full_decomposition(tetrode):
    analyzer = analyze(tetrode[1], tetrode[0])
    features, channels = waveform_features(analyzer, n_components=3)
    np.testing.assert_array_equal(channels, np.tile(np.arange(4), (4, 1)))
    waveforms = analyzer.get_extension("waveforms").get_data().astype(float)
    chosen = analyzer.get_extension("random_spikes").get_data()
    for channel in range(4):
        all_energy = np.sum(waveforms[:, :, channel] ** 2)
        singular = np.linalg.svd(waveforms[:, :, channel], compute_uv=False)
        kept = np.sum(features[chosen][:, :, channel] ** 2) / all_energy
        assert abs(kept - np.sum(singular[:3] ** 2) / all_energy) < 0.01


def test_features_of_sparse_units_are_zero_beyond_their_channels():
    trains = [np.arange(0.1, 3.9, 0.05), np.arange(0.12, 3.9, 0.07)]
    recording, truth = inject(trains, probe="linear-32", duration_s=4.0, amplitudes_uv=[200.0, 200.0])
    analyzer = analyze(truth, recording)
    features, channels = waveform_features(analyzer)
    unit = analyzer.sorting.to_spike_vector()["unit_index"]
    assert channels.shape[1] < 32
    for index in range(2):
        absent = channels[index] < 0
        assert not features[unit == index][:, :, absent].any()
        assert features[unit == index][:, 0, ~absent].any(axis=0).all()


def test_spikes_at_the_very_ends_have_features():
    recording, truth = inject([np.array([0.0, 0.5, 0.99999])], duration_s=1.0)
    features, _ = waveform_features(analyze(truth, recording))
    assert features.shape[0] == 3
    assert np.isfinite(features).all()
