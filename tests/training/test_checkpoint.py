import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroloom.training.checkpoint import load_latest, save_checkpoint


def save(folder, step, tensors=None, document=None):
    return save_checkpoint(
        folder, step=step, tensors=tensors or {"w": torch.ones(2)}, document=document or {}, config={}, seed=0
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool])
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_tensors_come_back_as_they_went(tmp_path, dtype, shape):
    tensor = (torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 3).to(dtype)
    save(tmp_path, 1, {"a/b": tensor})
    found, findings = load_latest(tmp_path)
    assert findings == []
    assert found.tensors["a/b"].dtype == dtype
    assert found.tensors["a/b"].shape == tensor.shape
    assert torch.equal(found.tensors["a/b"], tensor)


def test_a_transposed_tensor_keeps_its_values(tmp_path):
    tensor = torch.arange(6.0).reshape(2, 3).T
    save(tmp_path, 1, {"w": tensor})
    assert torch.equal(load_latest(tmp_path)[0].tensors["w"], tensor)


@settings(max_examples=20)
@given(loss=st.floats(allow_nan=False, allow_infinity=False))
def test_losses_come_back_to_the_last_bit(tmp_path_factory, loss):
    folder = tmp_path_factory.mktemp("run")
    save(folder, 1, document={"best_loss": loss})
    assert load_latest(folder)[0].document["best_loss"] == loss


def test_the_last_two_are_kept_and_the_newest_is_loaded(tmp_path):
    for step in (5, 50, 500):
        save(tmp_path, step)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000050", "step-00000500"]
    assert load_latest(tmp_path)[0].step == 500


def test_an_absent_folder_holds_no_checkpoint(tmp_path):
    assert load_latest(tmp_path / "none") == (None, [])
