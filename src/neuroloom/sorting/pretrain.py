"""Pre-training of detector and extractor on simulated scenes, by the one training loop.

There is no data set: every batch is a scene made on the fly from a bank of simulated units, a pure function
of the seed and the step, so that an interrupted run resumes bit by bit.
"""

import os
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, triplet_margin_loss

from neuroloom.seeds import derive
from neuroloom.simulation.augmentations import (
    PUBLISHED_DETECTOR,
    PUBLISHED_EXTRACTOR,
    Published,
    published,
)
from neuroloom.simulation.bank import Bank
from neuroloom.simulation.corpus import DetectorBatch, ExtractorBatch, detector_batch, extractor_batch
from neuroloom.simulation.draws import Draw
from neuroloom.training.config import TrainConfig
from neuroloom.training.loop import TrainResult, train
from neuroloom.training.objective import Objective
from neuroloom.training.sampler import Batch

# Enough that no epoch ends: examples are numbers of windows or scenes, made when needed.
_ENDLESS = 1_000_000


def detector_loss(model: nn.Module, batch: DetectorBatch) -> tuple[Tensor, float]:
    """Return the summed binary cross entropy over samples; unweighted, for calibrated probabilities."""
    logits = model(batch.voltage, batch.contacts_um, batch.present)
    return binary_cross_entropy_with_logits(
        logits.float(), batch.labels, reduction="sum"
    ), batch.labels.numel()


def identity_loss(model: nn.Module, batch: ExtractorBatch) -> tuple[Tensor, float]:
    r"""Return the summed cross entropy of telling every spike's unit among the units of its scene.

    Unit :math:`u` has probability proportional to :math:`\exp(-|z - \mu_u|^2 / 2)`, with :math:`\mu_u` the
    mean of its other snippets. This is minimal where units scatter as Gaussians of unit variance, so a
    distance between embeddings is a number of standard deviations, whatever the probe or the noise.
    """
    logits = unit_logits(embed_batch(model, batch))
    scenes, units, snippets, _ = logits.shape
    target = torch.arange(units, device=logits.device)[None, :, None].expand(scenes, units, snippets)
    return cross_entropy(logits.reshape(-1, units), target.reshape(-1), reduction="sum"), target.numel()


def triplet_loss(model: nn.Module, batch: ExtractorBatch) -> tuple[Tensor, float]:
    """Return the published loss: a triplet margin of 1; the negative is the next unit of the scene."""
    z = embed_batch(model, batch)
    anchor, positive, negative = z, z.roll(1, dims=2), z.roll(1, dims=1)
    loss = triplet_margin_loss(
        anchor.flatten(0, 2), positive.flatten(0, 2), negative.flatten(0, 2), margin=1.0
    )
    n_anchors = z[..., 0].numel()
    return loss * n_anchors, n_anchors


def embed_batch(model: nn.Module, batch: ExtractorBatch) -> Tensor:
    """Return embeddings of a batch of scenes, shape ``(scenes, units, snippets, embedding)``."""
    scenes, units, snippets, n_contacts, n_samples = batch.voltage.shape
    per_scene = units * snippets
    z = model(
        batch.voltage.reshape(-1, n_contacts, n_samples),
        batch.contacts_um.repeat_interleave(per_scene, dim=0),
        batch.present.repeat_interleave(per_scene, dim=0),
    )
    return z.float().reshape(scenes, units, snippets, -1)


def unit_logits(z: Tensor) -> Tensor:
    """Return the log-odds of every unit for every snippet, ``(scenes, units, snippets, units)``.

    A snippet is left out of its own unit's mean.
    """
    n_units, n_snippets = z.shape[1:3]
    mean = z.mean(dim=2)  # (S, U, D)
    squared = (z[:, :, :, None] - mean[:, None, None]).square().sum(dim=-1)  # (S, U, M, U)
    # Leaving one of M out of its own mean stretches the difference by M / (M - 1).
    own = torch.eye(n_units, device=z.device, dtype=torch.bool)[None, :, None, :]
    squared = torch.where(own, squared * (n_snippets / (n_snippets - 1)) ** 2, squared)
    return -squared / 2


def generator_for(batch: Batch, name: str) -> torch.Generator:
    """Return the generator of a batch's scenes on the batch's device."""
    seed = derive(batch.seed, name, batch.step, batch.slot)
    return torch.Generator(device=batch.device).manual_seed(seed)


def detector_objective(
    bank: Bank,
    *,
    n_windows: int | None = None,
    name: str = "train",
    augmentation: Published | None = None,
) -> Objective:
    """Return the detector's objective; with `n_windows` a fixed set for validation.

    `augmentation` is the published one, on top of scenes that already differ in amplitude, noise, colour,
    sampling rate, gain, overlaps, and missing and permuted contacts.
    """

    def prepare(batch: Batch) -> DetectorBatch:
        generator = generator_for(batch, f"detector/{name}")
        made = detector_batch(bank, len(batch.indices), generator=generator)
        if augmentation is None:
            return made
        return made._replace(voltage=published(Draw(generator), made.voltage, made.present, augmentation))

    return Objective(n_examples=n_windows or _ENDLESS, loss=detector_loss, prepare=prepare)


def extractor_objective(
    bank: Bank,
    *,
    n_scenes: int | None = None,
    name: str = "train",
    loss: Any = identity_loss,
    augmentation: Published | None = None,
) -> Objective:
    """Return the extractor's objective; one example is one scene. See `detector_objective`."""

    def prepare(batch: Batch) -> ExtractorBatch:
        generator = generator_for(batch, f"extractor/{name}")
        made = extractor_batch(bank, len(batch.indices), generator=generator)
        if augmentation is None:
            return made
        snippets = made.voltage.flatten(0, 2)
        present = made.present.repeat_interleave(len(snippets) // len(made.present), dim=0)
        changed = published(Draw(generator), snippets, present, augmentation)
        return made._replace(voltage=changed.reshape(made.voltage.shape))

    return Objective(n_examples=n_scenes or _ENDLESS, loss=loss, prepare=prepare)


def pretrain(
    model: nn.Module,
    bank: Bank,
    held_out: Bank,
    *,
    config: TrainConfig,
    folder: str | os.PathLike | None = None,
    validation_size: int | None = None,
    data_fingerprint: str | None = None,
    quiet: bool = False,
) -> TrainResult:
    """Train a detector or an extractor in place; a run found in `folder` is resumed.

    Parameters
    ----------
    model
        From `make_detector` or `make_extractor`; its kind decides the objective. The published
        configurations are trained with the published augmentation, and the extractor with its loss.
    bank, held_out
        Units to train on, and units of other cells to validate on.
    config
        Steps, batch size (windows for a detector, scenes for an extractor), learning rate, device.
    folder
        Checkpoints and log.
    validation_size
        Windows (4,096; 512 for the slow published network) or scenes (48) of validation.
    data_fingerprint
        What the banks are made of; a run on others is not resumed.
    quiet
        No progress bar.
    """
    device = torch.device(
        config.device if config.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    )
    bank, held_out = bank.to(device), held_out.to(device)
    kind = str(model.kind)
    is_paper = kind.endswith("/paper")
    if kind.startswith("detector"):
        objective = detector_objective(bank, augmentation=PUBLISHED_DETECTOR if is_paper else None)
        validation = detector_objective(
            held_out, n_windows=validation_size or (512 if is_paper else 4096), name="validation"
        )
    else:
        loss = triplet_loss if is_paper else identity_loss
        augmentation = PUBLISHED_EXTRACTOR if is_paper else None
        objective = extractor_objective(bank, loss=loss, augmentation=augmentation)
        validation = extractor_objective(
            held_out, n_scenes=validation_size or 48, name="validation", loss=loss
        )
    return train(
        model,
        objective,
        validation=validation,
        config=config,
        folder=folder,
        data_fingerprint=data_fingerprint,
        label=kind,
        quiet=quiet,
    )


@torch.no_grad()
def identification_accuracy(model: nn.Module, batch: ExtractorBatch) -> float:
    """Return how often a spike lies closest to its own unit's mean among the units of its scene."""
    logits = unit_logits(embed_batch(model, batch))
    return float((logits.argmax(dim=-1) == _own(logits)).float().mean())


def raw_accuracy(batch: ExtractorBatch) -> float:
    """Return the same for the voltage itself: nearest mean waveform, what no training can do worse than."""
    logits = unit_logits(batch.voltage.flatten(3))
    return float((logits.argmax(dim=-1) == _own(logits)).float().mean())


def _own(logits: Tensor) -> Tensor:
    return torch.arange(logits.shape[1], device=logits.device)[None, :, None]
