import numpy as np
import pytest
import torch

from neuroloom.errors import CorruptArtifact, DataError
from neuroloom.simulation.bank import build_bank
from neuroloom.simulation.corpus import extractor_batch
from neuroloom.simulation.library import Cell, CellLibrary
from neuroloom.sorting.detector import make_detector
from neuroloom.sorting.extractor import make_extractor
from neuroloom.sorting.pretrain import identification_accuracy, pretrain, raw_accuracy, unit_logits
from neuroloom.sorting.pretrained import load_weights, save_weights
from neuroloom.sorting.weights_making import choose_cells, make_weights, split_cells
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


def tiny(library, out, kind="detector", **changes):
    settings = {"steps": 2, "batch_size": 4, "n_geometries": 2, "validation_size": 4}
    return make_weights(kind, library, out, device="cpu", quiet=True, **(settings | changes))


def test_more_cells_contain_the_fewer_and_none_that_is_held_out(library):
    seen, unseen = split_cells(library, held_out_fraction=0.25, seed=0)
    chosen = [{cell.name for cell in choose_cells(seen, n, seed=0).cells} for n in (1, 2, 3)]
    assert chosen[0] < chosen[1] < chosen[2]
    assert chosen[2].isdisjoint(cell.name for cell in unseen.cells)
    assert choose_cells(seen, None, seed=0) is seen
    with pytest.raises(DataError, match="4 cells to train on"):
        choose_cells(seen, 4, seed=0)


def test_the_card_says_how_many_cells_and_scenes_were_used(library, tmp_path):
    card = load_weights(tiny(library, tmp_path, n_cells=2)).card
    assert card["training"]["cells"] == 2
    assert card["training"]["neighbourhoods"] == 2
    assert card["command"].startswith("neuroloom pretrain detector --out FOLDER --steps 2 ")
    assert "--cells 2" in card["command"]
    assert "--geometries 2" in card["command"]


def test_a_run_on_other_cells_is_not_resumed(library, tmp_path):
    tiny(library, tmp_path, n_cells=2)
    with pytest.raises(DataError, match="data_fingerprint"):
        tiny(library, tmp_path, n_cells=3)


def test_a_run_for_some_minutes_keeps_its_first_number_of_steps(library, tmp_path, monkeypatch):
    measured = iter([3, 5])
    monkeypatch.setattr("neuroloom.sorting.weights_making._steps_in", lambda *_: next(measured))
    first = load_weights(tiny(library, tmp_path, steps=None, minutes=1.0)).card
    second = load_weights(tiny(library, tmp_path, steps=None, minutes=1.0)).card
    assert first["training"]["steps"] == second["training"]["steps"] == 3


@pytest.mark.parametrize("kind", ["detector", "extractor"])
def test_the_published_configuration_is_trained_as_published(kind, library, tmp_path, monkeypatch):
    from neuroloom.sorting import pretrain as module

    used = []

    def spy(draw, voltage, present, strength):
        used.append(strength)
        return original(draw, voltage, present, strength)

    original = module.published
    monkeypatch.setattr(module, "published", spy)
    folder = tiny(library, tmp_path, kind, config="paper", batch_size=1, validation_size=1)
    assert load_weights(folder).kind == f"{kind}/paper"
    assert len(used) == 2  # training steps; validation is left as it is
    assert "--config paper" in load_weights(folder).card["command"]
