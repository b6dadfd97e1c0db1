"""Lines in one picture, as an SVG file of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from xml.etree.ElementTree import tostring

import numpy as np
import numpy.typing as npt

from segue.reports.page import node
from segue.video.partial import write_complete

COLOURS = ("#0072b2", "#c25a00", "#009e73", "#a3438b", "#6b5b00", "#56b4e9", "#5d6670", "#000000")
"""Colours of the lines, in turn; colour-blind people tell them apart."""

_WIDTH, _HEIGHT, _LEFT, _TOP, _ROW = 480, 300, 46, 30, 18


def write_percentiles(
    path: Path, title: str, measure: str, lines: Mapping[str, npt.NDArray[np.float64]]
) -> dict[str, list[float]]:
    """Draw how values are distributed: over the percentile from 0 to 100 stands the value below which it is.

    Args:
        path: SVG file.
        title: what is shown.
        measure: what the values are, in 0..1.
        lines: values by the name of their line; NaN is left out.

    Returns:
        For each line the values at 0, 10, ... 100 percent.
    """
    parts = [
        node("rect", None, width="100%", height="100%", fill="#fff"),
        node("text", title, x=_LEFT, y=18, font_weight="600"),
    ]
    floor = _TOP + _HEIGHT
    for i in range(0, 11, 2):
        x, y = _LEFT + _WIDTH * i / 10, floor - _HEIGHT * i / 10
        grid = f"M{_LEFT} {y:.1f}h{_WIDTH}M{x:.1f} {_TOP}v{_HEIGHT}"
        parts += [
            node("path", None, d=grid, stroke="#d9dde1"),
            node("text", f"{i / 10:.1f}", x=_LEFT - 6, y=f"{y + 4:.1f}", text_anchor="end"),
            node("text", f"{10 * i}", x=f"{x:.1f}", y=floor + 16, text_anchor="middle"),
        ]
    parts.append(node("text", f"{measure} (up), percentile (right)", x=_LEFT, y=floor + 34))
    tenths = {}
    for place, (name, values) in enumerate(lines.items()):
        known = values[~np.isnan(values)]
        heights = np.percentile(known, np.arange(101)).clip(0, 1)
        tenths[name] = [float(value) for value in np.percentile(known, np.arange(0, 101, 10))]
        points = " ".join(
            f"{_LEFT + _WIDTH * i / 100:.1f},{floor - _HEIGHT * value:.1f}" for i, value in enumerate(heights)
        )
        colour, y = COLOURS[place % len(COLOURS)], floor + 54 + _ROW * place
        parts += [
            node("polyline", None, points=points, fill="none", stroke=colour, stroke_width=2),
            node("path", None, d=f"M{_LEFT} {y - 4}h24", stroke=colour, stroke_width=3),
            node("text", name, x=_LEFT + 32, y=y),
        ]
    size = {"width": _LEFT + _WIDTH + 20, "height": floor + 54 + _ROW * len(lines)}
    names = {"font_family": "system-ui, sans-serif", "font_size": "12", "fill": "#1b1f24"}
    picture = node("svg", None, *parts, xmlns="http://www.w3.org/2000/svg", **size, **names)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_complete(path, tostring(picture, encoding="utf-8"))
    return tenths
