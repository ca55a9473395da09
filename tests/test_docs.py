"""The guide keeps up with the house: links, the picture of the rooms, benchmarks, licences, a clean build."""

import re
import runpy
import shutil
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
# Parts that other benchmarks call; they make no figure by themselves.
PARTS = {
    "eit_animals",
    "kept",
    "table",
    "molds_peer",
    "poyo_pair",
    "sorting_benches",
    "sorting_child",
    "chain_benches",
}


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_that_sphinx_does_not_see_lead_to_files(page):
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", (ROOT / page).read_text())
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert not missing


def test_every_page_is_reached_from_the_first():
    named = set()
    for page in PAGES:
        for tree in re.findall(r"```\{toctree\}(.*?)```", page.read_text(), flags=re.DOTALL):
            named |= {entry.rpartition("<")[2].rstrip(">") for entry in tree.split("\n") if ":" not in entry}
    assert {page.stem for page in PAGES} - named == {"index"}


def test_figures_of_the_readme_stand_in_the_pages_that_it_names():
    rows = [line for line in (ROOT / "README.md").read_text().splitlines() if line.endswith(".md) |")]
    assert len(rows) > 10
    for row in rows:
        *cells, page = row.strip("| ").split(" | ")
        text = (ROOT / re.search(r"\((.+)\)", page).group(1)).read_text()
        figures = re.findall(r"(?<![\w.])\d*\.\d+", " ".join(cells[1:]))
        assert figures, row
        assert not [
            figure for figure in figures if not re.search(rf"(?<![\d.]){re.escape(figure)}(?!\d)", text)
        ], row


def test_every_image_is_shown_and_every_shown_image_is_there():
    texts = [page.read_text() for page in [*PAGES, ROOT / "README.md"]]
    shown = {Path(name).name for text in texts for name in re.findall(r"images/([\w-]+\.\w+)\)", text)}
    assert shown == {path.name for path in (DOCS / "images").iterdir()}


def test_the_picture_shows_the_rooms_in_the_order_that_imports_keep():
    known = runpy.run_path(str(ROOT / "tests" / "test_imports.py"))
    picture = ElementTree.parse(DOCS / "images" / "architecture.svg").getroot()
    svg = "{http://www.w3.org/2000/svg}"
    groups = {group.get("id"): group for group in picture.iter(f"{svg}g")}
    rooms = [name for name, group in groups.items() if group.get("class") == "room"]
    assert rooms == known["ROOMS"]
    assert "training" in groups
    [below] = [text.text for text in groups["ground-floor"].iter(f"{svg}text") if text.get("class") == "list"]
    assert set(below.split(" · ")) <= known["GROUND_FLOOR"]


def test_every_benchmark_stands_on_the_page_of_benchmarks():
    page = (DOCS / "benchmarks.md").read_text()
    programs = {path.stem for path in (ROOT / "benchmarks").glob("*.py")} - PARTS
    assert not {name for name in programs if f"benchmarks/{name}.py" not in page}


def test_every_dependency_stands_in_the_list_of_licences_with_its_licence():
    rows = re.findall(
        r"^\| ([\w.-]+) \| ([^|]*) \| ([^|]+) \|", (DOCS / "licences.md").read_text(), re.MULTILINE
    )
    stated = {name: licence.strip() for name, _, licence in rows[1:]}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = list(project["dependencies"])
    for extra in ("dask", "images", "text", "biophysics"):
        wanted += project["optional-dependencies"][extra]
    names = {re.match(r"[\w.-]+", text).group().lower().replace("_", "-") for text in wanted}
    assert not names - set(stated)
    assert not {name for name, licence in stated.items() if licence in ("not stated", "not installed")}


@pytest.mark.slow
def test_the_guide_builds_without_a_warning(tmp_path):
    pytest.importorskip("sphinx")
    pytest.importorskip("myst_parser")
    pytest.importorskip("pydata_sphinx_theme")
    shutil.copytree(DOCS, tmp_path / "docs", ignore=shutil.ignore_patterns("_build", "generated"))
    shutil.copy(ROOT / "CHANGELOG.md", tmp_path)
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "-b", "html",
         tmp_path / "docs", tmp_path / "html"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "html" / "generated" / "neuroloom.Session.html").is_file()
