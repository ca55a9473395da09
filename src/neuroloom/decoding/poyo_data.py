"""What POYO learns from: windows with the outputs that lie inside them, and the loss on those.

Knows arrays only, so that a machine without the session types can train.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from neuroloom.decoding.poyo import PoyoInputs
from neuroloom.decoding.tokens import Train, Windows, tokenize
from neuroloom.errors import DataError
from neuroloom.training.objective import Objective
from neuroloom.training.sampler import Batch


@dataclass(frozen=True)
class Outputs:
    """Output times of one recording and what is known there.

    Attributes
    ----------
    times_s
        Shape (outputs,), ascending.
    stretch
        Shape (outputs,), int64: number of the stretch (support interval or trial) of each output.
    bounds_s
        Shape (stretches, 2): borders of the stretches; a window never reads over them.
    values
        Regression: (outputs, dimensions), scaled, NaN where unknown. Classification: (outputs, 1), the
        class's number, NaN where unknown.
    weights
        Shape (outputs,): weight of each output in the loss.
    """

    times_s: np.ndarray
    stretch: np.ndarray
    bounds_s: np.ndarray
    values: np.ndarray
    weights: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """Whether each output is known and has weight, (outputs,)."""
        return np.isfinite(self.values).any(axis=1) & (self.weights > 0)


@dataclass(frozen=True)
class PoyoData:
    """Recordings as POYO's examples.

    Attributes
    ----------
    trains, outputs
        One of each per recording (part of a session).
    context_s
        Length of a window.
    task
        ``"regression"`` or ``"classification"``.
    keep_units, jitter_s
        Augmentations in training; see `tokens.tokenize`.
    seen_from_s, early_weight
        The context a causal decoder will have. Outputs earlier than this in their window count by this
        weight in training, and not at all in validation: what they teach about units serves the others.
    """

    trains: Sequence[Train]
    outputs: Sequence[Outputs]
    context_s: float
    task: str
    keep_units: tuple[int, int, int] | None = None
    jitter_s: float = 0.0
    seen_from_s: float = 0.0
    early_weight: float = 0.0

    def split(self, fraction: float) -> "tuple[PoyoData, PoyoData]":
        """Return what comes before the last `fraction` of the known outputs of every recording, and the rest.

        A stretch that is not longer than two contexts stays whole. The second part is not augmented.
        """
        halves: tuple[list[Outputs], list[Outputs]] = ([], [])
        for outputs in self.outputs:
            usable = np.flatnonzero(outputs.counts)
            cut = usable[round(len(usable) * (1 - fraction))] if len(usable) > 1 else len(outputs.times_s)
            stretch = outputs.stretch[min(cut, len(outputs.stretch) - 1)]
            begin, end = outputs.bounds_s[stretch]
            time = outputs.times_s[min(cut, len(outputs.times_s) - 1)]
            if end - begin <= 2 * self.context_s:
                time = begin
            for half, low, high in zip(halves, (-np.inf, time), (time, np.inf), strict=True):
                inside = (outputs.times_s >= low) & (outputs.times_s < high)
                half.append(
                    Outputs(
                        outputs.times_s[inside],
                        outputs.stretch[inside],
                        np.clip(outputs.bounds_s, low, high),
                        outputs.values[inside],
                        outputs.weights[inside],
                    )
                )
        before = replace(self, outputs=halves[0])
        return before, replace(self, outputs=halves[1], keep_units=None, jitter_s=0.0, early_weight=0.0)

    def windows(self, *, step_s: float) -> Windows:
        """Lay windows `step_s` apart over every stretch that has known outputs; at least one on each.

        Raises
        ------
        DataError
            If no output is known anywhere.
        """
        number, starts, low, high = [], [], [], []
        for part, outputs in enumerate(self.outputs):
            for stretch in np.unique(outputs.stretch[outputs.counts]):
                begin, end = outputs.bounds_s[stretch]
                room = end - begin - self.context_s
                laid = begin + step_s * np.arange(int(np.ceil(max(room, 0) / step_s - 1e-9)) + 1)
                # The last window ends where the stretch does; one that is too short begins with it.
                laid = np.minimum(laid, begin + max(room, 0.0))
                number.append(np.full(len(laid), part))
                starts.append(laid)
                low.append(np.full(len(laid), begin))
                high.append(np.full(len(laid), end))
        if not number:
            raise DataError(
                "the target is unknown everywhere",
                expected="some moments with a known target",
                remedy="check for NaN, and that target and spikes overlap in time",
            )
        return Windows(*(np.concatenate(each) for each in (number, starts, low, high)))

    def training(self) -> Objective:
        """Return the objective on windows at random places: one example per half context."""
        step_s = self.context_s / 2
        windows = self.windows(step_s=step_s)

        def prepare(batch: Batch) -> "Prepared":
            random = batch.stream("windows")
            chosen = windows.take(batch.indices)
            # Anywhere within half a step of the laid place, but inside its stretch.
            shift = random.uniform(-step_s / 2, step_s / 2, len(chosen))
            latest = np.maximum(chosen.high_s - self.context_s, chosen.low_s)
            shift = np.clip(chosen.start_s + shift, chosen.low_s, latest) - chosen.start_s
            return self.prepare(chosen.shifted(shift), random=random).to(batch.device)

        return Objective(len(windows), self.loss, prepare)

    def validation(self) -> Objective:
        """Return the objective on windows side by side, without augmentation."""
        windows = self.windows(step_s=self.context_s / 2)
        return Objective(
            len(windows), self.loss, lambda batch: self.prepare(windows.take(batch.indices)).to(batch.device)
        )

    def prepare(self, windows: Windows, *, random: np.random.Generator | None = None) -> "Prepared":
        """Return tokens, targets and weights of some windows."""
        first, last = [], []
        for part, start, low, high in zip(
            windows.train, windows.start_s, windows.low_s, windows.high_s, strict=True
        ):
            times = self.outputs[part].times_s
            seen_from_s = 0.0 if self.early_weight else self.seen_from_s
            begin = max(start + seen_from_s, low) if high - low > self.context_s else low
            bounds = np.searchsorted(times, (begin - 1e-9, min(start + self.context_s, high)))
            first.append(bounds[0])
            last.append(bounds[1])
        n = np.maximum(np.array(last) - np.array(first), 0)
        width = max(1, int(n.max(initial=0)))
        dimensions = self.outputs[0].values.shape[1]
        output = np.full((len(windows), width), -1, dtype=np.int64)
        queries = np.zeros((len(windows), width))
        values = np.full((len(windows), width, dimensions), np.nan)
        weights = np.zeros((len(windows), width))
        for row, part in enumerate(windows.train):
            inside = slice(first[row], first[row] + n[row])
            outputs = self.outputs[part]
            output[row, : n[row]] = np.arange(inside.start, inside.stop)
            queries[row, : n[row]] = outputs.times_s[inside] - windows.start_s[row]
            values[row, : n[row]] = outputs.values[inside]
            weights[row, : n[row]] = outputs.weights[inside]
            if windows.high_s[row] - windows.low_s[row] > self.context_s:
                weights[row, : n[row]][queries[row, : n[row]] < self.seen_from_s - 1e-9] *= self.early_weight
        inputs = tokenize(
            self.trains,
            windows,
            queries,
            context_s=self.context_s,
            keep_units=self.keep_units,
            jitter_s=self.jitter_s,
            random=random,
        )
        return Prepared(inputs, torch.from_numpy(values).float(), torch.from_numpy(weights).float(), output)

    def loss(self, model: nn.Module, prepared: "Prepared") -> tuple[Tensor, Tensor]:
        """Return the weighted sum of losses and the sum of weights: squared error, or cross-entropy."""
        predicted = model(prepared.inputs).float()  # (B, Q, dimensions or classes)
        known = prepared.values.isfinite()
        weights = prepared.weights[..., None] * known  # (B, Q, dimensions or 1)
        values = torch.where(known, prepared.values, 0.0)
        if self.task == "regression":
            return (weights * (predicted - values) ** 2).sum(), weights.sum()
        error = nn.functional.cross_entropy(
            predicted.flatten(0, 1), values.long().flatten(), reduction="none"
        )
        return (weights.flatten() * error).sum(), weights.sum()


@dataclass(frozen=True)
class Prepared:
    """A batch ready for the loss.

    Attributes
    ----------
    inputs
        The tokens.
    values
        (B, Q, dimensions), NaN where unknown.
    weights
        (B, Q).
    output
        (B, Q): number of the output among its recording's; -1 where there is none.
    """

    inputs: PoyoInputs
    values: Tensor
    weights: Tensor
    output: np.ndarray

    def to(self, device: str) -> "Prepared":
        """Return the batch on another device."""
        return replace(
            self,
            inputs=self.inputs.to(device),
            values=self.values.to(device),
            weights=self.weights.to(device),
        )
