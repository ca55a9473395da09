"""Drawings: themed, small, the same every time, and harmless."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroloom.errors import DataError
from neuroloom.reporting.palette import BLUE, PALETTE, css_variables
from neuroloom.reporting.svg import drawing, new_figure, prefix_ids, refuse_active, shorten, to_svg, view_box


@drawing
def draw(name="unit"):
    figure = new_figure(300, 200)
    axes = figure.subplots()
    axes.plot([0, 1, 2], [0, 1, 0], color=BLUE)
    axes.set_title(name)
    return figure


def text_of(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter() if element.text]


def test_a_drawing_brings_no_fonts_dates_or_style_sheets():
    svg = to_svg(draw())
    for unwanted in ("font-family", "<style", "<metadata", "<!DOCTYPE", "DejaVu", "http://www.w3.org/1999"):
        assert unwanted not in svg


def test_equal_figures_give_equal_bytes():
    assert to_svg(draw()) == to_svg(draw())


def test_palette_colours_become_variables_with_the_light_colour_as_fallback():
    svg = to_svg(draw())
    assert f"var(--fig-blue, {BLUE})" in svg
    colours = set(re.findall(r"(?<!, )#[0-9a-f]{6}", svg))
    assert not colours, f"colours outside the palette: {colours}"


def test_both_themes_define_every_variable():
    for theme in ("light", "dark"):
        assert all(f"--fig-{name}: #" in css_variables(theme) for name in PALETTE)


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1])
def test_text_and_hues_stand_out_from_the_ground_in_both_themes(theme):
    ground = luminance(PALETTE["surface"][theme])
    for name, colours in PALETTE.items():
        if name in ("surface", "grid", "line"):
            continue
        light, dark = sorted((luminance(colours[theme]), ground), reverse=True)
        # WCAG 2.2: 4.5 for text, 3 for graphics.
        assert (light + 0.05) / (dark + 0.05) >= (4.5 if name in ("ink", "muted") else 3), name


def test_the_users_matplotlibrc_changes_nothing():
    import matplotlib

    plain = to_svg(draw())
    with matplotlib.rc_context({"svg.fonttype": "path", "lines.linewidth": 9, "axes.facecolor": "red"}):
        assert to_svg(draw()) == plain


@pytest.mark.parametrize(
    "name", ["$x_{$", "$\\alpha$", "a\\b", "<script>alert(1)</script>", "&amp;", "単位", "a\nb"]
)
def test_names_are_drawn_as_they_are(name):
    assert "".join(text_of(to_svg(draw(name)))).find(name.split("\n")[0]) >= 0


@settings(max_examples=12)  # each draws a figure
@given(st.text(max_size=20))
def test_no_name_breaks_a_drawing_or_makes_it_active(name):
    svg = to_svg(draw(shorten(name)))
    assert refuse_active(svg) == svg
    ElementTree.fromstring(svg)


@pytest.mark.parametrize(
    "attack",
    [
        "<svg><script>alert(1)</script></svg>",
        '<svg onload="alert(1)"></svg>',
        '<svg><image href="http://example.org/a.png"/></svg>',
        '<svg><use href="other.svg#a"/></svg>',
        '<svg><path style="fill: url(http://example.org/a)"/></svg>',
        '<svg><path style="fill: u&#114;l(http://example.org/a)"/></svg>',
        "<svg><path style=\"fill: u\\72l('http://example.org')\"/></svg>",
        "<svg><foreignObject><p>x</p></foreignObject></svg>",
        "<svg><a href='#x'>x</a></svg>",
        "<svg><text>< b</text></svg>",
        "<svg><!-- --><style>*{display:none}</style></svg>",
        "<svg><path d='M1 1' onclick=alert(1)></svg>",
    ],
)
def test_a_drawing_that_could_do_more_than_draw_is_refused(attack):
    with pytest.raises(DataError, match="drawing contains"):
        refuse_active(attack)


def test_a_picture_inside_the_drawing_is_allowed():
    svg = '<svg viewBox="0 0 9 9"><image href="data:image/png;base64,iVBORw0K=" width="9" height="9"/></svg>'
    assert refuse_active(svg) == svg


def test_prefixes_reach_ids_and_references_but_no_text():
    svg = '<svg><path id="i0"/><use href="#i0"/><text> id="i0" url(#i0)</text></svg>'
    assert (
        prefix_ids(svg, "f-")
        == '<svg><path id="f-i0"/><use href="#f-i0"/><text> id="i0" url(#i0)</text></svg>'
    )


def test_every_reference_of_a_drawing_has_its_target():
    svg = to_svg(draw())
    ids = set(re.findall(r' id="([^"]+)"', svg))
    assert ids == set(re.findall(r'(?:url\(|href=")#([^)"]+)', svg))


def test_the_natural_size_is_that_asked_for():
    assert view_box(to_svg(draw())) == (300, 200)


@given(st.text(), st.integers(2, 40))
def test_shortened_names_fit(name, most):
    assert len(shorten(name, most)) <= most


def test_marks_that_turn_text_around_are_dropped():
    assert shorten("a\u202eb\u200bc") == "abc"
