"""Pages of one file: elements that escape their own text, a style for light and dark, and writing it out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, tostring

import segue
from segue.video.partial import PartialFile, writing

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fdfdfc; --quiet: #5d6670; --line: #d9dde1;
  --card: #f3f4f5; --one: #0072b2; --two: #c25a00; --warn: #fff3d6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ea; --paper: #15181b; --quiet: #9aa4ae;
  --line: #363c42; --card: #1f2428; --one: #56b4e9; --two: #f0a044; --warn: #3a3016; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 70rem; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
p { margin: .3rem 0; } .quiet, figcaption, footer { color: var(--quiet); font-size: .87rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid var(--line);
  white-space: nowrap; } th:first-child, td:first-child { text-align: left; padding-left: 0; }
tr.total td { font-weight: 600; border-top: 2px solid var(--line); }
.numbers { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1rem 0; padding: 0; list-style: none; }
.numbers li { background: var(--card); border-radius: .5rem; padding: .4rem .9rem; min-width: 6rem; }
.numbers b { display: block; font-size: 1.25rem; font-variant-numeric: tabular-nums; }
.remarks { background: var(--warn); border-radius: .5rem; padding: .6rem 1rem .6rem 2rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); gap: 1rem; }
.wide { grid-template-columns: repeat(auto-fill, minmax(min(26rem, 100%), 1fr)); }
.keys { display: flex; flex-wrap: wrap; gap: .2rem 1rem; } .chart { max-width: 46rem; }
figure { margin: 0; } figure img { width: 100%; height: auto; border-radius: .4rem; display: block; }
svg { width: 100%; height: auto; display: block; } svg text { font: 11px system-ui, sans-serif;
  fill: var(--ink); } svg text.quiet { fill: var(--quiet); font-size: 10px; }
.axis { stroke: var(--line); stroke-width: 1; fill: none; } .track { fill: var(--card); }
.one { fill: var(--one); } .two { fill: var(--two); } .line { fill: none; stroke-width: 1.5;
  stroke-linejoin: round; } .line.one { stroke: var(--one); fill: none; }
.line.two { stroke: var(--two); fill: none; stroke-dasharray: 4 2; } .join { stroke: var(--quiet); }
.key { display: inline-block; width: .9em; height: .9em; border-radius: .2em; margin-right: .35em;
  vertical-align: -.1em; border: 1px solid var(--quiet); } details { margin: .6rem 0; }
summary { cursor: pointer; } footer { margin-top: 3rem; border-top: 1px solid var(--line); }
"""


def node(tag: str, *children: Element | str, **attributes: str) -> Element:
    """An element with texts and elements inside; whatever they hold is escaped when the page is written.

    A trailing underscore in the name of an attribute goes away (``class_``), inner ones become hyphens.
    """
    element = Element(tag, {name.rstrip("_").replace("_", "-"): text for name, text in attributes.items()})
    last: Element | None = None
    for child in children:
        if isinstance(child, Element):
            element.append(child)
            last = child
        elif last is None:
            element.text = (element.text or "") + child
        else:
            last.tail = (last.tail or "") + child
    return element


def legend(entries: Iterable[tuple[str, str]]) -> Element:
    """Names, each with a square of its CSS colour."""
    keys = (
        node("span", node("span", class_="key", style=f"background: {colour}"), name)
        for name, colour in entries
    )
    return node("p", *keys, class_="quiet keys")


def number(value: float) -> str:
    """A value for people: four decimals, or a dash where there is none."""
    return "–" if math.isnan(value) else f"{value:.4f}"


def signed(value: float) -> str:
    """A difference for people: its sign and four decimals, or a dash where there is none."""
    return number(value) if math.isnan(value) else f"{value:+.4f}"


def table(
    columns: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]], total: tuple[str, Sequence[str]] | None
) -> Element:
    """A table with names in its first column, and perhaps a last row that sums it up."""
    body = [node("tr", node("td", name), *(node("td", cell) for cell in cells)) for name, cells in rows]
    if total is not None:
        cells = (node("td", cell) for cell in total[1])
        body.append(node("tr", node("td", total[0]), *cells, class_="total"))
    head = node("thead", node("tr", *(node("th", column) for column in columns)))
    return node("div", node("table", head, node("tbody", *body)), class_="scroll")


def write_page(path: Path, title: str, content: Iterable[Element]) -> None:
    """Write a page that needs no other file; it appears under its name only when it is complete.

    Raises:
        SinkError: it cannot be written.
    """
    head = node(
        "head",
        node("meta", charset="utf-8"),
        node("meta", name="viewport", content="width=device-width, initial-scale=1"),
        node("title", title),
        node("style", STYLE),
    )
    footer = node("footer", f"segue {segue.__version__}")
    page = node("html", head, node("body", *content, footer), lang="en")
    partial = PartialFile(path)
    partial.prepare()
    try:
        text = "<!DOCTYPE html>\n" + tostring(page, encoding="unicode", method="html") + "\n"
        with writing(path):
            # Names of files need not be valid text; what cannot be written becomes a question mark.
            partial.path.write_bytes(text.encode("utf-8", "replace"))
        partial.commit()
    finally:
        partial.discard()
