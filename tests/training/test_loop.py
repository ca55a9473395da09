import json

import numpy as np
import pytest
import torch
from torch import nn

from neuroloom import artifacts
from neuroloom.errors import DataError
from neuroloom.training.journal import read_journal
from neuroloom.training.loop import Batch, Objective, TrainConfig, train


class Line(nn.Module):
    def __init__(self, n_inputs=3):
        super().__init__()
        self.linear = nn.Linear(n_inputs, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)


def line_objective(n_examples=64, *, weights=None, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    inputs = torch.from_numpy(rng.normal(size=(n_examples, 3))).float()
    targets = inputs @ torch.tensor([1.0, -2.0, 0.5]) + 0.3
    targets = targets + noise * torch.from_numpy(rng.normal(size=n_examples)).float()
    weight = torch.ones(n_examples) if weights is None else weights

    def loss(model, batch: Batch):
        chosen = torch.from_numpy(batch.indices).to(batch.device)
        device = chosen.device
        errors = model.linear(inputs.to(device)[chosen])[:, 0] - targets.to(device)[chosen]
        return (weight.to(device)[chosen] * errors**2).sum(), weight.to(device)[chosen].sum()

    return Objective(n_examples, loss)


def config(**changes):
    return TrainConfig(**({"steps": 20, "batch_size": 8, "device": "cpu", "log_every": 1} | changes))


def test_a_line_is_learned():
    model = Line()
    result = train(model, line_objective(), config=config(steps=400, learning_rate=0.1), quiet=True)
    np.testing.assert_allclose(model.linear.weight.detach().numpy(), [[1.0, -2.0, 0.5]], atol=1e-3)
    assert result.step == 400
    assert result.records[-1]["loss"] < 1e-5
    assert not model.training


def test_one_step_of_sgd_follows_the_gradient_of_the_weighted_mean():
    weights = torch.tensor([1.0, 0.0, 3.0, 2.0])
    objective = line_objective(4, weights=weights)
    model, reference = Line(), Line()
    train(
        model,
        objective,
        config=config(steps=1, batch_size=4, accumulate=3, gradient_clip=None, schedule="constant"),
        make_optimizer=lambda groups: torch.optim.SGD(groups, lr=0.5),
        quiet=True,
    )
    total, weight = objective.loss(reference, Batch(np.arange(4), 0, 0, 0))
    (total / weight).backward()
    for ours, theirs in zip(model.parameters(), reference.parameters(), strict=True):
        np.testing.assert_allclose(ours.detach(), (theirs - 0.5 * theirs.grad).detach(), rtol=1e-5)


def test_accumulated_pieces_make_the_step_of_the_whole_batch():
    curves = []
    for accumulate in (1, 4):
        result = train(Line(), line_objective(), config=config(accumulate=accumulate), quiet=True)
        curves.append([record["loss"] for record in result.records])
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-4)


def test_the_weights_of_the_lowest_validation_loss_are_kept_and_training_stops():
    # Few noisy examples and a high constant rate: the validation loss soon wanders.
    model, held_out = Line(), line_objective(50, noise=1.0, seed=2)
    result = train(
        model,
        line_objective(6, noise=3.0, seed=1),
        validation=held_out,
        config=config(steps=2000, learning_rate=0.05, schedule="constant", evaluate_every=5, patience=3),
        quiet=True,
    )
    assert result.stopped_early
    assert result.step == result.best_step + 15
    total, weight = held_out.loss(model, Batch(np.arange(50), 0, 0, 0))
    assert (total / weight).item() == pytest.approx(result.best_loss, rel=1e-5)
    assert result.best_loss == min(
        record["validation_loss"] for record in result.records if "validation_loss" in record
    )


def test_frozen_parameters_and_own_groups_are_respected():
    model = Line()
    model.linear.bias.requires_grad_(False)
    seen = []

    def groups(model):
        seen.append(True)
        return [{"params": [model.linear.weight], "lr": 0.0}]

    train(model, line_objective(), config=config(), parameter_groups=groups, quiet=True)
    assert seen == [True]
    assert torch.equal(model.linear.weight, torch.zeros(1, 3))
    assert torch.equal(model.linear.bias, torch.zeros(1))


def test_the_callers_random_state_is_left_alone():
    model = Line()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(model, line_objective(), config=config(), quiet=True)
    assert torch.equal(torch.get_rng_state(), before)


def test_prefetching_changes_nothing():
    results = [train(Line(), line_objective(), config=config(prefetch=depth), quiet=True) for depth in (0, 3)]
    assert [r["loss"] for r in results[0].records] == [r["loss"] for r in results[1].records]


def test_bfloat16_autocast_learns_too():
    model = Line()
    train(
        model, line_objective(), config=config(steps=300, learning_rate=0.1, precision="bfloat16"), quiet=True
    )
    np.testing.assert_allclose(model.linear.weight.detach().numpy(), [[1.0, -2.0, 0.5]], atol=0.05)
    assert model.linear.weight.dtype == torch.float32


def test_a_finished_run_is_not_run_again(tmp_path):
    objective = line_objective()
    first, second = Line(), Line()
    done = train(first, objective, validation=objective, config=config(), folder=tmp_path, quiet=True)
    again = train(second, objective, validation=objective, config=config(), folder=tmp_path, quiet=True)
    assert torch.equal(first.linear.weight, second.linear.weight)
    assert again.records == done.records
    assert (again.step, again.best_step, again.best_loss) == (done.step, done.best_step, done.best_loss)


def test_the_log_has_one_json_object_a_line(tmp_path):
    objective = line_objective()
    train(
        Line(), objective, validation=objective, config=config(evaluate_every=4), folder=tmp_path, quiet=True
    )
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, 21))
    assert {"step", "epoch", "loss", "learning_rate", "elapsed_s", "validation_loss"} == set(
        json.loads(lines[3])
    )


def test_another_runs_folder_is_refused(tmp_path):
    train(Line(), line_objective(), config=config(), folder=tmp_path, data_fingerprint="a", quiet=True)
    with pytest.raises(DataError, match=r"learning_rate=0\.001.*expected learning_rate=0\.5"):
        train(
            Line(),
            line_objective(),
            config=config(learning_rate=0.5),
            folder=tmp_path,
            data_fingerprint="a",
            quiet=True,
        )
    with pytest.raises(DataError, match="data_fingerprint='a'"):
        train(Line(), line_objective(), config=config(), folder=tmp_path, data_fingerprint="b", quiet=True)
    with pytest.raises(DataError, match=r"another model.*linear\.weight"):
        train(Line(4), line_objective(), config=config(), folder=tmp_path, data_fingerprint="a", quiet=True)


def test_a_loss_that_is_not_finite_ends_the_run_with_a_remedy(tmp_path):
    objective = line_objective(weights=torch.full((64,), float("inf")))
    with pytest.raises(DataError, match="learning_rate"):
        train(Line(), objective, config=config(), folder=tmp_path, quiet=True)
    assert not list(tmp_path.glob("checkpoints/step-*"))


def test_batches_without_weight_leave_the_loss_undefined():
    result = train(Line(), line_objective(weights=torch.zeros(64)), config=config(), quiet=True)
    assert {record["loss"] for record in result.records} == {None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": None}, "steps is None and epochs is None"),
        ({"epochs": 3}, "exactly one"),
        ({"schedule": "linear"}, "onecycle"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"warmup_fraction": 1.5}, "fraction"),
        ({"precision": "float16"}, "bfloat16"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(DataError, match=message):
        config(**changes)


def test_a_batch_too_small_to_share_is_refused():
    with pytest.raises(DataError, match="4 examples is cut into 8 pieces"):
        train(Line(), line_objective(), config=config(batch_size=4, accumulate=8), quiet=True)


def test_a_device_that_is_not_there_is_refused():
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(DataError, match="cuda"):
        train(Line(), line_objective(), config=config(device="cuda"), quiet=True)


def curve_of(path):
    return np.array(json.loads(path.read_text()), dtype=float)


def test_two_processes_give_the_loss_curve_of_one(tmp_path, run_tiny):
    """Dropout included: two processes draw as one process that accumulates two pieces."""
    run_tiny("--losses", f"{tmp_path}/two.json", "--weights", f"{tmp_path}/two", processes=2)
    run_tiny("--losses", f"{tmp_path}/one.json", "--weights", f"{tmp_path}/one", "--accumulate", "2")
    one, two = curve_of(tmp_path / "one.json"), curve_of(tmp_path / "two.json")
    assert one.shape == (60, 3)
    assert one[-1, 1] < one[0, 1] / 2
    np.testing.assert_allclose(two, one, atol=1e-4)
    weights = [artifacts.load_artifact(tmp_path / name).arrays for name in ("one", "two")]
    for name, value in weights[0].items():
        np.testing.assert_allclose(weights[1][name], value, atol=1e-3)


@pytest.mark.slow
def test_processes_and_pieces_together_give_the_same_curve(tmp_path, run_tiny):
    run_tiny("--losses", f"{tmp_path}/two.json", "--accumulate", "2", processes=2)
    run_tiny("--losses", f"{tmp_path}/one.json", "--accumulate", "4")
    np.testing.assert_allclose(curve_of(tmp_path / "two.json"), curve_of(tmp_path / "one.json"), atol=1e-4)


@pytest.mark.slow
def test_a_distributed_run_resumes_as_a_single_process(tmp_path, run_tiny):
    """Checkpoints do not remember how many processes wrote them."""
    whole, parted = tmp_path / "whole.json", tmp_path / "parted.json"
    run_tiny("--losses", f"{whole}", "--folder", f"{tmp_path}/a", "--accumulate", "2")
    run_tiny("--folder", f"{tmp_path}/b", processes=2)
    for path in sorted((tmp_path / "b" / "checkpoints").iterdir())[1:]:
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
    run_tiny("--losses", f"{parted}", "--folder", f"{tmp_path}/b", "--accumulate", "2")
    np.testing.assert_allclose(curve_of(parted), curve_of(whole), atol=1e-4)


def test_the_log_of_a_resumed_run_is_that_of_an_undisturbed_one(tmp_path):
    objective = line_objective()

    class Interrupted(Exception):
        pass

    def failing_after(n_batches):
        seen = []

        def loss(model, batch):
            seen.append(batch)
            if len(seen) > n_batches:
                raise Interrupted
            return objective.loss(model, batch)

        return Objective(objective.n_examples, loss)

    settings = config(steps=30, checkpoint_every=7)
    with pytest.raises(Interrupted):
        train(Line(), failing_after(17), config=settings, folder=tmp_path / "a", quiet=True)
    resumed, whole = Line(), Line()
    train(resumed, objective, config=settings, folder=tmp_path / "a", quiet=True)
    train(whole, objective, config=settings, folder=tmp_path / "b", quiet=True)
    assert torch.equal(resumed.linear.weight, whole.linear.weight)
    for first, second in zip(
        read_journal(tmp_path / "a" / "log.jsonl"), read_journal(tmp_path / "b" / "log.jsonl"), strict=True
    ):
        assert first | {"elapsed_s": 0} == second | {"elapsed_s": 0}
