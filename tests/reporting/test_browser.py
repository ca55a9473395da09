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


def test_the_page_prints_on_a_few_sheets(browser, page, tmp_path):
    browser.open(page, width=1280, dark=True)
    pdf = browser.print_pdf(tmp_path / "report.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 12
