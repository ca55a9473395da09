"""Verbs about decoders: fit, predict, score, adapt."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from neuroloom.cli import console

if TYPE_CHECKING:
    from neuroloom.sessions.session import Session


def read_sessions(paths: tuple[Path, ...]) -> "list[Session]":
    """Return the sessions of the given folders and NWB files."""
    from neuroloom.sessions.session import Session

    return [Session.load(path) for path in paths]


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Train a decoder on one or several sessions and score it on held-out time."""

    session: tuple[Path, ...]
    """Session folders or NWB files."""
    target: str
    """A behaviour (regression) or a trial label (classification)."""
    out: Path
    """Folder for the decoder."""
    model: Literal["wiener", "gru"] = "wiener"
    """Wiener filter (ridge with lags; logistic regression for labels) or gated recurrent network."""
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
        from neuroloom.decoding.training_run import fit_and_score

        options = {"bin_s": self.bin_s, "past_bins": self.past_bins, "future_bins": self.future_bins}
        chosen = {name: value for name, value in options.items() if value is not None}
        result = fit_and_score(
            read_sessions(self.session), self.target, model=self.model, options=chosen,
            test_fraction=self.test_fraction, seed=self.seed, progress=True,
        )  # fmt: skip
        result.decoder.save(self.out)
        console.wrote(self.out, f"{self.model} decoder of {self.target!r}")
        if result.scores:
            console.show_table(["session", result.metric], list(result.scores.items()))
        console.following(
            f"neuroloom decode predict --decoder {self.out} --session {self.session[0]} --out predicted.csv"
        )
