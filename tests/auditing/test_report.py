"""What the page says about an audit beside its scores."""

from neuroloom.auditing.results import AuditCurve, Score
from neuroloom.reporting.page import Facts, Figure, Table
from neuroloom.reporting.section_audit import audit_section

SCORES = {"random": 0.2, "brain": 0.4, "mean": 0.2, "ceiling": 1.0}


def curve(**facts) -> AuditCurve:
    rows = [Score(arm, 0 if arm in ("mean", "ceiling") else 3, "r2", s, s, s) for arm, s in SCORES.items()]
    return AuditCurve(tuple(rows), facts)


def conditions(section) -> dict[str, str]:
    return dict(next(block.items for block in section.blocks if isinstance(block, Facts)))


def test_a_circular_metric_is_flagged_where_it_is_drawn():
    flagged, plain = audit_section(curve(circular=["r2"])), audit_section(curve(circular=[]))
    assert conditions(flagged)["Circular: score and generator share a network"] == "r2"
    titles = [block.title for part in (flagged, plain) for block in part.blocks if isinstance(block, Figure)]
    assert ["circular" in title for title in titles] == [True, False]


def test_repeatable_variance_and_the_groups_behind_the_intervals_are_named():
    found = conditions(audit_section(curve(explainable_variance=0.31, noise_ceiling=0.86, n_test_groups=4)))
    assert found["Noise ceiling of the responses (correlation)"] == "0.86"
    assert found["Groups resampled for the intervals"] == "4"


def test_the_way_from_random_to_ceiling_stands_beside_every_size_and_at_the_top():
    section = audit_section(curve())
    table = next(block for block in section.blocks if isinstance(block, Table))
    assert table.rows[0][table.columns.index("of random to ceiling")].split() == ["25", "%"]
    assert [figure.value.split() for figure in section.key_figures] == [["3"], ["25", "%"]]
