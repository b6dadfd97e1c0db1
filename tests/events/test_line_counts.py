"""Line crossings against the rule of supervision's ``LineZone`` with the anchor ``BOTTOM_CENTER``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.events import EventRules, ZoneEvents
from segue.types import Segmentation
from tests.events.test_sink import big

SIZE = (120, 180)
ROW = 60
LINE = f"line=0,{ROW} {SIZE[1]},{ROW}"
Feet = Sequence[tuple[float, float]]


def rows_of(feet: Sequence[int], x: int = 80) -> list[Segmentation]:
    """Results of an object, ten pixels wide and tall, whose lower edge is on these rows."""
    return [big(t, {1: (x, row - 10, x + 10, row)})[1] for t, row in enumerate(feet)]


def count(results: Iterable[Segmentation], rules: EventRules | None = None) -> list[tuple[int, str]]:
    """Frame and direction of each crossing."""
    events = ZoneEvents([LINE], rules)
    found = [event for result in results for event in events.update(result)]
    return [(event.frame, event.direction) for event in found if event.event == "cross"]


def line_zone(feet: Feet, start: tuple[int, int], end: tuple[int, int]) -> list[tuple[int, str]]:
    """The rule of ``LineZone``: the side of the anchor differs from that of the last frame between the ends.

    Its ``in`` is our left.
    """
    vector = np.subtract(end, start)
    last: bool | None = None
    crossings = []
    for index, foot in enumerate(feet):
        x, y = np.subtract(foot, start)
        if not 0 <= x * vector[0] + y * vector[1] <= vector @ vector:
            continue
        left = bool(vector[0] * y - vector[1] * x < 0)
        if last is not None and left != last:
            crossings.append((index, "left" if left else "right"))
        last = left
    return crossings


WALKS = st.lists(st.integers(12, SIZE[0] - 2).filter(lambda row: abs(row - ROW) > 2), min_size=3, max_size=30)


@given(WALKS)
@settings(max_examples=60, deadline=None)
def test_crossings_are_those_of_supervision_from_the_first_frame_on(feet: list[int]) -> None:
    expected = line_zone([(85, row) for row in feet], (0, ROW), (SIZE[1], ROW))
    assert count(rows_of(feet)) == expected


@given(WALKS)
@settings(max_examples=10, deadline=None)
def test_the_rule_above_is_that_of_supervision(feet: list[int]) -> None:
    supervision = pytest.importorskip("supervision")
    point, anchors = supervision.Point, [supervision.Position.BOTTOM_CENTER]
    zone = supervision.LineZone(point(0, ROW), point(SIZE[1], ROW), triggering_anchors=anchors)
    crossings = []
    for result in rows_of(feet):
        entered, left = zone.trigger(result.to_supervision())
        if entered.any() or left.any():
            crossings.append((result.index, "left" if entered.any() else "right"))
    assert crossings == line_zone([(85, row) for row in feet], (0, ROW), (SIZE[1], ROW))


def test_a_crossing_before_the_object_is_reported_is_told_with_it() -> None:
    feet = [50, 56, 64, 70, 76, 82]
    assert count(rows_of(feet)) == [(2, "right")]
    assert count(rows_of([56, 64, 70])) == [(1, "right")]
    assert count(rows_of([56, 64])) == []  # never reported
    assert count(rows_of(feet), EventRules(min_seconds=0.4)) == [(2, "right")]
    assert count(rows_of(feet), EventRules(min_frames=7)) == []


def test_an_object_that_is_too_low_as_it_crosses_is_not_counted() -> None:
    rows, heights = [50, 56, 64, 70, 76, 82, 88], [8, 8, 8, 8, 20, 20, 20]
    boxes = [(80, row - height, 90, row) for row, height in zip(rows, heights, strict=True)]
    results = [big(t, {1: box})[1] for t, box in enumerate(boxes)]
    assert count(results) == [(2, "right")]
    assert count(results, EventRules(min_heights=((0.0, 12.0),))) == []


def test_an_object_that_trembles_on_the_line_crosses_once() -> None:
    feet = [50, 56, 61, 59, 61, 59, 62, 64, 70]
    assert count(rows_of(feet)) == [(7, "right")]
    assert len(line_zone([(85, row) for row in feet], (0, ROW), (SIZE[1], ROW))) == 5


def test_an_object_that_goes_around_the_end_of_a_line_does_not_cross_it() -> None:
    path = [(30, 50), (50, 50), (90, 50), (90, 70), (50, 70), (30, 70)]
    results = [big(t, {1: (x, y - 10, x + 10, y)})[1] for t, (x, y) in enumerate(path)]
    events = ZoneEvents(["line=0,60 70,60"])
    assert not any(event.event == "cross" for result in results for event in events.update(result))
    assert line_zone([(x + 5, y) for x, y in path], (0, ROW), (70, ROW)) == [(4, "right")]
