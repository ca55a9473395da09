"""The page: a small typed model of what a report says, and its one way into HTML."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from neuroloom.artifacts import to_json, write_text
from neuroloom.findings import Finding

TEMPLATES = Path(__file__).parent / "templates"
PAGE = "report.html"


@dataclass(frozen=True)
class Figure:
    """A drawing with the words that belong to it.

    Attributes
    ----------
    svg
        From `neuroloom.reporting.svg.to_svg`; not escaped, but refused if it could do more than draw.
    alt
        What the drawing shows, for those who cannot see it.
    title, caption
        Above and below it.
    size
        ``"wide"`` takes the whole text width, ``"half"`` shares it, ``"small"`` stands in a gallery.
    narrow_svg
        The same for phones, where a wide drawing would be too small to read.
    """

    svg: str
    alt: str
    title: str = ""
    caption: str = ""
    size: Literal["wide", "half", "small"] = "half"
    narrow_svg: str | None = None


@dataclass(frozen=True)
class Gallery:
    """Small figures side by side, e.g. one per unit."""

    title: str
    figures: Sequence[Figure]
    caption: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of text; the first column names the row, numbers stand to the right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    caption: str = ""
    size: Literal["wide", "half"] = "wide"


@dataclass(frozen=True)
class Facts:
    """Names with their values: a card (``"half"``), or a line across (``"wide"``)."""

    items: Sequence[tuple[str, str]]
    title: str = ""
    size: Literal["wide", "half"] = "wide"


@dataclass(frozen=True)
class Note:
    """A sentence that stands out, such as why there is nothing to draw."""

    text: str


Block = Figure | Gallery | Table | Facts | Note


@dataclass(frozen=True)
class KeyFigure:
    """One number for the top of the page: ``KeyFigure("0.81", "decoding R²", "velocity, held-out time")``."""

    value: str
    label: str
    note: str = ""


@dataclass(frozen=True)
class Section:
    """One part of the page; `key_figures` go to its top."""

    title: str
    anchor: str
    lead: str = ""
    blocks: Sequence[Block] = ()
    key_figures: Sequence[KeyFigure] = ()


@dataclass(frozen=True)
class Point:
    """One line of the summary, and the chapter that says more: ``Point("Units", "20 found.", "sorting")``."""

    label: str
    text: str
    anchor: str = ""


@dataclass(frozen=True)
class Step:
    """What to do next, with the command for it where there is one."""

    text: str
    command: str = ""


@dataclass(frozen=True)
class Summary:
    """What a reader in a hurry takes away.

    Attributes
    ----------
    title
        Usually the recording's name.
    subtitle
        One line under it.
    sentences
        A short paragraph.
    key_figures
        ``None`` takes those of the sections, in order.
    points
        What was found, one line per chapter; the link is left out where the page has no such chapter.
    steps
        What to do next, in order.
    """

    title: str
    subtitle: str = ""
    sentences: Sequence[str] = ()
    key_figures: Sequence[KeyFigure] | None = None
    points: Sequence[Point] = ()
    steps: Sequence[Step] = ()


@dataclass(frozen=True)
class Provenance:
    """How to make the same page again.

    Attributes
    ----------
    version
        Of neuroloom.
    command
        The command line.
    config
        Every choice that was made, given or by default.
    seed, data_fingerprint
        Of the run.
    stages
        (name, seconds) in order.
    written
        When, or empty.
    packages
        Name -> version of what did the work.
    """

    version: str
    command: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    data_fingerprint: str | None = None
    stages: Sequence[tuple[str, float]] = ()
    written: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)


def render_page(
    *,
    summary: Summary,
    sections: Sequence[Section],
    provenance: Provenance,
    findings: Sequence[Finding] = (),
) -> str:
    """Return the page as one HTML document that loads nothing; equal input gives equal bytes."""
    import jinja2

    from neuroloom.reporting.palette import css_variables

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    key_figures = summary.key_figures
    if key_figures is None:
        key_figures = [figure for section in sections for figure in section.key_figures]
    return environment.get_template("page.html.j2").render(
        summary=summary,
        key_figures=key_figures,
        sections=sections,
        findings=gravest_first(findings),
        chapters={*(section.anchor for section in sections), "findings", "provenance"},
        provenance=provenance,
        config_rows=list(_flat(json.loads(to_json(dict(provenance.config))))),
        light=css_variables("light"),
        dark=css_variables("dark"),
        numeric_columns=_numeric_columns,
        inline=_Inliner(),
        kind=lambda block: type(block).__name__.lower(),
    )


def write_page(
    folder: str | os.PathLike,
    *,
    summary: Summary,
    sections: Sequence[Section],
    provenance: Provenance,
    findings: Sequence[Finding] = (),
) -> Path:
    """Write ``report.html`` into `folder` atomically and return its path."""
    page = render_page(summary=summary, sections=sections, provenance=provenance, findings=findings)
    return write_text(Path(folder) / PAGE, page)


def gravest_first(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings with errors first, then warnings, then notes; else in their order."""
    return sorted(findings, key=lambda finding: ("error", "warning", "info").index(finding.level))


class _Inliner:
    """Turns figures into markup, numbering them so that no two ids of a page are equal."""

    def __init__(self):
        self.count = 0

    def __call__(self, svg: str, *, title: str, alt: str):
        from markupsafe import Markup, escape

        from neuroloom.reporting.svg import prefix_ids, refuse_active, view_box

        self.count += 1
        name = f"f{self.count}"
        width, _ = view_box(svg)
        head, body = prefix_ids(refuse_active(svg), f"{name}-").split(">", 1)
        head += f' role="img" aria-labelledby="{name}-t {name}-d" style="max-width:{width:g}px"'
        words = Markup('<title id="{0}-t">{1}</title><desc id="{0}-d">{2}</desc>').format(
            name, title or "Figure", alt
        )
        return Markup(head + ">") + escape(words) + Markup(body)


def _numeric_columns(table: Table) -> list[bool]:
    """Say which columns hold numbers or intervals, and so stand to the right."""
    number = re.compile(r"(–|[−-]?[\d,]+(\.\d+)?( to [−-]?[\d,]+(\.\d+)?)?)?")
    columns = zip(*table.rows, strict=True) if table.rows else [()] * len(table.columns)
    return [all(number.fullmatch(cell) for cell in cells) for cells in columns]


def _flat(value: Any, path: str = ""):
    """Yield (dotted name, text) for every leaf of a JSON value."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}" if path else str(key))
    else:
        yield path, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
