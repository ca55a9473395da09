import numpy as np
import pytest
import torch

from neuroloom.errors import CorruptArtifact
from neuroloom.simulation.bank import build_bank
from neuroloom.simulation.corpus import extractor_batch
from neuroloom.simulation.library import Cell, CellLibrary
from neuroloom.sorting.detector import make_detector
from neuroloom.sorting.extractor import make_extractor
from neuroloom.sorting.pretrain import identification_accuracy, pretrain, raw_accuracy, unit_logits
from neuroloom.sorting.pretrained import load_weights, save_weights
from neuroloom.sorting.weights_making import make_weights, split_cells
from neuroloom.training.config import TrainConfig


@pytest.fixture(scope="module")
def library() -> CellLibrary:
    times_ms = np.arange(220) / 40 - 1.5
    cells = []
    for index, width in enumerate((0.1, 0.14, 0.2, 0.26)):
        course = -np.exp(-0.5 * (times_ms / width) ** 2)
        course += 0.4 * np.exp(-0.5 * ((times_ms - 4 * width) / width) ** 2)
        cells.append(
            Cell(
                name=f"made-up-{index}",
                archetype="made-up",
                segment_start_um=np.array([[0.0, -5, 0], [0.0, 5, 0]]),
                segment_end_um=np.array([[0.0, 5, 0], [0.0, 80, 0]]),
                footprints=np.array([[1.0], [-1.0]]),
                courses=np.stack([course, 0.9 * course])[:, None],
                interval_ms=np.full(2, 100.0),
                spike_times_ms=np.arange(3) * 100.0,
                duration_ms=1000.0,
            )
        )
    return CellLibrary(tuple(cells), "none", "made up")


@pytest.fixture(scope="module")
def bank(library):
    return build_bank(library, n_geometries=8, n_units=20)


def short(steps, **changes):
    settings = {
        "batch_size": 8,
        "learning_rate": 2e-3,
        "evaluate_every": steps,
        "checkpoint_every": steps // 2,
    }
    return TrainConfig(steps=steps, device="cpu", **(settings | changes))


def test_own_unit_is_judged_without_the_snippet_itself():
    random = torch.Generator().manual_seed(0)
    z = torch.randn(2, 3, 5, 4, generator=random)
    without = z[1, 2, [0, 1, 2, 4]].mean(dim=0)
    expected = -((z[1, 2, 3] - without) ** 2).sum() / 2
    torch.testing.assert_close(unit_logits(z)[1, 2, 3, 2], expected)


def test_detector_learns(bank):
    torch.manual_seed(0)
    result = pretrain(
        make_detector(), bank, bank, config=short(30, batch_size=64), validation_size=64, quiet=True
    )
    assert result.records[-1]["loss"] < 0.75 * result.records[0]["loss"]


def test_extractor_learns(bank):
    torch.manual_seed(0)
    model = make_extractor()
    batch = extractor_batch(bank, 8, generator=torch.Generator().manual_seed(9))
    before = identification_accuracy(model, batch)
    pretrain(model, bank, bank, config=short(25, batch_size=2), validation_size=2, quiet=True)
    assert identification_accuracy(model.eval(), batch) > before + 0.1
    assert 0.2 < raw_accuracy(batch) <= 1


def test_an_interrupted_run_ends_with_the_same_weights(bank, tmp_path):
    def run(folder, steps):
        torch.manual_seed(0)
        model = make_detector()
        pretrain(model, bank, bank, config=steps, folder=folder, validation_size=16, quiet=True)
        return model.state_dict()

    whole = run(tmp_path / "whole", short(4, checkpoint_every=2))
    again = run(tmp_path / "whole", short(4, checkpoint_every=2))
    for name, value in whole.items():
        assert torch.equal(value, again[name])


def test_weights_survive_the_disk_and_damage_is_noticed(tmp_path):
    model = make_detector().eval()
    folder = save_weights(model, tmp_path / "detector", card={"licence": "BSD"}, seed=0)
    loaded = load_weights(folder)
    assert loaded.card == {"licence": "BSD"}
    for name, value in model.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name])
    path = folder / "arrays.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(CorruptArtifact):
        load_weights(folder)


def test_cells_are_split_without_overlap(library):
    seen, unseen = split_cells(library, held_out_fraction=0.25, seed=0)
    assert len(seen) == 3
    assert len(unseen) == 1
    assert {cell.name for cell in seen.cells}.isdisjoint(cell.name for cell in unseen.cells)


def test_made_weights_have_a_card(library, tmp_path):
    folder = make_weights(
        "detector",
        library,
        tmp_path,
        steps=2,
        batch_size=8,
        n_geometries=2,
        validation_size=8,
        device="cpu",
        quiet=True,
    )
    card = load_weights(folder).card
    assert card["library"]["licence"] == "none"
    assert card["held_out_loss"] > 0
