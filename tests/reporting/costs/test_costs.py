"""The figure and table of what sorting costs."""

import xml.etree.ElementTree as ElementTree

from neuroloom.reporting.costs.figures import cost_curves, standalone_svg
from neuroloom.reporting.costs.rows import CostRow, Spread, columns
from neuroloom.reporting.costs.section import cost_section
from neuroloom.reporting.page import Figure, Table
from neuroloom.reporting.svg import refuse_active, to_svg

NOTHING = Spread.of([])


def row(*, source="lupin", noise_uv=15.0, drift_um=0.0, scores=(0.5, 0.7), kind="simulated") -> CostRow:
    values = list(scores)
    return CostRow(
        kind=kind,
        noise_uv=noise_uv,
        drift_um=drift_um,
        source=source,
        label="true spikes" if source == "true" else source,
        is_truth=source == "true",
        n_seeds=max(len(values), 1),
        n_failed=0 if values else 1,
        n_units=Spread.of([20.0] * len(values)),
        sorting_accuracy=Spread.of(values),
        score=Spread.of(values),
        loss=Spread.of([0.1] * len(values)),
        metric="R²",
    )


ROWS = [
    row(source=source, noise_uv=noise_uv, drift_um=drift_um)
    for noise_uv, drift_um in ((15.0, 0.0), (30.0, 0.0), (30.0, 20.0))
    for source in ("true", "lupin", "crossings")
]


def test_the_figure_names_every_source_and_recording_once_per_panel():
    svg = refuse_active(to_svg(cost_curves(ROWS)))
    for name in ("true spikes", "lupin", "crossings"):
        assert svg.count(f">{name}<") == 1
    assert svg.count("drift 20 µm") == 2
    assert "simulated: decoding R²" in svg
    assert "simulated: sorting accuracy" in svg


def test_kinds_have_panels_of_their_own_and_phones_get_one_column():
    both = [*ROWS, row(kind="hybrid")]
    wide, narrow = cost_curves(both), cost_curves(both, width_px=344)
    assert len(wide.axes) == len(narrow.axes) == 4
    lefts = {round(axes.get_position().x0, 2) for axes in narrow.axes}
    assert len(lefts) <= 2


def test_a_source_that_always_failed_is_a_dash_and_does_not_stop_the_figure():
    failed = row(scores=())
    assert failed.cells()[2:] == ("–", "–", "–", "–")
    assert "lupin" in to_svg(cost_curves([row(source="true"), failed]))


def test_the_section_says_every_number_and_how_many_seeds_there_were():
    section = cost_section(ROWS)
    figure, table = section.blocks
    assert isinstance(figure, Figure)
    assert isinstance(table, Table)
    assert "2 seeds" in section.lead
    assert (
        "simulated, 30 µV, drifting by 20 µm, lupin: accuracy 0.600 ± 0.141, score 0.600 ± 0.141"
        in figure.alt
    )
    assert len(table.rows) == len(ROWS)
    assert table.columns == columns(ROWS)
    assert table.rows[0][-1] == ""  # the truth loses nothing
    assert "seeds" not in cost_section([row(scores=(0.5,))]).lead


def test_the_figure_stands_alone_as_a_file():
    root = ElementTree.fromstring(standalone_svg(cost_curves(ROWS)))
    assert root.tag.endswith("svg")
    assert standalone_svg(cost_curves(ROWS)) == standalone_svg(cost_curves(ROWS))


def test_a_spread_of_one_value_has_no_deviation():
    assert Spread.of([0.5]).text() == "0.500"
    assert NOTHING.text() == "–"
