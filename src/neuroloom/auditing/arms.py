"""The arms of an audit: what a reconstruction scores with the brain, and what it scores without one.

`brain` sees the responses; `random` sees uniform noise of the same shape, in training and test; `shuffled`
sees real responses paired with other stimuli in training; `mean` sees nothing; `ceiling` sees the truth.
The first three can have their variance restored. With training statistics that would leave the last two as
they are: the mean is the mean, and true latents have the spread of true latents.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from neuroloom import seeds
from neuroloom.auditing.bottleneck import Bottleneck, Trained

BRAIN, RANDOM, SHUFFLED, MEAN, CEILING = "brain", "random", "shuffled", "mean", "ceiling"
# The size given to arms that no bottleneck feeds.
NO_BOTTLENECK = 0


@dataclass(frozen=True)
class Fold:
    """One split into training and test stimuli.

    Attributes
    ----------
    train, test
        Indices of stimuli.
    index
        The fold's number, which names its random streams.
    """

    train: np.ndarray
    test: np.ndarray
    index: int = 0


@dataclass(frozen=True)
class Prediction:
    """Targets predicted for the test stimuli of one fold.

    Attributes
    ----------
    arm
        Name of the arm.
    size
        Dimensions of the bottleneck.
    draw
        Number of the random draw; 0 for arms without chance.
    targets
        (test stimuli, targets).
    """

    arm: str
    size: int
    draw: int
    targets: np.ndarray


def predict_arms(
    responses: np.ndarray,
    targets: np.ndarray,
    fold: Fold,
    *,
    bottleneck: Bottleneck,
    sizes: Sequence[int],
    groups: np.ndarray,
    n_draws: int,
    seed: int,
    restorations: Sequence[str] = (),
    controls: Sequence[str] = (RANDOM, SHUFFLED),
) -> Iterator[Prediction]:
    """Fit every arm that has a bottleneck on the training stimuli and predict the test stimuli.

    Parameters
    ----------
    responses, targets
        (stimuli, units) and (stimuli, targets) of the whole experiment.
    fold
        The split.
    bottleneck
        An unfitted bottleneck.
    sizes
        Bottleneck sizes.
    groups
        (stimuli,) group ids.
    n_draws
        Draws of noise and of shuffled pairings, and of the starting weights of a bottleneck that has them.
    seed
        Seed of the named streams "random" and "shuffled".
    restorations
        Any of ``"train"`` and ``"test"``; see `restore_variance`.
    controls
        Which arms to fit beside the brain.
    """
    train, test = fold.train, fold.test
    pairings = [targets[train]]
    for draw in range(n_draws if SHUFFLED in controls else 0):
        order = shuffled_pairing(groups[train], rng=seeds.stream(seed, SHUFFLED, fold.index, draw))
        pairings.append(targets[train][order])
    fitted = bottleneck.fit_many(responses[train], pairings, groups=groups[train])
    arms = [(BRAIN, 0, fitted[0], responses)]
    if isinstance(bottleneck, Trained):
        for draw in range(1, n_draws):
            [model] = bottleneck.reseeded(draw).fit_many(
                responses[train], [targets[train]], groups=groups[train]
            )
            arms.append((BRAIN, draw, model, responses))
    arms += [(SHUFFLED, draw, model, responses) for draw, model in enumerate(fitted[1:])]
    for draw in range(n_draws if RANDOM in controls else 0):
        noise = seeds.stream(seed, RANDOM, fold.index, draw).uniform(size=responses.shape)
        [model] = bottleneck.fit_many(noise[train], [targets[train]], groups=groups[train])
        arms.append((RANDOM, draw, model, noise))
    for arm, draw, model, seen in arms:
        for size in sizes:
            predicted = model.predict(seen[test], size=size)
            yield Prediction(arm, size, draw, predicted)
            for statistics in restorations:
                source = model.predict(seen[train], size=size) if statistics == "train" else predicted
                restored = restore_variance(predicted, source=source, goal=targets[train])
                yield Prediction(f"{arm}_{RESTORED[statistics]}", size, draw, restored)


# How an arm is called after its variance was restored with the statistics of ..
RESTORED = {"train": "restored", "test": "transductive"}


def restore_variance(predicted: np.ndarray, *, source: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Give predicted targets the mean and spread of the training targets.

    Regression shrinks towards the mean; generators expect latents of natural size. `source` holds the
    predictions whose mean and spread are replaced: those of the training stimuli, or, as published
    pipelines do, those of the test batch itself (transductive: one test stimulus then changes another's
    reconstruction).
    """
    spread = source.std(0)
    gain = np.divide(goal.std(0), spread, out=np.zeros_like(spread), where=spread > 1e-12)
    return (predicted - source.mean(0)) * gain + goal.mean(0)


def shuffled_pairing(groups: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
    """Return an order of stimuli that breaks the pairing but keeps runs inside a group together.

    Groups change places as blocks and the whole is rotated, so that slow fluctuations of a time series
    stay what they were and only their partner changes.
    """
    by_group = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(groups[by_group]) != 0])
    blocks = np.split(by_group, starts[1:])
    moved = np.concatenate([blocks[b] for b in rng.permutation(len(blocks))])
    if len(moved) > 1:
        moved = np.roll(moved, rng.integers(1, len(moved)))
    order = np.empty_like(moved)
    order[by_group] = moved
    return order
