"""The stage that decodes: a decoder, its score on held-out time, and what it is compared with."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom import artifacts
from neuroloom.pipeline.run_folder import RunFolder
from neuroloom.reporting.decoding.models import model_name

if TYPE_CHECKING:
    from spikeinterface import BaseSorting

    from neuroloom.decoding.estimator import Decoder
    from neuroloom.decoding.evaluation import HeldOut
    from neuroloom.pipeline.chain import RunConfig
    from neuroloom.sessions.session import Session

BASELINE, _FUTURE_BINS = "wiener", 6
# Steps of adapting bundled weights: of the new units' embeddings, and then as many of everything.
_STEPS_PER_MINUTE, _FEWEST_STEPS, _MOST_STEPS = 75, 150, 1500
# With less than this, to change more than the embeddings is no safe choice (docs/decoding-poyo.md).
_MINUTES_FOR_ALL = 5.0
_BATCH_SIZE = 16  # windows a step: as good as twice as many, in half the time


def decode_stage(
    run: RunFolder,
    session: "Session",
    target: str,
    *,
    key: str,
    config: "RunConfig",
    truth: "BaseSorting | None" = None,
) -> Path:
    """Fit a decoder, score it on held-out time beside a Wiener filter, and from the true units if known."""

    def make(draft: Path) -> dict[str, Any]:
        training = draft / "training"
        decoder, held_out, how = learn(session, target, config, folder=training)
        for checkpoints in list(training.rglob("checkpoints")):  # the finished decoder is saved in full
            shutil.rmtree(checkpoints)
        decoder.save(draft / "decoder")
        _write_predictions(held_out, draft / "predictions")
        score, metric = held_out.scores.value, held_out.scores.metric
        comparison = {"sorted units": score}
        name = model_name(decoder.kind)
        lead = f"{name} decodes {target}{how}: {metric} {_spoken(score)} on held-out time"
        if truth is not None:
            _, from_truth, _ = learn(_with_units(session, truth), target, config)
            comparison["true units"] = from_truth.scores.value
            lead += f", {_spoken(from_truth.scores.value)} from the true units"
        if decoder.kind != BASELINE:
            # A decoder that reads what comes after is compared with a filter that does so too.
            options = {} if getattr(decoder, "causal", True) else {"future_bins": _FUTURE_BINS}
            _, baseline = _fit(BASELINE, session, target, config, options)
            comparison[f"sorted units, {BASELINE}"] = baseline.scores.value
            lead += f"; a Wiener filter {_spoken(baseline.scores.value)}"
        return {
            "target": target,
            "model": decoder.kind,
            "metric": metric,
            "score": score,
            "dimension_scores": held_out.scores.parts,
            "comparison": comparison,
            "lead": lead + ".",
            "findings": [finding.as_dict() for finding in [*decoder.findings_, *held_out.scores.findings]],
        }

    return run.stage("decoding", make, key=key, seed=config.seed)


def learn(
    session: "Session", target: str, config: "RunConfig", *, folder: Path | None = None
) -> "tuple[Decoder, HeldOut, str]":
    """Return a decoder of the run's choice, what it makes of held-out time, and in words how it began."""
    from neuroloom.decoding.evaluation import adapt_and_evaluate
    from neuroloom.decoding.pretrained import pretrained_for

    bundled = None
    if config.model in ("auto", "poyo") and not config.decoder_options:
        bundled = pretrained_for(session, target)
    if bundled is None:
        model = BASELINE if config.model == "auto" else config.model
        return *_fit(model, session, target, config, config.decoder_options, folder), ""
    bundled.seed = config.seed  # pyright: ignore[reportAttributeAccessIssue]
    bundled.batch_size = _BATCH_SIZE  # pyright: ignore[reportAttributeAccessIssue]
    minutes = session.duration_s / 60 * (1 - config.test_fraction)
    steps = int(np.clip(round(_STEPS_PER_MINUTE * minutes), _FEWEST_STEPS, _MOST_STEPS))
    mode = "units" if minutes < _MINUTES_FOR_ALL else "full"
    held_out = adapt_and_evaluate(
        bundled,
        [session],
        options={"mode": mode, "steps": steps, "folder": folder},
        test_fraction=config.test_fraction,
    )
    how = "its units identified" if mode == "units" else "adapted"
    return bundled, held_out[session.id], f" (bundled weights, {how})"


def _fit(
    model: str,
    session: "Session",
    target: str,
    config: "RunConfig",
    options: dict[str, Any] | None = None,
    folder: Path | None = None,
) -> "tuple[Decoder, HeldOut]":
    from neuroloom.decoding.evaluation import fit_and_evaluate, make_decoder

    decoder = make_decoder(model, target, seed=config.seed, options=options)
    held_out = fit_and_evaluate(decoder, [session], test_fraction=config.test_fraction, folder=folder)
    return decoder, held_out[session.id]


def _with_units(session: "Session", truth: "BaseSorting") -> "Session":
    from neuroloom.sessions.session import Session

    return Session.from_sorting(
        truth,
        id=session.id,
        behavior=session.behavior,
        trials=session.trials,
        subject=session.subject,
        time_support=session.time_support,
    )


def _write_predictions(held_out: "HeldOut", folder: Path) -> None:
    predicted, true, classes = held_out.predicted, held_out.true, None
    if predicted.dtype.kind not in "fiu":
        # Safetensors has no text: labels travel as positions in a list.
        classes = np.unique(np.concatenate([predicted, true])).tolist()
        predicted, true = np.searchsorted(classes, predicted), np.searchsorted(classes, true)
    artifacts.save_artifact(
        folder,
        kind="predictions",
        arrays={"times_s": held_out.times_s, "predicted": predicted, "true": true},
        document={"columns": held_out.columns, "classes": classes},
    )


def _spoken(score: float) -> str:
    return f"{score:.2f}" if np.isfinite(score) else "undefined"
