"""From a matplotlib figure to an SVG that can stand inside a page: small, themed, and the same every time."""

import io
import re
import warnings
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar
from xml.etree import ElementTree

from neuroloom.errors import DataError
from neuroloom.reporting.palette import PALETTE, STYLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

P = ParamSpec("P")
R = TypeVar("R")

SVG, XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
_VARIABLES = {light: f"var(--fig-{name}, {light})" for name, (light, _) in PALETTE.items()}
_COLOUR = re.compile("|".join(_VARIABLES))
_NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
_TAGS = {"svg", "g", "defs", "path", "use", "text", "clipPath", "rect", "image", "linearGradient", "stop"}
_ATTRIBUTES = {
    "xmlns", "viewBox", "id", "href", "d", "x", "y", "x1", "x2", "y1", "y2", "width", "height", "transform",
    "style", "clip-path", "stroke-linejoin", "preserveAspectRatio", "gradientUnits", "offset",
}  # fmt: skip
_ATTRIBUTE = re.compile(r'\s+([\w:-]+)="([^"]*)"')
_TAG = re.compile(r'</?(\w+)((?:\s+[\w:-]+="[^"]*")*)\s*/?>')
_PICTURE = re.compile(r"data:image/png;base64,[\w+/=\s]*")
_FONT = re.compile(r"\s*font-family: [^;]*;?")
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
# Invisible marks that reverse or hide the text after them.
_UNSEEN = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def drawing(plot: Callable[P, R]) -> Callable[P, R]:
    """Run a plotting function under the report's style alone, whatever the user's matplotlibrc says."""

    @wraps(plot)
    def styled(*args: P.args, **kwargs: P.kwargs) -> R:
        import matplotlib.style

        with matplotlib.style.context(STYLE, after_reset=True):
            return plot(*args, **kwargs)

    return styled


def new_figure(width_px: float, height_px: float, *, constrained: bool = True) -> "Figure":
    """Return an empty figure of that size in CSS pixels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_px / 72, height_px / 72), layout="constrained" if constrained else None)
    if constrained:
        figure.get_layout_engine().set(w_pad=4 / 72, h_pad=4 / 72, wspace=0.03, hspace=0.03)  # pyright: ignore
    return figure


@drawing
def to_svg(figure: "Figure") -> str:
    """Return `figure` as an ``<svg>`` element without fonts, dates, comments or colours of its own.

    Palette colours become CSS variables with the light colour as fallback; ids that nothing refers to are
    dropped; paths keep a tenth of a pixel.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    with warnings.catch_warnings():
        # The reader's font draws the names; that matplotlib's own lacks a letter does not matter.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support .* natively")
        # Figure.savefig would draw twice, the first time only to lay it out, which drawing does anyway.
        for part in (figure, *figure.axes):
            part.patch.set_facecolor("none")
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    text = _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", buffer.getvalue())
    root = ElementTree.fromstring(re.sub(r"<!DOCTYPE[^>]*>", "", text))
    _clean(root)
    _drop_unused_ids(root)
    for size in ("width", "height"):
        root.attrib.pop(size)
    root.attrib = {"xmlns": "http://www.w3.org/2000/svg", "stroke-linejoin": "round", **root.attrib}
    root.attrib.pop("version", None)
    return ElementTree.tostring(root, encoding="unicode")


def refuse_active(svg: str) -> str:
    """Return `svg` unchanged if it can only draw: no scripts, no styles, no links, no loads.

    Drawings may come back from files; what they may contain is listed, everything else is refused.

    Raises
    ------
    DataError
        Naming the first part that a drawing of ours never has.

    Examples
    --------
    >>> refuse_active('<svg viewBox="0 0 9 9"><path d="M1 2"/></svg>')[:5]
    '<svg '
    """
    bare = svg.strip()
    # What is between the tags is text; a lone angle bracket there would be a tag that the pattern missed.
    stray = [part for part in re.split(r"<[^<>]*>", bare) if "<" in part or ">" in part]
    for tag in [*re.findall(r"<[^<>]*>", bare), *stray]:
        found = _TAG.fullmatch(tag)
        attributes = dict(_ATTRIBUTE.findall(found[2])) if found else {}
        href, values = attributes.get("href", "#"), " ".join(attributes.values())
        # Escapes of HTML (&) and CSS (\\) could spell what the other rules refuse.
        loads = not (href.startswith("#") or _PICTURE.fullmatch(href)) or re.search(
            r"url\((?!#)|[&\\]", values
        )
        if not found or found[1] not in _TAGS or not {*attributes} <= _ATTRIBUTES or loads:
            raise DataError(
                f"a drawing contains {tag[:80]!r}",
                expected="an SVG written by neuroloom.reporting.svg.to_svg",
                remedy="draw the figure again",
            )
    return svg


def prefix_ids(svg: str, prefix: str) -> str:
    """Return `svg` with `prefix` before every id, so that several can share a page.

    Examples
    --------
    >>> prefix_ids('<svg><path id="a"/><use href="#a" clip-path="url(#b)"/></svg>', "f1-")
    '<svg><path id="f1-a"/><use href="#f1-a" clip-path="url(#f1-b)"/></svg>'
    """
    # Inside tags only: a unit's name, which is text, may look like an attribute.
    return re.sub(
        r"<[^>]*>",
        lambda tag: re.sub(r'( id="| href="#|url\(#)', rf"\g<1>{prefix}", tag.group()),
        svg,
    )


def view_box(svg: str) -> tuple[float, float]:
    """Return the natural width and height of an SVG in CSS pixels.

    Examples
    --------
    >>> view_box('<svg viewBox="0 0 500 240.5">')
    (500.0, 240.5)
    """
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    return (float(found[1]), float(found[2])) if found else (0.0, 0.0)


def shorten(name: object, max_chars: int = 18) -> str:
    """Return a name that fits on an axis, without characters that hide or turn the rest.

    Examples
    --------
    >>> shorten("a_rather_long_unit_name", 12)
    'a_rath…_name'
    """
    text = _UNSEEN.sub("", " ".join(str(name).split()))
    if len(text) <= max_chars:
        return text
    head = (max_chars - 1) // 2 + 1
    return f"{text[:head]}…{text[len(text) - (max_chars - 1 - head) :]}"


def _clean(element: ElementTree.Element) -> None:
    """Strip what a page does not need from `element` and everything below it, in place."""
    for child in list(element):
        if child.tag in (f"{SVG}metadata", f"{SVG}style"):
            element.remove(child)
        else:
            _clean(child)
    element.tag = element.tag.removeprefix(SVG)
    if element.tag != "text":
        element.text = None
    element.tail = None
    if f"{XLINK}href" in element.attrib:
        element.set("href", element.attrib.pop(f"{XLINK}href"))
    for name in ("x", "y", "width", "height", "viewBox", "transform"):
        if name in element.attrib:
            element.set(name, _NUMBER.sub(lambda number: _round(number, 2), element.attrib[name]))
    if "d" in element.attrib:
        element.set("d", _tighten(_NUMBER.sub(lambda number: _round(number, 1), element.attrib["d"])))
    if re.fullmatch(r"rotate\(-?0 .*\)", element.get("transform", "")):
        del element.attrib["transform"]
    if "style" in element.attrib:
        style = _FONT.sub("", element.attrib["style"]).replace("font-weight: 700", "font-weight: 600")
        style = _COLOUR.sub(lambda found: _VARIABLES[found.group()], style)
        element.set("style", re.sub(r"\s*([;:])\s*", r"\1", style).strip("; "))
    for child in list(element):
        if child.tag in ("g", "defs") and not len(child):
            element.remove(child)


def _drop_unused_ids(root: ElementTree.Element) -> None:
    used = {
        name
        for element in root.iter()
        for value in element.attrib.values()
        for name in re.findall(r"^#(.+)|url\(#([^)]+)\)", value)
    }
    used = {first or second for first, second in used}
    short = {name: f"i{index}" for index, name in enumerate(sorted(used))}
    for element in root.iter():
        if element.attrib.get("id") in short:
            element.set("id", short[element.attrib["id"]])
        else:
            element.attrib.pop("id", None)
        for key in ("href", "clip-path"):
            value = element.attrib.get(key, "")
            name = value.removeprefix("url(").removesuffix(")").removeprefix("#")
            if name in short:
                element.set(key, value.replace(name, short[name]))


def _round(number: re.Match[str], digits: int) -> str:
    text = f"{float(number.group()):.{digits}f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def _tighten(path: str) -> str:
    """Shorten path data: ``M 1 2 \\nL 1 5`` becomes ``M1 2V5``."""
    tokens = re.findall(r"[A-Za-z]|-?[\d.]+", path)
    parts, x, y, index = [], "", "", 0
    while index < len(tokens):
        command = tokens[index]
        if command not in ("M", "L"):
            count = {"Q": 4, "C": 6}.get(command, 0)
            points = tokens[index + 1 : index + 1 + count]
            parts.append(command + " ".join(points))
            x, y = points[-2:] if points else ("", "")
            index += 1 + count
            continue
        new_x, new_y = tokens[index + 1 : index + 3]
        if command == "L" and new_x == x and new_y != y:
            parts.append(f"V{new_y}")
        elif command == "L" and new_y == y and new_x != x:
            parts.append(f"H{new_x}")
        elif command == "M" or (new_x, new_y) != (x, y) or (parts and parts[-1].startswith("M")):
            parts.append(f"{command}{new_x} {new_y}")
        x, y = new_x, new_y
        index += 3
    return "".join(parts)
