"""The page: complete, self-contained, safe, accessible, and the same every time."""

import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from neuroloom.errors import DataError
from neuroloom.findings import Finding
from neuroloom.reporting.page import (
    Facts,
    Figure,
    Gallery,
    KeyFigure,
    Note,
    Point,
    Provenance,
    Section,
    Step,
    Summary,
    Table,
    render_page,
)  # fmt: skip
from neuroloom.reporting.svg import view_box

VOID = {"meta", "br", "hr", "img", "input", "link", "path", "use", "rect", "stop", "image"}
EMPTY = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10"><path id="i0" d="M1 1"/></svg>'
PLAIN = {"summary": Summary("Run"), "sections": [], "provenance": Provenance(version="0.1.0")}
NASTY = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}'


class Page(HTMLParser):
    """Every element with its attributes, and whether all were closed in order."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.open, self.words = [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def all(self, *tags):
        return [attributes for tag, attributes in self.elements if tag in tags]


@pytest.fixture(scope="module")
def html(page):
    return page.read_text()


@pytest.fixture(scope="module")
def parsed(html):
    return Page(html)


def test_elements_close_in_order(parsed):
    assert parsed.open == []


def test_every_section_is_there_and_reached_from_the_navigation(parsed, sections):
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    links = [attributes["href"][1:] for attributes in parsed.all("a")]
    assert set(links) <= set(ids)
    assert {section.anchor for section in sections} | {"findings", "provenance", "content"} <= set(links)


def test_ids_are_unique_across_all_drawings(parsed):
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    references = re.findall(r'url\(#([^)]+)\)|<use href="#([^"]+)"', str(parsed.elements))
    assert {first or second for first, second in references} <= set(ids)


def test_nothing_is_loaded_from_anywhere(html, parsed):
    for tag, attributes in parsed.elements:
        assert tag not in ("script", "link", "img", "iframe", "object", "embed", "base", "form")
        for name in ("src", "srcset", "data", "action", "poster"):
            assert name not in attributes
        if "href" in attributes:
            assert attributes["href"].startswith("#")
        assert not any(name.startswith("on") for name in attributes)
    assert "@import" not in html
    assert "@font-face" not in html
    assert not re.search(r"url\((?!#)", html)
    assert set(re.findall(r"https?://[^\s\"'<]+", html)) <= {"http://www.w3.org/2000/svg"}


def test_the_content_security_policy_forbids_everything_but_styles_and_inline_pictures(parsed):
    policy = next(
        a["content"] for a in parsed.all("meta") if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")
    assert "script" not in policy


def test_headings_go_down_one_level_at_a_time(parsed):
    levels = [int(tag[1]) for tag, _ in parsed.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_every_drawing_has_a_role_a_title_and_a_description(html):
    for svg in re.findall(r"<svg.*?</svg>", html, re.S):
        head = svg[: svg.index(">")]
        title, description = re.search(r'aria-labelledby="(\S+) (\S+)"', head).groups()
        assert 'role="img"' in head
        assert re.search(rf'<title id="{title}">[^<]+</title>', svg)
        assert re.search(rf'<desc id="{description}">[^<]+</desc>', svg)


def test_every_table_names_its_columns_and_rows(html):
    tables = re.findall(r"<table.*?</table>", html, re.S)
    assert len(tables) >= 5
    for table in tables:
        assert re.search(r"<caption[^>]*>[^<]+</caption>", table)
        assert re.search(r'<th [^>]*scope="col"', table)
        assert all(
            re.search(r'<th [^>]*scope="row"', row) for row in re.findall(r"<tr.*?</tr>", table, re.S)[1:]
        )


def test_the_page_says_its_language_and_offers_to_skip_to_the_content(parsed):
    assert parsed.all("html")[0]["lang"] == "en"
    assert parsed.all("a")[0]["href"] == "#content"


def test_key_figures_of_the_sections_stand_at_the_top(html):
    top = html[: html.index('<h2 id="recording">')]
    for value in ("8 s", "sorted units", "0.90", "decoding R²", "numbers from the brain"):
        assert value in top


def test_points_lead_to_their_chapters_and_steps_come_with_their_commands():
    summary = Summary(
        "Run",
        points=[Point("Units", "20 found.", "sorting"), Point("Decoding", "Well.", "decoding")],
        steps=[Step("Look at them.", "phy template-gui params.py"), Step("Rest.")],
    )
    html = render_page(**{**PLAIN, "summary": summary, "sections": [Section("Sorting", "sorting")]})
    assert '<dt><a href="#sorting">Units</a></dt><dd>20 found.</dd>' in html
    assert "<dt>Decoding</dt><dd>Well.</dd>" in html  # there is no such chapter to lead to
    assert "<code>phy template-gui params.py</code>" in html
    assert html.index("20 found.") < html.index("Look at them.") < html.index('<h2 id="sorting">')


def test_equal_input_gives_equal_bytes(page, page_parts):
    assert render_page(**page_parts) == page.read_text()


def test_the_page_stays_small(page):
    assert page.stat().st_size < 3e6


def test_errors_come_first_and_are_announced_at_the_top():
    findings = [
        Finding("info", "i", "w", "r"),
        Finding("error", "e", "w", "r"),
        Finding("warning", "x", "w", "r"),
    ]
    html = render_page(**PLAIN, findings=findings)
    assert re.findall(r'<tr role="row" class="(\w+)">', html) == ["error", "warning", "info"]
    assert "1 error and 1 warning" in html


def test_no_findings_are_said_to_be_none():
    assert "found nothing to report" in render_page(**PLAIN)


def test_names_from_users_are_escaped_everywhere():
    section = Section(
        NASTY, "part", NASTY,
        [
            Figure(EMPTY, NASTY, NASTY, NASTY),
            Gallery(NASTY, [Figure(EMPTY, NASTY, NASTY, NASTY, "small")], NASTY),
            Table([NASTY], [[NASTY]], NASTY, NASTY), Facts([(NASTY, NASTY)], NASTY), Note(NASTY),
        ],
        [KeyFigure(NASTY, NASTY, NASTY)],
    )  # fmt: skip
    html = render_page(
        summary=Summary(NASTY, NASTY, [NASTY]),
        sections=[section],
        findings=[Finding("warning", NASTY, NASTY, NASTY)],
        provenance=Provenance(
            version=NASTY, command=NASTY, config={NASTY: NASTY}, seed=1, data_fingerprint=NASTY,
            stages=[(NASTY, 1.0)], written=NASTY, packages={NASTY: NASTY},
        ),
    )  # fmt: skip
    tags = {tag for tag, _ in Page(html).elements}
    assert not tags & {"script", "img"}
    assert "{{ 7 * 7 }}" in html
    assert not any(name.startswith("on") for _, attributes in Page(html).elements for name in attributes)


def test_an_active_drawing_is_refused():
    bad = EMPTY.replace("<path", "<script>alert(1)</script><path")
    with pytest.raises(DataError, match="drawing"):
        render_page(**{**PLAIN, "sections": [Section("A", "a", "", [Figure(bad, "alt")])]})


def test_a_page_without_anything_is_still_a_page():
    page = Page(render_page(**PLAIN))
    assert page.open == []
    assert [tag for tag, _ in page.elements if tag in ("h1", "h2")] == ["h1", "h2", "h2", "h2"]


def test_settings_are_listed_by_dotted_names():
    provenance = Provenance(version="0.1.0", config={"a": {"b": [1, None], "c": {}}, "d": float("nan")})
    html = render_page(**{**PLAIN, "provenance": provenance})
    for name, value in {"a.b": "[1, null]", "a.c": "{}", "d": "null"}.items():
        assert f"<code>{name}</code></th><td><code>{value}</code>" in html


def test_numbers_and_intervals_stand_to_the_right_and_words_do_not():
    table = Table(
        ["Unit", "Rate", "Interval", "Note"],
        [["a", "−1,234.5", "−0.1 to 0.2", "3 (4), 5"], ["b", "–", "–", ""]],
    )
    html = render_page(**{**PLAIN, "sections": [Section("A", "a", "", [table])]})
    assert '<td class="number">−1,234.5</td><td class="number">−0.1 to 0.2</td><td>3 (4), 5</td>' in html


def test_every_figure_has_room_on_a_phone(sections):
    for section in sections:
        for block in section.blocks:
            if isinstance(block, Figure):
                assert block.narrow_svg is not None
                assert view_box(block.narrow_svg)[0] < 360
