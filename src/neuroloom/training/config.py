"""How a model is trained: one dataclass, checked when it is made."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

from neuroloom.errors import DataError

Schedule = Literal["onecycle", "cosine", "constant_then_cosine", "constant"]
SCHEDULES = ("onecycle", "cosine", "constant_then_cosine", "constant")

# Fields that say where and how a run is computed, not what it computes: free to change on resume.
_FREE = ("device", "deterministic", "prefetch", "accumulate")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The settings of one training run.

    Attributes
    ----------
    steps, epochs
        How long to train: optimizer steps, or passes over the examples. Exactly one is given.
    batch_size
        Examples per optimizer step, over all processes and accumulated pieces together.
    accumulate
        Pieces that each process cuts its share of a batch into, to save memory.
    learning_rate
        The peak of the schedule, for parameter groups that do not set their own ``lr``.
    weight_decay
        Decoupled weight decay of AdamW, on parameters with two or more dimensions.
    betas
        AdamW's decay rates of the first and second moment.
    gradient_clip
        Largest norm of the gradient; None does not clip.
    schedule
        ``"onecycle"`` (cosine up, cosine down), ``"cosine"``, ``"constant_then_cosine"`` or ``"constant"``
        (the last three after a linear warm-up).
    warmup_fraction
        Fraction of the steps in which the learning rate rises.
    hold_fraction
        For ``"constant_then_cosine"``: fraction of the steps before the rate falls.
    evaluate_every
        Steps between evaluations of the validation objective; None means once an epoch.
    patience
        Evaluations without improvement before training stops; None never stops early.
    checkpoint_every
        Steps between checkpoints (a checkpoint is also made at the end).
    log_every
        Steps between log lines.
    seed
        Seed of the order of examples, of dropout, and of every `Batch.stream`.
    precision
        ``"float32"``, or ``"bfloat16"`` for autocast (weights stay float32).
    device
        ``"auto"`` (CUDA if there is one), ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.
    deterministic
        Ask torch for deterministic algorithms only. The CPU needs no asking for bit-identical resume.
    prefetch
        Batches prepared ahead in a background thread; 0 prepares each when it is needed.
    """

    steps: int | None = None
    epochs: float | None = None
    batch_size: int = 32
    accumulate: int = 1
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    gradient_clip: float | None = 1.0
    schedule: Schedule = "onecycle"
    warmup_fraction: float = 0.1
    hold_fraction: float = 0.5
    evaluate_every: int | None = None
    patience: int | None = None
    checkpoint_every: int = 500
    log_every: int = 10
    seed: int = 0
    precision: Literal["float32", "bfloat16"] = "float32"
    device: str = "auto"
    deterministic: bool = False
    prefetch: int = 0

    def __post_init__(self):
        if (self.steps is None) == (self.epochs is None):
            raise DataError(
                f"steps is {self.steps} and epochs is {self.epochs}",
                expected="exactly one of them",
                remedy="pass steps=... or epochs=...",
            )
        for name in ("steps", "epochs", "batch_size", "accumulate", "evaluate_every", "patience"):
            self._require(name, lambda value: value is None or value > 0, "a positive number")
        for name in ("checkpoint_every", "log_every", "learning_rate"):
            self._require(name, lambda value: value > 0 and math.isfinite(value), "a positive number")
        for name in ("weight_decay", "prefetch"):
            self._require(name, lambda value: value >= 0, "zero or more")
        for name in ("warmup_fraction", "hold_fraction"):
            self._require(name, lambda value: 0 <= value <= 1, "a fraction between 0 and 1")
        self._require("gradient_clip", lambda value: value is None or value > 0, "a positive number or None")
        self._require("schedule", lambda value: value in SCHEDULES, f"one of {', '.join(SCHEDULES)}")
        self._require("precision", lambda value: value in ("float32", "bfloat16"), '"float32" or "bfloat16"')

    def _require(self, name: str, accepts, expected: str) -> None:
        value = getattr(self, name)
        if not accepts(value):
            raise DataError(f"{name} is {value!r}", expected=expected, remedy=f"pass another {name}")

    def total_steps(self, n_examples: int) -> int:
        """Return the number of optimizer steps over `n_examples` examples.

        Examples
        --------
        >>> TrainConfig(epochs=2, batch_size=32).total_steps(100)
        7
        """
        if self.epochs is None:
            return self.steps or 1
        return max(1, math.ceil(self.epochs * n_examples / self.batch_size))

    def identity(self) -> dict[str, Any]:
        """Return the fields that a resumed run must share with the run it resumes."""
        fields = dataclasses.asdict(self)
        fields["betas"] = list(self.betas)
        return {name: value for name, value in fields.items() if name not in _FREE}
