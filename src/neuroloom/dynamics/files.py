"""Fitted mixtures on disk."""

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuroloom.artifacts import load_artifact, refuse_foreign_content, save_artifact
from neuroloom.dynamics.trials import Preparation
from neuroloom.simulation.linear_systems import PARAMETERS, LinearSystem

if TYPE_CHECKING:
    from neuroloom.dynamics.mixture import MixtureOfLDS

KIND = "dynamics/mixture-of-lds"


def write_mixture(model: "MixtureOfLDS", folder: str | PathLike) -> Path:
    """Write a fitted mixture as an artifact folder."""
    arrays = {
        f"components/{k}/{name}": getattr(system, name)
        for k, system in enumerate(model.components_)
        for name in PARAMETERS
    }
    arrays |= {"weights": model.weights_, "labels": model.labels_, "trace": model.trace_}
    report = {
        "init": model.init_report_,
        "log_likelihood": model.log_likelihood_,
        "n_iter": model.n_iter_,
        "converged": model.converged_,
        "selection": getattr(model, "selection_", None),
    }
    settings = model.get_params() | {"frozen": list(model.frozen), "shared": list(model.shared)}
    preparation: Preparation | None = getattr(model, "preparation_", None)
    if preparation is not None:
        report["preparation"] = {
            "bin_s": preparation.bin_s,
            "square_root": preparation.square_root,
            "input_key": preparation.input_key,
            "units": {session: units for session, (units, _, _) in preparation.projections.items()},
        }
        for session, (_, mean, axes) in preparation.projections.items():
            arrays |= {f"preparation/{session}/mean": mean, f"preparation/{session}/axes": axes}
    return save_artifact(
        folder,
        kind=KIND,
        document={"settings": settings, "report": report},
        arrays=arrays,
        config=settings,
        seed=model.seed,
        data_fingerprint=model.data_fingerprint_,
    )


def read_mixture(folder: str | PathLike) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings and the fitted attributes of a mixture on disk.

    Raises
    ------
    MissingFile, CorruptArtifact
        If the folder is not there, damaged, or something else.
    """
    artifact = load_artifact(folder, kind=KIND)
    arrays = artifact.arrays
    with refuse_foreign_content(folder, expected="a mixture"):
        settings, report = artifact.document["settings"], artifact.document["report"]
        fitted: dict[str, Any] = {f"{name}_": arrays[name] for name in ("weights", "labels", "trace")}
        fitted |= {f"{name}_": report[name] for name in ("log_likelihood", "n_iter", "converged")}
        fitted["init_report_"] = report["init"]
        fitted["components_"] = [
            LinearSystem(*(arrays[f"components/{k}/{name}"] for name in PARAMETERS))
            for k in range(len(fitted["weights_"]))
        ]
        if report["selection"]:
            fitted["selection_"] = {int(k): value for k, value in report["selection"].items()}
        if "preparation" in report:
            kept = report["preparation"]
            projections = {
                session: (units, arrays[f"preparation/{session}/mean"], arrays[f"preparation/{session}/axes"])
                for session, units in kept["units"].items()
            }
            fitted["preparation_"] = Preparation(
                kept["bin_s"], kept["square_root"], kept["input_key"], projections
            )
        fitted["data_fingerprint_"] = artifact.provenance["data_fingerprint"]
    return settings, fitted
