"""neuroloom: from a neural recording's voltage to a decoder you can trust.

Public names are imported from their rooms on first use, so that ``import neuroloom`` stays instant.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Public name -> the module that defines it, in the order in which data flows.
_PUBLIC = {
    "Session": "neuroloom.sessions.session",
    "WienerDecoder": "neuroloom.decoding.wiener",
    "GRUDecoder": "neuroloom.decoding.gru",
    "NDTDecoder": "neuroloom.decoding.baselines",
    "PoyoDecoder": "neuroloom.decoding.poyo_decoder",
    "EITDecoder": "neuroloom.decoding.eit_decoder",
    "EITClassifier": "neuroloom.decoding.eit_estimators",
    "EITRegressor": "neuroloom.decoding.eit_estimators",
    "load_decoder": "neuroloom.decoding.estimator",
    "load_pretrained": "neuroloom.decoding.pretrained",
    "MixtureOfLDS": "neuroloom.dynamics.mixture",
    "sort": "neuroloom.sorting.sorter",
    "audit": "neuroloom.auditing.curve",
    "audit_decoder": "neuroloom.auditing.decoders",
    "NeuroloomError": "neuroloom.errors",
}

__all__ = [
    "Session",
    "WienerDecoder",
    "GRUDecoder",
    "NDTDecoder",
    "PoyoDecoder",
    "EITDecoder",
    "EITClassifier",
    "EITRegressor",
    "load_decoder",
    "load_pretrained",
    "MixtureOfLDS",
    "sort",
    "audit",
    "audit_decoder",
    "NeuroloomError",
    "__version__",
]

if TYPE_CHECKING:
    from neuroloom.auditing.curve import audit
    from neuroloom.auditing.decoders import audit_decoder
    from neuroloom.decoding.baselines import NDTDecoder
    from neuroloom.decoding.eit_decoder import EITDecoder
    from neuroloom.decoding.eit_estimators import EITClassifier, EITRegressor
    from neuroloom.decoding.estimator import load_decoder
    from neuroloom.decoding.gru import GRUDecoder
    from neuroloom.decoding.poyo_decoder import PoyoDecoder
    from neuroloom.decoding.pretrained import load_pretrained
    from neuroloom.decoding.wiener import WienerDecoder
    from neuroloom.dynamics.mixture import MixtureOfLDS
    from neuroloom.errors import NeuroloomError
    from neuroloom.sessions.session import Session
    from neuroloom.sorting.sorter import sort


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'neuroloom' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
