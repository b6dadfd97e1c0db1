"""Small charts as SVG elements: bars by sequence, lines over time, pairs of values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt

from segue.metrics.evaluation import Series
from segue.reports.page import decimal, node, number, signed

POINTS = 240
"""Points of a line at most; of more values in one place the lowest is drawn, so that no dip is lost."""

_ROW = 20
_NAME, _BAR, _VALUE = 180, 440, 60
_WIDTH, _HEIGHT, _LEFT, _TOP = 320, 110, 26, 6


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


def drawn(series: Mapping[str, Series]) -> list[str]:
    """The measures that have a line: the first two, but not those of single objects, such as ``J_1``."""
    means = [key for key in series if not any(key.startswith(f"{other}_") for other in series)]
    return [key for key in means if len(series[key].values)][:2]


def timeline(series: Mapping[str, Series]) -> Element:
    """The measures of :func:`drawn` over the scored frames; gaps are frames without a value."""
    lines = [series[key] for key in drawn(series)]
    top = _upper([float(value) for line in lines for value in line.values])
    floor = _HEIGHT + _TOP
    parts = [
        *(_line("axis", _LEFT, _WIDTH, y) for y in (_TOP, _TOP + _HEIGHT / 2, floor)),
        node("text", f"{top:.2g}", class_="quiet", x=0, y=_TOP + 6),
        node("text", "0", class_="quiet", x=0, y=floor),
    ]
    for style, line in zip(("one", "two"), lines, strict=False):
        parts.append(node("path", None, class_=f"line {style}", d=_path(line.values, top)))
    frames = lines[0].frames if lines else ("", "")
    for name, x, anchor in ((frames[0], _LEFT, "start"), (frames[-1], _WIDTH, "end")):
        shown = _shortened(name, 18)
        parts.append(node("text", shown, class_="quiet", x=x, y=floor + 14, text_anchor=anchor))
    return _svg(_WIDTH, floor + 18, parts)


def _path(values: npt.NDArray[np.float64], top: float) -> str:
    """SVG path of a measure over time; it starts anew behind every gap."""
    groups = np.array_split(values, min(POINTS, len(values)))
    lows = [float(np.nanmin(group)) if not np.isnan(group).all() else math.nan for group in groups]
    step = (_WIDTH - _LEFT) / max(len(lows) - 1, 1)
    commands, pen_down = [], False
    for i, low in enumerate(lows):
        if math.isnan(low):
            pen_down = False
            continue
        y = _TOP + (1 - min(max(low / top, 0.0), 1.0)) * _HEIGHT
        commands.append(f"{'L' if pen_down else 'M'}{decimal(_LEFT + i * step)} {decimal(y)}")
        if not pen_down:
            commands.append("h0.1")  # a lone frame between gaps would leave no trace otherwise
        pen_down = True
    return "".join(commands)


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
