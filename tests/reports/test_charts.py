"""Lines keep every dip and leave gaps where there is no value."""

from __future__ import annotations

import math
import re

import numpy as np

from segue.metrics.evaluation import Series
from segue.reports.charts import POINTS, bars, drawn, pairs, timeline


def line(*values: float) -> str:
    """The path of a line over time."""
    names = tuple(map(str, range(len(values))))
    chart = timeline({"J": Series(names, np.array(values, np.float64))})
    return next(element.attrib["d"] for element in chart.iter("path"))


def heights(path: str) -> list[float]:
    return [float(y) for y in re.findall(r"[ML]\S+ ([0-9.]+)", path)]


def test_a_dip_of_one_frame_shows_in_a_long_video() -> None:
    values = np.ones(10_000)
    values[4321] = 0
    drawn = heights(line(*values))
    assert len(drawn) == POINTS
    assert max(drawn) == max(heights(line(0.0)))  # the floor of the chart


def test_gaps_begin_a_new_line() -> None:
    path = line(0.5, 0.5, math.nan, 0.5)
    assert path.count("M") == 2
    assert path.count("L") == 1


def test_lines_are_drawn_of_means_not_of_single_objects() -> None:
    item = Series(("0",), np.array([0.5]))
    empty = Series((), np.array([]))
    assert drawn({"J": item, "J_1": item, "J_2": item, "F": item, "F_1": item}) == ["J", "F"]
    assert drawn({"IoU": empty}) == []


def test_bars_are_as_long_as_their_values() -> None:
    widths = [
        float(element.attrib["width"])
        for element in bars({"a": 0.5, "b": 1.0, "c": math.nan, "d": -0.5}).iter("rect")
        if element.attrib["class"] == "one"
    ]
    assert widths == [widths[1] / 2, widths[1], 0, 0]


def test_bars_of_larger_values_are_scaled_to_the_largest() -> None:
    lengths = {
        element.attrib["class"]: float(element.attrib["width"]) for element in bars({"a": 40.0}).iter("rect")
    }
    assert lengths["one"] == lengths["track"]


def test_pairs_show_both_values_and_their_difference() -> None:
    chart = pairs({"a": (0.25, 0.75), "b": (math.nan, 0.5)})
    left, right = (float(dot.attrib["cx"]) for dot in chart.iter("circle"))
    assert left < right
    assert [text.text for text in chart.iter("text")] == ["a", "+0.5000", "b", "–"]
