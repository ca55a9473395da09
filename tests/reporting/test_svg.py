"""Drawings: themed, small, the same every time, and harmless."""

import re
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
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


def linear(colour):
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def luminance(colour):
    return float(linear(colour) @ [0.2126, 0.7152, 0.0722])


def cielab(rgb):
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    ratios = to_xyz @ np.clip(rgb, 0, 1) / [0.9505, 1, 1.089]
    x, y, z = np.where(ratios > 0.008856, np.cbrt(ratios), 7.787 * ratios + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


# Machado, Oliveira & Fernandes (2009), table 1, severity 1.0, on linear RGB.
DEFICIENCIES = {
    "none": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.01182, 0.04294, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.3039],
    ],
}


@pytest.mark.parametrize("theme", [0, 1])
@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_no_two_hues_look_alike_to_anyone(theme, deficiency):
    hues = ("blue", "vermillion", "teal", "purple", "gold", "rose")
    seen = [cielab(DEFICIENCIES[deficiency] @ linear(PALETTE[name][theme])) for name in hues]
    for (one, a), (other, b) in combinations(zip(hues, seen, strict=True), 2):
        assert np.linalg.norm(a - b) >= 14.5, (one, other)


@pytest.mark.parametrize("theme", [0, 1])
def test_text_and_hues_stand_out_from_the_ground_in_both_themes(theme):
    ground = luminance(PALETTE["surface"][theme])
    for name, colours in PALETTE.items():
        if name in ("surface", "grid", "line"):
            continue
        light, dark = sorted((luminance(colours[theme]), ground), reverse=True)
        # What WCAG 2.2 asks of text; lines are named in their own colours.
        assert (light + 0.05) / (dark + 0.05) >= 4.5, name


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
