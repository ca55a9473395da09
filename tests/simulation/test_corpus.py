import numpy as np
import pytest
import torch

from neuroloom.simulation.bank import N_SAMPLES, TROUGH, build_bank, resampled
from neuroloom.simulation.corpus import (
    SNIPPET,
    SNIPPET_TROUGH,
    WINDOW,
    coloured_noise,
    detector_batch,
    extractor_batch,
)
from neuroloom.simulation.draws import Draw
from neuroloom.simulation.geometries import MAX_CONTACTS, draw_contacts
from neuroloom.simulation.library import Cell, CellLibrary


@pytest.fixture(scope="module")
def library() -> CellLibrary:
    """Three made-up cells: a sink at the soma and a source above it, with a spike's course."""
    times_ms = np.arange(220) / 40 - 1.5
    cells = []
    for width in (0.1, 0.15, 0.25):
        course = -np.exp(-0.5 * (times_ms / width) ** 2) + 0.4 * np.exp(
            -0.5 * ((times_ms - 4 * width) / width) ** 2
        )
        scales = np.array([1.0, 0.9, 0.8])
        cells.append(
            Cell(
                name=f"made-up-{width}",
                archetype="made-up",
                segment_start_um=np.array([[0.0, -5, 0], [0.0, 5, 0]]),
                segment_end_um=np.array([[0.0, 5, 0], [0.0, 80, 0]]),
                footprints=np.array([[1.0], [-1.0]]),
                courses=scales[:, None, None] * course,
                interval_ms=np.full(3, 100.0),
                spike_times_ms=np.arange(3) * 100.0,
                duration_ms=1000.0,
            )
        )
    return CellLibrary(tuple(cells), "none", "made up")


@pytest.fixture(scope="module")
def bank(library):
    return build_bank(library, n_geometries=6, n_units=20)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_bank_troughs_are_aligned_and_peaks_are_one(bank):
    shapes = bank.waveforms.float()
    np.testing.assert_allclose(shapes.abs().amax(dim=(2, 3, 4)), 1, atol=1e-3)
    deepest = shapes.amin(dim=3).argmin(dim=-1)
    assert ((deepest - TROUGH).abs() <= 2).float().mean() > 0.9


def test_bank_is_zero_where_there_is_no_contact(bank):
    assert not bank.waveforms.float().abs().amax(dim=(1, 2, 4))[~bank.present].any()


def test_bank_is_repeatable(library, bank):
    assert torch.equal(build_bank(library, n_geometries=6, n_units=20).waveforms, bank.waveforms)


@pytest.mark.slow
def test_bank_is_the_same_for_any_number_of_workers(library, bank):
    again = build_bank(library, n_geometries=6, n_units=20, n_jobs=2)
    assert torch.equal(again.waveforms, bank.waveforms)


def test_resampling_keeps_a_sine_in_band_and_removes_drift():
    times = np.arange(220) / 40_000
    envelope = np.exp(-0.5 * ((times - 0.0015) / 4e-4) ** 2)
    fast, slow = envelope * np.cos(2 * np.pi * 2000 * (times - 0.0015)), np.ones(220)
    kept = resampled(-fast[None, None])
    assert kept.shape == (1, 1, N_SAMPLES)
    assert int(np.argmin(kept[0, 0])) == TROUGH
    mixed = resampled((-fast + 0.3 * slow)[None, None])
    assert np.abs(mixed - kept).max() < 0.35


def test_noise_has_unit_variance_and_lies_in_the_spike_band():
    noise = coloured_noise(Draw(generator()), 64, 512)
    assert noise.std().item() == pytest.approx(1, abs=0.03)
    power = torch.fft.rfft(noise).abs().square().mean(dim=(0, 1))
    hz = np.fft.rfftfreq(512, 1 / 30_000)
    assert power[hz < 100].mean() < 0.05 * power[(hz > 500) & (hz < 3000)].mean()


def test_detector_labels_mark_troughs(bank):
    batch = detector_batch(bank, 256, generator=generator(), smallest=20, largest=40)
    assert batch.voltage.shape == (256, MAX_CONTACTS, WINDOW)
    deepest = batch.voltage.amin(dim=1)
    at_spikes, elsewhere = deepest[batch.labels > 0], deepest[batch.labels == 0]
    assert at_spikes.mean() < 5 * elsewhere.mean()
    assert 0.005 < batch.labels.mean() < 0.2


def test_absent_contacts_are_silent_in_every_batch(bank):
    windows = detector_batch(bank, 64, generator=generator())
    assert not windows.voltage[~windows.present].any()
    scenes = extractor_batch(bank, 8, generator=generator(), n_units=5, n_snippets=3)
    assert scenes.present.any(dim=1).all()
    assert not scenes.voltage.abs().amax(dim=(1, 2, 4))[~scenes.present].any()


def test_snippets_have_their_trough_where_promised(bank):
    batch = extractor_batch(
        bank, 16, generator=generator(), n_units=8, n_snippets=4, smallest=30, largest=40, overlap=0
    )
    assert batch.voltage.shape == (16, 8, 4, MAX_CONTACTS, SNIPPET)
    trough = batch.voltage.amin(dim=3).argmin(dim=-1)
    assert ((trough - SNIPPET_TROUGH).abs() <= 3).float().mean() > 0.85


def test_a_batch_depends_on_its_generator_alone(bank):
    one, same, other = (detector_batch(bank, 16, generator=generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(one.voltage, same.voltage)
    assert not torch.equal(one.voltage, other.voltage)


def test_neighbourhoods_have_one_to_eight_contacts_around_their_centre():
    random = np.random.default_rng(0)
    sizes = set()
    for _ in range(200):
        contacts = draw_contacts(random)
        sizes.add(len(contacts))
        np.testing.assert_allclose(contacts.mean(axis=0), 0, atol=1e-9)
    assert sizes >= {1, 2, 4, 8}
    assert max(sizes) == MAX_CONTACTS


def test_a_library_survives_the_disk(library, tmp_path):
    loaded = CellLibrary.load(library.save(tmp_path / "library"))
    assert len(loaded) == 3
    contacts, place = np.array([[20.0, 0, 0], [0, 30, 5]]), np.array([5.0, 5, 10])
    for cell, same in zip(library.cells, loaded.cells, strict=True):
        voltage = cell.potentials_uv(contacts, position_um=place)
        again = same.potentials_uv(contacts, position_um=place)
        np.testing.assert_allclose(again, voltage, atol=2e-3 * np.abs(voltage).max())
        assert same.name == cell.name
