"""While the background of a camera is unknown a detector and a tracker of boxes carry objects and events."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from segue.events.monitor import EventMonitor
from segue.events.rules import EventRules
from segue.events.scene.blind import BlindTracker, Detection
from segue.events.scene.memory import SceneMemory
from segue.events.table import Event
from segue.masks import measure
from segue.sessions.foreground.background.quantiles import Scene
from segue.sessions.foreground.background.video_scenes import LearntBackground, VideoScenes
from segue.sessions.foreground.session import ForegroundSession
from segue.types import Box, Frame, Image, ObjectInfo, Segmentation
from tests.sessions.foreground.scenes import wall, with_squares

SIZE = 96, 128
RULES = EventRules(min_frames=1, min_small_frames=1)


def frame(index: int, fps: float = 5.0) -> Frame:
    return Frame(index, index / fps, np.zeros((*SIZE, 3), np.uint8))


def result(index: int, boxes: dict[int, Box], fps: float = 5.0) -> Segmentation:
    """What a session finds, which sees nothing while it is blind."""
    mask = np.zeros(SIZE, np.uint8)
    for number, (x0, y0, x1, y1) in boxes.items():
        mask[int(y0) : int(y1), int(x0) : int(x1)] = number
    extents = measure(mask)
    objects = tuple(ObjectInfo(i, None, 1.0, each.box, each.area) for i, each in extents.items())
    return Segmentation(index, index / fps, mask, objects)


def walker(index: int) -> Box:
    return 4.0 + 6 * index, 30.0, 24.0 + 6 * index, 80.0


def watch(
    frames: Sequence[tuple[dict[int, Box], Sequence[Detection], bool]],
    last: int = 0,
    pan: tuple[float, float] = (0.0, 0.0),
) -> tuple[list[Segmentation], list[Event]]:
    """The results and the events of frames: what session and detector find, and whether it is blind.

    ``pan``: way of the image between two frames while it is blind, in parts of the longer side.
    """
    now: list[Sequence[Detection]] = [()]
    tracker = BlindTracker(
        lambda _: now[0], lambda i: frames[i][2], last, lambda i: pan if frames[i][2] else (0.0, 0.0)
    )
    monitor, results, events = EventMonitor(rules=RULES, blind=tracker), list[Segmentation](), list[Event]()
    for index, (boxes, detections, _) in enumerate(frames):
        now[0] = detections
        seen, new = monitor.update(frame(index), result(index, boxes))
        results.append(seen)
        events += new
    return results, [*events, *monitor.finish()]


def test_a_tracked_object_keeps_its_id_into_the_next_scene() -> None:
    found = [(walker(index), "person", 0.9) for index in range(14)]
    frames = [({1: walker(index)}, found[index : index + 1], False) for index in range(4)]
    frames += [({}, found[index : index + 1], True) for index in range(4, 9)]
    frames += [({}, found[9:10], False)]  # the session has just begun a scene
    frames += [({2: walker(index)}, found[index : index + 1], False) for index in range(10, 14)]
    results, events = watch(frames)
    assert [{item.id for item in each.objects} for each in results] == [{1}] * 14
    assert [(event.event, event.object) for event in events] == [("enter", 1), ("end", 1)]


def test_objects_that_enter_and_leave_without_a_background_have_events() -> None:
    frames = [({}, [], False)] * 2
    frames += [({}, [(walker(index), "person", 0.8)], True) for index in range(6)]
    frames += [({}, [], True)] * 8
    _, events = watch(frames, last=7)
    assert [(event.event, event.object, event.label) for event in events] == [
        ("enter", 8, "person"),
        ("leave", 8, "person"),
    ]


def test_static_detections_are_no_objects() -> None:
    parked: Detection = (60.0, 40.0, 110.0, 80.0), "car", 0.9
    _, events = watch([({}, [parked], index > 2) for index in range(20)])
    assert events == []


def test_ids_of_the_session_and_of_the_detector_do_not_meet() -> None:
    """The session gives the id next that the tracker has given meanwhile."""
    frames = [({1: (0.0, 0.0, 20.0, 20.0)}, [], False)]
    frames += [({}, [(walker(index), "person", 0.8)], True) for index in range(5)]
    far = (100.0, 0.0, 124.0, 20.0)
    frames += [({2: far}, [(walker(5), "person", 0.8)], False)]
    frames += [({2: far, 3: (0.0, 0.0, 20.0, 20.0)}, [], False)] * 20
    results, events = watch(frames)
    entered = [event.object for event in events if event.event == "enter"]
    assert len(entered) == len({*entered}) == 4
    assert {item.id for item in results[-1].objects} == {*entered[-2:]}
    assert 2 in entered
    assert 2 not in {item.id for item in results[-1].objects}


@pytest.mark.parametrize("seed", range(20))
def test_results_are_whole_whatever_happens(seed: int) -> None:
    """Each object of a result is in its mask, and the other way round; without blindness it is as it was."""
    rng, given = random.Random(seed), 0
    there: list[int] = []
    frames: list[tuple[dict[int, Box], Sequence[Detection], bool]] = []

    def place() -> Box:
        x, y = rng.randrange(0, 100), rng.randrange(0, 70)
        return float(x), float(y), float(x + rng.randrange(4, 28)), float(y + rng.randrange(4, 26))

    def slot(number: int) -> Box:
        """A place for each object of the session, so that none hides another one."""
        x, y = 16 * (number % 8), 48 * (number // 8 % 2)
        return float(x), float(y + rng.randrange(8)), float(x + 12), float(y + 40)

    blind = False
    for _ in range(60):
        blind = rng.random() < (0.7 if blind else 0.1)
        if blind:
            there = []
        there = [number for number in there if rng.random() < 0.9 and number > given - 15]
        if not blind and rng.random() < 0.5:
            given += 1
            there.append(given)
        detections = [(place(), "person", 0.5) for _ in range(rng.randrange(3))]
        frames.append(({number: slot(number) for number in there}, detections, blind))
    results, events = watch(frames)
    for each in results:
        numbers = [item.id for item in each.objects]
        assert len({*numbers}) == len(numbers)
        visible = {item.id for item in each.objects if item.area}
        assert {*np.unique(each.mask).tolist()} - {0} == visible
    entered = [event.object for event in events if event.event == "enter"]
    assert len(entered) == len({*entered}), "an id is given once"
    sighted, _ = watch([(boxes, (), False) for boxes, _, _ in frames])
    for each, (boxes, _, _) in zip(sighted, frames, strict=True):
        assert {item.id for item in each.objects} <= {*boxes}


def squares_of(image: Image) -> list[Detection]:
    """A detector of bright squares."""
    extents = measure((image.min(axis=2) > 240).astype(np.uint8))
    return [(each.box, "square", 1.0) for each in extents.values()]


def test_an_object_before_a_camera_that_turns_has_its_event_and_keeps_its_id() -> None:
    """A cut while a square crosses: the session sees nothing for a while, and it is there."""
    places = [(40, 4 + 4 * step) for step in range(22)]
    images = [wall()] * 20 + [with_squares(wall(), [place]) for place in places[:8]]
    images += [with_squares(wall(7), [place]) for place in places[8:]]
    session, blind = ForegroundSession("median", device="cpu"), set[int]()
    monitor = EventMonitor(rules=RULES, blind=BlindTracker(squares_of, blind.__contains__))
    events, seen = list[Event](), list[int]()
    for index, image in enumerate(images):
        current = Frame(index, index / 5, image)
        found = session.step(current)
        assert found is not None
        if session.is_blind:
            blind.add(index)
        whole, new = monitor.update(current, found)
        seen.append(len(whole.objects))
        events += new
    assert blind
    assert all(seen[index] for index in blind if index >= 22)
    assert [event.event for event in events if event.event == "leave"] == []
    assert len({event.object for event in events}) == 1


def events_of(
    session: ForegroundSession, monitor: EventMonitor, images: list[Image], blind: set[int], fps: int
) -> list[Event]:
    """The events of images; frames on which the session is blind are added to ``blind``."""
    events = list[Event]()
    for index, image in enumerate(images):
        current = Frame(index, index / fps, image)
        found = session.step(current)
        assert found is not None
        if session.is_blind:
            blind.add(index)
        events += monitor.update(current, found)[1]
    return events


def test_an_object_present_at_the_start_has_an_event() -> None:
    """A square crosses in the first second, in which the session still learns the scene."""
    images = [with_squares(wall(), [(40, 4 + 12 * step)]) for step in range(6)] + [wall()] * 12
    session, blind = ForegroundSession("median", warm_up=5, device="cpu"), set[int]()
    monitor = EventMonitor(rules=RULES, blind=BlindTracker(squares_of, blind.__contains__))
    events = events_of(session, monitor, images, blind, fps=5)
    assert blind == {*range(5)}
    assert [(event.event, event.label) for event in events] == [("enter", "square")]
    assert events[0].frame <= 2


def test_a_session_is_blind_on_its_first_frame_and_not_in_a_known_scene() -> None:
    unknown = ForegroundSession("median", device="cpu")
    known = ForegroundSession("median", background=LearntBackground(VideoScenes.of(Scene.of(wall()))))
    blind = list[bool]()
    for session in (unknown, known):
        for index in range(2):
            session.step(Frame(index, index / 5, wall()))
            blind.append(session.is_blind)
    assert blind == [True, False, False, False]


def test_a_session_is_blind_while_the_camera_pans_and_tells_its_way() -> None:
    wide = np.tile(wall(), (1, 4, 1))
    rng = np.random.default_rng(0)
    for x in range(0, wide.shape[1] - 8, 8):
        wide[rng.integers(0, 60) :, x : x + rng.integers(2, 8)] = rng.integers(0, 255, 3)
    width = wall().shape[1]
    session = ForegroundSession("mustan-lite", follow_camera="auto", detector=None, device="cpu")
    ways = list[tuple[float, float]]()
    for index in range(40):
        left = 3 * max(0, index - 5)
        session.step(Frame(index, index / 25, np.ascontiguousarray(wide[:, left : left + width])))
        if session.is_blind and index > 5:
            ways.append(session.camera_motion)
    assert len(ways) > 15
    across, down = np.median(ways, axis=0) * max(wall().shape[:2])
    assert across == pytest.approx(-3, abs=0.4)
    assert down == pytest.approx(0, abs=0.4)


def test_before_a_camera_that_pans_only_what_moves_in_the_scene_is_an_object() -> None:
    """Parked cars move with the image by a part of their size a frame, and a walker goes against it."""
    step = -8.0
    cars = [(40.0 * number, 10.0, 40.0 * number + 30, 28.0) for number in range(6)]
    frames: list[tuple[dict[int, Box], Sequence[Detection], bool]] = []
    for index in range(12):
        way = step * index
        detections: list[Detection] = [((x0 + way, y0, x1 + way, y1), "car", 0.9) for x0, y0, x1, y1 in cars]
        detections = [each for each in detections if each[0][2] > 4 and each[0][0] < SIZE[1] - 4]
        detections.append((walker(index), "person", 0.9))
        frames.append(({}, detections, True))
    _, events = watch(frames, pan=(step / max(SIZE), 0.0))
    assert [(event.event, event.label) for event in events] == [("enter", "person"), ("end", "person")]


def test_a_tracked_object_keeps_its_id_while_the_camera_pans() -> None:
    found = [(walker(index), "person", 0.9) for index in range(14)]
    frames = [({3: walker(index)}, found[index : index + 1], False) for index in range(4)]
    frames += [({}, found[index : index + 1], True) for index in range(4, 9)]
    frames += [({4: walker(index)}, found[index : index + 1], False) for index in range(9, 14)]
    results, events = watch(frames, pan=(-0.05, 0.0))
    assert [{item.id for item in each.objects} for each in results] == [{3}] * 14
    assert [(event.event, event.object) for event in events] == [("enter", 3), ("end", 3)]


def test_the_detector_runs_five_times_a_second() -> None:
    calls = list[Image]()

    def detect(image: Image) -> list[Detection]:
        calls.append(image)
        return []

    tracker = BlindTracker(detect, lambda _: True)
    for index in range(50):
        tracker.carry(tracker.update(frame(index, 25.0), result(index, {}, 25.0)))
    assert len(calls) == 10


def test_an_object_found_by_session_and_detector_is_one_object() -> None:
    found = [(walker(index), "person", 0.9) for index in range(8)]
    frames: list[tuple[dict[int, Box], Sequence[Detection], bool]] = [({}, found[:1], True)]
    frames += [({1: walker(index)}, found[index : index + 1], False) for index in range(1, 8)]
    _, events = watch(frames)
    assert [(event.event, event.object) for event in events] == [("enter", 1), ("end", 1)]


def test_objects_leave_when_the_camera_turns_away() -> None:
    """Its box is held for a second, which makes it no object that stands."""
    images = [wall()] * 40 + [with_squares(wall(), [(40, 4 + 2 * step)]) for step in range(30)]
    images += [wall(7)] * 75
    session, blind = ForegroundSession("median", device="cpu"), set[int]()
    blind_tracker = BlindTracker(lambda _: [], blind.__contains__)
    monitor = EventMonitor(rules=RULES, memory=SceneMemory(), blind=blind_tracker)
    events = events_of(session, monitor, images, blind, fps=25)
    assert any(index > 60 for index in blind)
    assert [event.event for event in events] == ["enter", "leave"]


def test_objects_of_the_scene_are_not_carried() -> None:
    box = (10.0, 10.0, 40.0, 40.0)
    tracker = BlindTracker(lambda _: [(box, "person", 0.9)], lambda index: index > 3)
    counts = list[int]()
    for index in range(8):
        seen = tracker.update(frame(index), result(index, {1: box} if index < 4 else {}))
        hidden = replace(seen, mask=np.zeros_like(seen.mask), objects=())
        counts.append(len(tracker.carry(hidden).objects))
    assert counts == [0] * 8
