"""The audit: how well stimuli are reconstructed from ever fewer dimensions of the brain.

`audit` measures, `AuditCurve` holds what was measured. The method is that of BrainBits (Mayo et al.,
NeurIPS 2024), with the bottleneck solved in closed form.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom import artifacts
from neuroloom.auditing import arms, inputs
from neuroloom.auditing.arms import CEILING, MEAN, NO_BOTTLENECK
from neuroloom.auditing.bottleneck import Bottleneck, ReducedRankRidge
from neuroloom.auditing.generation import circular_metrics, decode, encode, names_circular, refuse_seen
from neuroloom.auditing.metric_names import find_metrics, require_fitting
from neuroloom.auditing.metrics import Metric
from neuroloom.auditing.noise_ceiling import repeatability
from neuroloom.auditing.results import AuditCurve
from neuroloom.auditing.scoring import Scorer
from neuroloom.auditing.sizes import choose_sizes

if TYPE_CHECKING:
    from neuroloom.auditing.generators import Generator

__all__ = ["AuditCurve", "audit"]


def audit(
    responses: np.ndarray,
    stimuli: Any,
    *,
    generator: "Generator | None" = None,
    sizes: Sequence[int] | None = None,
    groups: Any = None,
    metrics: Sequence[str | Metric] | None = None,
    bottleneck: Bottleneck | None = None,
    n_folds: int | None = None,
    test_fraction: float | None = None,
    test: Any = None,
    restorations: Sequence[str] | None = None,
    controls: Sequence[str] = (arms.RANDOM, arms.SHUFFLED),
    n_draws: int = 3,
    n_bootstrap: int = 500,
    n_examples: int = 6,
    seed: int = 0,
) -> AuditCurve:
    """Measure how much of the brain a reconstruction uses.

    Responses pass a linear bottleneck of every size, then the generator (if any) turns predicted latents
    into stimuli; held-out reconstructions are scored beside arms that see noise, wrong pairings, nothing,
    or the truth.

    Parameters
    ----------
    responses
        (stimuli, units), or (stimuli, units, repeats) with NaN where a repeat is absent; repeats are averaged
        and tell how much of the responses is repeatable.
    stimuli
        What is reconstructed: images (stimuli, height, width[, 3]) in 0..1, text, or any targets
        (stimuli, targets), e.g. an embedding or a behaviour.
    generator
        Fitted generator; ``None`` predicts the stimuli themselves as linear targets (z-scored).
    sizes
        Bottleneck sizes; default 1, 2, 5, 10, 20, 50, .. up to the rank.
    groups
        (stimuli,) ids of repeated stimuli or time blocks. Default: equal images or texts are one group; ids
        that part these are refused.
    metrics
        Names or `Metric` objects. Default: r2 and correlation; with a generator pixcorr and
        two_way, for text wer, bleu1 and meteor.
    bottleneck
        Unfitted bottleneck; default `ReducedRankRidge`.
    n_folds, test_fraction, test
        How to hold stimuli out: see `neuroloom.auditing.inputs.choose_folds`.
    restorations
        ``"train"`` adds arms whose latents regain the training variance, ``"test"`` the transductive variant
        of published pipelines. Default: ``("train",)`` with a generator, none without.
    controls
        Arms to fit beside the brain; mean and ceiling cost nothing and are always there.
    n_draws
        Draws of the random and shuffled arms, and of all arms whose bottleneck starts from random weights.
    n_bootstrap
        Resamplings of stimuli (of groups, where these are larger) behind each 95 % interval.
    n_examples
        Reconstructions to keep per arm and size.
    seed
        Seed of splits, draws and resampling.

    Returns
    -------
    AuditCurve

    Raises
    ------
    DataError
        If shapes disagree, stimuli are not finite or out of a metric's range, sizes exceed the units, nothing
        can be held out, or the generator returns what is not finite or of another shape.
    LeakySplit
        If the test set or the groups asked for put a stimulus on both sides, or the generator knows it.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> brain = rng.normal(size=(120, 6))
    >>> curve = audit(brain, brain @ rng.normal(size=(6, 3)), sizes=[1, 3], n_bootstrap=50)
    >>> frame = curve.to_frame()
    >>> bool(frame[(frame.arm == "brain") & (frame["size"] == 3)].score.min() > 0.9)
    True
    """
    given = np.asarray(responses)
    responses, findings, usable = inputs.check_responses(given)
    stimuli = inputs.check_stimuli(stimuli, n_responses=len(responses))
    like_images = generator is not None or stimuli.ndim > 2 or stimuli.dtype.kind == "O"
    ids = inputs.stimulus_groups(stimuli, groups, identify_repeats=like_images)
    folds = inputs.choose_folds(ids, n_folds=n_folds, test_fraction=test_fraction, test=test, seed=seed)
    chosen = find_metrics(metrics or _default_metrics(stimuli, generator))
    require_fitting(chosen, stimuli)
    if groups is not None and not like_images:
        findings += inputs.check_parted(stimuli, ids)
    if groups is None and not like_images and test is None:
        findings += inputs.check_independence(responses, stimuli.reshape(len(stimuli), -1))
    held_out = np.concatenate([fold.test for fold in folds])
    findings += circular_metrics(generator, chosen)
    refuse_seen(generator, stimuli, held_out)
    latents = encode(generator, stimuli)
    restorations = restorations if restorations is not None else (("train",) if generator else ())
    bottleneck = bottleneck or ReducedRankRidge(unit_variance=generator is None, seed=seed)
    n_train = min(len(fold.train) for fold in folds)
    rank = min(responses.shape[1], n_train - 1)
    if isinstance(bottleneck, ReducedRankRidge):
        rank = min(rank, latents.shape[1])
    wanted, more = choose_sizes(sizes, rank=rank, n_units=responses.shape[1])
    findings += more

    predictions: dict[tuple[str, int, int], list[np.ndarray]] = {}
    for fold in folds:
        for item in arms.predict_arms(
            responses,
            latents,
            fold,
            bottleneck=bottleneck,
            sizes=wanted,
            groups=ids,
            n_draws=n_draws,
            seed=seed,
            restorations=restorations,
            controls=controls,
        ):
            predictions.setdefault((item.arm, item.size, item.draw), []).append(item.targets)
    scorer = Scorer(chosen, stimuli[held_out], ids[held_out], n_bootstrap=n_bootstrap, seed=seed)
    examples = {"truth": stimuli[held_out[:n_examples]]}

    def reconstruct(values: np.ndarray) -> np.ndarray:
        if generator is None:
            return values.reshape(len(values), *stimuli.shape[1:])
        return decode(generator, values, shape=stimuli.shape[1:])

    for (arm, size, draw), parts in predictions.items():
        reconstruction = reconstruct(np.concatenate(parts))
        scorer.add(arm, size, reconstruction)
        if draw == 0:
            examples[f"{arm}/{size}"] = reconstruction[:n_examples]
    if stimuli.dtype.kind != "O":
        averages = [np.broadcast_to(stimuli[f.train].mean(0), stimuli[f.test].shape) for f in folds]
    else:
        averages = [reconstruct(np.tile(latents[f.train].mean(0), (len(f.test), 1))) for f in folds]
    scorer.add(MEAN, NO_BOTTLENECK, np.concatenate(averages))
    if generator:
        ceiling = reconstruct(latents[held_out])
        scorer.add(CEILING, NO_BOTTLENECK, ceiling)
        examples[f"{CEILING}/{NO_BOTTLENECK}"] = ceiling[:n_examples]
    facts = {
        "n_stimuli": len(responses),
        "n_units": responses.shape[1],
        "n_groups": len(np.unique(ids)),
        "n_test": len(held_out),
        "n_test_groups": len(np.unique(ids[held_out])),
        "n_folds": len(folds),
        "n_draws": n_draws,
        "n_bootstrap": n_bootstrap,
        "bottleneck": type(bottleneck).__name__,
        "generator": getattr(generator, "name", None),
        "rank": rank,
        "circular": names_circular(generator, chosen),
        **repeatability(given[:, usable] if given.ndim == 3 else responses, stimuli, ids),
        "lower_is_better": [metric.name for metric in chosen if not metric.higher_is_better],
        "seed": seed,
        "data_fingerprint": artifacts.fingerprint(responses, stimuli, ids),
    }
    return AuditCurve(scorer.rows(), facts, tuple(findings), examples)


def _default_metrics(stimuli: np.ndarray, generator: "Generator | None") -> tuple[str, ...]:
    if stimuli.dtype.kind == "O":
        return ("wer", "bleu1", "meteor")
    return ("pixcorr", "two_way") if generator else ("r2", "correlation")
