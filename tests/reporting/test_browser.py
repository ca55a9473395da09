"""The page in a real browser: nothing overflows, nothing is loaded, everything has a name."""

import re

import pytest

pytestmark = pytest.mark.browser

OVERFLOWING = """
[...document.querySelectorAll("body *")].filter(e => {
  if (e.closest(".scroll, nav, .skip, .quiet, svg") && !e.matches("svg")) return false;
  const box = e.getBoundingClientRect();
  return box.width && (box.right > innerWidth + 1 || box.left < -1);
}).map(e => e.tagName + "." + e.getAttribute("class"))
"""
SMALL_TEXT = """
[...document.querySelectorAll("svg")].filter(s => s.checkVisibility()).flatMap(s => {
  const scale = s.getBoundingClientRect().width / s.viewBox.baseVal.width;
  return [...s.querySelectorAll("text")].map(t => parseFloat(getComputedStyle(t).fontSize) * scale);
}).reduce((least, size) => Math.min(least, size), 99)
"""

# Contrast (WCAG 2.2) of every visible text with what is painted behind it; in drawings that is the figure's
# card, apart from cells of a matrix, which test_matrix.py computes.
FAINT_TEXT = """
(() => {
  const rgba = text => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(
    v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4
  ).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = rgba(getComputedStyle(e).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility() || element.matches("title, desc")) continue;
    const style = getComputedStyle(element);
    const colour = rgba(element.closest("svg") ? style.fill : style.color);
    const [dark, bright] = [light(colour), light(ground(element))].sort((a, b) => a - b);
    const contrast = (bright + 0.05) / (dark + 0.05);
    const name = `${element.tagName} ${element.textContent.slice(0, 30)}`;
    if (contrast < 4.5) faint.push(`${name} ${contrast.toFixed(2)}`);
  }
  return faint;
})()
"""
CUT_OFF = """
[...document.querySelectorAll("svg")].filter(s => s.checkVisibility()).flatMap(s => {
  const box = s.getBoundingClientRect();
  return [...s.querySelectorAll("text")].filter(t => {
    const own = t.getBoundingClientRect();
    return own.width && (own.left < box.left - 2 || own.right > box.right + 2 || own.top < box.top - 2
      || own.bottom > box.bottom + 2);
  }).map(t => `${t.textContent} in ${s.querySelector("title").textContent}`);
})
"""
ROLES = ("banner", "navigation", "main")


@pytest.fixture(
    params=[(1280, False), (1280, True), (400, False), (400, True)], ids=lambda p: f"{p[0]}-{p[1]}"
)
def opened(request, browser, page):
    width, dark = request.param
    browser.open(page, width=width, dark=dark)
    return browser, width, dark


def test_the_page_fits_and_loads_nothing_and_stays_silent(opened, page, tmp_path):
    browser, width, dark = opened
    browser.screenshot(tmp_path / f"report-{width}-{'dark' if dark else 'light'}.png")
    assert browser.ask("document.documentElement.scrollWidth") == width
    assert browser.ask(OVERFLOWING) == []
    assert browser.complaints() == []
    assert browser.requests() == [page.resolve().as_uri()]


def test_the_ground_and_the_figures_follow_the_colour_scheme(opened):
    browser, _, dark = opened
    ground = browser.ask("getComputedStyle(document.body).backgroundColor")
    text = browser.ask("getComputedStyle(document.querySelector('svg text')).fill")
    brightness = [sum(map(int, re.findall(r"\d+", colour)[:3])) / 3 for colour in (ground, text)]
    assert (brightness[0] < 60, brightness[1] > 120) == (dark, dark)


def test_text_in_figures_stays_readable(opened):
    assert opened[0].ask(SMALL_TEXT) >= 8.5


def test_all_text_stands_out_from_what_is_behind_it(opened):
    assert opened[0].ask(FAINT_TEXT) == []


def test_no_label_of_a_drawing_is_cut_off(opened):
    assert opened[0].ask(CUT_OFF) == []


def test_wide_tables_scroll_inside_their_card(opened):
    browser, width, _ = opened
    wider = browser.ask(
        "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth).length"
    )
    assert (wider > 0) == (width == 400)
    assert browser.ask("[...document.querySelectorAll('.scroll')].every(e => e.tabIndex === 0)")


def test_each_drawing_is_announced_once_with_its_description(opened):
    browser, _, _ = opened
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    images = [node for node in nodes if node.get("role", {}).get("value") == "image" and not node["ignored"]]
    assert len(images) >= 15
    assert all(len(node["name"]["value"]) > 10 for node in images)
    assert len(images) == browser.ask(
        "[...document.querySelectorAll('svg')].filter(s => s.checkVisibility()).length"
    )


def test_the_findings_stay_a_table_on_a_phone(browser, page):
    browser.open(page, width=400)
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    cells = [
        node.get("name", {}).get("value") for node in nodes if node.get("role", {}).get("value") == "cell"
    ]
    assert "2 samples are NaN" in cells


def test_the_keyboard_reaches_the_content_first(browser, page):
    browser.open(page, width=1280)
    for kind in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
    assert browser.ask("document.activeElement.getAttribute('href')") == "#content"
    assert browser.ask("document.activeElement.getBoundingClientRect().left") >= 0


def test_the_parts_of_the_page_are_landmarks_and_tables_have_names(browser, page):
    browser.open(page, width=1280)
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    by_role = {}
    for node in nodes:
        if not node["ignored"]:
            by_role.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))
    assert all(len(by_role[role]) == 1 for role in ROLES)
    assert len(by_role["table"]) >= 5
    assert all(by_role["table"])
    assert by_role["heading"].count("Summary") == 1


def test_whatever_has_the_focus_shows_it(browser, page):
    browser.open(page, width=1280)
    seen = set()
    for _ in range(30):
        for kind in ("keyDown", "keyUp"):
            browser.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
        kind, style, width = browser.ask(
            "(() => { const e = document.activeElement, s = getComputedStyle(e); "
            "return [e.tagName, s.outlineStyle, parseFloat(s.outlineWidth)]; })()"
        )
        if kind == "BODY":
            break
        seen.add(kind)
        assert style != "none", kind
        assert width >= 2, kind
    assert {"A", "DIV"} <= seen


def test_on_paper_no_figure_is_cut_in_two_and_no_heading_stands_alone(browser, page):
    browser.open(page, width=1280)
    browser.call("Emulation.setEmulatedMedia", media="print", features=[])
    breaks = browser.ask(
        "[...document.querySelectorAll('figure, tr, .key > div')].map(e => getComputedStyle(e).breakInside)"
    )
    assert set(breaks) == {"avoid"}
    after = browser.ask(
        "[...document.querySelectorAll('h2, h3, h4')].map(e => getComputedStyle(e).breakAfter)"
    )
    assert set(after) == {"avoid"}
    # 297 mm less two margins of 16 mm, in CSS pixels: what is taller would be cut in spite of the rule.
    tallest = browser.ask(
        "Math.max(...[...document.querySelectorAll('figure')].map(e => e.getBoundingClientRect().height))"
    )
    assert tallest < 1000


def test_the_page_prints_on_a_few_sheets(browser, page, tmp_path):
    browser.open(page, width=1280, dark=True)
    pdf = browser.print_pdf(tmp_path / "report.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 12
