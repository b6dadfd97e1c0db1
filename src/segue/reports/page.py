"""Pages of one file: templates of Jinja, SVG elements that escape their own text, and writing it out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, tostring

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import segue
from segue.metrics.evaluation import Measures
from segue.video.partial import PartialFile, writing


def node(tag: str, text: str | None, *children: Element, **attributes: str | float) -> Element:
    """An element with a text and elements inside; whatever they hold is escaped when the page is written.

    A trailing underscore in the name of an attribute goes away (``class_``), inner ones become hyphens;
    numbers have one decimal, or none.
    """
    shown = {
        name.rstrip("_").replace("_", "-"): value if isinstance(value, str) else decimal(value)
        for name, value in attributes.items()
    }
    element = Element(tag, shown)
    element.text = text
    element.extend(children)
    return element


def decimal(value: float) -> str:
    """A number for a drawing: one decimal, or none where that is 0."""
    return f"{value:.1f}".removesuffix(".0")


def drawing(element: Element) -> Markup:
    """An element for a template."""
    return Markup(tostring(element, encoding="unicode", method="html"))


def number(value: float) -> str:
    """A value for people: four decimals, or a dash where there is none."""
    return "–" if math.isnan(value) else f"{value:.4f}"


def signed(value: float) -> str:
    """A difference for people: its sign and four decimals, or a dash where there is none."""
    return number(value) if math.isnan(value) else f"{value:+.4f}"


def _columns(tables: Mapping[str, Measures]) -> list[str]:
    return list(dict.fromkeys(key for measures in tables.values() for key in measures))


def _cells(measures: Measures, columns: Sequence[str]) -> list[str]:
    return [number(measures[key]) if key in measures else "" for key in columns]


def _rows(tables: Mapping[str, Measures], columns: Sequence[str]) -> list[tuple[str, list[str]]]:
    return [(name, _cells(measures, columns)) for name, measures in tables.items()]


_PAGES = Environment(
    loader=PackageLoader("segue.reports"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_PAGES.globals |= {
    "columns_of": _columns,
    "cells_of": _cells,
    "rows_of": _rows,
    "version": segue.__version__,
}


def write_page(path: Path, template: str, **values: Any) -> None:
    """Write a page that needs no other file; it appears under its name only when it is complete.

    Args:
        path: file to write.
        template: its name in ``templates``.
        values: what the template shows; texts are escaped.
    """
    partial = PartialFile(path)
    partial.prepare()
    try:
        text = _PAGES.get_template(template).render(values)
        with writing(path):
            # Names of files need not be valid text; what cannot be written becomes a question mark.
            partial.path.write_bytes(text.encode("utf-8", "replace"))
        partial.commit()
    finally:
        partial.discard()
