"""Verbs about dynamics: fit, score, simulate."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from neuroloom.cli import console
from neuroloom.cli.decoding import read_sessions


@dataclass(frozen=True, kw_only=True)
class FitDynamics:
    """Fit a mixture of linear dynamical systems to trials, and score it on held-out ones."""

    session: tuple[Path, ...]
    """Session folders or NWB files."""
    out: Path
    """Folder for the mixture; its page goes beside it."""
    components: int | Literal["bic"] = "bic"
    """Number of systems; bic chooses it."""
    states: int = 4
    """States of each system."""
    bin_s: float = 0.05
    """Bin width in seconds."""
    pcs: int = 6
    """Principal components of the square-root counts that serve as outputs."""
    input: str | None = None
    """Behaviour that drives the systems; none by default."""
    shared: tuple[Literal["A", "B", "C", "D", "Q", "R"], ...] = ()
    """Parameters that all systems have in common, for example A Q R where trials are short and few."""
    ridge: float = 0.0
    """Strength of the prior that keeps coefficients small."""
    test_fraction: float = 0.2
    """The last trials of each session, on which the score is measured; 0 for none."""
    seed: int = 0
    """Seed of all that is random."""

    def __call__(self) -> None:
        from neuroloom.pipeline.pages import write_section_page
        from neuroloom.pipeline.trial_dynamics import fit_dynamics

        sessions = read_sessions(self.session, target=self.input)
        fitted = fit_dynamics(
            sessions,
            n_components=self.components,
            state_dim=self.states,
            bin_s=self.bin_s,
            n_pcs=self.pcs,
            input_key=self.input,
            test_fraction=self.test_fraction,
            seed=self.seed,
            settings={"shared": list(self.shared), "ridge": self.ridge},
        )
        fitted.mixture.save(self.out)
        weights = [[k + 1, float(weight)] for k, weight in enumerate(fitted.mixture.weights_)]
        console.show_table(["component", "share of trials"], weights)
        print(f"start that won: {fitted.mixture.init_report_['winner']}")
        if fitted.held_out is not None:
            print(f"held-out log-likelihood per bin: {fitted.held_out:.3f}")
        names = [f"{self.input} {i}" for i in range(fitted.mixture.components_[0].input_dim)]
        page = write_section_page(
            fitted.section(names),
            self.out.with_name(self.out.name + ".report"),
            title="Dynamics of trials",
            subtitle=", ".join(session.id for session in sessions),
            config=fitted.mixture.get_params(),
            seed=self.seed,
        )
        console.wrote(self.out, "mixture of linear dynamical systems")
        console.wrote(page, "the report: open it in a browser")
        console.following(f"neuroloom dynamics score --mixture {self.out} --session {self.session[0]}")


@dataclass(frozen=True, kw_only=True)
class ScoreDynamics:
    """Score a mixture on the trials of sessions: log-likelihood per bin and the share of each component."""

    mixture: Path
    """Folder of a mixture."""
    session: tuple[Path, ...]
    """Sessions that it knows; best with trials that it was not fitted on."""

    def __call__(self) -> None:
        from neuroloom.dynamics.trials import trials_of
        from neuroloom.pipeline.trial_dynamics import load_dynamics

        mixture = load_dynamics(self.mixture)
        rows = []
        for session in read_sessions(self.session):
            trials = trials_of(session, preparation=mixture.preparation_)
            shares = mixture.predict_proba(trials.outputs, trials.inputs).mean(axis=0)
            rows.append([session.id, mixture.score(trials.outputs, trials.inputs), *map(float, shares)])
        components = [f"component {k + 1}" for k in range(len(mixture.weights_))]
        console.show_table(["session", "log-likelihood per bin", *components], rows)


@dataclass(frozen=True, kw_only=True)
class SimulateDynamics:
    """Draw trajectories from a mixture, driven by white noise where it has inputs."""

    mixture: Path
    """Folder of a mixture."""
    out: Path
    """Folder for an artifact with arrays outputs (trials, bins, outputs), inputs, labels."""
    trials: int = 100
    """How many trajectories."""
    bins: int = 50
    """How long each is."""
    seed: int = 0
    """Seed of all that is random."""

    def __call__(self) -> None:
        import numpy as np

        from neuroloom.artifacts import save_artifact
        from neuroloom.dynamics.mixture import MixtureOfLDS

        mixture = MixtureOfLDS.load(self.mixture)
        drawn = mixture.sample(self.trials, self.bins, seed=self.seed)
        arrays = {"outputs": np.stack(drawn.outputs), "labels": np.asarray(drawn.labels)}
        if drawn.inputs is not None:
            arrays["inputs"] = np.stack(drawn.inputs)
        save_artifact(self.out, kind="trajectories", arrays=arrays, seed=self.seed)
        console.wrote(self.out, f"{self.trials} trajectories of {self.bins} bins")
        console.following(f"neuroloom.artifacts.load_artifact({str(self.out)!r}).arrays in Python")
