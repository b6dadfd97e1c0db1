"""Events of results in a program, without a file."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from segue.errors import ArgumentError, SegueError
from segue.events import EventRules, EventSink, Zone, ZoneEvents
from segue.events.table import Event
from segue.types import Segmentation
from tests.events.test_sink import big

DOOR = "door=60,0 120,0 120,119 60,119"
LINE = "out=90,0 90,119"


def walk(frames: int, number: int = 3) -> list[Segmentation]:
    """Results of an object whose foot is at 5 + 6 t."""
    return [big(t, {number: (6 * t, 20, 6 * t + 10, 50)})[1] for t in range(frames)]


def test_each_event_is_given_with_the_frame_on_which_it_is_known() -> None:
    events = ZoneEvents([DOOR, Zone.parse(LINE)])
    known = {result.index: events.update(result) for result in walk(29)}
    assert [(index, event.event, event.frame, event.zone) for index in known for event in known[index]] == [
        (2, "enter", 0, ""),
        (12, "zone-enter", 10, "door"),
        (15, "cross", 15, "out"),
        (22, "zone-leave", 20, "door"),
    ]
    assert [*events.objects] == [3]
    assert events.objects[3].foot == (173.0, 50.0)
    (leave,) = events.update(big(29, {})[1])
    assert (leave.event, leave.frame, leave.seconds, leave.label) == ("leave", 28, 2.8, "car")
    assert not events.objects


def test_present_objects_end_with_the_video_and_another_video_starts_over() -> None:
    events = ZoneEvents([DOOR])
    for result in walk(15):
        events.update(result)
    assert [event.event for event in events.finish()] == ["zone-leave", "end"]
    assert events.finish() == []
    assert [event.event for result in walk(3) for event in events.update(result)] == ["enter"]


def test_rules_hold_without_zones() -> None:
    events = ZoneEvents(rules=EventRules(min_seconds=1.0))
    known = [(result.index, event.event) for result in walk(20) for event in events.update(result)]
    assert known == [(10, "enter")]


def test_zones_boxes_and_areas_are_those_of_a_given_size() -> None:
    events = ZoneEvents(["door=0%,0% 100%,0% 100%,100% 0%,100%"], size=(240, 360))
    assert events.zones[0] == Zone("door", ((0, 0), (360, 0), (360, 240), (0, 240)))
    enter = next(event for result in walk(3) for event in events.update(result))
    assert (enter.x1, enter.y1, enter.area) == (20, 100, 1200)


def test_results_without_times_get_them_from_the_frame_rate() -> None:
    events = ZoneEvents(rules=EventRules(min_seconds=0.5), fps=20)
    results = (Segmentation(result.index, 0.0, result.mask, result.objects) for result in walk(20))
    known = [(result.index, event) for result in results for event in events.update(result)]
    assert [(index, event.event, event.time) for index, event in known] == [(10, "enter", 0.0)]
    assert [(event.event, event.time, event.seconds) for event in events.finish()] == [("end", 0.95, 0.95)]
    with pytest.raises(ArgumentError, match="fps"):
        ZoneEvents(fps=0)


def test_a_zone_outside_the_image_is_an_error_at_once_or_with_the_first_result() -> None:
    with pytest.raises(SegueError, match="zone far"):
        ZoneEvents(["far=500,0 600,0 600,90"], size=(120, 180))
    events = ZoneEvents(["far=500,0 600,0 600,90"])
    with pytest.raises(SegueError, match="zone far"):
        events.update(walk(1)[0])


def test_the_sink_writes_the_same_events(tmp_path: Path) -> None:
    frames = [
        big(t, {1: (3 * t, 20, 3 * t + 10, 50), **({2: (80, 60, 90, 90)} if 5 < t < 30 else {})})
        for t in range(40)
    ]
    zones, rules = [Zone.parse(DOOR), Zone.parse(LINE)], EventRules(loiter={"door": 1.0})
    events = ZoneEvents(zones, rules)
    known = [event for _, result in frames for event in events.update(result)] + events.finish()
    with EventSink(tmp_path / "events.json", zones=zones, rules=rules, live=True) as sink:
        for frame, result in frames:
            sink.write(frame, result)
    assert json.loads((tmp_path / "events.json").read_text()) == [asdict(event) for event in known]
    kinds = {event.event for event in known}
    assert kinds == {"enter", "leave", "end", "zone-enter", "zone-leave", "loiter", "cross"}


def test_other_zones_take_the_place_of_those_before_and_the_objects_stay() -> None:
    events = ZoneEvents(["all=0,0 179,0 179,119 0,119"])
    results = walk(20)
    for result in results[:8]:
        events.update(result)
    (leave,) = events.change([DOOR])
    assert (leave.event, leave.zone, leave.object, leave.frame) == ("zone-leave", "all", 3, 7)
    known = [event for result in results[8:] for event in events.update(result)]
    assert [(event.event, event.zone, event.frame) for event in known] == [("zone-enter", "door", 10)]
    events.change(["far=900,0 990,0 990,90"])
    with pytest.raises(SegueError, match="outside the image"):
        events.update(big(20, {})[1])


def test_pixels_of_an_ignored_region_belong_to_no_event() -> None:
    """The object begins behind the region; later it walks into another one, which is drawn meanwhile."""
    rules = EventRules.parse(0.0, (), (), (), ["tree=0,0 59,0 59,119 0,119"])
    events = ZoneEvents([], rules)
    found = [event for result in walk(20) for event in events.update(result)]
    assert [(event.event, event.frame) for event in found] == [("enter", 9)]
    assert events.objects[3].x0 >= 60
    events.change([], EventRules.parse(0.0, (), (), (), ["all=0%,0% 100%,0% 100%,100% 0%,100%"]))
    assert [event for result in walk(25)[20:] for event in events.update(result)] == []
    assert [event.event for event in events.finish()] == ["end"]
    for text in ("line=0,0 10,10", "far=500,500 600,500 600,600"):
        with pytest.raises(SegueError):
            ZoneEvents([], EventRules.parse(0.0, (), (), (), [text]), (120, 180))


@pytest.mark.parametrize("zones", [[], [DOOR]])
def test_a_zone_that_goes_before_its_object_is_reported_is_left_after_it(zones: list[str]) -> None:
    events = ZoneEvents(["all=0,0 179,0 179,119 0,119"], EventRules(min_seconds=0.8))
    known, results = list[Event](), walk(20)
    for result in results[:6]:
        known += events.update(result)
    known += events.change(zones, EventRules(min_seconds=0.8))
    assert not known, "nobody knows of the object"
    known = [event for result in results[6:] for event in events.update(result)]
    assert [event.event for event in known][:3] == ["enter", "zone-enter", "zone-leave"]
    assert {event.zone for event in known[1:3]} == {"all"}
