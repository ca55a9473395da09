"""What an audit asks of a generator, and how its answers are checked."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from neuroloom.auditing.inputs import row_digests
from neuroloom.auditing.metrics import Metric
from neuroloom.errors import DataError, LeakySplit
from neuroloom.findings import Finding

if TYPE_CHECKING:
    from neuroloom.auditing.generators import Generator


def encode(generator: "Generator | None", stimuli: np.ndarray) -> np.ndarray:
    """Return latents (stimuli, latents); without a generator the numbers of the stimuli themselves.

    Raises
    ------
    DataError
        If the latents are not finite or not one row per stimulus, or text has no generator.
    """
    if generator is None:
        if stimuli.dtype.kind == "O":
            raise DataError(
                "text without a generator", expected="a generator for text", remedy="pass generator=.."
            )
        return stimuli.reshape(len(stimuli), -1)
    latents, name = np.asarray(generator.encode(stimuli)), type(generator).__name__
    if latents.ndim != 2 or len(latents) != len(stimuli) or latents.shape[1] == 0:
        raise DataError(
            f"{name}.encode returned shape {latents.shape} for {len(stimuli)} stimuli",
            expected=f"({len(stimuli)}, latents)",
            remedy="flatten the latents of each stimulus into one row",
        )
    return _finite(latents.astype(float), f"{name}.encode", expected="finite latents")


def decode(generator: "Generator", latents: np.ndarray, *, shape: tuple[int, ...]) -> np.ndarray:
    """Return stimuli of the given shape made from latents (stimuli, latents).

    Raises
    ------
    DataError
        If they are not finite, or of another shape.
    """
    made, name = np.asarray(generator.decode(latents)), type(generator).__name__
    if made.shape != (len(latents), *shape):
        raise DataError(
            f"{name}.decode returned shape {made.shape} for {len(latents)} rows of latents",
            expected=f"{(len(latents), *shape)}, the shape of the stimuli",
            remedy="give stimuli of the shape that the generator makes",
        )
    return made if made.dtype.kind in "OU" else _finite(made, f"{name}.decode", expected="finite stimuli")


def circular_metrics(generator: "Generator | None", metrics: Sequence[Metric]) -> list[Finding]:
    """Flag metrics that look through a network which also took part in the reconstruction."""
    shared = names_circular(generator, metrics)
    if not shared:
        return []
    what = f"{', '.join(shared)} score with a network that the generator itself uses: circular"
    return [Finding("warning", what, f"generator {getattr(generator, 'name', '')}", "use other metrics")]


def names_circular(generator: "Generator | None", metrics: Sequence[Metric]) -> list[str]:
    """Return the names of such metrics."""
    inside = set(getattr(generator, "networks", ()))
    return [metric.name for metric in metrics if getattr(metric, "network", None) in inside]


def refuse_seen(generator: "Generator | None", stimuli: np.ndarray, held_out: np.ndarray) -> None:
    """Refuse a generator that was trained on stimuli it is now to reconstruct.

    Raises
    ------
    LeakySplit
        If there is such a stimulus.
    """
    seen = getattr(generator, "seen_", None)
    if not seen:
        return
    known = np.isin(row_digests(stimuli[np.unique(held_out)]), list(seen))
    if known.any():
        raise LeakySplit(
            f"the generator was trained on {known.sum()} of {len(known)} test stimuli",
            expected="test stimuli that it has never seen",
            remedy="train it on neuroloom.auditing.inputs.without_duplicates(stimuli, of=these), or with "
            "neuroloom audit train-generator --exclude THESE",
        )


def _finite(values: np.ndarray, source: str, *, expected: str) -> np.ndarray:
    n_bad = int((~np.isfinite(values)).sum())
    if n_bad:
        raise DataError(
            f"{source} returned {n_bad} values that are NaN or inf",
            expected=expected,
            remedy="check the generator's weights and the scale of its stimuli and latents",
        )
    return values
