"""Every section a page can have, one builder each, in the order in which data flows."""

from neuroloom.reporting.section_attention import attention_section
from neuroloom.reporting.section_audit import audit_section
from neuroloom.reporting.section_decoding import decoding_section
from neuroloom.reporting.section_dynamics import dynamics_section
from neuroloom.reporting.section_embedding import embedding_section
from neuroloom.reporting.section_recording import recording_section
from neuroloom.reporting.section_session import session_section
from neuroloom.reporting.section_sorting import sorting_section

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
