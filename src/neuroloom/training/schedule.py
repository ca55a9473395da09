"""The learning rate as a pure function of the step: nothing to store, nothing to restore."""

import math

from neuroloom.training.config import TrainConfig

# OneCycle's customary bounds: it rises from 1/25 of the peak and ends at 1e-4 of where it began.
_ONECYCLE_START = 1 / 25
_ONECYCLE_END = _ONECYCLE_START * 1e-4


def rate_factor(step: int, *, total_steps: int, config: TrainConfig) -> float:
    """Return the factor on the peak learning rate at `step` of `total_steps`.

    Examples
    --------
    >>> config = TrainConfig(steps=100, schedule="constant_then_cosine", warmup_fraction=0.0)
    >>> [round(rate_factor(step, total_steps=101, config=config), 2) for step in (0, 40, 75, 100)]
    [1.0, 1.0, 0.5, 0.0]
    """
    last = max(total_steps - 1, 1)
    if config.schedule == "onecycle":
        peak = config.warmup_fraction * total_steps - 1
        if step <= peak:
            return _cosine(_ONECYCLE_START, 1.0, step / peak if peak > 0 else 1.0)
        return _cosine(1.0, _ONECYCLE_END, (step - max(peak, 0)) / max(last - max(peak, 0), 1))
    warmup = int(config.warmup_fraction * last)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    falls_at = {
        "cosine": warmup,
        "constant_then_cosine": max(warmup, config.hold_fraction * last),
        "constant": math.inf,
    }[config.schedule]
    if step <= falls_at:
        return 1.0
    return _cosine(1.0, 0.0, (step - falls_at) / (last - falls_at))


def _cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2
