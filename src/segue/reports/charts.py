"""Small charts as SVG elements: bars by sequence, lines over time, pairs of values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt

from segue.metrics.evaluation import Series
from segue.reports.page import node, number, signed

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
        y = row * _ROW
        length = 0.0 if math.isnan(value) else max(value, 0.0) / top * _BAR
        parts += [
            _name(name, y),
            _rectangle("track", _NAME, y + 3, _BAR, _ROW - 6),
            _rectangle("one", _NAME, y + 3, length, _ROW - 6),
            node("text", number(value), x=_text(_NAME + _BAR + 8), y=_text(y + 14)),
        ]
    return _svg(_NAME + _BAR + _VALUE, max(len(values), 1) * _ROW, parts, "chart")


def pairs(values: Mapping[str, tuple[float, float]]) -> Element:
    """Two values for each name as dots on a line from 0 to 1 (or the largest value), and their difference."""
    top = _upper([value for pair in values.values() for value in pair])
    parts: list[Element] = []
    for row, (name, (first, second)) in enumerate(values.items()):
        y = row * _ROW + _ROW / 2
        parts += [_name(name, row * _ROW), _line("axis", _NAME, y, _NAME + _BAR, y)]
        if not math.isnan(first) and not math.isnan(second):
            x, end = (_NAME + max(value, 0.0) / top * _BAR for value in (first, second))
            parts += [_line("join", x, y, end, y), _dot("one", x, y), _dot("two", end, y)]
        parts.append(node("text", signed(second - first), x=_text(_NAME + _BAR + 8), y=_text(y + 4)))
    return _svg(_NAME + _BAR + _VALUE, max(len(values), 1) * _ROW, parts, "chart")


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
        *(_line("axis", _LEFT, y, _WIDTH, y) for y in (_TOP, _TOP + _HEIGHT / 2, floor)),
        node("text", f"{top:.2g}", class_="quiet", x="0", y=_text(_TOP + 6)),
        node("text", "0", class_="quiet", x="0", y=_text(floor)),
    ]
    for style, line in zip(("one", "two"), lines, strict=False):
        parts.append(node("path", class_=f"line {style}", d=_path(line.values, top)))
    frames = lines[0].frames if lines else ("", "")
    for name, x, anchor in ((frames[0], _LEFT, "start"), (frames[-1], _WIDTH, "end")):
        place = {"x": _text(x), "y": _text(floor + 14), "text_anchor": anchor}
        parts.append(node("text", _shortened(name, 18), class_="quiet", **place))
    return _svg(_WIDTH, _HEIGHT + _TOP + 18, parts)


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
        commands.append(f"{'L' if pen_down else 'M'}{_text(_LEFT + i * step)} {_text(y)}")
        if not pen_down:
            commands.append("h0.1")  # a lone frame between gaps would leave no trace otherwise
        pen_down = True
    return "".join(commands)


def _upper(values: Iterable[float]) -> float:
    return max([1.0, *(value for value in values if not math.isnan(value))])


def _svg(width: float, height: float, parts: Sequence[Element], style: str = "") -> Element:
    return node("svg", *parts, viewBox=f"0 0 {_text(width)} {_text(height)}", role="img", class_=style)


def _name(name: str, y: float) -> Element:
    shown = node("text", _shortened(name, 28), x="0", y=_text(y + 14))
    shown.append(node("title", name))
    return shown


def _rectangle(style: str, x: float, y: float, width: float, height: float) -> Element:
    return node(
        "rect", class_=style, x=_text(x), y=_text(y), width=_text(width), height=_text(height), rx="2"
    )


def _line(style: str, x0: float, y0: float, x1: float, y1: float) -> Element:
    return node("line", class_=style, x1=_text(x0), y1=_text(y0), x2=_text(x1), y2=_text(y1))


def _dot(style: str, x: float, y: float) -> Element:
    return node("circle", class_=style, cx=_text(x), cy=_text(y), r="4")


def _shortened(name: str, length: int) -> str:
    return name if len(name) <= length else f"{name[: length - 1]}…"


def _text(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
