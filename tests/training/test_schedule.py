import pytest
import torch

from neuroloom.training.config import TrainConfig
from neuroloom.training.schedule import rate_factor


@pytest.mark.parametrize("warmup", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("steps", [20, 100])
def test_onecycle_is_torchs_onecycle(warmup, steps):
    config = TrainConfig(steps=steps, warmup_fraction=warmup)
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    reference = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=steps, pct_start=warmup, cycle_momentum=False, final_div_factor=1e4
    )
    for step in range(steps):
        assert rate_factor(step, total_steps=steps, config=config) == pytest.approx(
            optimizer.param_groups[0]["lr"], abs=1e-9
        )
        optimizer.step()
        if step < steps - 1:
            reference.step()


def test_cosine_warms_up_and_ends_at_zero():
    config = TrainConfig(steps=101, schedule="cosine", warmup_fraction=0.1)
    factors = [rate_factor(step, total_steps=101, config=config) for step in range(101)]
    assert factors[0] == pytest.approx(1 / 11)
    assert max(factors) == factors[10] == 1.0
    assert factors[55] == pytest.approx(0.5)
    assert factors[-1] == pytest.approx(0.0)


@pytest.mark.parametrize("schedule", ["onecycle", "cosine", "constant_then_cosine", "constant"])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_runs_have_a_positive_first_rate(schedule, steps):
    config = TrainConfig(steps=steps, schedule=schedule, warmup_fraction=0.0)
    factors = [rate_factor(step, total_steps=steps, config=config) for step in range(steps)]
    assert factors[0] > 0
    assert all(0 <= factor <= 1 for factor in factors)
