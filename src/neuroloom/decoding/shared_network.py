"""Decoders that are one network for all sessions: rows for what is theirs alone, and how it is trained."""

from collections.abc import Mapping
from typing import Any, Literal

from neuroloom.decoding.estimator import Decoder
from neuroloom.sessions.session import Session
from neuroloom.training.loop import TrainConfig


class NetworkDecoder(Decoder):
    """A decoder whose network has a row in its tables for each unit and session.

    Attributes
    ----------
    sessions_, rows_
        Session ids in the order of their rows, and unit id -> row.
    """

    batch_size: int
    weight_decay: float
    patience: int | None
    seed: int
    precision: Literal["float32", "bfloat16"]
    device: str
    sessions_: list[str]
    rows_: dict[str, int]

    def _number(self, parts: Mapping[str, list[Session]]) -> None:
        """Give rows to sessions and units that have none."""
        for session_id in parts:
            if session_id not in self.sessions_:
                self.sessions_.append(session_id)
            for unit in self.units_[session_id]:
                self.rows_.setdefault(unit, len(self.rows_))

    def _train_config(self, *, steps: int, rate: float, **others: Any) -> TrainConfig:
        """Return the settings of a training: 20 evaluations, 10 checkpoints."""
        return TrainConfig(
            steps=steps,
            batch_size=self.batch_size,
            learning_rate=rate,
            weight_decay=self.weight_decay,
            evaluate_every=max(1, steps // 20),
            log_every=max(1, min(10, steps // 20)),
            patience=self.patience,
            checkpoint_every=max(1, steps // 10),
            seed=self.seed,
            precision=self.precision,
            device=self.device,
            **others,
        )
