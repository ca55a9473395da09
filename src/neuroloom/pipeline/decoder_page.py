"""The page of one decoder: what it predicts on held-out time, how it learned, what it made of each unit."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroloom import __version__
from neuroloom.decoding.targets import known
from neuroloom.pipeline.individuals import individuals
from neuroloom.pipeline.pages import package_versions
from neuroloom.reporting import sections
from neuroloom.reporting.decoding.models import model_name
from neuroloom.reporting.page import Provenance, Section, Summary, write_page

if TYPE_CHECKING:
    import pandas as pd

    from neuroloom.decoding.estimator import Decoder
    from neuroloom.decoding.evaluation import HeldOut
    from neuroloom.decoding.poyo_decoder import PoyoDecoder
    from neuroloom.sessions.session import Session

STAGES = {"units": "embeddings", "borders": "reading and writing", "all": "everything"}


def write_decoder_page(
    decoder: "Decoder",
    folder: Path,
    *,
    held_out: "Mapping[str, HeldOut]",
    sessions: "Sequence[Session]" = (),
    command: str = "",
) -> Path | None:
    """Write ``report.html`` of a fitted or adapted decoder; return its path, None if it would be empty.

    Parameters
    ----------
    decoder
        Fitted.
    folder
        Where the page goes.
    held_out
        Session id -> predictions beside the truth; the first is drawn.
    sessions
        Sessions whose unit metadata may tell preferred directions.
    command
        What made it.
    """
    shown = []
    if held_out:
        shown.append(_decoding(decoder, held_out))
    if decoder.kind == "poyo":
        shown.append(_units(decoder, sessions))  # type: ignore[arg-type]
    if decoder.kind == "eit":
        shown += individuals(decoder, held_out, sessions)  # type: ignore[arg-type]
    if not shown:
        return None
    return write_page(
        folder,
        summary=Summary(title=f"Decoding {decoder.target}", subtitle=", ".join(held_out or decoder.units_)),
        sections=shown,
        provenance=Provenance(
            version=__version__,
            command=command,
            config=decoder.settings(),
            seed=getattr(decoder, "seed", None),
            data_fingerprint=decoder.data_fingerprint_,
            packages=package_versions(),
        ),
        findings=decoder.findings_,
    )


def curve_table(decoder: "PoyoDecoder") -> "pd.DataFrame":
    """Return the learning curve of the last `fit` or `adapt`: one row per line of its log.

    Columns: ``step`` (over all stages), ``stage``, ``loss``, ``validation_loss``, ``r2``.
    """
    import pandas as pd

    return pd.DataFrame(
        {
            name: [row[name] for row in decoder.curve_]
            for name in ("step", "stage", "loss", "validation_loss", "r2")
        }
    )


def _decoding(decoder: "Decoder", held_out: "Mapping[str, HeldOut]") -> Section:
    import pynapple as nap

    drawn_id, drawn = next(iter(held_out.items()))
    classes = decoder.target_.task == "classification"
    if classes:
        usable = known(np.asarray(drawn.true))
        predicted: Any = np.asarray(drawn.predicted)[usable].tolist()
        true: Any = np.asarray(drawn.true)[usable].tolist()
    else:
        predicted, true = (
            nap.TsdFrame(
                drawn.times_s, np.asarray(values).reshape(len(drawn.times_s), -1), columns=drawn.columns
            )
            for values in (drawn.predicted, drawn.true)
        )
    scores = {session_id: result.scores.value for session_id, result in held_out.items()}
    finite = [value for value in scores.values() if np.isfinite(value)]
    score = float(np.mean(finite)) if finite else float("nan")
    several = f" (mean of {len(scores)} sessions; drawn: {drawn_id})" if len(scores) > 1 else ""
    metric = drawn.scores.metric
    return sections.decoding_section(
        predicted,
        true,
        target=decoder.target,
        model=model_name(decoder.kind),
        metric=metric,
        score=score,
        dimension_scores=None if classes else list(drawn.scores.parts.values()),
        session_scores=scores if len(scores) > 1 else None,
        losses=_losses(decoder),
        lead=f"On data it had not seen: {metric} {score:.2f}{several}." if finite else "",
    )


def _losses(decoder: "Decoder") -> "pd.DataFrame | None":
    if not getattr(decoder, "curve_", None):
        return None
    import pandas as pd

    names = {"step": "step", "loss": "training", "validation_loss": "validation"}
    curve = decoder.curve_  # type: ignore[attr-defined]
    return pd.DataFrame(
        {new: np.array([row[old] for row in curve], dtype=np.float64) for old, new in names.items()}
    )


def _units(decoder: "PoyoDecoder", sessions: "Sequence[Session]") -> Section:
    from neuroloom.decoding.unit_map import unit_map

    places = unit_map(decoder, sessions)
    curves: dict[str, tuple[list[int], list[float]]] = {}
    measured = [row for row in getattr(decoder, "curve_", []) if row["r2"] is not None]
    for stage, name in STAGES.items():
        rows = [row for row in measured if row["stage"] == stage]
        if rows:
            curves[name] = ([row["step"] for row in rows], [row["r2"] for row in rows])
    return sections.embedding_section(
        places.points,
        session_ids=places.session_ids,
        shares=places.shares.tolist(),
        direction_rad=places.direction_rad,
        curves=curves,
    )
