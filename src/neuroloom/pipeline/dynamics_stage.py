"""The stage that models the trials: a mixture of linear dynamical systems and its section of the page."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuroloom.pipeline.run_folder import RunFolder

if TYPE_CHECKING:
    from neuroloom.pipeline.chain import RunConfig
    from neuroloom.sessions.session import Session

FEWEST_TRIALS = 20
N_PCS = 6


def has_dynamics(session: "Session") -> bool:
    """Return whether there are trials enough to model, and to hold some out."""
    return session.trials is not None and len(session.trials) >= FEWEST_TRIALS


def dynamics_stage(run: RunFolder, session: "Session", target: str, *, key: str, config: "RunConfig") -> Path:
    """Fit a mixture to the trials, driven by the target where that is a behaviour; leave it and its section.

    Data that no mixture can be fitted to leave a finding: the rest of the run is worth having.
    """
    from neuroloom.errors import DataError
    from neuroloom.findings import Finding
    from neuroloom.pipeline.trial_dynamics import fit_dynamics
    from neuroloom.reporting.section_files import write_section

    driven_by = target if target in session.behavior else None

    def make(draft: Path) -> dict[str, Any]:
        try:
            fitted = fit_dynamics(
                [session],
                n_pcs=min(N_PCS, len(session.spikes)),
                input_key=driven_by,
                test_fraction=config.test_fraction,
                seed=config.seed,
            )
        except DataError as error:
            finding = Finding(
                "warning",
                what=f"their dynamics were not modelled: {error}",
                where="trials",
                remedy="pass --skip dynamics, or trials that are alike",
            )
            return {"findings": [finding.as_dict()]}
        fitted.mixture.save(draft / "mixture")
        n_inputs = fitted.mixture.components_[0].input_dim
        write_section(
            fitted.section([f"{driven_by} {column}" for column in _columns(session, driven_by)[:n_inputs]]),
            draft / "section",
        )
        n = len(fitted.mixture.weights_)
        found = "one linear system describes" if n == 1 else f"{n} linear systems describe"
        return {
            "n_components": n,
            "held_out": fitted.held_out,
            "lead": f"By BIC {found} the trials{f', driven by {driven_by}' if driven_by else ''}.",
            "findings": [],
        }

    return run.stage("dynamics", make, key=key, seed=config.seed)


def _columns(session: "Session", behavior: str | None) -> list[str]:
    if behavior is None:
        return []
    return [str(column) for column in getattr(session.behavior[behavior], "columns", [""])]
