"""One list of objects: masks, pages and messages see what the table sees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segue.events import EventMonitor
from segue.events.rules import EventRules
from segue.events.scene.memory import SceneMemory
from segue.events.store.records import CLASS
from segue.events.table import Event
from segue.events.zones import Zone
from segue.jobs.opened import Run
from segue.jobs.running import run_open
from segue.masks import read_index_mask
from segue.types import Box, Image, ObjectInfo, Segmentation
from tests.events.test_sink import big
from tests.events.test_standing import CAR, SIZE, Camera
from tests.jobs.test_running import Recorder, foreground

HALL = Zone.parse("hall=0%,0% 100%,0% 100%,100% 0%,100%")


def test_an_object_that_the_background_has_absorbed_is_in_the_result_that_everybody_sees() -> None:
    memory, camera = SceneMemory(), Camera()
    memory.begin(None, "gate")
    monitor, events, seen = EventMonitor([HALL], memory=memory), list[Event](), []
    for seconds, car, listed in ((20, False, None), (15, True, 3), (60, True, None)):
        for frame, result in camera.frames(seconds, car=car, listed=listed):
            result, new = monitor.update(frame, result)
            events += new
            seen.append((tuple(result.ids), {*np.unique(result.mask)} - {0}, {*monitor.objects}))
    assert {(each.event, each.object) for each in events} == {("enter", 3), ("zone-enter", 3)}, "it is there"
    assert seen[-1] == ((3,), {3}, {3})
    assert all({*ids} == mask for ids, mask, _ in seen)


def test_outputs_of_a_run_have_the_objects_of_its_table(tmp_path: Path) -> None:
    """Masks on the disk, and what a page or program is told of each frame."""
    camera, frames = Camera(), []
    for seconds, car, listed in ((20, False, None), (15, True, 3), (6, True, None)):
        frames += [*camera.frames(seconds, car=car, listed=listed)]
    results = {frame.index: result for frame, result in frames}

    class Session:
        lag = 0
        label = None

        def step(self, frame: Any) -> Any:
            return results[frame.index]

        def finish(self) -> Any:
            return iter(())

    class Watching(Recorder):
        shown: list[tuple[int, ...]] = []  # noqa: RUF012  one is made

        def frame(self, frame: Any, result: Any, note: str) -> None:
            self.shown.append(tuple(result.ids))

    from segue.video import open_source

    source = open_source([frame.image for frame, _ in frames])
    job = foreground(None, tmp_path / "out", events=tmp_path / "events.csv")
    job = job.model_copy(update={"source": job.source.model_copy(update={"place": None})})
    observer = Watching()
    run_open(Run(job, source, Session()), observer)  # type: ignore[arg-type]
    masks = [read_index_mask(path) for path in sorted((tmp_path / "out" / "masks").glob("*.png"))]
    assert {*np.unique(masks[-1])} == {0, 3}
    assert masks[-1][CAR].any()
    assert masks[-1].shape == SIZE
    assert observer.shown[-1] == (3,)
    assert [event.event for event in observer.events] == ["enter", "end"]


@pytest.mark.parametrize("only", [(), ("person",)])
def test_a_class_is_decided_once_and_told_when_it_is_known(only: tuple[str, ...]) -> None:
    """A view shows after a while that object 1 is a person; it is called a car later."""

    def name(image: Image, box: Box) -> tuple[str, float] | None:
        width = box[2] - box[0]
        return ("car", 0.95) if width > 34 else ("person", 0.9) if width > 24 else None

    rules = EventRules(only=frozenset(only))
    monitor = EventMonitor([HALL], rules, name=name, filters=[frozenset({"person"})])
    events, labels = list[Event](), list[str | None]()
    for t in range(22):
        frame, result = big(t, {1: (5, 5, 20 + t, 20 + t)} if t < 21 else {})
        objects = tuple(ObjectInfo(each.id) for each in result.objects)
        result, new = monitor.update(frame, replace(result, objects=objects))
        events += new
        labels += [item.label for item in result.objects]
    told = [(each.event, each.label) for each in events]
    if only:
        assert told[:2] == [("enter", "person"), ("zone-enter", "person")]
    else:
        assert told[:3] == [("enter", "unknown"), ("zone-enter", "unknown"), (CLASS, "person")]
    assert told[-2:] == [("zone-leave", "car"), ("leave", "car")]
    assert labels[0] is None
    assert labels[-1] == "person", "and the overlay says so, as far as somebody has looked"


def test_an_object_that_stayed_over_a_restart_and_left_in_a_crash_has_its_whole_stay() -> None:
    """Each run has times of its own: the second one begins at 0 again."""

    def event(kind: Any, hour: int, time: float, zone: str = "") -> Event:
        at = f"2026-05-01T{hour:02}:00:00+00:00"
        return Event(kind, 3, 0, time, 0.0, 0.0, 9.0, 9.0, 81, 0.0, 81, zone=zone, at=at)

    events = [
        event("enter", 8, 100.0),
        event("zone-enter", 9, 3700.0, "hall"),
        event("loiter", 12, 60.0, "hall"),
    ]
    monitor = EventMonitor([HALL], present={3: events})
    _, told = monitor.update(*big(0, {}))
    assert [(each.event, each.seconds) for each in told] == [("zone-leave", 3 * 3600), ("leave", 4 * 3600)]


def test_an_object_that_stays_over_a_restart_keeps_its_class() -> None:
    """It is named in the first run, and no view of the second one shows what it is."""
    memory, camera = SceneMemory(), Camera()
    memory.begin(None, "gate")
    first, told = EventMonitor([HALL], memory=memory, name=lambda *_: ("car", 0.8)), list[Event]()
    for seconds, car, listed in ((20, False, None), (15, True, 3)):
        for frame, result in camera.frames(seconds, car=car, listed=listed):
            told += first.update(frame, unnamed(result))[1]
    first.finish(goes_on=True)
    assert {event.label for event in told} == {"car"}
    memory.begin(None, "gate")
    second, later = (
        EventMonitor([HALL], memory=memory, name=lambda *_: None, present={3: told}),
        list[Event](),
    )
    for seconds, car in ((5, True), (15, False)):
        for frame, result in camera.frames(seconds, car=car):
            later += second.update(frame, unnamed(result))[1]
    assert [(event.event, event.label) for event in later] == [("zone-leave", "car"), ("leave", "car")]


def unnamed(result: Segmentation) -> Segmentation:
    """A result as a session without a detector has it."""
    return replace(result, objects=tuple(ObjectInfo(item.id) for item in result.objects))
