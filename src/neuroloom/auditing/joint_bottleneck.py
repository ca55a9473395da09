"""The paper's own bottleneck: a linear map and linear heads, trained jointly by AdamW, one model a size."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import nn

from neuroloom import seeds
from neuroloom.auditing.spectrum import Scaling, require_pairs
from neuroloom.errors import DataError, NotFitted
from neuroloom.training.loop import Batch, Objective, TrainConfig, train


@dataclass(frozen=True)
class Head:
    """Consecutive targets that are predicted together, and how much their error counts.

    Attributes
    ----------
    n_targets
        Columns of the targets that belong to this head.
    weight
        Factor of its mean squared error in the loss.
    """

    n_targets: int
    weight: float = 1.0


class Model(nn.Module):
    """The bottleneck and the heads; several linear heads on one code are one linear map."""

    def __init__(self, n_units: int, size: int, n_targets: int):
        super().__init__()
        self.bottleneck = nn.Linear(n_units, size)
        self.heads = nn.Linear(size, n_targets)

    def forward(self, responses: torch.Tensor) -> torch.Tensor:
        """Return targets (B, targets) of z-scored responses (B, units)."""
        return self.heads(self.bottleneck(responses))


@dataclass(frozen=True)
class JointLinear:
    """Linear(units, L), then one Linear(L, targets) per head, by AdamW (BrainBits, Mayo et al. 2024, A.1).

    Responses are z-scored with training statistics, a part of the training groups validates, and the weights
    with the least validation loss are kept. Nothing is shared between sizes: each is trained when it is
    first asked for.

    Attributes
    ----------
    heads
        How the target columns divide into latents; ``None`` is one head of all.
    learning_rate, weight_decay, batch_size, epochs, validation_fraction
        The paper's recipe, with a cosine schedule.
    unit_variance
        z-score the targets too.
    seed
        Seed of weights, order and validation.
    """

    heads: tuple[Head, ...] | None = None
    learning_rate: float = 0.01
    weight_decay: float = 0.1
    batch_size: int = 128
    epochs: int = 100
    validation_fraction: float = 0.15
    unit_variance: bool = False
    seed: int = 0
    # Learned; `models_` fills as sizes are asked for.
    input_: Scaling | None = field(default=None, repr=False)
    output_: Scaling | None = field(default=None, repr=False)
    data_: tuple[np.ndarray, np.ndarray, np.ndarray] | None = field(default=None, repr=False)
    models_: dict[int, Model] = field(default_factory=dict, repr=False, compare=False)
    seconds_: dict[int, float] = field(default_factory=dict, repr=False, compare=False)

    @property
    def rank(self) -> int:
        """min(units, targets)."""
        responses, targets, _ = self._data()
        return min(responses.shape[1], targets.shape[1])

    def fit_many(
        self, responses: np.ndarray, targets: Sequence[np.ndarray], *, groups: np.ndarray | None = None
    ) -> "list[JointLinear]":
        """Return one copy per target array, ready to train the sizes asked for.

        Raises
        ------
        DataError
            If shapes disagree, or heads do not add up to the targets.
        """
        fitted = []
        ids = np.arange(len(responses)) if groups is None else np.asarray(groups)
        for array in targets:
            require_pairs(responses, array)
            if self.heads and sum(head.n_targets for head in self.heads) != array.shape[1]:
                raise DataError(
                    f"heads of {[head.n_targets for head in self.heads]} targets for {array.shape[1]}",
                    expected="heads that add up to the targets",
                    remedy="correct n_targets of the heads",
                )
            input_scaling = Scaling.of(responses, unit_variance=True)
            output = Scaling.of(array, unit_variance=self.unit_variance)
            data = (input_scaling.apply(responses), output.apply(array), ids)
            fitted.append(
                replace(self, input_=input_scaling, output_=output, data_=data, models_={}, seconds_={})
            )
        return fitted

    def reseeded(self, draw: int) -> "JointLinear":
        """Return an unfitted copy with other starting weights, order and validation part."""
        return replace(self, seed=seeds.derive(self.seed, "joint bottleneck", "draw", draw))

    def predict(self, responses: np.ndarray, *, size: int) -> np.ndarray:
        """Return the targets (stimuli, targets) seen through `size` dimensions, in their own units."""
        code = torch.from_numpy(self.encode(responses, size=size)).float()
        model = self._model(size)
        with torch.inference_mode():
            values = model.heads(code).double().numpy()
        return self._scalings()[1].undo(values)

    def encode(self, responses: np.ndarray, *, size: int) -> np.ndarray:
        """Return what passes the bottleneck, (stimuli, size)."""
        scaled = torch.from_numpy(self._scalings()[0].apply(responses)).float()
        # Fetched first: a model that must yet be trained cannot be in inference mode.
        model = self._model(size)
        with torch.inference_mode():
            return model.bottleneck(scaled).double().numpy()

    def input_weights(self, *, size: int) -> np.ndarray:
        """Return the map from raw responses into the bottleneck: (units, size)."""
        weight = self._model(size).bottleneck.weight.detach().double().numpy()
        return self._scalings()[0].inverse_scale[:, None] * weight.T

    def _model(self, size: int) -> Model:
        if size not in self.models_:
            started = time.perf_counter()
            self.models_[size] = self._trained(size)
            self.seconds_[size] = time.perf_counter() - started
        return self.models_[size]

    def _trained(self, size: int) -> Model:
        responses, targets, ids = self._data()
        rng = seeds.stream(self.seed, "joint bottleneck", "validation")
        unique = rng.permutation(np.unique(ids))
        n_held_out = min(max(1, round(self.validation_fraction * len(unique))), len(unique) - 1)
        held_out = np.isin(ids, unique[:n_held_out])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seeds.derive(self.seed, "joint bottleneck", size))
            model = Model(responses.shape[1], size, targets.shape[1])
        heads = self.heads or (Head(targets.shape[1]),)
        importance = torch.cat(
            [torch.full((head.n_targets,), head.weight / head.n_targets) for head in heads]
        )

        def objective(rows: np.ndarray) -> Objective:
            x = torch.from_numpy(responses[rows]).float()
            y = torch.from_numpy(targets[rows]).float()

            def prepare(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
                chosen = torch.from_numpy(batch.indices)
                return x[chosen].to(batch.device), y[chosen].to(batch.device)

            return Objective(len(x), loss, prepare)

        def loss(network: nn.Module, inputs: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, float]:
            x, y = inputs
            return ((network(x) - y).square() * importance.to(x.device)).sum(), float(len(x))

        config = TrainConfig(
            epochs=self.epochs,
            batch_size=min(self.batch_size, int((~held_out).sum())),
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            schedule="cosine",
            warmup_fraction=0.0,
            gradient_clip=None,
            seed=self.seed,
            device="cpu",
        )
        train(model, objective(~held_out), config=config, validation=objective(held_out), quiet=True)
        model.requires_grad_(False)
        return model

    def _scalings(self) -> tuple[Scaling, Scaling]:
        if self.input_ is None or self.output_ is None:
            raise NotFitted("this bottleneck holds no data", expected="a fitted one", remedy="call fit_many")
        return self.input_, self.output_

    def _data(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if self.data_ is None:
            raise NotFitted("this bottleneck holds no data", expected="a fitted one", remedy="call fit_many")
        return self.data_
