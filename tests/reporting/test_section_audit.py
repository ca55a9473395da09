"""The audit's section, also with nothing to show."""

import numpy as np

from neuroloom.auditing.results import AuditCurve, Score
from neuroloom.reporting.page import Figure, Note, Table
from neuroloom.reporting.sections import audit_section


def test_an_audit_says_how_few_numbers_suffice(curve):
    section = audit_section(curve)
    assert section.key_figures[0].value == "8"
    table = next(block for block in section.blocks if isinstance(block, Table))
    assert [row[0] for row in table.rows] == ["1", "2", "4", "8", "16"]
    assert "ceiling 1.00" in table.caption


def test_a_brain_at_chance_is_reported_as_such():
    rows = tuple(Score(arm, 1, "r2", 0.0, -0.1, 0.1) for arm in ("brain", "random", "mean"))
    assert audit_section(AuditCurve(rows, {})).key_figures[0].value == "none"


def test_an_audit_without_scores_or_with_undefined_ones_is_a_section():
    assert any(isinstance(block, Note) for block in audit_section(AuditCurve((), {})).blocks)
    rows = tuple(Score("brain", size, "r2", np.nan, np.nan, np.nan) for size in (1, 2))
    assert any(isinstance(block, Figure) for block in audit_section(AuditCurve(rows, {})).blocks)
