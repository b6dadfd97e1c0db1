"""Lines keep every dip and leave gaps where there is no value."""

from __future__ import annotations

import math
import re

import numpy as np

from segue.metrics.evaluation import Series
from segue.reports.charts import POINTS, pairs, timeline


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


def test_pairs_show_both_values_and_their_difference() -> None:
    chart = pairs({"a": (0.25, 0.75), "b": (math.nan, 0.5)})
    left, right = (float(dot.attrib["cx"]) for dot in chart.iter("circle"))
    assert left < right
    assert [text.text for text in chart.iter("text")] == ["a", "+0.5000", "b", "–"]
