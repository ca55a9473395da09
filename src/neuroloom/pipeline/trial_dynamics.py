"""The dynamics of trials: fit a mixture of linear systems on some, look at it on the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from neuroloom.errors import DataError

if TYPE_CHECKING:
    from neuroloom.dynamics.mixture import MixtureOfLDS
    from neuroloom.dynamics.trials import Trials
    from neuroloom.reporting.page import Section
    from neuroloom.sessions.session import Session


@dataclass(frozen=True)
class TrialDynamics:
    """A fitted mixture with the trials that it was fitted on, and its held-out score.

    Attributes
    ----------
    mixture
        Fitted.
    trials
        Training trajectories, with labels and preparation.
    held_out
        Log-likelihood per bin of the held-out trials; None where none were held out.
    """

    mixture: "MixtureOfLDS"
    trials: "Trials"
    held_out: float | None

    def section(self, input_names: Sequence[str] = ()) -> "Section":
        """Return the page's section."""
        from neuroloom.reporting.dynamics.section import dynamics_section

        return dynamics_section(
            self.mixture,
            self.trials.outputs,
            self.trials.inputs,
            bin_s=self.trials.preparation.bin_s,
            labels=self.trials.labels,
            input_names=input_names,
            held_out=self.held_out,
        )


def fit_dynamics(
    sessions: Sequence["Session"],
    *,
    n_components: int | Literal["bic"] = "bic",
    state_dim: int = 4,
    bin_s: float = 0.05,
    n_pcs: int | None = 6,
    input_key: str | None = None,
    test_fraction: float = 0.2,
    seed: int = 0,
    settings: dict[str, Any] | None = None,
) -> TrialDynamics:
    """Fit on the first trials of each session and score on the last.

    Parameters
    ----------
    sessions
        Sessions with trials.
    n_components, state_dim, seed, settings
        Of `MixtureOfLDS`.
    bin_s, n_pcs, input_key
        Of `neuroloom.dynamics.trials.trials_of`.
    test_fraction
        Share of the trials that is held out; 0 holds nothing out.

    Raises
    ------
    DataError
        If a session has no trials to hold out, or the fraction is impossible.
    """
    from neuroloom.dynamics.mixture import MixtureOfLDS
    from neuroloom.dynamics.trials import trials_of
    from neuroloom.sessions.splits import split_trials

    if not 0 <= test_fraction < 1:
        raise DataError(
            f"test fraction {test_fraction:g}",
            expected="at least 0 and below 1",
            remedy="pass for example 0.2",
        )
    train, test = list(sessions), []
    if test_fraction:
        parts = [split_trials(session, (1 - test_fraction, test_fraction)) for session in sessions]
        train = [session.restrict(first) for session, (first, _) in zip(sessions, parts, strict=True)]
        test = [session.restrict(last) for session, (_, last) in zip(sessions, parts, strict=True)]
    trials = trials_of(train, bin_s=bin_s, n_pcs=n_pcs, input_key=input_key)
    mixture = MixtureOfLDS(n_components, state_dim, seed=seed, **(settings or {}))
    mixture.fit(trials.outputs, trials.inputs)
    mixture.preparation_ = trials.preparation
    held_out = None
    if test:
        later = trials_of(test, preparation=trials.preparation)
        held_out = mixture.score(later.outputs, later.inputs)
    return TrialDynamics(mixture, trials, held_out)


def load_dynamics(folder: Path) -> "MixtureOfLDS":
    """Return a mixture that was fitted on sessions.

    Raises
    ------
    DataError
        If it was fitted on arrays, so that it is not known how spikes become outputs.
    """
    from neuroloom.dynamics.mixture import MixtureOfLDS

    mixture = MixtureOfLDS.load(folder)
    if not hasattr(mixture, "preparation_"):
        raise DataError(
            f"{folder} was fitted on arrays",
            expected="a mixture fitted on sessions",
            remedy="fit one with `neuroloom dynamics fit`",
        )
    return mixture
