import numpy as np
import pytest
import torch

from neuroloom.simulation.bank import N_SAMPLES, TROUGH, Bank, build_bank, resampled
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


def test_slow_recordings_lose_what_lies_above_their_nyquist_frequency(library):
    times = np.arange(220) / 40_000
    spike = -np.exp(-0.5 * ((times - 0.0015) / 3e-5) ** 2)[None, None]
    hz = np.fft.rfftfreq(N_SAMPLES, 1 / 30_000)
    fast, slow = (np.abs(np.fft.rfft(resampled(spike, rate_hz=rate)[0, 0])) for rate in (30_000.0, 15_000.0))
    fast, slow = fast / fast[hz < 3000].max(), slow / slow[hz < 3000].max()
    assert slow[hz > 8500].max() < 0.15 * fast[hz > 8500].max()
    np.testing.assert_allclose(slow[(hz > 500) & (hz < 5000)], fast[(hz > 500) & (hz < 5000)], rtol=0.1)


def test_banks_mix_sampling_rates_unless_told_not_to(library):
    mixed = build_bank(library, n_geometries=24, n_units=4, n_variants=1)
    assert mixed.rate_hz.min() >= 15_000
    assert mixed.rate_hz.max() == 30_000
    assert 4 <= (mixed.rate_hz < 30_000).sum() <= 20
    full = build_bank(library, n_geometries=3, n_units=4, n_variants=1, lowest_rate_hz=30_000)
    assert (full.rate_hz == 30_000).all()
    assert mixed.to("cpu").rate_hz.equal(mixed.rate_hz)


def test_noise_of_slow_recordings_is_band_limited_and_still_of_unit_variance():
    rates = torch.tensor([15_000.0, 30_000.0]).repeat(64)
    noise = coloured_noise(Draw(generator()), 128, 512, rate_hz=rates)
    hz = np.fft.rfftfreq(512, 1 / 30_000)
    power = torch.fft.rfft(noise).abs().square().mean(dim=1)
    slow, fast = power[::2].mean(dim=0), power[1::2].mean(dim=0)
    assert slow[hz > 8500].mean() < 0.02 * fast[hz > 8500].mean()
    assert noise[::2].std().item() == pytest.approx(1, abs=0.05)


def test_contacts_come_in_random_order_with_the_absent_ones_last(bank):
    batch = detector_batch(bank, 256, generator=generator())
    n_present = batch.present.sum(dim=1, keepdim=True)
    assert torch.equal(batch.present, torch.arange(MAX_CONTACTS) < n_present)
    tetrodes = (bank.present.sum(dim=1) == 4).nonzero()[:, 0]
    places = {tuple(bank.contacts_um[g, 0].tolist()) for g in tetrodes}
    first = [tuple(place.tolist()) for place in batch.contacts_um[:, 0]]
    whole = [f for f, n in zip(first, n_present, strict=True) if n == 4]
    assert 0 < sum(place in places for place in whole) < len(whole)


def test_a_contact_keeps_its_voltage_and_its_place_when_the_order_changes():
    """The unit right at a contact is loudest there, wherever that contact stands in the batch."""
    shapes = torch.zeros(1, 1, 1, MAX_CONTACTS, N_SAMPLES)
    shapes[..., TROUGH] = -torch.linspace(1.0, 0.1, MAX_CONTACTS)
    where = torch.linspace(0, 70, MAX_CONTACTS)[None, :, None].repeat(1, 1, 2)
    alone = Bank(shapes.half(), where, torch.ones(1, MAX_CONTACTS, dtype=torch.bool),
                 torch.full((1, 1), -1), torch.full((1,), 30_000.0))  # fmt: skip
    batch = extractor_batch(
        alone, 32, generator=generator(), n_units=1, n_snippets=2, smallest=39, largest=40, overlap=0
    )
    depth = -batch.voltage.amin(dim=-1).mean(dim=(1, 2))
    loudest = depth.argmax(dim=1)
    nearest = batch.contacts_um[..., 0].masked_fill(~batch.present, 1e9).argmin(dim=1)
    assert (loudest == nearest).float().mean() > 0.9
    assert len(loudest.unique()) > 4


def test_a_scene_depends_on_its_generator_alone(bank):
    one, same = (extractor_batch(bank, 3, generator=generator(5), n_units=4, n_snippets=2) for _ in "ab")
    for first, second in zip(one, same, strict=True):
        assert torch.equal(first, second)
