"""Every section a page can have, one builder each, in the order in which data flows."""

from neuroloom.reporting.decoding.attention import attention_section
from neuroloom.reporting.decoding.embedding import embedding_section
from neuroloom.reporting.decoding.section import decoding_section
from neuroloom.reporting.dynamics.section import dynamics_section
from neuroloom.reporting.recording.section import recording_section
from neuroloom.reporting.section_audit import audit_section
from neuroloom.reporting.session.section import session_section
from neuroloom.reporting.sorting.section import sorting_section

__all__ = [
    "recording_section",
    "sorting_section",
    "session_section",
    "decoding_section",
    "embedding_section",
    "attention_section",
    "dynamics_section",
    "audit_section",
]
