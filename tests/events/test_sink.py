"""Tables of objects that come and go."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from segue.entries.events import EventSettings
from segue.entries.formats import SinkOptions
from segue.errors import SegueError, SinkError
from segue.events import EventSink
from segue.events.monitor import EventMonitor
from segue.events.publisher import EventFiles, EventPublisher, TableWarning
from segue.events.rules import EventRules
from segue.events.store.store import EventStore
from segue.events.table import Event, read_events
from segue.events.zone_events import ZoneEvents
from segue.events.zones import Zone, ZoneWarning
from segue.sinks.rotation import RotatingSink
from segue.types import Box, Frame, Image, ObjectInfo, Segmentation
from segue.video.decoding.readers import ConnectionChange
from tests.segue_web.limited_files import files_limited_to

HEADER = [
    *("event", "object", "frame", "time", "x0", "y0", "x1", "y1", "area", "seconds", "largest"),
    *("label", "label_score", "zone", "direction", "at", "source", "snapshot", "clip"),
]


def result(index: int, boxes: Mapping[int, tuple[int, int, int, int]], hidden: tuple[int, ...] = ()) -> Any:
    """Frame and result with an object in each box (x0, y0, x1, y1); hidden ones are listed only."""
    mask = np.zeros((20, 30), np.uint8)
    for number, (x0, y0, x1, y1) in boxes.items():
        mask[y0:y1, x0:x1] = number
    objects = tuple(ObjectInfo(number) for number in sorted({*boxes, *hidden}))
    frame = Frame(index, index / 10, np.zeros((20, 30, 3), np.uint8))
    return frame, Segmentation(index, index / 10, mask, objects)


def write(path: Path, *results: Any, size: tuple[int, int] | None = None) -> None:
    with EventSink(path, size=size) as sink:
        for frame, segmentation in results:
            sink.write(frame, segmentation)


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as stream:
        return list(csv.reader(stream))


def test_an_object_enters_and_leaves(tmp_path: Path) -> None:
    write(
        tmp_path / "events.csv",
        result(0, {}),
        *(result(t, {4: (t, 2, t + 5, 8)}) for t in range(1, 6)),
        result(6, {}, hidden=(4,)),
        result(7, {4: (7, 2, 9, 4)}),
        result(8, {}),
    )
    assert rows(tmp_path / "events.csv") == [
        HEADER,
        ["enter", "4", "1", "0.100", "1.0", "2.0", "6.0", "8.0", "30", "0.000", "30", *[""] * 8],
        ["leave", "4", "7", "0.700", "7.0", "2.0", "9.0", "4.0", "4", "0.600", "30", *[""] * 8],
    ]


def test_flickering_objects_are_no_events(tmp_path: Path) -> None:
    write(tmp_path / "events.json", result(0, {1: (0, 0, 4, 4)}), result(1, {1: (0, 0, 4, 4)}), result(2, {}))
    assert json.loads((tmp_path / "events.json").read_text()) == []
    write(tmp_path / "events.csv")
    assert rows(tmp_path / "events.csv") == [HEADER]


def test_the_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    sink = EventSink(path)
    sink.write(*result(0, {1: (0, 0, 4, 4)}))
    sink.flush()
    assert not path.exists()
    sink.abort()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SinkError):
        EventSink(tmp_path / "events.txt")


def events(path: Path) -> list[dict[str, Any]]:
    return list(json.loads(path.read_text()))


def big(index: int, boxes: Mapping[int, tuple[int, int, int, int]]) -> Any:
    """A frame of 120x180 pixels, where objects of less than four pixels are no events."""
    mask = np.zeros((120, 180), np.uint8)
    for number, (x0, y0, x1, y1) in boxes.items():
        mask[y0:y1, x0:x1] = number
    frame = Frame(index, index / 10, np.repeat(50 * (mask[..., None] > 0), 3, axis=2).astype(np.uint8))
    return frame, Segmentation(index, index / 10, mask, tuple(ObjectInfo(number, "car") for number in boxes))


def test_pieces_too_small_for_the_image_are_no_events(tmp_path: Path) -> None:
    write(tmp_path / "events.json", *(big(t, {1: (5, 5, 6, 8), 2: (50, 50, 52, 52)}) for t in range(10)))
    assert [(event["event"], event["object"]) for event in events(tmp_path / "events.json")] == [
        ("enter", 2),
        ("end", 2),
    ]
    assert events(tmp_path / "events.json")[0]["label"] == "car"


@pytest.mark.parametrize(("side", "frames", "told"), [(4, 9, False), (4, 10, True), (6, 3, True)])
def test_very_small_objects_are_to_be_seen_longer(tmp_path: Path, side: int, frames: int, told: bool) -> None:
    write(tmp_path / "events.json", *(big(t, {1: (5, 5, 5 + side, 5 + side)}) for t in range(frames)))
    assert bool(events(tmp_path / "events.json")) == told


@pytest.mark.parametrize("name", ["events.csv", "events.json"])
def test_a_live_run_tells_each_event_at_once(tmp_path: Path, name: str) -> None:
    sink = EventSink(tmp_path / name, live=True)
    for t in range(3):
        sink.write(*big(t, {1: (5, 5, 20, 20)}))
    assert "enter" in (tmp_path / name).read_text()
    for t in range(3, 5):
        sink.write(*big(t, {}))
    assert "leave" in (tmp_path / name).read_text()
    sink.write(*big(5, {2: (5, 5, 20, 20)}))
    sink.close()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    whole = tmp_path / f"whole{Path(name).suffix}"
    write(
        whole,
        *(big(t, {1: (5, 5, 20, 20)}) for t in range(3)),
        *(big(t, {}) for t in range(3, 5)),
        big(5, {2: (5, 5, 20, 20)}),
    )
    assert (tmp_path / name).read_text() == whole.read_text()


def test_an_event_before_the_first_result_of_a_live_run_is_in_its_table(tmp_path: Path) -> None:
    with EventSink(tmp_path / "events.json", live=True) as sink:
        sink.connection(ConnectionChange("camera 0", False, 0, 0.1, reason="unplugged"))
        sink.write(*big(1, {}))
        assert [event["event"] for event in read_events(tmp_path / "events.json")] == ["offline"]


def test_events_of_an_aborted_live_run_stay(tmp_path: Path) -> None:
    sink = EventSink(tmp_path / "events.json", live=True)
    for t in range(3):
        sink.write(*big(t, {1: (5, 5, 20, 20)}))
    sink.abort()
    assert [event["event"] for event in events(tmp_path / "events.json")] == ["enter"]


@pytest.mark.parametrize("name", ["events.csv", "events.json"])
def test_events_wait_while_the_disk_is_full(tmp_path: Path, name: str) -> None:
    told, problems = list[Event](), list[str]()

    def note(what: str, problem: str) -> None:
        problems.append(f"{what}: {problem}")

    with EventSink(tmp_path / name, live=True, on_event=told.append, on_disk=note) as sink:
        for t in range(3):
            sink.write(*big(t, {1: (5, 5, 20, 20)}))
        before = (tmp_path / name).read_bytes()
        with files_limited_to(len(before) + 20):
            for t in range(3, 5):
                sink.write(*big(t, {1: (5, 5, 20, 20), 2: (40, 40, 60, 60)}))
            with pytest.warns(TableWarning, match="its events wait"):
                sink.write(*big(5, {1: (5, 5, 20, 20), 2: (40, 40, 60, 60)}))
            assert (tmp_path / name).read_bytes() == before, "no part of an event"
            assert [(event.event, event.object) for event in told] == [("enter", 1), ("enter", 2)], "at once"
            assert len(problems) == 1
            assert problems[0].startswith(f"events: {tmp_path / name}: cannot be written")
    assert problems[1:] == ["events: "]
    assert [(row["event"], int(row["object"])) for row in read_events(tmp_path / name)] == [
        ("enter", 1),
        ("enter", 2),
        ("end", 1),
        ("end", 2),
    ]
    assert [(event.event, event.object) for event in told[:2]] == [("enter", 1), ("enter", 2)]
    assert len(told) == 4


def test_a_zone_in_percent_is_that_share_of_any_image() -> None:
    zone = Zone.parse("door=50%,0% 100%,0% 100%,12.5% 50%,12.5%")
    assert zone.in_pixels((240, 320)) == Zone.parse("door=160,0 320,0 320,30 160,30")
    assert zone.in_pixels((480, 640)).contains((639, 60))
    shares = Zone.parse("door=.5,0 1,0 1,.125 .5,0.125")
    assert shares == zone, "numbers up to 1 are shares, too"
    plain = Zone.parse("gate=0,0 9,9")
    assert plain.in_pixels((240, 320)) is plain
    with pytest.raises(SegueError):
        Zone.parse("door=50%,0 100%,0 100,9")


def test_zones_are_entered_and_left_and_tell_the_time_between(tmp_path: Path) -> None:
    zone = Zone.parse("door=60,0 120,0 120,119 60,119")
    with EventSink(tmp_path / "events.json", zones=[zone]) as sink:
        for t in range(30):  # the foot is at 5 + 6 t
            sink.write(*big(t, {3: (6 * t, 20, 6 * t + 10, 50)} if t < 29 else {}))
    found = [
        (event["event"], event["frame"], event["zone"], event["seconds"])
        for event in events(tmp_path / "events.json")
    ]
    assert found == [
        ("enter", 0, "", 0.0),
        ("zone-enter", 10, "door", 1.0),
        ("zone-leave", 20, "door", 1.0),
        ("leave", 28, "", 2.8),
    ]


@pytest.mark.parametrize(("step", "direction"), [(6, "left"), (-6, "right")])
def test_lines_are_crossed_in_a_direction(tmp_path: Path, step: int, direction: str) -> None:
    line = Zone.parse("out=90,0 90,119")  # down the middle: who goes to the right goes to its left
    with EventSink(tmp_path / "events.json", zones=[line]) as sink:
        for t in range(12):
            left = 80 + step * (t - 6)
            sink.write(*big(t, {1: (left, 20, left + 10, 50)}))
    crossed = [event for event in events(tmp_path / "events.json") if event["event"] == "cross"]
    assert [(event["zone"], event["direction"]) for event in crossed] == [("out", direction)]


@pytest.mark.parametrize(("x", "crosses"), [(-1, False), (0, True), (99, True), (101, False)])
def test_a_line_is_crossed_between_its_ends_only(x: int, crosses: bool) -> None:
    assert Zone.parse("out=0,50 100,50").crossed((x, 40), (x, 60)) is crosses


NO_ZONES = ("door", "door=1,2", "=1,2 3,4", "a=1,2 3", "a=1,2 1,2", "a=1,2 nan,4")
WITHOUT_AREA = ("a=1,1 5,5 9,9", "a=0,0 9,0 0,0", "a=3,0 3,9 3,4 3,7")


@pytest.mark.parametrize("text", [*NO_ZONES, *WITHOUT_AREA])
def test_a_zone_is_a_line_or_has_an_area(text: str) -> None:
    with pytest.raises(SegueError, match="zone a: " if text in WITHOUT_AREA else "zone"):
        Zone.parse(text)


@pytest.mark.parametrize("name", ["a;b", "a\nb", "a\x1b[31m", "a\udcff", "a\u202eb", "a\tb"])
def test_a_name_that_a_table_cannot_hold_is_refused_before_the_run(name: str) -> None:
    with pytest.raises(SegueError, match=r"^zone '.*'") as caught:
        Zone.parse(f"{name}=0,0 9,0 9,9")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text", ["door=30,0 60,0 60,9", "line=-9,3 -1,3", "door=0,20 9,20 9,40", "door=29,49 49,0 49,49"]
)
def test_a_zone_that_no_frame_shows_is_an_error(tmp_path: Path, text: str) -> None:
    """As one drawn on a larger image of the same camera."""
    with pytest.raises(SegueError, match=r"zone (door|line): .* 30x20"):
        EventSink(tmp_path / "events.csv", size=(20, 30), zones=[Zone.parse(text)])
    assert list(tmp_path.iterdir()) == []
    door = [Zone.parse("door=29,0 60,0 60,9")]
    with pytest.warns(ZoneWarning), EventSink(tmp_path / "events.csv", size=(20, 30), zones=door):
        pass


@pytest.mark.parametrize(
    ("text", "percent"),
    [
        ("door=20,0 40,0 40,20 20,20", 50),
        ("door=-10,-10 30,-10 30,20 -10,20", 50),
        ("door=0,0 60,0 0,20", 75 - 50),  # the half of a triangle whose top lies outside
        ("door=90%,0% 110%,0% 110%,100% 90%,100%", 50),
        ("line=10,-30 10,10", 75),
    ],
)
def test_a_zone_that_a_frame_shows_in_part_is_told_with_the_part(
    tmp_path: Path, text: str, percent: int
) -> None:
    sink = partial(EventSink, tmp_path / "events.csv", size=(20, 30), zones=[Zone.parse(text)])
    with pytest.warns(ZoneWarning) as told, sink():
        pass
    (message,) = (str(each.message) for each in told if each.category is ZoneWarning)
    assert abs(int(message.split(":")[1].split("%")[0]) - percent) <= 1


@pytest.mark.parametrize(
    "text", ["door=0,0 30,0 30,20 0,20", "door=0%,0% 100%,0% 100%,100%", "line=0,20 30,20"]
)
def test_a_zone_to_the_edges_of_the_image_lies_inside(tmp_path: Path, text: str) -> None:
    zone = Zone.parse(text).in_pixels((20, 30))
    assert zone.share_outside((20, 30)) == 0


def test_objects_that_stay_go_on_in_the_next_part(tmp_path: Path) -> None:
    zone = Zone.parse("door=0,0 179,0 179,119 0,119")
    monitor, store = EventMonitor([zone]), EventStore()
    publisher = EventPublisher(store, (zone,))

    def open_part(begin: float) -> EventFiles:
        part = f"{begin:.0f}"
        options = SinkOptions(live=True, events=EventSettings((zone,), publisher=publisher, part=part))
        return EventFiles(tmp_path / f"{part}.json", options, publisher)

    with RotatingSink(open_part, 1.0) as sink:
        for t in range(25):  # three parts of ten frames
            frame, seen = big(t, {1: (50, 50, 60, 60)} if t < 22 else {})
            seen, found = monitor.update(frame, seen)
            sink.write(frame, seen)
            sink.events(found, monitor.objects)
    told = [[event["event"] for event in events(tmp_path / f"{part}.json")] for part in range(3)]
    assert told == [["enter", "zone-enter"], [], ["zone-leave", "leave"]]
    dwelt = [event["seconds"] for event in events(tmp_path / "2.json")]
    assert dwelt == pytest.approx([2.1, 2.1])  # it was in the zone from its first frame on


def test_a_camera_that_was_away_is_two_events(tmp_path: Path) -> None:
    with EventSink(tmp_path / "events.csv", live=True) as sink:
        sink.write(*result(0, {}))
        sink.connection(ConnectionChange("camera 0", False, 0, 0.1, reason="unplugged"))
        sink.connection(ConnectionChange("camera 0", True, 1, 41.6, 41.5))
    told = [(row[0], row[3], row[9]) for row in rows(tmp_path / "events.csv")[1:]]
    assert told == [("offline", "0.100", "0.000"), ("online", "41.600", "41.500")]


def test_events_tell_the_source_and_the_time_of_day(tmp_path: Path) -> None:
    begin = datetime(2026, 3, 29, 1, 59, 59, tzinfo=ZoneInfo("Europe/Berlin"))

    def at(time: float) -> datetime:
        return (begin.astimezone(UTC) + timedelta(seconds=time)).astimezone(begin.tzinfo)

    with EventSink(tmp_path / "events.json", source="gate", at=at) as sink:
        for t in range(20):
            sink.write(*big(t, {1: (5, 5, 20, 20)} if t < 15 else {}))
    enter, leave = events(tmp_path / "events.json")
    assert (enter["source"], enter["at"]) == ("gate", "2026-03-29T01:59:59.000+01:00")
    assert leave["at"] == "2026-03-29T03:00:00.400+02:00"  # summer time has begun


def test_passages_are_counted_for_each_zone_and_line_and_go_on(tmp_path: Path) -> None:
    zones = [Zone.parse("door=0,0 60,0 60,119 0,119"), Zone.parse("gate=90,0 90,119")]

    def walk() -> None:
        with EventSink(tmp_path / "events.csv", live=True, append=True, zones=zones) as sink:
            for t in range(40):
                sink.write(*big(t, {1: (4 * t, 50, 4 * t + 12, 70)}))

    walk()
    assert rows(tmp_path / "events.counts.csv") == [
        ["zone", "event", "direction", "count"],
        ["door", "zone-enter", "", "1"],
        ["door", "zone-leave", "", "1"],
        ["gate", "cross", "right", "0"],
        ["gate", "cross", "left", "1"],
    ]
    walk()
    assert [row[3] for row in rows(tmp_path / "events.counts.csv")[1:]] == ["2", "2", "0", "2"]


def test_a_zone_is_no_formula_in_the_counts(tmp_path: Path) -> None:
    zones = [Zone.parse("@SUM(1+1)=0,0 60,0 60,119 0,119")]
    with EventSink(tmp_path / "events.csv", live=True, zones=zones) as sink:
        sink.write(*big(0, {}))
    assert {row[0] for row in rows(tmp_path / "events.counts.csv")[1:]} == {"'@SUM(1+1)"}


def kinds_of(
    path: Path, frames: int, box: tuple[int, int, int, int], **rules: Any
) -> list[tuple[str, float]]:
    """Events, and their seconds, of an object that is there for some frames."""
    zone = Zone.parse("door=0,0 60,0 60,119 0,119")
    with EventSink(path / "events.json", zones=[zone], rules=EventRules(**rules)) as sink:
        for t in range(frames + 1):
            sink.write(*big(t, {1: box} if t < frames else {}))
    return [(event["event"], event["seconds"]) for event in events(path / "events.json")]


def test_an_object_that_is_there_for_a_moment_is_no_event(tmp_path: Path) -> None:
    box = (90, 50, 110, 70)
    assert kinds_of(tmp_path, 10, box, min_seconds=1.0) == []
    assert kinds_of(tmp_path, 12, box, min_seconds=1.0) == [("enter", 0.0), ("leave", 1.1)]


def test_an_object_that_stays_in_a_zone_loiters_once(tmp_path: Path) -> None:
    told = kinds_of(tmp_path, 40, (10, 50, 30, 70), loiter={"door": 2.0})
    assert [kind for kind, _ in told] == ["enter", "zone-enter", "loiter", "zone-leave", "leave"]
    assert dict(told)["loiter"] == pytest.approx(2.0)
    assert "loiter" not in dict(kinds_of(tmp_path, 40, (10, 50, 30, 70), loiter={"door": 5.0}))


@pytest.mark.parametrize(("box", "seen"), [((90, 20, 110, 32), True), ((90, 90, 110, 110), False)])
def test_the_least_height_follows_the_perspective(
    tmp_path: Path, box: tuple[int, int, int, int], seen: bool
) -> None:
    rules = EventRules.parse(0.0, [], ["30:10", "110:30"], [])
    assert bool(kinds_of(tmp_path, 5, box, min_heights=rules.min_heights)) == seen


@pytest.mark.parametrize(
    ("loiter", "heights"),
    [
        (["gate=30s"], []),
        (["line=30s"], []),
        (["door"], []),
        (["door=soon"], []),
        ([], ["tall"]),
        ([], ["10", "20"]),
        ([], ["5:10", "5:20"]),
        ([], ["1:10", "5:20", "9:30"]),
    ],
)
def test_rules_that_mean_nothing_are_refused(loiter: list[str], heights: list[str]) -> None:
    zones = [Zone.parse("door=0,0 9,0 9,9"), Zone.parse("line=0,0 9,9")]
    with pytest.raises(SegueError, match=r"--(loiter|min-height)"):
        EventRules.parse(0.0, loiter, heights, zones)


def test_objects_that_were_there_at_a_crash_have_left_when_the_table_goes_on(tmp_path: Path) -> None:
    begin = datetime(2026, 5, 1, 12, tzinfo=UTC)
    zone, told = Zone.parse("door=0,0 60,0 60,119 0,119"), list[Event]()

    def sink(at: datetime = begin) -> EventSink:
        return EventSink(
            tmp_path / "events.csv",
            live=True,
            append=True,
            zones=[zone],
            on_event=told.append,
            at=lambda time: at + timedelta(seconds=time),
        )

    killed = sink()
    for t in range(10):
        killed.write(*big(t, {4: (5, 5, 20, 20), 5: (100, 5, 120, 20)} if t < 6 else {4: (5, 5, 20, 20)}))
    killed.abort()  # leaves what a crash leaves
    before = len(told)
    for _ in range(2):
        with sink(begin + timedelta(days=1)) as again:
            again.write(*big(0, {}))
    ends = [(event.event, event.object, event.zone) for event in told[before:]]
    assert ends == [("zone-leave", 4, "door"), ("leave", 4, "door")]
    assert [row[0] for row in rows(tmp_path / "events.csv")[1:]] == [event.event for event in told]
    assert {event.at[:10] for event in told} == {"2026-05-01"}, "as far as was known"


def test_only_objects_of_listed_classes_are_told_as_soon_as_a_view_shows_it(tmp_path: Path) -> None:
    """Object 1 grows into a person, 2 is a car all the time, 3 is nothing that is known."""

    def name(image: Image, box: Box) -> tuple[str, float] | None:
        side = box[2] - box[0]
        return ("person", 0.9) if side > 22 else ("car", 0.8) if side == 20 else None

    def run(*only: str, frames: int = 12) -> list[tuple[str, int, str]]:
        path = tmp_path / f"{'-'.join(only)}{frames}.json"
        rules = EventRules(only=frozenset(only))
        zone = Zone.parse("room=0,0 120,0 120,120 0,120")
        told = list[Event]()
        with EventSink(path, live=True, name=name, rules=rules, zones=[zone], on_event=told.append) as sink:
            for t in range(frames):
                boxes = {1: (5, 5, 20 + t, 20 + t), 2: (50, 50, 70, 70), 3: (80, 80, 98, 98)}
                frame, result = big(t, boxes if t < frames - 1 else {})
                sink.write(frame, replace(result, objects=tuple(ObjectInfo(o.id) for o in result.objects)))
        rows = [(event["event"], int(event["object"]), event["label"]) for event in events(path)]
        assert rows == [(event.event, event.object, event.label) for event in told]
        return rows

    person = [
        ("enter", 1, "person"),
        ("zone-enter", 1, "person"),
        ("zone-leave", 1, "person"),
        ("leave", 1, "person"),
    ]
    assert run("person") == person
    assert run("person", frames=8) == [], "it was gone before it was known to be one"
    assert {number for _, number, _ in run("car")} == {2}
    assert {(number, label) for _, number, label in run("unknown") if number > 1} == {(3, "unknown")}
    assert len(run("person", "car", "unknown")) == 12


def test_classes_may_change_while_a_camera_is_watched(tmp_path: Path) -> None:
    def change(*only: str) -> EventSettings:
        return EventSettings(rules=EventRules(only=frozenset(only)))

    labels, boxes = {1: "person", 2: "car"}, {1: (5, 5, 20, 20), 2: (50, 50, 70, 70)}
    told = list[Event]()
    rules = change("person").rules
    with EventSink(tmp_path / "e.json", live=True, rules=rules, on_event=told.append) as sink:
        for t in range(10):
            frame, result = big(t, boxes if t < 9 else {})
            objects = tuple(replace(item, label=labels[item.id]) for item in result.objects)
            if t == 5:
                sink.change_events(change("car"))
            sink.write(frame, replace(result, objects=objects))
    assert [(event.event, event.object) for event in told] == [
        ("enter", 1),
        ("enter", 2),
        ("leave", 1),
        ("leave", 2),
    ], "who was told of has an end, too"


def test_zone_events_know_the_classes_of_results() -> None:
    found = ZoneEvents(rules=EventRules(only=frozenset({"person"})))
    told = list[Event]()
    for t in range(8):
        result = big(t, {1: (5, 5, 20, 20), 2: (50, 50, 70, 70)})[1]
        labels = {1: "person" if t > 4 else "", 2: "car"}
        told += found.update(
            replace(result, objects=tuple(replace(o, label=labels[o.id]) for o in result.objects))
        )
    told += found.finish()
    assert [(event.event, event.object) for event in told] == [("enter", 1), ("end", 1)]
