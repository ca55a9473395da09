"""Verbs about decoders: fit, predict, score, adapt, recalibrate; `stream` has a file of its own."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from neuroloom.cli import console

if TYPE_CHECKING:
    from neuroloom.decoding.comparison import Scores
    from neuroloom.decoding.estimator import Decoder
    from neuroloom.decoding.evaluation import HeldOut
    from neuroloom.sessions.session import Session


def read_sessions(paths: tuple[Path, ...], *, target: str | None = None) -> "list[Session]":
    """Return the sessions of the given folders and NWB files, once nothing in them forbids the work.

    Raises
    ------
    MissingFile, CorruptArtifact, DataError, UnknownTarget
        If one cannot be read, a check finds an error, or it lacks the target.
    """
    from neuroloom.findings import refuse_errors
    from neuroloom.sessions.checks import check_session
    from neuroloom.sessions.session import Session

    sessions = [Session.load(path) for path in paths]
    for session in sessions:
        console.show_findings(refuse_errors(check_session(session, target=target)))
    return sessions


def show_scores(session_id: str, scores: "Scores", *, when: str = "") -> None:
    """Print a session's score with its parts, after what to know before trusting it."""
    console.show_findings(scores.findings)
    columns = ["session", when + scores.metric, *scores.parts]
    console.show_table(columns, [[session_id, scores.value, *scores.parts.values()]])


def write_page(
    decoder: "Decoder", out: Path, *, held_out: "dict[str, HeldOut]", sessions: "list[Session]"
) -> None:
    """Write the decoder's page beside its folder, and say so."""
    from neuroloom.pipeline.decoder_page import write_decoder_page

    page = write_decoder_page(
        decoder, out.with_name(out.name + ".report"), held_out=held_out, sessions=sessions
    )
    if page is not None:
        console.wrote(page, "the report: open it in a browser")


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Train a decoder on one or several sessions and score it on held-out time."""

    session: tuple[Path, ...]
    """Session folders or NWB files."""
    target: str
    """A behaviour (regression) or a trial label (classification)."""
    out: Path
    """Folder for the decoder."""
    model: Literal["wiener", "gru", "ndt", "poyo", "eit"] = "wiener"
    """Wiener filter (ridge with lags; logistic regression for labels), recurrent network,
    transformer over the binned population (ndt), POYO, or EIT."""
    test_fraction: float = 0.2
    """The last part of each session, by time or by trial, on which the score is measured; 0 for none."""
    bin_s: float | None = None
    """Bin width in seconds; default is the model's own."""
    past_bins: int | None = None
    """Bins before the decoded one that a Wiener filter reads, that bin included."""
    future_bins: int | None = None
    """Bins after the decoded one; 0 is causal."""
    config: Literal["small", "1.3M", "11.8M"] | None = None
    """Size of POYO."""
    causal: bool = False
    """POYO reads only what came before each output, as `neuroloom decode stream` will."""
    context_s: float | None = None
    """Length of POYO's windows in seconds."""
    shortest_period_s: float | None = None
    """The shortest period of POYO's time embedding; some bin widths, for spikes that come from counts."""
    window_s: float | None = None
    """Length of EIT's windows, or of the recurrent network's sequences, in seconds."""
    unit_dropout: float | None = None
    """EIT: the share of the units that each window lacks in training."""
    steps: int | None = None
    """Optimizer steps of a network."""
    batch_size: int | None = None
    """Windows (or sequences) per step."""
    learning_rate: float | None = None
    """Peak of the schedule."""
    optimizer: Literal["adamw", "lamb"] | None = None
    """Of POYO."""
    patience: int | None = None
    """Stop POYO early after this many of 20 evaluations without improvement."""
    weights: str | None = None
    """A trial column or behaviour with the weight of each moment in POYO's loss."""
    jitter_s: float | None = None
    """Move spikes by up to half of this in training; the bin width, for spikes that come from counts."""
    precision: Literal["float32", "bfloat16"] | None = None
    """bfloat16 is faster on a GPU."""
    device: str | None = None
    """auto, cpu, cuda or cuda:1; under torchrun each process takes its own GPU."""
    checkpoints: Path | None = None
    """Folder for checkpoints: after a stop the same command goes on from the last one."""
    seed: int = 0
    """Seed of all that is random."""

    def __call__(self) -> None:
        from neuroloom.decoding.evaluation import fit_and_evaluate, make_decoder

        not_options = ("session", "target", "out", "model", "test_fraction", "seed", "checkpoints")
        options = {name: value for name, value in vars(self).items() if name not in not_options}
        chosen = {name: value for name, value in options.items() if value is not None and value is not False}
        sessions = read_sessions(self.session, target=self.target)
        decoder = make_decoder(self.model, self.target, seed=self.seed, options=chosen)
        held_out = fit_and_evaluate(
            decoder, sessions, test_fraction=self.test_fraction, folder=self.checkpoints
        )
        if os.environ.get("RANK", "0") != "0":
            return  # torchrun's other processes have the same decoder
        decoder.save(self.out)
        console.show_findings(decoder.findings_)
        for id, result in held_out.items():
            show_scores(id, result.scores, when="held-out ")
        console.wrote(self.out, f"{self.model} decoder of {self.target!r}")
        write_page(decoder, self.out, held_out=held_out, sessions=sessions)
        console.following(
            f"neuroloom decode predict --decoder {self.out} --session {self.session[0]} --out predicted.csv"
        )


@dataclass(frozen=True, kw_only=True)
class Predict:
    """Decode a session and write what was predicted."""

    decoder: Path
    """Folder of a decoder."""
    session: Path
    """Session folder or NWB file."""
    out: Path
    """A .csv table: time_s, then one column per dimension (or the label)."""

    def __call__(self) -> None:
        from neuroloom.artifacts import write_text
        from neuroloom.decoding.estimator import load_decoder
        from neuroloom.decoding.evaluation import prediction_table

        decoder = load_decoder(self.decoder)
        table = prediction_table(decoder, read_sessions((self.session,))[0])
        write_text(self.out, table.to_csv(index=False))
        console.wrote(self.out, f"{len(table)} predictions")
        console.following(f"neuroloom decode score --decoder {self.decoder} --session {self.session}")


@dataclass(frozen=True, kw_only=True)
class Score:
    """Score a decoder on whole sessions: R2 of a behaviour, accuracy of a label."""

    decoder: Path
    """Folder of a decoder."""
    session: tuple[Path, ...]
    """Session folders or NWB files; they should be none that the decoder was trained on."""

    def __call__(self) -> None:
        from neuroloom.decoding.estimator import load_decoder

        decoder = load_decoder(self.decoder)
        for session in read_sessions(self.session, target=decoder.target):
            show_scores(session.id, decoder.evaluate(session))
        print("nothing was written")
        console.following(
            f"neuroloom audit decoder --session {self.session[0]} --target {decoder.target} --out audit"
        )


@dataclass(frozen=True, kw_only=True)
class Adapt:
    """Teach a decoder the units of new sessions, and score it on their held-out time."""

    decoder: Path
    """Folder of a decoder."""
    session: tuple[Path, ...]
    """Session folders or NWB files with the decoder's target."""
    out: Path
    """Folder for the adapted decoder; its page and learning curve go beside it."""
    mode: Literal["units", "gradual", "head", "bottleneck", "interaction", "full"] | None = None
    """POYO: learn only the new units' embeddings, by and by what is around them, or then everything (full).
    EIT: only a linear head on the individual module (solved; or on one number per unit, trained: bottleneck),
    the interaction module, or then everything (full)."""
    steps: int | None = None
    """POYO and EIT: optimizer steps of each stage."""
    learning_rate: float | None = None
    """POYO: of the embeddings; EIT: of all but the last stage of full."""
    minutes: float | None = None
    """Learn from this much of the part before the held-out one, its end; all of it by default."""
    test_fraction: float = 0.2
    """The last part of each session, on which the score is measured; 0 for none."""

    def __call__(self) -> None:
        from neuroloom.artifacts import write_text
        from neuroloom.decoding.estimator import load_decoder
        from neuroloom.decoding.evaluation import adapt_and_evaluate

        decoder = load_decoder(self.decoder)
        sessions = read_sessions(self.session, target=decoder.target)
        options = {"mode": self.mode, "steps": self.steps, "learning_rate": self.learning_rate}
        n_findings = len(decoder.findings_)
        held_out = adapt_and_evaluate(
            decoder,
            sessions,
            options={name: value for name, value in options.items() if value is not None},
            test_fraction=self.test_fraction,
            minutes=self.minutes,
        )
        decoder.save(self.out)
        console.show_findings(decoder.findings_[n_findings:])
        for id, result in held_out.items():
            show_scores(id, result.scores, when="held-out ")
        console.wrote(self.out, "adapted decoder")
        if getattr(decoder, "curve_", None):
            from neuroloom.pipeline.decoder_page import curve_table

            curve = self.out.with_name(self.out.name + ".report") / "learning_curve.csv"
            write_text(curve, curve_table(decoder).to_csv(index=False))  # type: ignore[arg-type]
            console.wrote(curve, "learning curve")
        write_page(decoder, self.out, held_out=held_out, sessions=sessions)
        console.following(
            f"neuroloom decode predict --decoder {self.out} --session {self.session[0]} --out predicted.csv"
        )


@dataclass(frozen=True, kw_only=True)
class Recalibrate:
    """Measure anew how much a decoder's units fire, in a later part of their session; no target is needed."""

    decoder: Path
    """Folder of a decoder of counts (not POYO)."""
    session: tuple[Path, ...]
    """Session folders or NWB files, with ids and units that the decoder knows."""
    out: Path
    """Folder for the recalibrated decoder."""

    def __call__(self) -> None:
        from neuroloom.decoding.estimator import load_decoder

        decoder = load_decoder(self.decoder)
        decoder.recalibrate(read_sessions(self.session)).save(self.out)
        console.wrote(self.out, "recalibrated decoder")
        console.following(
            f"neuroloom decode predict --decoder {self.out} --session {self.session[0]} --out predicted.csv"
        )
