"""Charts as SVG elements: bars by sequence, lines over time, pairs of values, percentiles."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import count, cycle
from pathlib import Path
from xml.etree.ElementTree import Element, tostring

import numpy as np
import numpy.typing as npt

from segue.metrics.evaluation import Series
from segue.utils.files import prepare, write_complete

POINTS = 240
"""Points of a line at most; of more values in one place the lowest is drawn, so that no dip is lost."""

LINES = ("#0072b2", "#c25a00", "#009e73", "#a3438b", "#6b5b00", "#56b4e9", "#5d6670", "#000000")
"""Colours of the lines of percentiles, in turn; colour-blind people tell them apart."""

_ROW = 20
_NAME, _BAR, _VALUE = 180, 440, 60
_WIDTH, _HEIGHT, _LEFT, _TOP = 320, 110, 26, 6


def number(value: float) -> str:
    """Format a value with four decimals; a dash if missing."""
    return "–" if math.isnan(value) else f"{value:.4f}"


def signed(value: float) -> str:
    """Format a difference with sign and four decimals; a dash if missing."""
    return number(value) if math.isnan(value) else f"{value:+.4f}"


def bars(values: Mapping[str, float]) -> Element:
    """One horizontal bar for each name, from 0 to 1, or to the largest value if that is more."""
    top = _upper(values.values())
    parts: list[Element] = []
    for row, (name, value) in enumerate(values.items()):
        length = 0.0 if math.isnan(value) else max(value, 0.0) / top * _BAR
        parts += [
            _name(name, row),
            _bar("track", row, _BAR),
            _bar("one", row, length),
            node("text", number(value), x=_NAME + _BAR + 8, y=row * _ROW + 14),
        ]
    return _rows(len(values), parts)


def pairs(values: Mapping[str, tuple[float, float]]) -> Element:
    """Two values for each name as dots on a line from 0 to 1 (or the largest value), and their difference."""
    top = _upper([value for pair in values.values() for value in pair])
    parts: list[Element] = []
    for row, (name, (first, second)) in enumerate(values.items()):
        y = row * _ROW + _ROW / 2
        parts += [_name(name, row), _line("axis", _NAME, _NAME + _BAR, y)]
        if not math.isnan(first) and not math.isnan(second):
            x, end = (_NAME + max(value, 0.0) / top * _BAR for value in (first, second))
            parts += [_line("join", x, end, y), _dot("one", x, y), _dot("two", end, y)]
        parts.append(node("text", signed(second - first), x=_NAME + _BAR + 8, y=y + 4))
    return _rows(len(values), parts)


def chart_order(series: Mapping[str, Series]) -> list[str]:
    """Measures with a line: the first two, without measures of single objects such as ``J_1``."""
    means = [key for key in series if not any(key.startswith(f"{other}_") for other in series)]
    return [key for key in means if len(series[key].values)][:2]


def timeline(series: Mapping[str, Series]) -> Element:
    """Draw the measures of :func:`chart_order` over the scored frames; gaps are frames without a value."""
    lines = [series[key] for key in chart_order(series)]
    top = _upper([float(value) for line in lines for value in line.values])
    floor = _HEIGHT + _TOP
    parts = [
        *(_line("axis", _LEFT, _WIDTH, y) for y in (_TOP, _TOP + _HEIGHT / 2, floor)),
        node("text", f"{top:.2g}", class_="quiet", x=0, y=_TOP + 6),
        node("text", "0", class_="quiet", x=0, y=floor),
    ]
    styles = zip(("line one", "line two"), lines, strict=False)
    parts += [node("path", None, class_=style, d=_path(line.values, top)) for style, line in styles]
    frames = lines[0].frames if lines else ("", "")
    for name, x, anchor in ((frames[0], _LEFT, "start"), (frames[-1], _WIDTH, "end")):
        label = _shortened(name, 18)
        parts.append(node("text", label, class_="quiet", x=x, y=floor + 14, text_anchor=anchor))
    return _svg(_WIDTH, floor + 18, parts)


def write_percentiles(
    path: Path, title: str, measure: str, lines: Mapping[str, npt.NDArray[np.float64]]
) -> dict[str, list[float]]:
    """Draw the distribution of values in [0, 1]; returns each line's values at 0, 10, ... 100 percent."""
    width, height, left, top, row = 480, 300, 46, 30, 18
    floor = top + height
    parts = [
        node("rect", None, width="100%", height="100%", fill="#fff"),
        node("text", title, x=left, y=18, font_weight="600"),
    ]
    for i in range(0, 11, 2):
        x, y = left + width * i / 10, floor - height * i / 10
        grid = f"M{left} {y:.1f}h{width}M{x:.1f} {top}v{height}"
        parts += [
            node("path", None, d=grid, stroke="#d9dde1"),
            node("text", f"{i / 10:.1f}", x=left - 6, y=y + 4, text_anchor="end"),
            node("text", f"{10 * i}", x=x, y=floor + 16, text_anchor="middle"),
        ]
    parts.append(node("text", f"{measure} (up), percentile (right)", x=left, y=floor + 34))
    tenths: dict[str, list[float]] = {}
    for y, colour, (name, values) in zip(count(floor + 54, row), cycle(LINES), lines.items()):
        heights = np.percentile(values[~np.isnan(values)], np.arange(101))
        tenths[name] = heights[::10].tolist()
        points = " ".join(
            f"{left + width * i / 100:.1f},{floor - height * value:.1f}"
            for i, value in enumerate(heights.clip(0, 1))
        )
        parts += [
            node("polyline", None, points=points, fill="none", stroke=colour, stroke_width=2),
            node("path", None, d=f"M{left} {y - 4}h24", stroke=colour, stroke_width=3),
            node("text", name, x=left + 32, y=y),
        ]
    size = {"width": left + width + 20, "height": floor + 54 + row * len(lines)}
    names = {"font_family": "system-ui, sans-serif", "font_size": "12", "fill": "#1b1f24"}
    image = node("svg", None, *parts, xmlns="http://www.w3.org/2000/svg", **size, **names)
    prepare(path)
    write_complete(path, tostring(image, encoding="utf-8"))
    return tenths


def _path(values: npt.NDArray[np.float64], top: float) -> str:
    """SVG path of a measure over time, interrupted at gaps."""
    groups = np.array_split(values, min(POINTS, len(values)))
    lows = [float(np.nanmin(group)) if not np.isnan(group).all() else math.nan for group in groups]
    step = (_WIDTH - _LEFT) / max(len(lows) - 1, 1)
    path, previous = "", math.nan
    for i, low in enumerate(lows):
        if not math.isnan(low):
            y = _TOP + (1 - min(max(low / top, 0.0), 1.0)) * _HEIGHT
            place = f"{decimal(_LEFT + i * step)} {decimal(y)}"
            # Without a stroke of its own a lone frame between gaps would leave no trace.
            path += f"M{place}h0.1" if math.isnan(previous) else f"L{place}"
        previous = low
    return path


def _upper(values: Iterable[float]) -> float:
    return max([1.0, *(value for value in values if not math.isnan(value))])


def _svg(width: float, height: float, parts: Sequence[Element], style: str = "") -> Element:
    box = f"0 0 {decimal(width)} {decimal(height)}"
    return node("svg", None, *parts, viewBox=box, role="img", class_=style)


def _rows(count: int, parts: Sequence[Element]) -> Element:
    return _svg(_NAME + _BAR + _VALUE, max(count, 1) * _ROW, parts, "chart")


def _name(name: str, row: int) -> Element:
    return node("text", _shortened(name, 28), node("title", name), x=0, y=row * _ROW + 14)


def _line(style: str, start: float, end: float, y: float) -> Element:
    return node("line", None, class_=style, x1=start, y1=y, x2=end, y2=y)


def _bar(style: str, row: int, length: float) -> Element:
    return node("rect", None, class_=style, x=_NAME, y=row * _ROW + 3, width=length, height=_ROW - 6, rx=2)


def _dot(style: str, x: float, y: float) -> Element:
    return node("circle", None, class_=style, cx=x, cy=y, r=4)


def _shortened(name: str, length: int) -> str:
    return name if len(name) <= length else f"{name[: length - 1]}…"


def node(tag: str, text: str | None, *children: Element, **attributes: str | float) -> Element:
    """An element with a text and child elements; their text is escaped when the page is written."""
    attributes_text = {
        name.rstrip("_").replace("_", "-"): value if isinstance(value, str) else decimal(value)
        for name, value in attributes.items()
    }
    element = Element(tag, attributes_text)
    element.text = text
    element.extend(children)
    return element


def decimal(value: float) -> str:
    """Format a number for a drawing with at most one decimal."""
    return f"{value:.1f}".removesuffix(".0")
