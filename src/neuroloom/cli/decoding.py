"""Verbs about decoders: fit, predict, score, adapt."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from neuroloom.cli import console

if TYPE_CHECKING:
    from neuroloom.decoding.comparison import Scores
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


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Train a decoder on one or several sessions and score it on held-out time."""

    session: tuple[Path, ...]
    """Session folders or NWB files."""
    target: str
    """A behaviour (regression) or a trial label (classification)."""
    out: Path
    """Folder for the decoder."""
    model: Literal["wiener", "gru", "poyo"] = "wiener"
    """Wiener filter (ridge with lags; logistic regression for labels), recurrent network, or POYO."""
    test_fraction: float = 0.2
    """The last part of each session, by time or by trial, on which the score is measured; 0 for none."""
    bin_s: float | None = None
    """Bin width in seconds; default is the model's own."""
    past_bins: int | None = None
    """Bins before the decoded one that a Wiener filter reads, that bin included."""
    future_bins: int | None = None
    """Bins after the decoded one; 0 is causal."""
    seed: int = 0
    """Seed of all that is random."""

    def __call__(self) -> None:
        from neuroloom.decoding.evaluation import fit_and_evaluate, make_decoder

        options = {"bin_s": self.bin_s, "past_bins": self.past_bins, "future_bins": self.future_bins}
        chosen = {name: value for name, value in options.items() if value is not None}
        sessions = read_sessions(self.session, target=self.target)
        decoder = make_decoder(self.model, self.target, seed=self.seed, options=chosen)
        held_out = fit_and_evaluate(decoder, sessions, test_fraction=self.test_fraction)
        decoder.save(self.out)
        console.show_findings(decoder.findings_)
        for id, result in held_out.items():
            show_scores(id, result.scores, when="held-out ")
        console.wrote(self.out, f"{self.model} decoder of {self.target!r}")
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


@dataclass(frozen=True, kw_only=True)
class Adapt:
    """Teach a decoder the units of a new session."""

    decoder: Path
    """Folder of a decoder."""
    session: Path
    """Session folder or NWB file with the decoder's target."""
    out: Path
    """Folder for the adapted decoder."""

    def __call__(self) -> None:
        from neuroloom.decoding.estimator import load_decoder

        decoder = load_decoder(self.decoder)
        decoder.adapt(read_sessions((self.session,), target=decoder.target))
        decoder.save(self.out)
        console.wrote(self.out, "adapted decoder")
        console.following(
            f"neuroloom decode predict --decoder {self.out} --session {self.session} --out predicted.csv"
        )
