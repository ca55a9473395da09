"""What can be read out of a bottleneck as it widens, how many dimensions it uses, and which units feed it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom import seeds
from neuroloom.auditing import inputs
from neuroloom.auditing.arms import BRAIN, RANDOM, Fold
from neuroloom.auditing.bottleneck import Bottleneck, ReducedRankRidge
from neuroloom.auditing.generation import encode, refuse_seen
from neuroloom.auditing.metrics import BalancedAccuracy, Correlation
from neuroloom.auditing.properties import image_properties, text_properties
from neuroloom.auditing.results import Score
from neuroloom.auditing.scoring import Scorer
from neuroloom.auditing.sizes import choose_sizes
from neuroloom.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from neuroloom.auditing.generators import Generator


@dataclass(frozen=True)
class Decodability:
    """What a bottleneck carries.

    Attributes
    ----------
    rows
        Scores whose `metric` is the property's name: the correlation of read-out and true numbers, or the
        balanced accuracy of labels. Arms ``brain`` and ``random`` (noise for a brain: chance).
    effective_dimensions
        Size -> participation ratio (Σλ)² / Σλ² of the z-scored code's covariance, on test stimuli,
        averaged over folds.
    weights
        (usable units, largest size): weights of z-scored units into the bottleneck fitted to all stimuli.
    patterns
        (usable units, largest size): how each unit follows each dimension (covariance, Haufe et al. 2014),
        which, unlike a weight, is not large merely to cancel another unit's noise.
    unit_index
        (usable units,) which columns of the responses these are; units with NaN are left out.
    regions
        One name per usable unit, or empty.
    """

    rows: tuple[Score, ...] = field(repr=False)
    effective_dimensions: dict[int, float]
    weights: np.ndarray = field(repr=False)
    patterns: np.ndarray = field(repr=False)
    unit_index: np.ndarray = field(repr=False)
    regions: tuple[str, ...] = field(default=(), repr=False)

    def to_frame(self) -> "pd.DataFrame":
        """Return columns arm, size, property, score, low, high."""
        import pandas as pd

        names = ("arm", "size", "metric", "score", "low", "high")
        table = pd.DataFrame([[getattr(row, name) for name in names] for row in self.rows], columns=names)
        return table.rename(columns={"metric": "property"})

    def score(self, name: str, *, size: int, arm: str = BRAIN) -> float:
        """Return one property's score.

        Raises
        ------
        DataError
            If there is no such row.
        """
        for row in self.rows:
            if (row.arm, row.size, row.metric) == (arm, size, name):
                return row.score
        known = sorted({row.metric for row in self.rows})
        raise DataError(
            f"no score of {name!r} at size {size}", expected=f"one of {known}", remedy="look at to_frame()"
        )

    def units(self, *, size: int | None = None) -> "pd.DataFrame":
        """Return columns ``unit``, ``region``, ``weight`` and ``pattern`` (their lengths over dimensions).

        Parameters
        ----------
        size
            Dimensions counted; default all.
        """
        import pandas as pd

        columns = {
            "unit": self.unit_index,
            "region": self.regions or [""] * len(self.weights),
            "weight": np.linalg.norm(self.weights[:, :size], axis=1),
            "pattern": np.linalg.norm(self.patterns[:, :size], axis=1),
        }
        return pd.DataFrame(columns)

    def plot(self) -> "Figure":
        """Return a figure: read-out scores and effective dimensions by size, and the units' shares."""
        from neuroloom.auditing.plots import plot_decodability

        return plot_decodability(self)


def decodability(
    responses: np.ndarray,
    stimuli: Any,
    *,
    properties: Mapping[str, Sequence[Any] | np.ndarray] | None = None,
    generator: "Generator | None" = None,
    sizes: Sequence[int] | None = None,
    groups: Any = None,
    regions: Sequence[str] | None = None,
    bottleneck: Bottleneck | None = None,
    n_folds: int | None = None,
    test_fraction: float | None = None,
    test: Any = None,
    n_bootstrap: int = 200,
    seed: int = 0,
) -> Decodability:
    """Read properties of the stimuli out of the bottleneck linearly, for every size.

    Parameters
    ----------
    responses, stimuli, generator, groups, bottleneck, n_folds, test_fraction, test, n_bootstrap, seed
        As in `neuroloom.audit`: the bottleneck is fitted to the generator's latents (or the stimuli
        themselves), not to the properties.
    properties
        Name -> one number or label per stimulus. Default: those of `neuroloom.auditing.properties` for
        images or text.
    sizes
        Bottleneck sizes; default 1, 2, 5, 10, .. up to the rank.
    regions
        (units,) names of where the units were recorded, for the figure.

    Raises
    ------
    DataError
        As `neuroloom.audit`; also if a property or the regions have the wrong length.
    LeakySplit
        As `neuroloom.audit`.
    """
    given = np.asarray(responses)
    responses, _, usable = inputs.check_responses(given)
    stimuli = inputs.check_stimuli(stimuli, n_responses=len(responses))
    known = _properties(stimuli, properties)
    if regions is not None and len(regions) != given.shape[1]:
        raise DataError(
            f"{len(regions)} regions for {given.shape[1]} units",
            expected="one region per unit",
            remedy="give them in the order of the units",
        )
    identify = generator is not None or stimuli.ndim > 2 or stimuli.dtype.kind == "O"
    ids = inputs.stimulus_groups(stimuli, groups, identify_repeats=identify)
    folds = inputs.choose_folds(ids, n_folds=n_folds, test_fraction=test_fraction, test=test, seed=seed)
    latents = encode(generator, stimuli)
    bottleneck = bottleneck or ReducedRankRidge(unit_variance=generator is None, seed=seed)
    held_out = np.concatenate([fold.test for fold in folds])
    refuse_seen(generator, stimuli, held_out)
    rank = min(responses.shape[1], latents.shape[1], min(len(fold.train) for fold in folds) - 1)
    sizes, _ = choose_sizes(sizes, rank=rank, n_units=responses.shape[1])
    scorers = {
        name: Scorer(
            [_metric(name, values)], values[held_out], ids[held_out], n_bootstrap=n_bootstrap, seed=seed
        )
        for name, values in known.items()
    }
    spread: dict[int, list[float]] = {size: [] for size in sizes}
    for arm in (BRAIN, RANDOM):
        read: dict[tuple[str, int], list[np.ndarray]] = {}
        for fold in folds:
            seen = responses
            if arm == RANDOM:
                seen = seeds.stream(seed, "decodability", fold.index).uniform(size=responses.shape)
            [fitted] = bottleneck.fit_many(seen[fold.train], [latents[fold.train]], groups=ids[fold.train])
            for size in sizes:
                code = fitted.encode(seen, size=size)
                if arm == BRAIN:
                    spread[size].append(participation_ratio(code[fold.test]))
                for name, values in known.items():
                    read.setdefault((name, size), []).append(_read_out(code, values, fold, ids))
        for (name, size), parts in read.items():
            scorers[name].add(arm, size, np.concatenate(parts))
    [full] = bottleneck.fit_many(responses, [latents], groups=ids)
    largest = max(sizes)
    code, deviation = full.encode(responses, size=largest), responses.std(0)
    weights = full.input_weights(size=largest) * deviation[:, None]
    scaled = (responses - responses.mean(0)) / np.where(deviation > 0, deviation, 1.0)
    code_spread = code.std(0)
    patterns = scaled.T @ (code - code.mean(0)) / len(code) / np.where(code_spread > 0, code_spread, 1.0)
    return Decodability(
        rows=tuple(row for scorer in scorers.values() for row in scorer.rows()),
        effective_dimensions={size: float(np.mean(values)) for size, values in spread.items()},
        weights=weights,
        patterns=patterns,
        unit_index=usable,
        regions=tuple(str(regions[unit]) for unit in usable) if regions is not None else (),
    )


def participation_ratio(code: np.ndarray) -> float:
    """Return (Σλ)² / Σλ² over the eigenvalues of the covariance of z-scored columns of a code.

    It is the number of columns if they vary independently, 1 if they are all the same. The columns are
    z-scored because a linear read-out does not care for their scale.
    """
    deviation = code.std(0)
    scaled = (code - code.mean(0))[:, deviation > 0] / deviation[deviation > 0]
    if not scaled.shape[1]:
        return 0.0
    values = np.linalg.eigvalsh(scaled.T @ scaled)
    return float(values.sum() ** 2 / np.square(values).sum())


def _read_out(code: np.ndarray, values: np.ndarray, fold: Fold, groups: np.ndarray) -> np.ndarray:
    """Return a property as read linearly from the test stimuli's code."""
    classes = None
    if values.dtype.kind == "O":
        classes = np.unique(values[fold.train].astype(str))
        targets = (values[:, None].astype(str) == classes).astype(float)
    else:
        targets = values[:, None]
    fitted = ReducedRankRidge(unit_variance=True).fit(
        code[fold.train], targets[fold.train], groups=groups[fold.train]
    )
    guess = fitted.predict(code[fold.test], size=max(1, fitted.rank))
    return guess[:, 0] if classes is None else classes[guess.argmax(1)].astype(object)


def _properties(
    stimuli: np.ndarray, given: Mapping[str, Sequence[Any] | np.ndarray] | None
) -> dict[str, np.ndarray]:
    if given is None:
        if stimuli.dtype.kind == "O":
            given = text_properties(list(stimuli))
        elif stimuli.ndim > 2:
            given = image_properties(stimuli)
        else:
            raise DataError(
                f"stimuli of shape {stimuli.shape} have no properties of their own",
                expected="images, text, or properties",
                remedy="pass properties={name: values}",
            )
    known = {}
    for name, values in given.items():
        array = np.asarray(values)
        if array.shape != (len(stimuli),):
            raise DataError(
                f"property {name!r} has shape {array.shape}",
                expected=f"one value per stimulus, ({len(stimuli)},)",
                remedy="give it in the order of the stimuli",
            )
        # Floating numbers are measured; anything else is a label.
        known[name] = array if array.dtype.kind == "f" else array.astype(str).astype(object)
    return known


def _metric(name: str, values: np.ndarray) -> Correlation | BalancedAccuracy:
    return BalancedAccuracy(name=name) if values.dtype.kind == "O" else Correlation(name=name)
